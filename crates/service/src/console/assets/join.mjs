// The page of an invite: makes a key in this browser, has it certified, and hands both over in a file. The key and the
// file's password exist in this page only.

import { certificatesOfPem } from './der.mjs';
import { makeKey, makeRequest } from './request.mjs';
import { makePassword, pkcs12 } from './pkcs12.mjs';
import { DEVICES, deviceOf } from './import_steps.mjs';
import { appleProfile } from './apple_profile.mjs';

const at = (id) => document.getElementById(id);
const invite = at('invite');
const { name, authority, root } = invite.dataset;

function say(text) { at('progress').textContent = text; }

function fail(text) {
  say('');
  at('trouble').textContent = text;
  at('trouble').hidden = false;
  at('start').disabled = false;
}

const hex = (octets) => Array.from(octets, (octet) => octet.toString(16).padStart(2, '0')).join('');
const wait = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });

// Asks until the answer is a certificate: with an approval it is 202 until a person has decided.
async function certify(request) {
  for (;;) {
    const answer = await fetch(location.pathname, {
      method: 'POST', body: request, headers: { 'Content-Type': 'application/x-pem-file', Accept: 'application/json' },
    });
    if (answer.status === 202) {
      say('Waiting for a person to approve it. Keep this page open.');
      await wait(Number(answer.headers.get('Retry-After')) || 5);
    } else if (answer.ok) {
      return answer.text();
    } else {
      const problem = await answer.json().catch(() => ({}));
      throw new Error(problem.detail || `The authority answered ${answer.status}.`);
    }
  }
}

function list(steps) {
  const items = document.createElement('ol');
  items.className = 'steps';
  for (const step of steps) items.append(Object.assign(document.createElement('li'), { textContent: step }));
  return items;
}

function showSteps(chosen) {
  at('steps').replaceChildren(list(DEVICES[chosen].steps));
  at('other-steps').replaceChildren(...Object.entries(DEVICES).filter(([key]) => key !== chosen)
    .flatMap(([, device]) => [Object.assign(document.createElement('h4'), { textContent: device.title }), list(device.steps)]));
}

function offer(link, octets, type, file) {
  link.href = URL.createObjectURL(new Blob([octets], { type }));
  link.download = file;
  link.hidden = false;
}

// Kept for another try: the authority answers the same key with the same certificate, and counts it once.
let key;

async function start() {
  const device = DEVICES[at('device').value];
  at('start').disabled = true;
  at('trouble').hidden = true;
  say('Making the key.');
  key ??= await makeKey();
  const spki = await crypto.subtle.exportKey('spki', key.publicKey);
  at('fingerprint-text').textContent = hex(new Uint8Array(await crypto.subtle.digest('SHA-256', spki)));
  at('fingerprint').hidden = false;
  say('Asking for the certificate.');
  const chain = certificatesOfPem(await certify(await makeRequest(key, name)));
  say('Making the file.');
  const password = makePassword();
  const identity = await pkcs12({
    key: new Uint8Array(await crypto.subtle.exportKey('pkcs8', key.privateKey)),
    certificates: chain, name: `${name} at ${authority}`, password, format: device.format,
  });
  const file = name.normalize('NFKD').replace(/[^\w.@-]+/g, '-').slice(0, 60) || 'certificate';
  offer(at('download'), identity, 'application/x-pkcs12', `${file}.p12`);
  if (device.profile) {
    const [anchor] = certificatesOfPem(await (await fetch('/root.pem')).text());
    const profile = appleProfile({ name, authority, identity, root: anchor });
    offer(at('profile'), profile, 'application/x-apple-aspen-config', `${file}.mobileconfig`);
  }
  at('password').textContent = password;
  showSteps(at('device').value);
  say('');
  at('make').hidden = true;
  at('done').hidden = false;
  // Where this was the last use, the other ways lead nowhere any more.
  at('other-ways').hidden = Number(at('other-ways').dataset.left) <= 1;
  at('done-heading').focus();
}

// The link says by which root it was made. Who stands between could show another page, but then it came over a
// connection that this browser warned about; this is for the mistake, and `countersign join` for the attack.
const expected = location.hash.slice(1).toLowerCase();
if (expected !== '' && expected !== root) {
  at('wrong-root').hidden = false;
} else if (!window.isSecureContext || !crypto.subtle) {
  fail('This browser makes no keys on a page that it does not trust. Use one of the ways below.');
} else {
  const chosen = deviceOf(navigator.userAgent, navigator.maxTouchPoints || 0);
  for (const [key, device] of Object.entries(DEVICES)) {
    at('device').append(new Option(device.title, key, key === chosen, key === chosen));
  }
  at('make').hidden = false;
  at('start').addEventListener('click', () => {
    start().catch((error) => fail(`${error.message} Nothing was kept; you can try again.`));
  });
}
