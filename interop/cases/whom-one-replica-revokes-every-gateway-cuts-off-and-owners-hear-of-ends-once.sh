#!/usr/bin/env bash
# Two replicas of the authority on one PostgreSQL, a gateway at the feed of each. What is revoked at one replica closes the
# client's open streams at both gateways in less than a second (the best of five clients counts, since the machine may be busy
# with other things), makes the tickets of its sessions worthless, and leaves others alone. The command line does with an
# authority elsewhere what it does with one here. Of a certificate that ends its owner hears once, from one of the replicas.
# needs: pg_ctlcluster setpriv node openssl curl
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../postgres.sh"

start_postgres
expect_success "$COUNTERSIGN" init --name "Replicas"
expect_success "$COUNTERSIGN" identity set ending --contact ending@acme.test
# Long enough to have had the time that its owner is to be told before its end, and less is left when they look.
expect_success "$COUNTERSIGN" issue client ending --for 10d
ends=$(date -d "$(openssl x509 -in ending.pem -noout -enddate | cut -d= -f2)" +%s)
_less_is_left() { [ $((ends - $(date +%s))) -lt 863998 ]; }
_wait_until "some seconds have passed" _less_is_left
cat >hook <<'X2'
#!/bin/sh
cat >>"$HOME/notices"
X2
chmod +x hook

bases=() gateways=()
for replica in one two; do
    start_server "$COUNTERSIGN" ca serve --listen 127.0.0.1:0 --notify-command "$PWD/hook" --notify-before 863998s
    wait_for_line "$SERVER_LOG" 'https://localhost:[0-9]+'
    bases+=("$(grep -o -E 'https://localhost:[0-9]+' <<<"$LINE" | head -n1)")
done

# An authority elsewhere: keys are made here, and the memory is not reached from here at all.
elsewhere() { env -u COUNTERSIGN_STORE "$COUNTERSIGN" "$@"; }
expect_success elsewhere identity set gateway --role gateway --ca "${bases[0]}"
for name in gateway stays leaver1 leaver2 leaver3 leaver4 leaver5; do
    expect_success elsewhere issue client "$name" --ca "${bases[0]}"
done
expect_success elsewhere issue server localhost --ca "${bases[1]}"
assert_file_mode 600 localhost-key.pem
expect_success elsewhere show stays --pem --ca "${bases[1]}"
assert_eq "$(cat stays.pem)" "$STDOUT" "what the other replica shows of a certificate"
expect_success elsewhere show stays --ca "${bases[1]}"
assert_contains "$STDOUT" "client for stays" "its history"
expect_failure 1 elsewhere show nobody --ca "${bases[1]}"
assert_contains "$STDERR" "no certificate of 'nobody'" "what is said of nobody"
old=$(openssl x509 -in stays.pem -noout -serial)
expect_success elsewhere renew stays.pem --ca "${bases[1]}"
[ "$old" != "$(openssl x509 -in stays.pem -noout -serial)" ] || fail "it was not renewed"

# A gateway at each feed.
cat >service.mjs <<'X2'
import http from 'node:http';
http.createServer((request, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const tick = setInterval(() => response.write('data: tick\n\n'), 20);
  response.on('close', () => clearInterval(tick));
}).listen(0, '127.0.0.1', function () { console.log(`port ${this.address().port}`); });
X2
start_server node service.mjs
wait_for_line "$SERVER_LOG" '^port [0-9]+'
service=${LINE#port }
for base in "${bases[@]}"; do
    start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --to "http://127.0.0.1:$service" --allow-all --log off \
        --cert localhost.pem --key localhost-key.pem \
        --feed "$base" --feed-cert gateway.pem --feed-key gateway-key.pem --feed-ca rootCA.pem
    wait_for_line "$SERVER_LOG" '^https://localhost:[0-9]+'
    port=${LINE#https://localhost:}
    gateways+=("${port%%[/ ]*}")
done

cat >measure.mjs <<'X2'
import fs from 'node:fs';
import tls from 'node:tls';
import { spawn } from 'node:child_process';
const [base, ...gateways] = process.argv.slice(2);
const ca = fs.readFileSync('rootCA.pem');
// A stream that has brought something twice: its end, its ticks, the ticket of its session, and whether it was resumed.
const open = (name, port, session) => new Promise((resolve, fail) => {
  const stream = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca, session,
    cert: fs.readFileSync(`${name}.pem`), key: fs.readFileSync(`${name}-key.pem`) });
  const state = { ticks: 0, ended: false };
  stream.on('session', (ticket) => { state.ticket = ticket; });
  stream.on('secureConnect', () => {
    state.resumed = stream.isSessionReused();
    stream.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  });
  state.end = new Promise((over) => {
    for (const event of ['close', 'error', 'end']) stream.on(event, () => { state.ended = true; over(); fail(new Error(event)); });
  });
  stream.on('data', () => { if (++state.ticks >= 2 && state.ticket) resolve(state); });
  state.close = () => stream.destroy();
});
const run = (...words) => new Promise((resolve, reject) => spawn(process.env.COUNTERSIGN, words, { stdio: 'ignore' })
  .on('exit', (code) => code === 0 ? resolve() : reject(new Error(`${words} ended with ${code}`))));
const everywhere = (name) => Promise.all(gateways.map((port) => open(name, port)));
const others = await everywhere('stays');
let best = Infinity;
for (let number = 1; number <= 5; number++) {
  const streams = await everywhere(`leaver${number}`);
  for (const [index, port] of gateways.entries()) {
    const again = await open(`leaver${number}`, port, streams[index].ticket);
    if (!again.resumed) throw new Error('a ticket is worth nothing even before');
    again.close();
  }
  await run('revoke', `leaver${number}`, '--ca', base);
  const revoked = performance.now();
  await Promise.all(streams.map((stream) => stream.end));
  const took = Math.round(performance.now() - revoked);
  console.log(`leaver${number}: cut off at both gateways ${took} ms after the revocation`);
  best = Math.min(best, took);
  for (const [index, port] of gateways.entries()) {
    const back = await open(`leaver${number}`, port, streams[index].ticket).then(() => 'let in', () => 'refused');
    if (back !== 'refused') throw new Error(`leaver${number} came back with a ticket`);
  }
}
const before = others.map((stream) => stream.ticks);
const deadline = performance.now() + 20000;
while (others.some((stream, index) => stream.ticks <= before[index])) {
  if (performance.now() > deadline || others.some((stream) => stream.ended)) throw new Error('the one who stays was cut off');
  await new Promise((resolve) => setTimeout(resolve, 20));
}
console.log(`best ${best}`);
process.exit(0);
X2
expect_success env -u COUNTERSIGN_STORE node measure.mjs "${bases[0]}" "${gateways[@]}"
best=$(sed -n 's/^best //p' <<<"$STDOUT")
say "best of five: $best ms"
[ "$best" -lt 1000 ] || fail "the fastest of five clients was cut off after $best ms: $STDOUT"

# Rules that are published at one replica let a client in at the gateway of the other, and then no more.
cat >countersign.toml <<X2
log = "off"

[feed]
url = "${bases[1]}"
cert = "gateway.pem"
key = "gateway-key.pem"
ca = "rootCA.pem"
allow = true
max_age = "1h"
fallback = "refuse"

[[listeners]]
address = "127.0.0.1:0"
certificates = [{ cert = "localhost.pem", key = "localhost-key.pem" }]

[[listeners.routes]]
dir = "."
X2
expect_success "$COUNTERSIGN" config show countersign.toml
assert_contains "$STDOUT" '"fallback": "refuse"' "what the file means"
start_server "$COUNTERSIGN" serve --config countersign.toml
wait_for_line "$SERVER_LOG" 'https://localhost:[0-9]+'
url=$(grep -o -E 'https://localhost:[0-9]+' <<<"$LINE" | head -n1)
_gets() { # _gets STATUS: what the one who stays is answered
    [ "$(curl -s -o page -w '%{http_code}' --cacert rootCA.pem --cert stays.pem --key stays-key.pem "$url/hook")" = "$1" ]
}
_gets 403 || fail "somebody is let in although no rules were published"
echo "cn stays" >rules
expect_success elsewhere policy publish rules --ca "${bases[0]}"
_wait_until "the rules let the client in" _gets 200
echo "deny cn stays" | elsewhere policy publish - --ca "${bases[0]}"
_wait_until "the rules keep the client out" _gets 403
expect_success elsewhere policy published --ca "${bases[1]}"
assert_eq "deny cn stays" "$STDOUT" "the rules that are published"

# The lists of an authority elsewhere, as openssl wants them.
expect_success elsewhere crl --ca "${bases[1]}" --out lists.pem
"$COUNTERSIGN" show leaver1 --pem >chain.pem
expect_failure any openssl verify -crl_check_all -CAfile rootCA.pem -CRLfile lists.pem -untrusted chain.pem leaver1.pem
assert_contains "$STDOUT$STDERR" "certificate revoked" "openssl verify's words"
expect_success openssl verify -crl_check_all -CAfile rootCA.pem -CRLfile lists.pem -untrusted chain.pem stays.pem

# The owner heard once, whichever of the replicas told.
_told() { [ -s notices ]; }
_wait_until "the owner of a certificate that ends was told" _told
assert_contains "$(cat notices)" '"contact":"ending@acme.test"' "the notice"
assert_eq 1 "$(wc -l <notices)" "the notices of one certificate"
expect_success "$COUNTERSIGN" audit tail --lines 60
assert_contains "$STDOUT" "notify" "the audit trail"
expect_success elsewhere list --expiring 10d --ca "${bases[0]}"
assert_contains "$STDOUT" "ending@acme.test" "whom to tell, in the list"
