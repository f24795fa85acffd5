#!/usr/bin/env bash
# A real nginx takes our server certificate, client CA and revocation lists as they are, lets alice in, and refuses
# mallory, who was revoked.
# needs: nginx curl
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "nginx"
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client alice
expect_success "$COUNTERSIGN" issue client mallory
expect_success "$COUNTERSIGN" revoke mallory
expect_success "$COUNTERSIGN" crl --out lists.pem
port=$(free_port)
cat >nginx.conf <<X
daemon off; pid $PWD/nginx.pid; error_log $PWD/error.log; worker_processes 1;
events {}
http {
  access_log off;
  client_body_temp_path $PWD/a; proxy_temp_path $PWD/b; fastcgi_temp_path $PWD/c; uwsgi_temp_path $PWD/d; scgi_temp_path $PWD/e;
  server {
    listen 127.0.0.1:$port ssl;
    ssl_certificate $PWD/localhost.pem; ssl_certificate_key $PWD/localhost-key.pem;
    ssl_client_certificate $PWD/rootCA.pem; ssl_crl $PWD/lists.pem; ssl_verify_client on; ssl_verify_depth 2;
    location / { return 200 "hello, \$ssl_client_s_dn\n"; }
  }
}
X
start_server nginx -p "$PWD" -c "$PWD/nginx.conf"
wait_for_port "$port"
ask() { curl -sS --cacert rootCA.pem --cert "$1.pem" --key "$1-key.pem" "https://localhost:$port/"; }
expect_success ask alice
assert_contains "$STDOUT" "CN=alice"
run ask mallory
assert_contains "$STDOUT" "certificate" "nginx's page for a revoked client"
assert_lacks "$STDOUT" "hello"
expect_success "$COUNTERSIGN" fetch --cacert rootCA.pem --cert alice.pem --key alice-key.pem "https://localhost:$port/"
assert_contains "$STDOUT" "CN=alice"
# inspect shows what this server asks of clients.
expect_success "$COUNTERSIGN" inspect "localhost:$port"
assert_contains "$STDOUT" "localhost"
