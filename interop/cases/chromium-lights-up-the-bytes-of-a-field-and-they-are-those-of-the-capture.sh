#!/usr/bin/env bash
# Chromium opens the page of a handshake without a network: a click opens a message, hovering a field lights up its bytes
# and the reverse, the lit bytes are those in the capture, nothing is wider than a phone, axe finds nothing that keeps
# people out, it prints, and without JavaScript all is there to read; the page of many connections says the same bytes once.
# needs: chromium node npm:axe-core
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Page"
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client alice
port=$(free_port)
mkdir files
start_server "$COUNTERSIGN" serve --listen "127.0.0.1:$port" --dir files --cert localhost.pem --key localhost-key.pem \
    --client-ca rootCA.pem --allow-cn alice
wait_for_port "$port"
expect_success "$COUNTERSIGN" explain "https://localhost:$port" --cert alice.pem --key alice-key.pem --cacert rootCA.pem \
    --html page.html --pcapng handshake.pcapng
assert_file_mode 600 page.html
expect_success "$COUNTERSIGN" demo --html demo.html
ln -s "$INTEROP_NODE_MODULES" node_modules

cat >drive.mjs <<'X'
import { spawn } from 'node:child_process';
import fs from 'node:fs';
// Chromium makes a socket in its temporary folder, and a socket's path is short: 107 octets (unix(7)).
const temporary = fs.mkdtempSync('/tmp/countersign-browser-');
process.on('exit', () => fs.rmSync(temporary, { recursive: true, force: true }));
// Chromium's own protocol over a pipe (descriptors 3 and 4), so that no package has to be installed.
const chromium = spawn('chromium', ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking',
  '--disable-dev-shm-usage', '--remote-debugging-pipe', '--no-first-run', `--user-data-dir=${process.cwd()}/profile`, 'about:blank'],
  { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], env: { ...process.env, TMPDIR: temporary } });
const answers = new Map();
const events = new Map();
let last = 0;
let rest = '';
chromium.stdio[4].on('data', (data) => {
  rest += data;
  const parts = rest.split('\0');
  rest = parts.pop();
  for (const part of parts) {
    const message = JSON.parse(part);
    if (message.id) {
      const { resolve, reject } = answers.get(message.id);
      if (message.error) reject(new Error(JSON.stringify(message.error)));
      else resolve(message.result);
    } else events.get(message.method)?.(message.params);
  }
});
const send = (method, params = {}, sessionId = undefined) => new Promise((resolve, reject) => {
  answers.set(++last, { resolve, reject });
  chromium.stdio[3].write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`);
});
const assert = (condition, what) => { if (!condition) { console.error(`NOT: ${what}`); process.exitCode = 1; throw new Error(what); } };

try {
  const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
  const page = (method, params) => send(method, params, sessionId);
  const evaluate = async (expression) => {
    const { result, exceptionDetails } = await page('Runtime.evaluate', { expression, returnByValue: true });
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description}`);
    return result.value;
  };
  const requests = [];
  events.set('Network.requestWillBeSent', ({ request }) => requests.push(request.url));
  const problems = [];
  events.set('Log.entryAdded', ({ entry }) => problems.push(entry.text));
  events.set('Runtime.exceptionThrown', ({ exceptionDetails }) => problems.push(exceptionDetails.text));
  for (const domain of ['Page', 'Network', 'Log', 'Runtime']) await page(`${domain}.enable`);
  const open = async (width, height, file = 'page.html') => {
    await page('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: width < 500 });
    const loaded = new Promise((resolve) => events.set('Page.loadEventFired', resolve));
    await page('Page.navigate', { url: `file://${process.cwd()}/${file}` });
    await loaded;
  };
  const shoot = async (name) => {
    const { data } = await page('Page.captureScreenshot', { format: 'png' });
    fs.writeFileSync(name, Buffer.from(data, 'base64'));
  };
  const centre = (selector) => evaluate(`(() => { const e = document.querySelector(${JSON.stringify(selector)});
    e.scrollIntoView({ block: 'center' }); const r = e.getClientRects()[0]; return { x: r.x + Math.min(r.width / 2, 30), y: r.y + Math.min(r.height / 2, 8) }; })()`);
  const mouse = async (type, at) => page('Input.dispatchMouseEvent', { type, ...at, button: type === 'mouseMoved' ? 'none' : 'left', clickCount: 1 });
  const click = async (selector) => {
    const at = await centre(selector);
    for (const type of ['mouseMoved', 'mousePressed', 'mouseReleased']) await mouse(type, at);
  };

  const until = async (expression) => {
    for (const end = Date.now() + 30_000; !(await evaluate(`Boolean(${expression})`));) {
      assert(Date.now() < end, `in time: ${expression}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  // The page forbids itself scripts that it does not bring; the debugger may add one all the same.
  const axe = fs.readFileSync('node_modules/axe-core/axe.min.js', 'utf8');
  const audit = async (what) => {
    await evaluate(`${axe}; axe.run({ resultTypes: ['violations'] }).then((found) => { window.audited = found.violations
      .map((one) => one.id + ': ' + one.nodes.slice(0, 3).map((node) => node.html.slice(0, 120)).join(' ')); }); 0`);
    await until('window.audited');
    const found = await evaluate('window.audited.splice(0).concat(void (window.audited = null) ?? [])');
    assert(found.length === 0, `axe, ${what}: ${found.join('; ')}`);
  };

  for (const [width, height] of [[390, 844], [1280, 900]]) {
    await open(width, height);
    assert(await evaluate('document.documentElement.scrollWidth <= innerWidth'), `the page fits into ${width} px`);
    assert(!await evaluate("document.querySelector('#c1m1').open"), 'messages are closed at first');
    await click('#c1m1 > summary');
    assert(await evaluate("document.querySelector('#c1m1').open"), 'a click opens a message');
    await until("document.querySelector('#c1m1').dataset.ready === ''");
    assert(await evaluate('document.documentElement.scrollWidth <= innerWidth'), `an open message fits into ${width} px`);

    // Hovering the field of the random value lights up its bytes, and no others.
    const place = await evaluate(`(() => { const leaves = [...document.querySelectorAll('#c1m1 .fields p')];
      const leaf = leaves.find((p) => p.querySelector('b').textContent === 'random'); leaf.id = 'random'; return leaves.indexOf(leaf); })()`);
    await mouse('mouseMoved', await centre('#random'));
    const lit = await evaluate("[...document.querySelectorAll('#c1m1 .hex b.lit')].map((b) => b.textContent).join(' ')");
    const hex = lit.replace(/ /g, '');
    assert(/^[0-9a-f]{64}$/.test(hex), `hovering lights up 32 bytes: ${lit}`);
    assert(fs.readFileSync('handshake.pcapng').includes(Buffer.from(hex, 'hex')), 'the lit bytes are those in the capture');
    await shoot(`hover-${width}.png`);

    // And the reverse: hovering bytes lights up their field; a click keeps it lit.
    const bytes = `#c1m1 .hex b:nth-child(${place + 1})`;
    await click(bytes);
    await mouse('mouseMoved', { x: 1, y: 1 });
    assert(await evaluate("document.querySelector('#random').classList.contains('lit')"), 'a click on bytes keeps their field lit');

    // What a person selects and copies is those bytes.
    const selected = await evaluate(`(() => { const b = document.querySelector('${bytes}'); const s = getSelection();
      s.selectAllChildren(b); return s.toString(); })()`);
    assert(selected.replace(/\s/g, '') === hex, 'a selected span is the same bytes');
    // By keyboard: one stop for Tab, arrows from there.
    const name = await evaluate(`(() => { const list = document.querySelector('#c1m1 .fields'); list.querySelector('[tabindex="0"]').focus();
      document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown', bubbles: true }));
      return document.activeElement.querySelector('b').textContent; })()`);
    assert(name === 'length', `the arrow goes to the second field: ${name}`);
    await audit(`${width} px`);
  }
  await evaluate("document.querySelector('[data-all=open]').click()");
  assert(await evaluate("[...document.querySelectorAll('details.m')].every((one) => one.open)"), 'all can be opened at once');
  await shoot('all-1280.png');
  // Without motion, since colours half on their way are nobody's.
  await page('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: 'dark' },
    { name: 'prefers-reduced-motion', value: 'reduce' }] });
  const dark = await evaluate('getComputedStyle(document.body).backgroundColor');
  assert(dark === 'rgb(22, 22, 21)', `dark has its own paper: ${dark}`);
  await audit('dark');
  await shoot('dark-1280.png');

  // On paper: ink on white, no buttons, and bytes in full length instead of a window on them.
  await page('Emulation.setEmulatedMedia', { media: 'print', features: [{ name: 'prefers-color-scheme', value: 'dark' }] });
  const style = (selector, name) => evaluate(`getComputedStyle(document.querySelector('${selector}')).${name}`);
  assert(await style('body', 'backgroundColor') === 'rgb(255, 255, 255)', 'paper is white');
  assert(await style('.tools', 'display') === 'none', 'no buttons on paper');
  assert(await style('#c1m1 .hex', 'maxHeight') === 'none', 'all bytes on paper');
  const { data: pdf } = await page('Page.printToPDF', { printBackground: false });
  assert(Buffer.from(pdf, 'base64').subarray(0, 5).toString() === '%PDF-', 'it prints');
  await page('Emulation.setEmulatedMedia', { media: '', features: [] });

  // Of six connections: what is the same to the byte is there once, and is shown wherever it is opened.
  assert(fs.statSync('demo.html').size < 800_000, `the demo's page has ${fs.statSync('demo.html').size} octets`);
  await open(1280, 900, 'demo.html');
  const [again, of] = await evaluate("(() => { const same = document.querySelector('.same'); return [same.closest('details.m').id, same.dataset.of]; })()");
  assert(await evaluate(`document.querySelector('#${again} .split') === null`), 'the bytes are not there twice');
  await click(`#${again} > summary`);
  await until(`document.querySelector('#${again} .split')`);
  assert(await evaluate(`document.querySelector('#${again} .hex').textContent === document.querySelector('#${of} .hex').textContent`),
    'an opened message shows the bytes that it shares');
  await mouse('mouseMoved', await centre(`#${again} .fields p`));
  assert(await evaluate(`document.querySelectorAll('#${again} .hex b.lit').length`) === 1, 'and they light up');

  // Without JavaScript: messages open, fields are read.
  await page('Emulation.setScriptExecutionDisabled', { value: true });
  await page('Emulation.setEmulatedMedia', { features: [] });
  await open(1280, 900);
  await page('Emulation.setScriptExecutionDisabled', { value: false });
  assert(!await evaluate("document.documentElement.classList.contains('js')"), 'no script ran');
  await click('#c1m5 > summary');
  assert(await evaluate("document.querySelector('#c1m5').open && document.querySelector('#c1m5 .fields li').textContent.includes('msg_type')"
    + " && document.querySelector('#c1m5 .hex').textContent.length > 10"),
    'a message opens without JavaScript');
  const foreign = requests.filter((url) => !url.startsWith('file:') && !url.startsWith('data:') && url !== 'about:blank');
  assert(foreign.length === 0, `no network is asked: ${foreign}`);
  assert(problems.length === 0, `the console is silent: ${problems}`);
  console.log('all seen');
} finally {
  await send('Browser.close').catch(() => {});
}
X
expect_success timeout 100 node drive.mjs
assert_contains "$STDOUT" "all seen"
for picture in hover-390 hover-1280 all-1280 dark-1280; do
    [ -s "$picture.png" ] || fail "there is no picture $picture.png"
done
