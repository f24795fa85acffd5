// A key made in this browser, and the signing request for it (PKCS#10, RFC 2986). The authority takes the key from the
// request, and the names from its invite.

import {
  bitString, integer, objectIdentifier, pem, sequence, set, tagged, utf8String,
} from './der.mjs';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' };

// Extractable, because it is handed over in a PKCS#12 file; it leaves this page in no other way.
export function makeKey() {
  return crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

// Web Cryptography gives r and s side by side; X.509 wants them as a sequence (RFC 3279 section 2.2.3).
function signatureOf(raw) {
  const half = raw.length / 2;
  return sequence(integer(raw.slice(0, half)), integer(raw.slice(half)));
}

export async function makeRequest(key, commonName) {
  const publicKey = new Uint8Array(await crypto.subtle.exportKey('spki', key.publicKey));
  const attribute = sequence(objectIdentifier('2.5.4.3'), utf8String(commonName));
  const information = sequence(integer(0), sequence(set(attribute)), publicKey, tagged(0));
  const raw = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key.privateKey, information);
  const ecdsaWithSha256 = sequence(objectIdentifier('1.2.840.10045.4.3.2'));
  const signature = bitString(signatureOf(new Uint8Array(raw)));
  return pem('CERTIFICATE REQUEST', sequence(information, ecdsaWithSha256, signature));
}
