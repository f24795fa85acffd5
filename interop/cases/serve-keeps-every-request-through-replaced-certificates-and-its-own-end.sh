#!/usr/bin/env bash
# Under load the certificate's files are replaced a thousand times, each time by another certificate and each time in
# force before the next; bad handshakes come in between, and at the end SIGTERM: not one request that was accepted fails,
# nobody new is let wait for a reset, and neither memory nor descriptors grow.
# needs: node curl
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Gateway"
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client alice

cat >service.mjs <<'X2'
import fs from 'node:fs';
import http from 'node:http';
// The answer to /held waits until the file `release` is there.
const held = (response) => fs.existsSync('release') ? response.end('released\n') : setTimeout(held, 20, response);
const server = http.createServer((request, response) => {
  request.resume();
  if (request.url !== '/held') return response.end('ok\n');
  console.log('held');
  held(response);
});
server.keepAliveTimeout = 300;
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
X2
start_server node service.mjs
service_log=$SERVER_LOG
wait_for_line "$SERVER_LOG" '^port [0-9]+'
start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --to "http://127.0.0.1:${LINE#port }" --allow-cn alice \
    --cert localhost.pem --key localhost-key.pem --client-ca rootCA.pem --log off
gateway=$SERVER_PID
gateway_log=$SERVER_LOG
wait_for_line "$SERVER_LOG" '^https://localhost:[0-9]+/'
port=${LINE#https://localhost:}
port=${port%%/*}

cat >load.mjs <<'X2'
// Requests without a pause, on connections that stay and on new ones, until the file `stop` is there.
import https from 'node:https';
import fs from 'node:fs';
const tls = { ca: fs.readFileSync('rootCA.pem'), cert: fs.readFileSync('alice.pem'), key: fs.readFileSync('alice-key.pem') };
const agents = [new https.Agent({ keepAlive: true, ...tls }), new https.Agent({ keepAlive: false, maxCachedSessions: 0, ...tls })];
let good = 0; let over = false; const bad = [];
const ask = (agent) => new Promise((resolve) => {
  const request = https.get({ host: 'localhost', port: process.argv[2], agent }, (response) => {
    response.resume();
    response.on('end', () => { if (response.statusCode === 200) good++; else bad.push(response.statusCode); resolve(); });
    response.on('error', (error) => { bad.push(error.message); resolve(); });
  });
  request.on('error', (error) => {
    // After the end no new connection is taken; and a kept one may be closed between two requests.
    const ended = fs.existsSync('ended') && (error.code === 'ECONNREFUSED' || request.reusedSocket);
    if (ended) over = true; else bad.push(`${error.code} ${error.message}`);
    resolve();
  });
});
const run = async (agent) => { while (!over) await ask(agent); };
await Promise.all([run(agents[0]), run(agents[0]), run(agents[0]), run(agents[1])]);
console.log(`good ${good} bad ${bad.length} ${bad.slice(0, 3)}`);
X2
start_server node load.mjs "$port"
load=$SERVER_PID
load_log=$SERVER_LOG

descriptors() { descriptors_of "$gateway"; }
memory() { awk '/^RssAnon/ { print $2 }' "/proc/$gateway/status"; }
cat >bad.mjs <<'X2'
// Connections that are no handshakes: plain HTTP, the start of a record, noise, nothing, a record that ends in the middle.
import net from 'node:net';
import { randomBytes } from 'node:crypto';
const kinds = [() => 'GET / HTTP/1.1\r\n\r\n', () => Buffer.from([22, 3, 1, 2, 0, 1]), () => randomBytes(300), () => '',
  () => Buffer.concat([Buffer.from([22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]), randomBytes(100)])];
let left = Number(process.argv[3]);
const one = () => new Promise((resolve) => {
  const socket = net.connect(process.argv[2], '127.0.0.1', () => socket.end(kinds[Math.max(left, 0) % kinds.length]()));
  socket.on('error', resolve).on('close', resolve).resume();
});
const run = async () => { while (left-- > 0) await one(); };
await Promise.all(Array.from({ length: 20 }, run));
X2
bad_handshakes() { node bad.mjs "$port" "$1"; }
mkdir other && expect_success "$COUNTERSIGN" issue server localhost --out other
cp -r other/localhost.pem even.pem && cp other/localhost-key.pem even-key.pem
cp localhost.pem odd.pem && cp localhost-key.pem odd-key.pem
cat >replace.mjs <<'X2'
// Replaces the files and waits until the gateway says that they are in force, so many times.
import fs from 'node:fs';
const [gateway, log, times] = process.argv.slice(2);
const loaded = () => fs.readFileSync(log, 'utf8').split('Loaded anew').length - 1;
const before = loaded();
const deadline = Date.now() + 90_000;
for (let round = 1; round <= Number(times); round++) {
  const from = round % 2 ? 'even' : 'odd';
  for (const [file, to] of [[`${from}.pem`, 'localhost.pem'], [`${from}-key.pem`, 'localhost-key.pem']]) {
    fs.copyFileSync(file, 'next');
    fs.renameSync('next', to);
  }
  process.kill(Number(gateway), 'SIGHUP');
  while (loaded() - before < round) {
    // Between the two files a look can find a pair that does not fit; then the old one stays in force, and the next look is due.
    if (Date.now() > deadline) { console.error(`only ${loaded() - before} of ${round} were loaded`); process.exit(1); }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
console.log(`${loaded() - before} replacements`);
X2
bad_handshakes 2000
expect_success node replace.mjs "$gateway" "$gateway_log" 50
before=$(memory)
for _ in 1 2 3 4 5; do
    expect_success node replace.mjs "$gateway" "$gateway_log" 200
    bad_handshakes 500
done
after=$(memory)
say "memory $before KiB before, $after KiB after; $(descriptors) descriptors"
[ "$after" -lt $((before + 20000)) ] || fail "the memory grew from $before to $after KiB"
[ "$(descriptors)" -lt 200 ] || fail "there are $(descriptors) descriptors"

curl -sS --cacert rootCA.pem --cert alice.pem --key alice-key.pem "https://localhost:$port/held" >held.txt &
held=$!
wait_for_line "$service_log" '^held'
touch ended
kill -TERM "$gateway"
say "while an answer is owed, who comes now is turned away at once"
for ((tries = 0; ; tries++)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    [ "$tries" -lt 200 ] || fail "the gateway that ends still takes connections"
    sleep 0.02
done
touch release
wait "$held"
assert_eq released "$(cat held.txt)" "the answer that was owed"
wait_for_line "$load_log" '^good [0-9]+ bad'
say "$LINE"
assert_contains "$LINE" " bad 0 "
good=${LINE#good }
[ "${good%% *}" -gt 500 ] || fail "only ${good%% *} requests were made"
