// page-p12.mjs INVITE-LINK ROOT.pem NAME
//
// Runs the scripts of an invite's page, as the authority serves them, under Node.js: makes the key and the request, has
// it certified, and writes NAME-modern.p12, NAME-compatible.p12 and NAME.mobileconfig with the password beside them.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [link, root, name] = process.argv.slice(2);
const page = new URL(link);
const ca = fs.readFileSync(root);

function ask(at, options = {}) {
  return new Promise((resolve, reject) => {
    const request = https.request(new URL(at, page), { ca, ...options }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => resolve({ status: answer.statusCode, body: Buffer.concat(parts) }));
    });
    request.on('error', reject);
    request.end(options.body);
  });
}

// The page names its first script; the others are beside it.
const html = (await ask(page, { headers: { accept: 'text/html' } })).body.toString();
const [, script] = /<script type="module" src="([^"]+)">/.exec(html);
const folder = path.resolve('assets');
fs.mkdirSync(folder);
const wanted = [path.basename(script)];
for (const file of wanted) {
  const { status, body } = await ask(path.join(path.dirname(script), file));
  assert.equal(status, 200, file);
  fs.writeFileSync(path.join(folder, file), body);
  for (const [, other] of body.toString().matchAll(/from '\.\/([\w.]+)'/g)) if (!wanted.includes(other)) wanted.push(other);
}
const load = (file) => import(pathToFileURL(path.join(folder, file)));
const { certificatesOfPem } = await load('der.mjs');
const { makeKey, makeRequest } = await load('request.mjs');
const { makePassword, pkcs12 } = await load('pkcs12.mjs');
const { appleProfile } = await load('apple_profile.mjs');

const key = await makeKey();
const signed = await ask(page, {
  method: 'POST', body: await makeRequest(key, name),
  headers: { 'content-type': 'application/x-pem-file', accept: 'application/json' },
});
assert.equal(signed.status, 200, signed.body.toString());
const certificates = certificatesOfPem(signed.body.toString());
const password = makePassword();
const pkcs8 = new Uint8Array(await crypto.subtle.exportKey('pkcs8', key.privateKey));
const secret = { mode: 0o600 };
fs.writeFileSync(`${name}-password.txt`, `${password}\n`, secret);
for (const format of ['modern', 'compatible']) {
  const identity = await pkcs12({ key: pkcs8, certificates, name: `${name} at Acme`, password, format });
  fs.writeFileSync(`${name}-${format}.p12`, identity, secret);
  if (format === 'compatible') {
    const [anchor] = certificatesOfPem((await ask('/root.pem')).body.toString());
    const profile = appleProfile({ name, authority: 'Acme', identity, root: anchor });
    fs.writeFileSync(`${name}.mobileconfig`, profile, secret);
  }
}
const spki = Buffer.from(await crypto.subtle.exportKey('spki', key.publicKey));
fs.writeFileSync(`${name}-public.pem`, `-----BEGIN PUBLIC KEY-----\n${spki.toString('base64').match(/.{1,64}/g).join('\n')}\n-----END PUBLIC KEY-----\n`);
