#!/usr/bin/env bash
# `openssl s_client` is let in by `serve`, and `fetch` by `openssl s_server`, under TLS 1.2 and 1.3; the wrong
# client gets the alert that names the reason.
# needs: openssl
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Both versions"
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client alice
mkdir other
COUNTERSIGN_HOME=$PWD/other-home expect_success "$COUNTERSIGN" init --name Other
COUNTERSIGN_HOME=$PWD/other-home expect_success "$COUNTERSIGN" issue client alice --out other

start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key localhost-key.pem \
    --client-ca rootCA.pem --allow-cn alice
wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
port=$(grep -o -E ':[0-9]+' <<<"${LINE#*https:}" | head -n1 | tr -d :)

s_client() {
    printf 'GET / HTTP/1.0\r\nHost: localhost\r\n\r\n' >request
    openssl s_client -quiet -verify_return_error -CAfile rootCA.pem -servername localhost \
        -connect "127.0.0.1:$port" "$@" <request
}
for version in -tls1_2 -tls1_3; do
    run s_client $version -cert alice.pem -cert_chain alice.pem -key alice-key.pem
    assert_contains "$STDOUT" "alice" "what s_client got with $version"
    run s_client $version
    assert_contains "$STDERR" "alert" "s_client's words without a certificate, $version"
    run s_client $version -cert other/alice.pem -cert_chain other/alice.pem -key other/alice-key.pem
    assert_contains "$STDERR" "unknown ca" "s_client's words with a stranger's certificate, $version"
done
stop_server

for version in -tls1_2 -tls1_3; do
    port=$(free_port)
    start_server openssl s_server -accept "127.0.0.1:$port" -www $version -cert localhost.pem -cert_chain localhost.pem \
        -key localhost-key.pem -CAfile rootCA.pem -Verify 3 -verify_return_error
    wait_for_port "$port"
    expect_success "$COUNTERSIGN" fetch --cacert rootCA.pem --cert alice.pem --key alice-key.pem "https://localhost:$port/"
    assert_contains "$STDOUT" "s_server" "the page of s_server"
    expect_failure 35,56 "$COUNTERSIGN" fetch --cacert rootCA.pem "https://localhost:$port/"
    stop_server
done
