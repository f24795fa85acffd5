#!/usr/bin/env bash
# What explain says of conversations between curl, Node.js, OpenSSL and GnuTLS is what tshark says of the same capture
# with the same key log: the same messages with the same decrypted bytes, and the same bytes under the same names.
# needs: curl gnutls-cli node openssl tshark
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Agreement"
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client alice

cat >server.mjs <<'X'
import https from 'node:https';
import fs from 'node:fs';
const server = https.createServer({
  cert: fs.readFileSync('localhost.pem'), key: fs.readFileSync('localhost-key.pem'),
  ca: fs.readFileSync('rootCA.pem'), requestCert: true, rejectUnauthorized: true,
}, (_, response) => response.end('hello\n'));
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
X
cat >compare.mjs <<'X'
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
const [capture, keys, port, mine] = process.argv.slice(2);
const options = { maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'ignore'] };
const ours = JSON.parse(fs.readFileSync(mine)).connections;
const theirs = JSON.parse(execFileSync('tshark', ['-r', capture, '-o', `tls.keylog_file:${keys}`, '-d', `tcp.port==${port},tls`,
  '-T', 'json', '-x', '--no-duplicate-keys'], options));

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
X

# agree NAME SERVER_PORT COMMAND…: the command speaks to the server through a tap at port 0… the URL's port is PORT.
agree() {
    local name=$1 server=$2 port
    shift 2
    : >keys.log
    start_server "$COUNTERSIGN" explain --listen 127.0.0.1:0 --to "localhost:$server" --keylog keys.log --connections 1 \
        --pcapng "$name.pcapng" --json
    local tap_pid=$SERVER_PID tap_log=$SERVER_LOG
    wait_for_line "$tap_log" '^listening on 127.0.0.1:[0-9]+'
    port=${LINE#listening on 127.0.0.1:}
    port=${port%%,*}
    run "${@//PORT/$port}"
    wait_for_line "$tap_log" "a capture with its secrets embedded"
    wait "$tap_pid" || true
    assert_file_mode 600 "$name.pcapng"
    run "$COUNTERSIGN" explain "$name.pcapng" --keylog keys.log --json
    printf '%s' "$STDOUT" >"$name.json"
    expect_success node compare.mjs "$name.pcapng" keys.log "$server" "$name.json"
    say "$name: $STDOUT"
}

start_server node server.mjs
wait_for_line "$SERVER_LOG" '^port [0-9]+'
node=${LINE#port }
export SSLKEYLOGFILE=
curl_with=(env SSLKEYLOGFILE=keys.log curl -sS --cacert rootCA.pem)
agree curl-node "$node" "${curl_with[@]}" --cert alice.pem --key alice-key.pem "https://localhost:PORT/"
agree curl-node-tls12 "$node" "${curl_with[@]}" --tls-max 1.2 --cert alice.pem --key alice-key.pem "https://localhost:PORT/"
agree curl-node-without "$node" "${curl_with[@]}" "https://localhost:PORT/"

port=$(free_port)
start_server openssl s_server -accept "127.0.0.1:$port" -cert localhost.pem -cert_chain localhost.pem -key localhost-key.pem \
    -CAfile rootCA.pem -Verify 3 -verify_return_error -quiet -groups P-384
wait_for_port "$port"
agree openssl-retry "$port" openssl s_client -connect "localhost:PORT" -servername localhost -groups X25519:P-384 -cert alice.pem \
    -cert_chain alice.pem -key alice-key.pem -CAfile rootCA.pem -keylogfile keys.log -ign_eof -no_ign_eof
agree gnutls-openssl "$port" env SSLKEYLOGFILE=keys.log gnutls-cli --x509cafile rootCA.pem --x509certfile alice.pem \
    --x509keyfile alice-key.pem -p PORT localhost
agree gnutls-openssl-tls12 "$port" env SSLKEYLOGFILE=keys.log gnutls-cli --x509cafile rootCA.pem --x509certfile alice.pem \
    --x509keyfile alice-key.pem --priority NORMAL:-VERS-TLS1.3 -p PORT localhost
