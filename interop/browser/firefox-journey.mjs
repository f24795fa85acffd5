// firefox-journey.mjs GATEWAY-URL CONSOLE-URL ROOT.pem GUEST.p12 GUEST-PASSWORD-FILE SCREENSHOTS REVOKE…
//
// A person whose certificate stands in Firefox's own database is greeted by name, sees the lock opened, is taken back by
// the command REVOKE…, and reads the reason: at the gateway and at the console.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { open } from './firefox.mjs';

const [gateway, console_, root, file, passwordFile, shots, ...revoke] = process.argv.slice(2);
fs.mkdirSync(shots, { recursive: true });
const shot = async (browser, name) => {
  for (const [width, height] of [[390, 844], [1280, 900]]) {
    await browser.size(width, height);
    await browser.screenshot(path.join(shots, `firefox-${name}-${width}.png`));
  }
};
const text = (browser) => browser.read('document.body.innerText');

const guest = await open('guest', root, { file, passwordFile });
await guest.go(gateway);
assert.equal(await guest.read('document.querySelector("h1").innerText'), 'hello, alice');
await guest.go(`${gateway}/try`);
assert.equal(await guest.read('document.querySelector("h1").innerText'), 'The lock is open, alice');
assert.match(await text(guest), /Your chain[^]*The server[^]*What comes next/i);
await shot(guest, 'try');
execFileSync(revoke[0], revoke.slice(1), { stdio: 'inherit' });

// The gateway cuts the connection a moment later; from then on the page is the reason.
let seen = '';
for (const end = Date.now() + 30_000; Date.now() < end && !/certificate_revoked/.test(seen);) {
  await guest.go(`${gateway}/try`).catch(() => {});
  seen = await text(guest).catch(() => '');
}
assert.match(seen, /certificate_revoked/);
await shot(guest, 'revoked');
seen = '';
for (const end = Date.now() + 30_000; Date.now() < end && !/certificate_revoked/.test(seen);) {
  await guest.go(`${console_}/console`).catch(() => {});
  seen = await text(guest).catch(() => '');
}
assert.match(seen, /certificate_revoked/);
await guest.close();
console.log('journey complete');
