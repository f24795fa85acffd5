// What explain says of a capture, held against what tshark says of it with the same key log: whole messages, and the
// values of fields. compare.mjs CAPTURE KEY_LOG PORT[,PORT…] EXPLAINED_JSON
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
const [capture, keys, port, mine] = process.argv.slice(2);
const options = { maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'ignore'] };
const ours = JSON.parse(fs.readFileSync(mine)).connections;
const tls = port.split(',').flatMap((one) => ['-d', `tcp.port==${one},tls`]);
const theirs = JSON.parse(execFileSync('tshark', ['-r', capture, '-o', `tls.keylog_file:${keys}`, ...tls, '-T', 'json', '-x', '--no-duplicate-keys'], options));

// Under a name, everything that tshark found: [hex, …] once, or a list of such.
const found = new Map();
const gather = (value) => {
  if (Array.isArray(value)) return value.forEach(gather);
  if (!value || typeof value !== 'object') return;
  for (const [name, inside] of Object.entries(value)) {
    if (name.endsWith('_raw') && Array.isArray(inside)) {
      const all = Array.isArray(inside[0]) ? inside : [inside];
      if (!found.has(name)) found.set(name, []);
      found.get(name).push(...all.map(([hex]) => hex));
    } else gather(inside);
  }
};
for (const packet of theirs) gather(packet._source.layers.tls);

const named = new Map();
const put = (name, hex) => named.set(name, [...(named.get(name) ?? []), hex]);
const walk = (message, field, inside) => {
  const hex = message.bytes.slice(2 * field.start, 2 * field.end);
  const path = [...inside, field.name];
  put(field.name, hex);
  // The same word in two places is two fields.
  put(`${inside.at(-1) ?? ''}/${field.name}`, hex);
  for (const child of field.fields ?? []) walk(message, child, path);
};
const messages = ours.flatMap((connection) => connection.messages);
for (const message of messages) if (message.bytes) for (const field of message.fields) walk(message, field, [message.type]);
// Of the ways to compress a Certificate, tshark looks into brotli alone.
const isBrotli = (message) => message.fields.some((field) => field.value.startsWith('brotli'));
for (const { decompressed, fields } of messages)
  if (decompressed && isBrotli({ fields })) for (const field of decompressed.fields) walk(decompressed, field, ['Certificate']);

const sorted = (list) => JSON.stringify([...(list ?? [])].sort());
let compared = 0;
const same = (what, mine, other) => {
  if (sorted(mine) !== sorted(other)) {
    console.error(`${what}: explain has\n  ${sorted(mine)}\ntshark has\n  ${sorted(other)}`);
    process.exit(1);
  }
  compared += (mine ?? []).length;
};
const handshake = messages.filter((message) => message.records.some((record) => record.content_type >= 22)
  && !['ApplicationData', 'Alert', 'Encrypted', 'ChangeCipherSpec'].includes(message.type));
same('whole handshake messages', handshake.map((message) => message.bytes), found.get('tls.handshake_raw'));
for (const [mine, other] of [
  [['random'], 'tls.handshake.random'],
  [['CipherSuite', 'cipher_suite'], 'tls.handshake.ciphersuite'],
  [['host_name'], 'tls.handshake.extensions_server_name'],
  [['NamedGroup'], 'tls.handshake.extensions_supported_group'],
  [['SignatureScheme', 'CertificateVerify/algorithm', 'ServerKeyExchange/algorithm', 'supported_signature_algorithms/SignatureAndHashAlgorithm'], 'tls.handshake.sig_hash_alg'],
  [['protocol_name'], 'tls.handshake.extensions_alpn_str'],
  [['extension_type'], 'tls.handshake.extension.type'],
  [['ProtocolVersion', 'selected_version'], 'tls.handshake.extensions.supported_version'],
  [['PskKeyExchangeMode'], 'tls.extension.psk_ke_mode'],
  [['ECPointFormat'], 'tls.handshake.extensions_ec_point_format'],
  [['CertificateCompressionAlgorithm', 'CompressedCertificate/algorithm'], 'tls.compress_certificate.algorithm'],
  [['RecordSizeLimit'], 'tls.record_size_limit'],
  [['cert_data/Certificate'], 'tls.handshake.certificate'],
  [['Finished/verify_data'], 'tls.handshake.verify_data'],
  [['key_exchange/key_exchange'], 'tls.handshake.extensions_key_share_key_exchange'],
  [['DistinguishedName/Name'], 'x509if.RDNSequence_of_requested'],
  [['ticket/ticket'], 'tls.handshake.session_ticket'],
]) {
  if (!found.has(`${other}_raw`)) continue;
  same(other, mine.flatMap((name) => named.get(name) ?? []), found.get(`${other}_raw`));
}
if (compared < 30) { console.error(`only ${compared} values were compared`); process.exit(1); }
console.log(`${compared} values agree`);
