#!/usr/bin/env bash
# With --otlp each request becomes a span of OpenTelemetry: the service hears of it in `traceparent`, the collector gets it in
# OTLP's JSON with who asked and what came of it, and a trace that the client began goes on. A collector that is away costs
# no request anything. It may want mutual TLS and a header from a file; the variables of OpenTelemetry say the same.
# needs: curl node
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Gateway"
for name in alice bob; do expect_success "$COUNTERSIGN" issue client "$name"; done
cat >both.mjs <<'X2'
// A service that says which traceparent it got, and a collector that writes down what it is sent.
import http from 'node:http';
import fs from 'node:fs';
const service = http.createServer((request, response) => {
  if (request.url === '/broken') response.statusCode = 503;
  response.end(`${request.headers.traceparent}\n`);
});
const collector = http.createServer((request, response) => {
  let body = '';
  request.on('data', (data) => { body += data; }).on('end', () => {
    if (request.url !== '/v1/traces' || request.headers['content-type'] !== 'application/json') response.statusCode = 404;
    else fs.appendFileSync('spans', body + '\n');
    response.end('{}');
  });
});
service.listen(0, '127.0.0.1', () => collector.listen(0, '127.0.0.1', () => console.log(`ports ${service.address().port} ${collector.address().port}`)));
X2
start_server node both.mjs
wait_for_line "$SERVER_LOG" '^ports'
read -r _ service collector <<<"$LINE"
# serve COLLECTOR: leaves the URL in $url.
serve() {
    start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --to "http://127.0.0.1:$service" --allow-cn alice --otlp "$1" --log json
    wait_for_line "$SERVER_LOG" '^https://localhost:[0-9]+/'
    url=${LINE%% *}
    url=${url%/}
}
serve "http://127.0.0.1:$collector"
gateway=$SERVER_PID
as() { curl -sS --max-time 20 --cacert rootCA.pem --cert "$1.pem" --key "$1-key.pem" "${@:2}"; }
parent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
for http in --http1.1 --http2; do
    expect_success as alice "$http" -H "traceparent: $parent" "$url/continued"
    assert_contains "$STDOUT" "00-0af7651916cd43dd8448eb211c80319c-"
    assert_lacks "$STDOUT" "b7ad6b7169203331"
    printf '%s\n' "$STDOUT" >>told
    expect_success as alice "$http" -H "traceparent: nonsense" "$url/begun"
    printf '%s\n' "$STDOUT" >>told
    expect_success as alice "$http" -H "traceparent: ${parent%1}0" "$url/unsampled"
    assert_contains "$STDOUT" "-00"
    expect_success as alice "$http" -o page "$url/broken"
    expect_success as bob "$http" -o page "$url/refused"
done
# What is left is sent at the end.
stop_server "$gateway"
cat >look.mjs <<'X2'
import fs from 'node:fs';
import assert from 'node:assert/strict';
const lines = (file) => fs.readFileSync(file, 'utf8').trim().split('\n');
const messages = lines('spans').map((line) => JSON.parse(line));
assert.ok(messages.every((m) => m.resourceSpans[0].resource.attributes.some((a) => a.key === 'service.name' && a.value.stringValue === 'countersign')));
const spans = messages.flatMap((message) => message.resourceSpans[0].scopeSpans[0].spans);
const attribute = (span, key) => { const value = span.attributes.find((a) => a.key === key)?.value; return value?.stringValue ?? value?.intValue; };
const of = (path) => spans.filter((span) => attribute(span, 'url.path') === path);
for (const path of ['/continued', '/begun', '/broken', '/refused']) assert.equal(of(path).length, 2, path);
assert.equal(of('/unsampled').length, 0);
for (const span of spans) {
  assert.match(span.traceId, /^[0-9a-f]{32}$/);
  assert.match(span.spanId, /^[0-9a-f]{16}$/);
  assert.equal(span.kind, 2);
  assert.ok(BigInt(span.endTimeUnixNano) > BigInt(span.startTimeUnixNano));
  assert.ok(Number(span.startTimeUnixNano) / 1e6 > Date.now() - 300_000);
}
for (const span of of('/continued')) {
  assert.deepEqual([span.traceId, span.parentSpanId], ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331']);
  assert.equal(attribute(span, 'countersign.identity'), 'alice');
  assert.equal(attribute(span, 'http.response.status_code'), '200');
}
// The service heard of exactly these spans.
const told = lines('told').map((line) => line.split('-')[2]).sort();
assert.deepEqual([...of('/continued'), ...of('/begun')].map((span) => span.spanId).sort(), told);
assert.ok(of('/begun').every((span) => !span.parentSpanId));
assert.ok(of('/broken').every((span) => span.status?.code === 2));
assert.ok(of('/refused').every((span) => !span.status && attribute(span, 'countersign.verdict') === 'FAILED:not_allowed_by_policy'));
X2
expect_success node look.mjs

say "a collector that is away"
serve "http://127.0.0.1:$(free_port)/"
for _ in 1 2 3; do expect_success as alice "$url/"; done
wait_for_line "$SERVER_LOG" 'spans are lost'
expect_success as alice "$url/"
stop_server

say "a collector behind mutual TLS, which knows its senders by a header too"
expect_success "$COUNTERSIGN" issue client gateway
mkdir collector && expect_success "$COUNTERSIGN" issue server localhost --out collector
cat >secure.mjs <<'X2'
import https from 'node:https';
import fs from 'node:fs';
const read = (name) => fs.readFileSync(name);
const options = { cert: read('collector/localhost.pem'), key: read('collector/localhost-key.pem'), ca: read('rootCA.pem'), requestCert: true, rejectUnauthorized: true };
https.createServer(options, (request, response) => {
  let body = '';
  request.on('data', (data) => { body += data; }).on('end', () => {
    const span = JSON.parse(body).resourceSpans[0];
    const service = span.resource.attributes.find((a) => a.key === 'service.name').value.stringValue;
    if (request.headers.authorization !== 'Bearer planted-token') response.statusCode = 401;
    console.log(response.statusCode, request.url, request.socket.getPeerCertificate().subject.CN, service);
    response.end('{}');
  });
}).listen(0, '127.0.0.1', function () { console.log(`port ${this.address().port}`); });
X2
start_server node secure.mjs
wait_for_line "$SERVER_LOG" '^port'
secure=https://localhost:${LINE#port }
secure_log=$SERVER_LOG
printf 'Authorization: Bearer planted-token\n' >headers.txt
printf 'Authorization: Bearer wrong\n' >wrong.txt
chmod 600 headers.txt wrong.txt
# gateway VARIABLES… -- FLAGS…: one that traces as these say, and one request to it.
gateway() {
    local variables=()
    while [ "$1" != -- ]; do variables+=("$1"); shift; done
    shift
    start_server env "${variables[@]}" "$COUNTERSIGN" serve --listen 127.0.0.1:0 --allow-cn alice "$@"
    wait_for_line "$SERVER_LOG" '^https://localhost:[0-9]+/'
    url=${LINE%% *}
    expect_success as alice "${url%/}/"
}
mine=(--otlp-cacert rootCA.pem --otlp-cert gateway.pem)
gateway NONE=1 -- --otlp "$secure" "${mine[@]}" --otlp-headers headers.txt
wait_for_line "$secure_log" '^200 /v1/traces gateway countersign$'
stop_server
gateway NONE=1 -- --otlp "$secure" "${mine[@]}" --otlp-headers wrong.txt
wait_for_line "$SERVER_LOG" 'spans are lost.*401'
say "the token is read again when the file changes"
cp headers.txt wrong.new && mv wrong.new wrong.txt
wait_for_line "$SERVER_LOG" 'Loaded anew'
before=$(grep -c '^200' "$secure_log")
more() { [ "$(grep -c '^200' "$secure_log")" -gt "$before" ]; }
expect_success as alice "${url%/}/"
_wait_until "the span arrived" more
! grep -q planted-token "$SERVER_LOG" || fail "the token is in the log"
stop_server
gateway NONE=1 -- --otlp "$secure" --otlp-cacert rootCA.pem --otlp-headers headers.txt
wait_for_line "$SERVER_LOG" 'spans are lost'
stop_server
say "by variables"
gateway "OTEL_EXPORTER_OTLP_ENDPOINT=$secure/base" OTEL_EXPORTER_OTLP_CERTIFICATE=rootCA.pem OTEL_SERVICE_NAME=pay \
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=gateway.pem OTEL_EXPORTER_OTLP_CLIENT_KEY=gateway-key.pem \
    'OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20planted-token' --
wait_for_line "$secure_log" '^200 /base/v1/traces gateway pay$'
stop_server

say "what cannot be"
expect_failure 2 "$COUNTERSIGN" serve --listen 127.0.0.1:0 --allow-cn alice --otlp ftp://collector.test
assert_contains "$STDERR" "http://127.0.0.1:4318"
expect_failure 2 "$COUNTERSIGN" serve --listen 127.0.0.1:0 --allow-cn alice --otlp-cert gateway.pem
assert_contains "$STDERR" "none is named"
expect_failure 2 env OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317 OTEL_EXPORTER_OTLP_PROTOCOL=grpc \
    "$COUNTERSIGN" serve --listen 127.0.0.1:0 --allow-cn alice
assert_contains "$STDERR" "4318"
