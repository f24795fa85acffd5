// Triple DES in CBC mode (FIPS 46-3), encryption only. Importers of Apple and of older systems read no other PKCS#12
// files, and Web Cryptography does not have it. It guards the file on its way from this page to the importer on the same
// device, with a password of 100 random bits; nothing else here may use it.

const INITIAL = [
  58, 50, 42, 34, 26, 18, 10, 2, 60, 52, 44, 36, 28, 20, 12, 4, 62, 54, 46, 38, 30, 22, 14, 6, 64, 56, 48, 40, 32, 24, 16, 8,
  57, 49, 41, 33, 25, 17, 9, 1, 59, 51, 43, 35, 27, 19, 11, 3, 61, 53, 45, 37, 29, 21, 13, 5, 63, 55, 47, 39, 31, 23, 15, 7,
];
const FINAL = [
  40, 8, 48, 16, 56, 24, 64, 32, 39, 7, 47, 15, 55, 23, 63, 31, 38, 6, 46, 14, 54, 22, 62, 30, 37, 5, 45, 13, 53, 21, 61, 29,
  36, 4, 44, 12, 52, 20, 60, 28, 35, 3, 43, 11, 51, 19, 59, 27, 34, 2, 42, 10, 50, 18, 58, 26, 33, 1, 41, 9, 49, 17, 57, 25,
];
const EXPANSION = [
  32, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9, 8, 9, 10, 11, 12, 13, 12, 13, 14, 15, 16, 17,
  16, 17, 18, 19, 20, 21, 20, 21, 22, 23, 24, 25, 24, 25, 26, 27, 28, 29, 28, 29, 30, 31, 32, 1,
];
const PERMUTATION = [
  16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25,
];
const CHOICE_1 = [
  57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
  63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
];
const CHOICE_2 = [
  14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
  41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
];
const SHIFTS = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];
// Each box row by row, a hexadecimal digit an entry.
const BOXES = [
  'e4d12fb83a6c59070f74e2d1a6cb953841e8d62bfc973a50fc8249175b3ea06d',
  'f18e6b34972dc05a3d47f28ec01a69b50e7ba4d158c6932fd8a13f42b67c05e9',
  'a09e63f51dc7b428d709346a285ecbf1d6498f30b12c5ae71ad069874fe3b52c',
  '7de3069a1285bc4fd8b56f03472c1ae9a690cb7df13e52843f06a1d8945bc72e',
  '2c417ab6853fd0e9eb2c47d150fa3986421bad78f9c5630eb8c71e2d6f09a453',
  'c1af92680d34e75baf427c9561de0b389ef528c3704a1db6432c95fabe17608d',
  '4b2ef08d3c975a61d0b7491ae35c2f8614bdc37eaf6805926bd814a7950fe23c',
  'd2846fb1a93e50c71fd8a374c56b0e927b419ce206adf35821e74a8dfc90356b',
].map((text) => Array.from(text, (digit) => parseInt(digit, 16)));

const pick = (bits, table) => table.map((place) => bits[place - 1]);
const bitsOf = (octets) => Array.from(octets).flatMap((octet) => [7, 6, 5, 4, 3, 2, 1, 0].map((n) => (octet >> n) & 1));
const octetsOf = (bits) => Uint8Array.from({ length: bits.length / 8 }, (_, at) =>
  bits.slice(at * 8, at * 8 + 8).reduce((octet, bit) => octet * 2 + bit, 0));

function roundKeys(key) {
  let bits = pick(bitsOf(key), CHOICE_1);
  return SHIFTS.map((shift) => {
    const [left, right] = [bits.slice(0, 28), bits.slice(28)];
    bits = [...left.slice(shift), ...left.slice(0, shift), ...right.slice(shift), ...right.slice(0, shift)];
    return pick(bits, CHOICE_2);
  });
}

function mix(half, key) {
  const mixed = pick(half, EXPANSION).map((bit, at) => bit ^ key[at]);
  const chosen = BOXES.flatMap((box, at) => {
    const [a, b, c, d, e, f] = mixed.slice(at * 6, at * 6 + 6);
    const entry = box[(a * 2 + f) * 16 + b * 8 + c * 4 + d * 2 + e];
    return [3, 2, 1, 0].map((n) => (entry >> n) & 1);
  });
  return pick(chosen, PERMUTATION);
}

function block(bits, keys) {
  const mixed = pick(bits, INITIAL);
  let [left, right] = [mixed.slice(0, 32), mixed.slice(32)];
  for (const key of keys) {
    const next = mix(right, key).map((bit, at) => bit ^ left[at]);
    [left, right] = [right, next];
  }
  return pick([...right, ...left], FINAL);
}

// Encrypts with padding (RFC 5652 section 6.3); a key of 24 octets, an initialisation vector of 8.
export function encrypt(key, vector, plain) {
  const first = roundKeys(key.slice(0, 8));
  const second = roundKeys(key.slice(8, 16)).reverse();
  const third = roundKeys(key.slice(16, 24));
  const padding = 8 - (plain.length % 8);
  const padded = new Uint8Array(plain.length + padding).fill(padding);
  padded.set(plain);
  const out = new Uint8Array(padded.length);
  let chain = bitsOf(vector);
  for (let at = 0; at < padded.length; at += 8) {
    const mixed = bitsOf(padded.slice(at, at + 8)).map((bit, n) => bit ^ chain[n]);
    chain = block(block(block(mixed, first), second), third);
    out.set(octetsOf(chain), at);
  }
  return out;
}
