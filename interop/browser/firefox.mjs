// Firefox ESR from the distribution, headless, with a profile of its own whose NSS database holds the authority's root
// and, where one is given, a client certificate. It is driven by WebDriver BiDi (W3C), which Firefox itself speaks: no
// driver is between.

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import WebSocket from 'ws';

const PREFERENCES = {
  // Where a server asks and there is a certificate for it, that one is sent without asking.
  'security.default_personal_cert': 'Select Automatically',
  'security.osclientcerts.autoload': false,
  'security.enterprise_roots.enabled': false,
  'app.update.auto': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.safebrowsing.malware.enabled': false,
  'browser.safebrowsing.phishing.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'extensions.update.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'network.dns.disablePrefetch': true,
  'services.settings.server': 'data:,',
  'toolkit.telemetry.server': '',
};

// A person with Firefox. `identity` is { file, passwordFile } of a PKCS#12 file.
export async function open(home, root, identity) {
  const profile = path.join(home, 'profile');
  fs.mkdirSync(profile, { recursive: true });
  const database = `sql:${profile}`;
  execFileSync('certutil', ['-d', database, '-N', '--empty-password']);
  execFileSync('certutil', ['-d', database, '-A', '-t', 'C,,', '-n', 'root', '-i', root]);
  if (identity) {
    execFileSync('pk12util', ['-d', database, '-i', identity.file, '-w', identity.passwordFile]);
  }
  const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`);
  fs.writeFileSync(path.join(profile, 'user.js'), lines.join('\n'));
  const browser = spawn('firefox-esr', ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port', '0'], {
    env: { ...process.env, HOME: path.resolve(home), MOZ_HEADLESS: '1', XDG_CONFIG_HOME: '', XDG_CACHE_HOME: '' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  process.on('exit', () => browser.kill());
  const address = await new Promise((resolve, reject) => {
    let said = '';
    browser.stderr.on('data', (data) => {
      said += data;
      const found = /WebDriver BiDi listening on (ws:\/\/\S+)/.exec(said);
      if (found) resolve(found[1]);
    });
    browser.on('exit', (code) => reject(new Error(`Firefox ended with ${code}: ${said}`)));
  });
  return Session.begin(`${address}/session`, browser);
}

class Session {
  static async begin(address, browser) {
    const session = new Session();
    session.browser = browser;
    session.next = 1;
    session.waiting = new Map();
    session.socket = new WebSocket(address);
    await new Promise((resolve, reject) => {
      session.socket.onopen = resolve;
      session.socket.onerror = () => reject(new Error(`cannot speak with Firefox at ${address}`));
    });
    session.socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      const waiting = session.waiting.get(message.id);
      session.waiting.delete(message.id);
      if (message.type === 'error') waiting?.reject(new Error(`${message.error}: ${message.message}`));
      else waiting?.resolve(message.result);
    };
    await session.ask('session.new', { capabilities: {} });
    const { contexts } = await session.ask('browsingContext.getTree', {});
    session.context = contexts[0].context;
    return session;
  }

  ask(method, params) {
    const id = this.next;
    this.next += 1;
    this.socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  // Goes to a page and waits until it is whole. A page of an error is an error.
  go(url) {
    return this.ask('browsingContext.navigate', { context: this.context, url, wait: 'complete' });
  }

  // What an expression of the page gives, as text.
  async read(expression) {
    const answer = await this.ask('script.evaluate', {
      expression: `String(${expression})`, target: { context: this.context }, awaitPromise: true,
    });
    if (answer.type !== 'success') throw new Error(`${expression}: ${answer.exceptionDetails?.text}`);
    return answer.result.value;
  }

  async screenshot(file) {
    const { data } = await this.ask('browsingContext.captureScreenshot', { context: this.context, origin: 'document' });
    fs.writeFileSync(file, Buffer.from(data, 'base64'));
  }

  async size(width, height) {
    await this.ask('browsingContext.setViewport', { context: this.context, viewport: { width, height } });
  }

  async close() {
    const ended = new Promise((resolve) => this.browser.once('exit', resolve));
    this.ask('browser.close', {}).catch(() => this.browser.kill());
    await ended;
  }
}
