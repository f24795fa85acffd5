#!/usr/bin/env bash
# Under load a gateway is replaced by a new process eight times with `--handover`, with a new certificate each second time:
# not one request fails, on kept connections or on new ones. One that cannot start leaves the old one serving.
# needs: node
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Gateway"
expect_success "$COUNTERSIGN" issue client alice
expect_success "$COUNTERSIGN" issue server localhost
cp localhost.pem first.pem && cp localhost-key.pem first-key.pem
mkdir second && expect_success "$COUNTERSIGN" issue server localhost --out second

cat >service.mjs <<'X2'
import http from 'node:http';
const server = http.createServer((request, response) => { request.resume(); response.end('ok\n'); });
server.keepAliveTimeout = 300_000;
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
X2
start_server node service.mjs
wait_for_line "$SERVER_LOG" '^port [0-9]+'
upstream=${LINE#port }
port=$(free_port)
admin=$(free_port)

# serve CERTIFICATE KEY: one more process, which takes the place of the one before.
serve() {
    start_server "$COUNTERSIGN" serve --listen "127.0.0.1:$port" --admin "127.0.0.1:$admin" --handover handover.sock \
        --to "http://127.0.0.1:$upstream" --allow-cn alice --cert "$1" --key "$2" --client-ca rootCA.pem --log off \
        --last-call 60 --drain-timeout 120
    wait_for_line "$SERVER_LOG" '^Ctrl-C ends it'
}
serve first.pem first-key.pem
gateway=$SERVER_PID
assert_file_mode 600 handover.sock

cat >load.mjs <<'X2'
// Requests without a pause, on connections that stay and on new ones, until the file `over` is there. A kept connection
// that was closed under a request is counted too: HTTP clients ask again then (RFC 9110 section 9.2.2), and need not here,
// since whoever asks within the last call is answered.
import https from 'node:https';
import fs from 'node:fs';
const tls = { ca: fs.readFileSync('rootCA.pem'), cert: fs.readFileSync('alice.pem'), key: fs.readFileSync('alice-key.pem') };
const agents = [new https.Agent({ keepAlive: true, ...tls }), new https.Agent({ keepAlive: false, maxCachedSessions: 0, ...tls })];
let good = 0; let again = 0; const bad = [];
const ask = (agent) => new Promise((resolve) => {
  const request = https.get({ host: 'localhost', port: process.argv[2], agent }, (response) => {
    response.resume();
    response.on('end', () => { if (response.statusCode === 200) good++; else bad.push(response.statusCode); resolve(); });
    response.on('error', (error) => { bad.push(error.message); resolve(); });
  });
  request.on('error', (error) => {
    if (request.reusedSocket) again++; else bad.push(`${error.code} ${error.message}`);
    resolve();
  });
});
const run = async (agent) => { while (!fs.existsSync('over')) await ask(agent); };
setInterval(() => fs.writeFileSync('good', `${good}`), 50).unref();
await Promise.all([run(agents[0]), run(agents[0]), run(agents[1]), run(agents[1])]);
console.log(`good ${good} bad ${bad.length} again ${again} ${bad.slice(0, 3)}`);
X2
start_server node load.mjs "$port"
load=$SERVER_PID
load_log=$SERVER_LOG
good() { cat good 2>/dev/null || echo 0; }
more_than() { [ "$(good)" -gt "$1" ]; }
has_ended() { ! kill -0 "$1" 2>/dev/null; }
_wait_until "the load began" more_than 50

for round in 1 2 3 4 5 6 7 8; do
    before=$gateway
    if [ $((round % 2)) = 0 ]; then serve first.pem first-key.pem; else serve second/localhost.pem second/localhost-key.pem; fi
    gateway=$SERVER_PID
    _wait_until "the process before this one ended" has_ended "$before"
    count=$(good)
    _wait_until "requests are served by process number $round" more_than $((count + 20))
done

say "one that cannot start changes nothing"
expect_failure 2 "$COUNTERSIGN" serve --listen "127.0.0.1:$port" --handover handover.sock \
    --to "http://127.0.0.1:$upstream" --allow-cn alice --cert first.pem --key second/localhost-key.pem --client-ca rootCA.pem
kill -0 "$gateway" || fail "the gateway ended"
count=$(good)
_wait_until "requests are served after that" more_than $((count + 20))

touch over
SERVER_PID=$load
wait_for_line "$load_log" '^good [0-9]+ bad'
say "$LINE"
assert_contains "$LINE" " bad 0 again 0 "
