// DER (X.690) as far as signing requests and PKCS#12 need it: each function gives the octets of one whole element.

export function join(...parts) {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function element(tag, ...parts) {
  const content = join(...parts);
  const length = [];
  for (let rest = content.length; rest > 0; rest = Math.floor(rest / 256)) length.unshift(rest % 256);
  const head = content.length < 128 ? [tag, content.length] : [tag, 128 + length.length, ...length];
  return join(Uint8Array.from(head), content);
}

export const sequence = (...parts) => element(0x30, ...parts);
export const set = (...parts) => element(0x31, ...parts);
export const octetString = (...parts) => element(0x04, ...parts);
export const bitString = (octets) => element(0x03, Uint8Array.of(0), octets);
export const nothing = () => Uint8Array.of(0x05, 0x00);
export const utf8String = (text) => element(0x0c, new TextEncoder().encode(text));

// [number] with its elements inside (explicit, or implicit of a constructed type).
export const tagged = (number, ...parts) => element(0xa0 + number, ...parts);
// [number] in place of the tag of an octet string.
export const taggedOctets = (number, octets) => element(0x80 + number, octets);

// BMPString: UTF-16, the high octet first. Friendly names and the passwords of PKCS#12's own derivation use it.
export function utf16(text) {
  const octets = new Uint8Array(text.length * 2);
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    octets.set([unit >> 8, unit & 255], at * 2);
  }
  return octets;
}
export const bmpString = (text) => element(0x1e, utf16(text));

// INTEGER of a number, or of the octets of an unsigned one.
export function integer(value) {
  let octets = value;
  if (typeof value === 'number') {
    const digits = [];
    for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
    octets = Uint8Array.from(digits);
  }
  let start = 0;
  while (start < octets.length - 1 && octets[start] === 0) start += 1;
  octets = octets.slice(start);
  if (octets.length === 0 || octets[0] >= 128) octets = join(Uint8Array.of(0), octets);
  return element(0x02, octets);
}

export function objectIdentifier(text) {
  const arcs = text.split('.').map(Number);
  const octets = [];
  for (const arc of [arcs[0] * 40 + arcs[1], ...arcs.slice(2)]) {
    const groups = [arc % 128];
    for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) {
      groups.unshift(128 + (rest % 128));
    }
    octets.push(...groups);
  }
  return element(0x06, Uint8Array.from(octets));
}

// The certificates of a PEM text, in DER.
export function certificatesOfPem(text) {
  const blocks = text.matchAll(/-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----/g);
  return Array.from(blocks, (block) => Uint8Array.from(atob(block[1].replace(/\s/g, '')), (c) => c.charCodeAt(0)));
}

export function base64(octets) {
  let text = '';
  for (const octet of octets) text += String.fromCharCode(octet);
  return btoa(text);
}

export function pem(label, octets) {
  const lines = base64(octets).match(/.{1,64}/g).join('\n');
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}
