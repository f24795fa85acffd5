#!/usr/bin/env bash
# HAProxy in front passes TCP on with a PROXY header of version 2 (and of version 1), and nginx behind takes nobody without
# the gateway's own certificate. nginx hears of alice and of her own address; an nginx that asks for no certificate, and
# one of another authority, are refused; and whoever comes past HAProxy without a header gets nowhere.
# needs: haproxy nginx curl
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Gateway"
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client alice
expect_success "$COUNTERSIGN" issue client gateway
COUNTERSIGN_HOME=$PWD/foreign expect_success "$COUNTERSIGN" init --name "Foreign"
mkdir elsewhere && COUNTERSIGN_HOME=$PWD/foreign expect_success "$COUNTERSIGN" issue server localhost --out elsewhere
rm -rf foreign

strict=$(free_port) lax=$(free_port) foreign=$(free_port)
cat >nginx.conf <<X2
daemon off; pid $PWD/nginx.pid; error_log $PWD/error.log; worker_processes 1;
events {}
http {
  access_log off;
  client_body_temp_path $PWD/a; proxy_temp_path $PWD/b; fastcgi_temp_path $PWD/c; uwsgi_temp_path $PWD/d; scgi_temp_path $PWD/e;
  ssl_certificate $PWD/localhost.pem; ssl_certificate_key $PWD/localhost-key.pem;
  server {
    listen 127.0.0.1:$strict ssl;
    ssl_client_certificate $PWD/rootCA.pem; ssl_verify_client on; ssl_verify_depth 2;
    location / { return 200 "\$ssl_client_s_dn for \$http_x_ssl_client_s_dn at \$http_x_forwarded_for\n"; }
  }
  server { listen 127.0.0.1:$lax ssl; location / { return 200 "anybody\n"; } }
  server {
    listen 127.0.0.1:$foreign ssl;
    ssl_certificate $PWD/elsewhere/localhost.pem; ssl_certificate_key $PWD/elsewhere/localhost-key.pem;
    ssl_client_certificate $PWD/rootCA.pem; ssl_verify_client on; ssl_verify_depth 2;
    location / { return 200 "the wrong one\n"; }
  }
}
X2
start_server nginx -p "$PWD" -c "$PWD/nginx.conf"
wait_for_port "$strict"

# serve PORT: a gateway that HAProxy alone may reach, in front of nginx at that port; its own port is left in $port.
serve() {
    start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --allow-cn alice --proxy-protocol-from 127.0.0.0/8 \
        --to "https://localhost:$1" --headers nginx --upstream-ca rootCA.pem --upstream-cert gateway.pem \
        --upstream-key gateway-key.pem --require-client-auth-request
    wait_for_line "$SERVER_LOG" '^https://localhost:[0-9]+/'
    port=${LINE#https://localhost:}
    port=${port%%/*}
    gateway_log=$SERVER_LOG
}
serve "$strict"
front2=$(free_port) front1=$(free_port)
cat >haproxy.cfg <<X2
global
    maxconn 100
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen version2
    bind 127.0.0.1:$front2
    server gateway 127.0.0.1:$port send-proxy-v2
listen version1
    bind 127.0.0.1:$front1
    server gateway 127.0.0.1:$port send-proxy
X2
start_server haproxy -db -f haproxy.cfg
wait_for_port "$front2"

alice=(curl -sS --max-time 20 --cacert rootCA.pem --cert alice.pem --key alice-key.pem)
for front in "$front2" "$front1"; do
    for http in --http1.1 --http2; do
        # An address of its own on loopback, to be told apart from HAProxy's.
        expect_success "${alice[@]}" "$http" --interface 127.0.0.9 -H 'X-SSL-Client-S-DN: CN=mallory' "https://localhost:$front/"
        assert_contains "$STDOUT" "CN=gateway for CN=alice"
        assert_contains "$STDOUT" "at 127.0.0.9"
    done
done
wait_for_line "$gateway_log" '127\.0\.0\.9.*SUCCESS|SUCCESS.*127\.0\.0\.9'
say "without a header from HAProxy nobody gets in, and nobody can claim an address"
expect_failure any "${alice[@]}" "https://localhost:$port/"
wait_for_line "$gateway_log" 'sent no PROXY header'

say "an upstream that asks for no certificate is refused, and so is one of another authority"
for case in "$lax" "$foreign"; do
    start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --allow-cn alice --to "https://localhost:$case" \
        --upstream-ca rootCA.pem --upstream-cert gateway.pem --upstream-key gateway-key.pem --require-client-auth-request
    wait_for_line "$SERVER_LOG" '^https://localhost:[0-9]+/'
    url=${LINE%% *}
    expect_success "${alice[@]}" -o answer -w '%{http_code}' "$url"
    assert_eq 502 "$STDOUT" "the answer where the upstream is at $case"
    assert_lacks "$(cat answer)" "anybody"
    assert_lacks "$(cat answer)" "the wrong one"
done
