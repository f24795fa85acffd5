#!/usr/bin/env bash
# Fifty thousand handshakes that are none, in fourteen kinds, from noise to good TLS with a certificate that is revoked:
# meanwhile alice is served, and afterwards the gateway has the memory and the descriptors that it had before. Each is
# counted as refused, and a ClientHello that is not followed by anything costs a place only until its time is up.
# needs: node openssl
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Gateway"
expect_success "$COUNTERSIGN" issue server localhost
for name in alice bob carol; do expect_success "$COUNTERSIGN" issue client "$name"; done
COUNTERSIGN_HOME=$PWD/foreign expect_success "$COUNTERSIGN" init --name "Foreign"
mkdir strange && COUNTERSIGN_HOME=$PWD/foreign expect_success "$COUNTERSIGN" issue client stranger --out strange
rm -rf foreign
expect_success "$COUNTERSIGN" revoke carol

cat >gateway.toml <<'X2'
admin = "127.0.0.1:0"
log = "off"
[limits]
handshake_timeout = "2s"
[[listeners]]
address = "127.0.0.1:0"
allow = ["cn alice"]
[[listeners.routes]]
identity = true
X2
expect_success "$COUNTERSIGN" config check gateway.toml
start_server "$COUNTERSIGN" serve --config gateway.toml
gateway=$SERVER_PID
wait_for_line "$SERVER_LOG" '^http://127\.0\.0\.1:[0-9]+/_status'
admin=${LINE%%/_status*}
wait_for_line "$SERVER_LOG" '^https://localhost:[0-9]+/'
port=${LINE#https://localhost:}
port=${port%%/*}

cat >bad.mjs <<'X2'
import net from 'node:net';
import tls from 'node:tls';
import https from 'node:https';
import fs from 'node:fs';
import { randomBytes } from 'node:crypto';
const [port, count] = process.argv.slice(2).map(Number);
const ca = fs.readFileSync('rootCA.pem');
const pair = (name) => ({ cert: fs.readFileSync(`${name}.pem`), key: fs.readFileSync(`${name}-key.pem`) });
// A ClientHello as Node.js makes it, heard by a server of our own.
const hello = await new Promise((resolve) => {
  const ear = net.createServer((socket) => socket.once('data', (data) => { resolve(data); socket.destroy(); ear.close(); }));
  ear.listen(0, '127.0.0.1', () => tls.connect({ port: ear.address().port, host: '127.0.0.1', servername: 'localhost' }).on('error', () => {}));
});
const record = (type, version, body) => Buffer.concat([Buffer.from([type, version >> 8, version & 255, body.length >> 8, body.length & 255]), body]);
const changed = () => { const copy = Buffer.from(hello); copy[5 + Math.floor(Math.random() * (copy.length - 5))] ^= 1 << Math.floor(Math.random() * 8); return copy; };
const octets = [
  () => '', () => 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', () => randomBytes(300), () => hello.subarray(0, 9),
  () => hello.subarray(0, hello.length - 1), () => hello, () => Buffer.concat([hello, randomBytes(200)]),
  () => Buffer.concat([hello, record(21, 0x0303, Buffer.from([2, 42]))]), changed,
  () => record(22, 0x0301, Buffer.concat([Buffer.from([1, 0, 0, 38, 3, 0]), randomBytes(32), Buffer.from([0, 0, 2, 0, 5, 1])])),
  () => Buffer.concat([Buffer.from([22, 3, 1, 255, 255]), randomBytes(100)]),
];
const handshakes = [{}, pair('strange/stranger'), pair('carol')];
let left = count;
const raw = (what) => new Promise((resolve) => {
  const socket = net.connect(port, '127.0.0.1', () => socket.end(what()));
  socket.on('error', resolve).on('close', resolve).resume();
});
// Each by itself under TLS 1.2 and 1.3 in turn: under 1.3 the refusal comes after the client is done.
const encrypted = (how, number) => new Promise((resolve) => {
  const version = number % 2 ? 'TLSv1.2' : 'TLSv1.3';
  const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca, minVersion: version, maxVersion: version, ...how });
  socket.on('error', resolve).on('close', resolve).resume();
});
const run = async () => {
  for (let number = left--; number > 0; number = left--) {
    await (number % 24 ? raw(octets[number % octets.length]) : encrypted(handshakes[(number / 24) % 3], number / 24));
  }
};
let good = 0, bad = 0, over = false;
const agent = new https.Agent({ keepAlive: false, maxCachedSessions: 0, ca, ...pair('alice') });
const served = (async () => {
  while (!over) {
    await new Promise((resolve) => https.get({ host: 'localhost', port, agent }, (response) => {
      response.resume(); if (response.statusCode === 200) good++; else bad++; response.on('end', resolve);
    }).on('error', (error) => { console.error(error); bad++; resolve(); }));
  }
})();
await Promise.all(Array.from({ length: 24 }, run));
over = true;
await served;
console.log(`alice was served ${good} times and failed ${bad} times`);
X2
descriptors() { descriptors_of "$gateway"; }
memory() { awk '/^RssAnon/ { print $2 }' "/proc/$gateway/status"; }
metric() { node -e 'fetch(process.argv[1]).then((r) => r.text()).then((t) => console.log(t.match(new RegExp(`^${process.argv[2]} (.*)$`, "m"))?.[1] ?? 0))' "$admin/_metrics" "$1"; }
nobody_left() { [ "$(metric countersign_connections_open)" = 0 ]; }

expect_success node bad.mjs "$port" 10000
_wait_until "the first connections were closed" nobody_left
before=$(memory)
files=$(descriptors)
expect_success node bad.mjs "$port" 40000
say "$STDOUT"
assert_contains "$STDOUT" "failed 0 times"
_wait_until "all connections were closed" nobody_left
after=$(memory)
say "memory $before KiB before, $after KiB after; descriptors $files before, $(descriptors) after"
[ "$after" -lt $((before + 8000)) ] || fail "the memory grew from $before to $after KiB"
[ "$(descriptors)" -le $((files + 4)) ] || fail "there are $(descriptors) descriptors, and were $files"
refused=$(metric countersign_handshakes_refused_total)
say "refused: $refused"
[ "${refused%.*}" -ge 45000 ] || fail "only $refused are counted as refused"
