// Real Chromium from the distribution, with a home of its own: the authority's root believed, a client certificate
// imported from a PKCS#12 file where one is given, and chosen without asking.

import { chromium } from 'playwright-core';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

// Chromium then shows its certificate to any port of localhost without asking. The policy is the machine's, and of two
// files that set the same one the last by name wins: so every case that runs writes the very same words, and each
// takes its own file away again.
export function chooseCertificatesForLocalhost() {
  const file = `/etc/chromium/policies/managed/countersign-test-${process.pid}.json`;
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const choice = JSON.stringify({ pattern: 'https://localhost', filter: {} });
  fs.writeFileSync(file, JSON.stringify({ AutoSelectCertificateForUrls: [choice] }));
  process.on('exit', () => fs.rmSync(file, { force: true }));
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(1));
}

// A person with a browser. `identity` is { file, password } of a PKCS#12 file.
export async function open(home, root, identity, options = {}) {
  for (const folder of ['.pki/nssdb', '.local/share/pki/nssdb']) {
    const database = `sql:${path.join(home, folder)}`;
    fs.mkdirSync(path.join(home, folder), { recursive: true });
    execFileSync('certutil', ['-d', database, '-N', '--empty-password']);
    execFileSync('certutil', ['-d', database, '-A', '-t', 'C,,', '-n', 'root', '-i', root]);
    if (identity) {
      const password = path.join(home, 'password');
      fs.writeFileSync(password, identity.password, { mode: 0o600 });
      execFileSync('pk12util', ['-d', database, '-i', identity.file, '-w', password]);
    }
  }
  // Chromium makes a socket in its temporary folder, and a socket's path is short: 107 octets (unix(7)).
  const temporary = fs.mkdtempSync('/tmp/countersign-browser-');
  process.on('exit', () => fs.rmSync(temporary, { recursive: true, force: true }));
  const context = await chromium.launchPersistentContext(path.join(home, 'profile'), {
    executablePath: '/usr/bin/chromium', headless: true, args: FLAGS, acceptDownloads: true,
    env: { ...process.env, HOME: home, TMPDIR: temporary, XDG_DATA_HOME: '', XDG_CONFIG_HOME: '' }, ...options,
  });
  // An action waits for its page this long: browsers are slow on a machine that has other work.
  context.setDefaultTimeout(90_000);
  return context;
}
