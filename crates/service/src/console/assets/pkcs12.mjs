// A PKCS#12 file (RFC 7292) with a key, its certificate and those above it. Two formats:
// modern      PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC, HMAC-SHA-256 over all: OpenSSL 3, NSS, Node.js, new Windows
// compatible  SHA-1 and triple DES, HMAC-SHA-1 over all: macOS, iOS, older Android, Windows and Java

import {
  bmpString, integer, join, nothing, objectIdentifier, octetString, sequence, set, tagged, taggedOctets, utf16,
} from './der.mjs';
import { encrypt as encryptTripleDes } from './triple_des.mjs';

const DATA = '1.2.840.113549.1.7.1';
const ENCRYPTED_DATA = '1.2.840.113549.1.7.6';
const SHROUDED_KEY_BAG = '1.2.840.113549.1.12.10.1.2';
const CERTIFICATE_BAG = '1.2.840.113549.1.12.10.1.3';
const X509_CERTIFICATE = '1.2.840.113549.1.9.22.1';
const FRIENDLY_NAME = '1.2.840.113549.1.9.20';
const LOCAL_KEY_ID = '1.2.840.113549.1.9.21';
const SHA1_TRIPLE_DES = '1.2.840.113549.1.12.1.3';
const PBES2 = '1.2.840.113549.1.5.13';
const PBKDF2 = '1.2.840.113549.1.5.12';
const HMAC_SHA256 = '1.2.840.113549.2.9';
const AES256_CBC = '2.16.840.1.101.3.4.1.42';
const DIGESTS = { 'SHA-1': '1.3.14.3.2.26', 'SHA-256': '2.16.840.1.101.3.4.2.1' };

// The count that OWASP recommends for PBKDF2-HMAC-SHA-256 (2023); and the one that every importer of the old format
// has been seen with, where the password's 100 random bits carry the weight.
const PBKDF2_COUNT = 600000;
const LEGACY_COUNT = 2048;

const random = (length) => crypto.getRandomValues(new Uint8Array(length));
const digest = async (hash, octets) => new Uint8Array(await crypto.subtle.digest(hash, octets));

// PKCS#12's own derivation (RFC 7292 appendix B.2): purpose 1 is a key, 2 an initialisation vector, 3 a MAC's key.
export async function derive(hash, purpose, password, salt, count, length) {
  const block = 64;
  const secret = join(utf16(password), Uint8Array.of(0, 0));
  const fill = (octets) => Uint8Array.from(
    { length: block * Math.ceil(octets.length / block) }, (_, at) => octets[at % octets.length]);
  const input = join(fill(salt), fill(secret));
  let out = new Uint8Array(0);
  while (out.length < length) {
    let a = join(new Uint8Array(block).fill(purpose), input);
    for (let round = 0; round < count; round += 1) a = await digest(hash, a);
    out = join(out, a);
    const b = Uint8Array.from({ length: block }, (_, at) => a[at % a.length]);
    for (let start = 0; start < input.length; start += block) {
      let carry = 1;
      for (let at = block - 1; at >= 0; at -= 1) {
        carry += input[start + at] + b[at];
        input[start + at] = carry & 255;
        carry >>= 8;
      }
    }
  }
  return out.slice(0, length);
}

async function encryptModern(password, plain) {
  const [salt, vector] = [random(16), random(16)];
  const secret = await crypto.subtle.importKey('raw', new TextEncoder().encode(password), 'PBKDF2', false, ['deriveKey']);
  const key = await crypto.subtle.deriveKey(
    { name: 'PBKDF2', hash: 'SHA-256', salt, iterations: PBKDF2_COUNT }, secret,
    { name: 'AES-CBC', length: 256 }, false, ['encrypt']);
  const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-CBC', iv: vector }, key, plain));
  const derivation = sequence(objectIdentifier(PBKDF2),
    sequence(octetString(salt), integer(PBKDF2_COUNT), sequence(objectIdentifier(HMAC_SHA256), nothing())));
  const cipher = sequence(objectIdentifier(AES256_CBC), octetString(vector));
  return { algorithm: sequence(objectIdentifier(PBES2), sequence(derivation, cipher)), sealed };
}

async function encryptCompatible(password, plain) {
  const salt = random(8);
  const key = await derive('SHA-1', 1, password, salt, LEGACY_COUNT, 24);
  const vector = await derive('SHA-1', 2, password, salt, LEGACY_COUNT, 8);
  const algorithm = sequence(objectIdentifier(SHA1_TRIPLE_DES), sequence(octetString(salt), integer(LEGACY_COUNT)));
  return { algorithm, sealed: encryptTripleDes(key, vector, plain) };
}

const attribute = (type, value) => sequence(objectIdentifier(type), set(value));

function certificateBag(certificate, attributes) {
  const value = sequence(objectIdentifier(X509_CERTIFICATE), tagged(0, octetString(certificate)));
  return sequence(objectIdentifier(CERTIFICATE_BAG), tagged(0, value), ...attributes);
}

// The octets of a file: `key` is PKCS#8 in DER, `certificates` in DER with the key's own first.
export async function pkcs12({ key, certificates, name, password, format }) {
  const encrypt = format === 'modern' ? encryptModern : encryptCompatible;
  const hash = format === 'modern' ? 'SHA-256' : 'SHA-1';
  const id = await digest('SHA-1', certificates[0]);
  const own = set(attribute(FRIENDLY_NAME, bmpString(name)), attribute(LOCAL_KEY_ID, octetString(id)));
  const bags = certificates.map((certificate, at) => certificateBag(certificate, at === 0 ? [own] : []));
  const sealedBags = await encrypt(password, sequence(...bags));
  const sealedKey = await encrypt(password, key);
  const information = sequence(objectIdentifier(DATA), sealedBags.algorithm, taggedOctets(0, sealedBags.sealed));
  const shrouded = sequence(sealedKey.algorithm, octetString(sealedKey.sealed));
  const keyBag = sequence(objectIdentifier(SHROUDED_KEY_BAG), tagged(0, shrouded), own);
  const safe = sequence(
    sequence(objectIdentifier(ENCRYPTED_DATA), tagged(0, sequence(integer(0), information))),
    sequence(objectIdentifier(DATA), tagged(0, octetString(sequence(keyBag)))));
  const salt = random(8);
  const macKey = await derive(hash, 3, password, salt, LEGACY_COUNT, hash === 'SHA-1' ? 20 : 32);
  const hmac = await crypto.subtle.importKey('raw', macKey, { name: 'HMAC', hash }, false, ['sign']);
  const mac = new Uint8Array(await crypto.subtle.sign('HMAC', hmac, safe));
  const digestInfo = sequence(sequence(objectIdentifier(DIGESTS[hash]), nothing()), octetString(mac));
  const content = sequence(objectIdentifier(DATA), tagged(0, octetString(safe)));
  return sequence(integer(3), content, sequence(digestInfo, octetString(salt), integer(LEGACY_COUNT)));
}

// 20 characters of 32 that nobody takes for another: 100 bits.
export function makePassword() {
  const letters = 'abcdefghijkmnpqrstuvwxyz23456789';
  const text = Array.from(random(20), (octet) => letters[octet & 31]).join('');
  return text.match(/.{5}/g).join('-');
}
