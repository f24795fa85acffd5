#!/usr/bin/env bash
# Programs that know nothing of TLS reach a Node.js server, `openssl s_server` and nginx through `connect`, which shows
# alice's certificate; where the server refuses it, or is not the right one, they are reset and the log says why.
# needs: curl node openssl nginx
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Tunnel"
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client alice
expect_success "$COUNTERSIGN" issue client bob

# How curl takes a reset: while it connects, before an answer, in the middle of one.
reset=7,52,56

# connect NAME TARGET…: starts a tunnel as NAME and leaves its port in $port.
connect() {
    local name=$1
    shift
    start_server "$COUNTERSIGN" connect --listen 127.0.0.1:0 --cert "$name.pem" --cacert rootCA.pem "$@"
    wait_for_line "$SERVER_LOG" '^127\.0\.0\.1:[0-9]+ -> '
    port=${LINE#127.0.0.1:}
    port=${port%% *}
    tunnel_log=$SERVER_LOG
}

cat >server.mjs <<'X2'
import https from 'node:https';
import fs from 'node:fs';
const server = https.createServer({
  cert: fs.readFileSync('localhost.pem'), key: fs.readFileSync('localhost-key.pem'),
  ca: fs.readFileSync('rootCA.pem'), requestCert: true, rejectUnauthorized: true,
}, (request, response) => {
  let length = 0;
  request.on('data', (data) => { length += data.length; });
  request.on('end', () => response.end(`hello, ${request.socket.getPeerCertificate().subject.CN}, ${length}\n`));
});
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
X2
start_server node server.mjs
wait_for_line "$SERVER_LOG" '^port [0-9]+'
node=localhost:${LINE#port }

connect alice --to "$node"
expect_success curl -sS "http://127.0.0.1:$port/"
assert_eq "hello, alice, 0" "$STDOUT"
head -c 20000000 /dev/zero >large
expect_success curl -sS -T large "http://127.0.0.1:$port/"
assert_eq "hello, alice, 20000000" "$STDOUT"
wait_for_line "$tunnel_log" "-> $node SUCCESS server=localhost TLSv1\.3"

say "a unix socket, and a first target that is down"
start_server "$COUNTERSIGN" connect --listen unix:api.sock --cert alice.pem --cacert rootCA.pem \
    --to "localhost:$(free_port)" --to "$node"
wait_for_line "$SERVER_LOG" '^unix:'
expect_success curl -sS --unix-socket api.sock http://api/
assert_eq "hello, alice, 0" "$STDOUT"
assert_file_mode 600 api.sock

say "a new certificate is taken without a restart"
cp bob.pem tmp.pem && cp bob-key.pem tmp-key.pem
connect tmp --to "$node"
expect_success curl -sS "http://127.0.0.1:$port/"
assert_contains "$STDOUT" "hello, bob"
cp alice-key.pem tmp-key.pem && wait_for_line "$tunnel_log" 'what was in force stays so'
expect_success curl -sS "http://127.0.0.1:$port/"
assert_contains "$STDOUT" "hello, bob" "a key that does not fit changes nothing"
cp alice.pem tmp.pem && wait_for_line "$tunnel_log" 'Loaded anew'
expect_success curl -sS "http://127.0.0.1:$port/"
assert_contains "$STDOUT" "hello, alice"

say "the wrong server"
connect alice --to "${node/localhost/127.0.0.2}"
expect_failure "$reset" curl -sS "http://127.0.0.1:$port/"
wait_for_line "$tunnel_log" 'FAILED:'
connect alice --to "$node" --override-server-name other.test
expect_failure "$reset" curl -sS "http://127.0.0.1:$port/"
wait_for_line "$tunnel_log" 'FAILED:name_mismatch .*other\.test'
connect alice --to "$node" --verify-ou Payments
expect_failure "$reset" curl -sS "http://127.0.0.1:$port/"
wait_for_line "$tunnel_log" 'FAILED:not_allowed_by_policy .*the only rule is verify-ou Payments'
connect alice --to "$node" --verify-ou Payments --verify-dns localhost
expect_success curl -sS "http://127.0.0.1:$port/"

say "openssl s_server takes alice, and refuses a stranger before a byte is passed on"
for version in tls1_2 tls1_3; do
    openssl_port=$(free_port)
    start_server openssl s_server -accept "127.0.0.1:$openssl_port" -cert localhost.pem -key localhost-key.pem \
        -cert_chain localhost.pem -CAfile rootCA.pem -Verify 3 -verify_return_error "-$version" -www
    wait_for_port "$openssl_port"
    connect alice --to "localhost:$openssl_port"
    expect_success curl -sS "http://127.0.0.1:$port/"
    assert_contains "$STDOUT" "Client certificate"
    COUNTERSIGN_HOME=$PWD/foreign expect_success "$COUNTERSIGN" init --name "Foreign"
    mkdir -p "stranger-$version"
    COUNTERSIGN_HOME=$PWD/foreign expect_success "$COUNTERSIGN" issue client stranger --out "stranger-$version"
    start_server "$COUNTERSIGN" connect --listen 127.0.0.1:0 --cert "stranger-$version/stranger.pem" \
        --cacert rootCA.pem --to "localhost:$openssl_port" --log json
    wait_for_line "$SERVER_LOG" '^127\.0\.0\.1:[0-9]+ -> '
    port=${LINE#127.0.0.1:}
    expect_failure "$reset" curl -sS "http://127.0.0.1:${port%% *}/"
    wait_for_line "$SERVER_LOG" '"verdict":"FAILED:(unknown_issuer|issuer_not_requested)"'
    assert_contains "$LINE" '"sent_bytes":0' "the record of the stranger"
    rm -rf foreign
done

say "nginx as a TCP server behind mutual TLS"
nginx_port=$(free_port)
cat >nginx.conf <<X2
daemon off; pid $PWD/nginx.pid; error_log $PWD/error.log; worker_processes 1;
events {}
http {
  access_log off;
  client_body_temp_path $PWD/a; proxy_temp_path $PWD/b; fastcgi_temp_path $PWD/c; uwsgi_temp_path $PWD/d; scgi_temp_path $PWD/e;
  server {
    listen 127.0.0.1:$nginx_port ssl;
    ssl_certificate $PWD/localhost.pem; ssl_certificate_key $PWD/localhost-key.pem;
    ssl_client_certificate $PWD/rootCA.pem; ssl_verify_client on; ssl_verify_depth 2;
    location / { return 200 "hello, \$ssl_client_s_dn\n"; }
  }
}
X2
start_server nginx -p "$PWD" -c "$PWD/nginx.conf"
wait_for_port "$nginx_port"
connect alice --to "localhost:$nginx_port" --require-client-auth-request
expect_success curl -sS "http://127.0.0.1:$port/"
assert_contains "$STDOUT" "CN=alice"

say "what would be unsafe, or says nothing, is refused at the start"
expect_failure 2 "$COUNTERSIGN" connect --listen 0.0.0.0:0 --cert alice.pem --to "$node"
assert_contains "$STDERR" "--unsafe-listen"
expect_failure 2 "$COUNTERSIGN" connect --listen 127.0.0.1:0 --to "$node"
assert_contains "$STDERR" "countersign issue client"
expect_failure 2 "$COUNTERSIGN" connect --listen 127.0.0.1:0 --cert alice.pem --to "$node" --verify-ou Payments
assert_contains "$STDERR" "--cacert"
expect_failure 2 "$COUNTERSIGN" connect --listen 127.0.0.1:0 --cert alice.pem --to localhost
assert_contains "$STDERR" "HOST:PORT"
