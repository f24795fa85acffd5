#!/usr/bin/env bash
# What curl sends over HTTP/1.1 and HTTP/2 arrives at a Node.js service as it was sent, with who sent it, and the
# answers come back: chunked and counted bodies, a gigabyte each way, events as they happen, HEAD, 100-continue.
# needs: curl node
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Gateway"
expect_success "$COUNTERSIGN" issue client alice
expect_success "$COUNTERSIGN" issue client bob

cat >service.mjs <<'X2'
import http from 'node:http';
import { createHash } from 'node:crypto';
const server = http.createServer((request, response) => {
  if (request.url === '/events') {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    let n = 0;
    const tick = setInterval(() => {
      response.write(`data: ${++n}\n\n`);
      if (n === 3) { clearInterval(tick); response.end(); }
    }, 50);
    return;
  }
  if (request.url === '/large') {
    const piece = Buffer.alloc(1 << 20, 'x');
    response.writeHead(200, { 'content-length': piece.length * 1024 });
    let left = 1024;
    const more = () => { while (left-- > 0) if (!response.write(piece)) { response.once('drain', more); return; } response.end(); };
    more();
    return;
  }
  const hash = createHash('sha256');
  let length = 0;
  request.on('data', (data) => { hash.update(data); length += data.length; });
  request.on('end', () => {
    response.setHeader('x-who', request.headers['x-client-identity'] ?? 'nobody');
    response.setHeader('x-framing', request.headers['transfer-encoding'] ?? request.headers['content-length'] ?? 'none');
    response.end(`${request.method} ${request.url} ${length} ${hash.digest('hex')}\n`);
  });
});
server.keepAliveTimeout = 300;
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
X2
start_server node service.mjs
wait_for_line "$SERVER_LOG" '^port [0-9]+'
node=${LINE#port }
start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --to "http://127.0.0.1:$node" --allow-cn alice
wait_for_line "$SERVER_LOG" '^https://localhost:[0-9]+/'
url=${LINE%% *}
url=${url%/}
alice=(curl -sS --max-time 100 --cacert rootCA.pem --cert alice.pem --key alice-key.pem)

head -c 3000000 /dev/urandom >body
sum=$(sha256sum body)
sum=${sum%% *}
for http in --http1.1 --http2; do
    say "curl $http"
    expect_success "${alice[@]}" "$http" -i -H 'X-Client-Identity: mallory' "$url/who?x=1"
    assert_contains "$STDOUT" "x-who: alice"
    assert_contains "$STDOUT" "GET /who?x=1 0 "
    expect_success "${alice[@]}" "$http" -T body "$url/put"
    assert_eq "PUT /put 3000000 $sum" "$STDOUT"
    expect_success bash -c "cat body | $(printf '%q ' "${alice[@]}") $http -T - $url/chunks"
    assert_contains "$STDOUT" "PUT /chunks 3000000 $sum"
    expect_success "${alice[@]}" "$http" -H 'Expect: 100-continue' -d @body --data-binary @body "$url/post"
    assert_contains "$STDOUT" "POST /post "
    expect_success "${alice[@]}" "$http" -I "$url/head"
    assert_contains "$STDOUT" "x-who: alice"
    expect_success "${alice[@]}" "$http" -N "$url/events"
    assert_eq "data: 1

data: 2

data: 3" "$STDOUT"
done
say "a gigabyte down over HTTP/2, and one up over HTTP/1.1"
expect_success "${alice[@]}" --http2 -o /dev/null -w '%{size_download}' "$url/large"
assert_eq 1073741824 "$STDOUT"
expect_success bash -c "head -c 1073741824 /dev/zero | $(printf '%q ' "${alice[@]}") --http1.1 -H Expect: -T - $url/sink"
assert_eq "PUT /sink 1073741824 49bc20df15e412a64472421e13fe86ff1c5165e18b2afccf160d4dc19fe68a14" "$STDOUT"
# The gateway held none of it.
peak=$(awk '/^VmHWM/ { print $2 }' "/proc/$SERVER_PID/status")
[ "$peak" -lt 100000 ] || fail "the gateway's memory went up to $peak KiB"

say "and bob, whom no rule admits, gets a page and not the service"
expect_success curl -sS --cacert rootCA.pem --cert bob.pem --key bob-key.pem -o page -w '%{http_code}' "$url/"
assert_eq 403 "$STDOUT"
assert_contains "$(cat page)" not_allowed_by_policy
