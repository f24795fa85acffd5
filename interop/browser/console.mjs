// console.mjs URL GATEWAY-URL ROOT.pem ADMIN.p12 ADMIN-PASSWORD-FILE AUDITOR.p12 AUDITOR-PASSWORD-FILE SCREENSHOTS
//
// An admin invites with approval; the invited person makes a key in the browser, imports the file, is greeted, and tries
// the lock; the admin finds, asks what alice would be allowed, and revokes; alice reads the reason; an
// auditor looks and changes nothing. Every page is held to axe's rules and to 100 KB, at two widths and in both
// colour schemes.

import fs from 'node:fs';
import path from 'node:path';
import assert from 'node:assert/strict';
import { chooseCertificatesForLocalhost, open } from './browser.mjs';

const [url, gateway, root, adminFile, adminPassword, auditorFile, auditorPassword, shots] = process.argv.slice(2);
const axe = fs.readFileSync(path.join(process.cwd(), 'node_modules/axe-core/axe.min.js'), 'utf8');
const secret = (file) => fs.readFileSync(file, 'utf8').trim();
fs.mkdirSync(shots, { recursive: true });
chooseCertificatesForLocalhost();

const errors = [];
function watch(page) {
  page.on('pageerror', (error) => errors.push(`${page.url()}: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(`${page.url()}: ${message.text()}`);
  });
  return page;
}

async function look(page, name) {
  const size = (await page.content()).length;
  assert.ok(size < 100_000, `${name} has ${size} octets`);
  for (const [width, height] of [[390, 844], [1280, 900]]) {
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${name} is ${wide} pixels wider than ${width}`);
      await page.screenshot({ path: path.join(shots, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      // Each width and each scheme once: the rules see structure at both widths, and contrast in both schemes.
      if ((width === 390) !== (colorScheme === 'light')) continue;
      const found = await page.evaluate(`${axe}; axe.run({ resultTypes: ['violations'] })`);
      const serious = found.violations.filter((one) => ['serious', 'critical'].includes(one.impact));
      const told = serious.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' ')}`);
      assert.deepEqual(told, [], `${name} at ${width}, ${colorScheme}`);
    }
  }
}

const admin = await open(path.resolve('admin'), root, { file: adminFile, password: secret(adminPassword) });
const desk = watch(await admin.newPage());
await desk.goto(`${url}/console`);
await look(desk, 'overview');
await desk.getByRole('link', { name: 'Partners' }).click();
await desk.getByLabel('Name', { exact: true }).fill('Acme <b>Corp</b>');
await desk.getByRole('button', { name: 'Save' }).click();
await desk.getByText('Acme <b>Corp</b>').first().waitFor();
await look(desk, 'partners');
await desk.getByRole('link', { name: 'Invites' }).click();
await desk.getByRole('link', { name: 'Invite somebody' }).click();
await desk.getByLabel('Name of the person').fill('alice');
await desk.getByLabel('Partner').fill('Acme <b>Corp</b>');
await desk.getByLabel('A person confirms').check();
await look(desk, 'invite-new');
await desk.getByRole('button', { name: 'Make the invite' }).click();
const link = await desk.locator('a.code').first().textContent();
await look(desk, 'invited');

const guest = await open(path.resolve('guest'), root);
const page = watch(await guest.newPage());
await page.goto(link.replace(/#.*/, `#${'0'.repeat(64)}`));
await page.getByText('names another root certificate').waitFor();
assert.equal(await page.locator('#make').isVisible(), false, 'a link of another root makes no key');
await page.goto('about:blank');
await page.goto(link);
await look(page, 'join');
await page.getByLabel('The file is for').selectOption('chrome-linux');
await page.getByRole('button', { name: 'Make my certificate' }).click();
await page.getByText('Waiting for a person').waitFor();
const fingerprint = await page.locator('#fingerprint-text').textContent();

await desk.goto(`${url}/console`);
await desk.getByRole('link', { name: 'alice' }).click();
await desk.getByText(fingerprint).waitFor();
await look(desk, 'invite-waiting');
await desk.getByRole('button', { name: 'Approve' }).click();
await desk.getByRole('heading', { name: 'approved' }).waitFor();

await page.getByText('It is yours').waitFor();
assert.equal(await page.getByRole('heading', { name: 'On your phone' }).isVisible(), false, 'the invite is used up');
await look(page, 'joined');
const password = await page.locator('#password').textContent();
const [download] = await Promise.all([page.waitForEvent('download'), page.locator('#download').click()]);
await download.saveAs('alice.p12');
fs.writeFileSync('alice-password.txt', password, { mode: 0o600 });
await guest.close();

const alice = await open(path.resolve('alice'), root, { file: 'alice.p12', password });
const greeted = watch(await alice.newPage());
await greeted.goto(gateway);
await greeted.getByRole('heading', { name: 'hello, alice' }).waitFor();
await look(greeted, 'greeted');
await greeted.goto(`${gateway}/try`);
await greeted.getByRole('heading', { name: 'The lock is open, alice' }).waitFor();
await look(greeted, 'try');
const refused = await alice.newPage();
const answer = await refused.goto(`${url}/console`);
assert.equal(answer.status(), 403, 'alice has no role');
await look(refused, 'not-for-you');

await desk.getByRole('link', { name: 'Policy' }).click();
await desk.getByLabel('Name or serial number').fill('alice');
await desk.getByLabel('The rules of a gateway').fill('cn alice for GET\ndeny ou Interns');
await desk.getByRole('button', { name: 'Ask' }).click();
await desk.getByRole('heading', { name: 'What alice would be allowed' }).waitFor();
assert.equal(await desk.locator('td.good').count(), 1, 'GET and nothing else');
await look(desk, 'policy');

await desk.goto(`${url}/console/rollover`);
await desk.getByRole('heading', { name: 'Begin one' }).waitFor();
await look(desk, 'rollover');
await desk.getByRole('button', { name: 'Begin' }).click();
await desk.getByRole('heading', { name: 'Have the new line issue' }).waitFor();
await look(desk, 'rollover-under-way');
await desk.getByRole('button', { name: 'Go back' }).click();
await desk.getByRole('heading', { name: 'Begin one' }).waitFor();

await desk.goto(`${url}/console/handshakes`);
await desk.getByRole('heading', { name: 'By TLS version' }).waitFor();
await desk.getByRole('cell', { name: 'boss' }).first().waitFor();
await look(desk, 'handshakes');
await desk.goto(`${url}/console/clients`);
await desk.getByRole('cell', { name: 'boss' }).first().waitFor();
await look(desk, 'clients');

// A partner's name leads to its certificates, and the filter stays in the address when another one joins it.
await desk.getByRole('link', { name: 'Partners' }).click();
await desk.getByRole('link', { name: 'Acme <b>Corp</b>' }).click();
await desk.getByLabel('State').selectOption('good');
await desk.getByRole('button', { name: 'Show' }).click();
await desk.waitForURL((address) => address.searchParams.get('partner') === 'Acme <b>Corp</b>'
  && address.searchParams.get('state') === 'good');
assert.deepEqual(await desk.locator('tbody td:first-child').allTextContents(), ['alice']);
await desk.locator('tbody a').first().click();
const sha256 = (await desk.locator('dt:text-is("SHA-256") + dd').textContent()).trim();
await desk.goto(`${url}/console/certificates`);
await desk.getByLabel('Name, serial number or fingerprint').fill(sha256.toUpperCase().match(/../g).join(':'));
await desk.getByRole('button', { name: 'Show' }).click();
await desk.waitForURL((address) => address.searchParams.get('search') !== null);
assert.deepEqual(await desk.locator('tbody td:first-child').allTextContents(), ['alice']);

await desk.goto(`${url}/console/certificates?search=alice`);
await look(desk, 'certificates');
await desk.locator('tbody a').first().click();
await look(desk, 'certificate');
await desk.getByText('Revoke this certificate').click();
await desk.getByLabel('Reason').selectOption('keyCompromise');
await desk.getByLabel('Type its name').fill('bob');
await desk.getByRole('button', { name: 'Revoke' }).click();
await desk.getByText('Nothing was revoked').waitFor();
await desk.getByLabel('Type its name').fill('alice');
await desk.getByRole('button', { name: 'Revoke' }).click();
await desk.getByText('It is revoked').waitFor();
await desk.getByText('revoked, keyCompromise').waitFor();
await look(desk, 'certificate-revoked');

// The gateway hears of it a moment later, and then says why.
async function readsWhy(page, address) {
  for (const end = Date.now() + 30_000; ;) {
    await page.goto(address).catch(() => {});
    if (/certificate_revoked/.test(await page.content())) return;
    assert.ok(Date.now() < end, `${address} does not say why: ${await page.content()}`);
  }
}
await readsWhy(greeted, `${gateway}/try`);
// The admin sees the authority itself refuse her, on a page that was open before, and opens it.
await desk.goto(`${url}/console/refusals?code=certificate_revoked`);
await desk.locator('#live-status', { hasText: 'live' }).waitFor();
const before = Number(await desk.locator('[data-live]').getAttribute('data-live'));
await readsWhy(refused, `${url}/console`);
await desk.waitForFunction((count) => Number(document.querySelector('[data-live]').dataset.live) > count, before);
await look(desk, 'refusals');
await desk.locator('tbody a').first().click();
await desk.getByText('certificate_revoked').first().waitFor();
await look(desk, 'refusal');
await look(greeted, 'revoked');

await desk.getByRole('link', { name: 'Audit' }).click();
await desk.getByText('The chain holds').waitFor();
await look(desk, 'audit');

await admin.close();

const auditor = await open(path.resolve('auditor'), root, { file: auditorFile, password: secret(auditorPassword) });
const reader = watch(await auditor.newPage());
await reader.goto(`${url}/console/certificates?search=alice`);
await reader.locator('tbody a').first().click();
await reader.getByRole('heading', { name: 'History' }).waitFor();
assert.equal(await reader.getByRole('button').count(), 0, 'an auditor is offered no button');
const tried = await reader.evaluate(() => fetch(`${location.pathname}/revoke`, {
  method: 'POST', body: new URLSearchParams({ reason: 'superseded', confirm: 'alice' }), redirect: 'manual',
}).then((response) => response.status));
assert.equal(tried, 403, 'an auditor revokes nothing');
await auditor.close();
await alice.close();

// A refusal that was asked for above is an error to the browser.
assert.deepEqual(errors.filter((error) => !/status of (400|403)/.test(error)), []);
console.log('journey complete');
