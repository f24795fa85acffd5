#!/usr/bin/env bash
# certbot and lego obtain certificates by http-01, dns-01 (wildcards), tls-alpn-01 and for an address, renew them, and
# revoke them; where nothing is shown, nothing is issued. What certbot has verifies with openssl.
# needs: certbot curl lego openssl pebble-challtestsrv
. "$(dirname "$0")/../lib.sh"
. "$INTEROP/acme.sh"

start_acme
dns_hook
export REQUESTS_CA_BUNDLE=$CA LEGO_CA_CERTIFICATES=$CA

certbot() {
    command certbot "$@" -n --server "$DIRECTORY" --config-dir cb --work-dir cb/work --logs-dir cb/log
}
new="--agree-tos --register-unsafely-without-email"

say "certbot by http-01"
# shellcheck disable=SC2086
expect_success certbot certonly --standalone --http-01-address 127.0.0.1 --http-01-port "$HTTP" $new -d one.smoke.test
expect_success openssl verify -x509_strict -purpose sslserver -CAfile "$CA" -untrusted cb/live/one.smoke.test/chain.pem \
    cb/live/one.smoke.test/cert.pem
first=$(openssl x509 -noout -serial -in cb/live/one.smoke.test/cert.pem)
expect_success certbot renew --force-renewal --no-random-sleep-on-renew
assert_lacks "$(openssl x509 -noout -serial -in cb/live/one.smoke.test/cert.pem)" "$first" "the serial number"
expect_success certbot revoke --cert-name one.smoke.test --no-delete-after-revoke --reason keycompromise
expect_success "$COUNTERSIGN" list --revoked
assert_contains "$STDOUT" one.smoke.test

say "certbot by dns-01, a wildcard"
expect_success certbot certonly --manual --preferred-challenges dns --manual-auth-hook "$PWD/dns-hook certbot" \
    -d '*.wild.smoke.test' -d wild.smoke.test
assert_contains "$(openssl x509 -noout -ext subjectAltName -in cb/live/wild.smoke.test/cert.pem)" '*.wild.smoke.test'

say "certbot where nobody shows anything"
expect_failure any certbot certonly --manual --preferred-challenges dns --manual-auth-hook /bin/true -d none.smoke.test
assert_contains "$STDERR$STDOUT" "should be"

lego() {
    command lego --accept-tos --email a@smoke.test --server "$DIRECTORY" --path lego "$@"
}
say "lego by http-01, tls-alpn-01 and dns-01"
expect_success lego --http --http.port "127.0.0.1:$HTTP" -d http.smoke.test run
expect_success lego --http --http.port "127.0.0.1:$HTTP" -d http.smoke.test renew --days 36500 --no-random-sleep
expect_success lego -d http.smoke.test revoke
expect_success lego --tls --tls.port "127.0.0.1:$ALPN" -d alpn.smoke.test run
EXEC_PATH=$PWD/dns-hook EXEC_PROPAGATION_TIMEOUT=5 EXEC_POLLING_INTERVAL=1 \
    expect_success lego --dns exec --dns.disable-cp --dns.resolvers "127.0.0.1:$DNS" -d '*.dns.smoke.test' run
expect_success "$COUNTERSIGN" list
assert_contains "$STDOUT" alpn.smoke.test
assert_contains "$STDOUT" '*.dns.smoke.test'
assert_lacks "$STDOUT" none.smoke.test

say "an account that is bound to alice has client certificates of alice, and of nobody else"
expect_success "$COUNTERSIGN" acme eab add alice --json
kid=$(sed -n 's/.*"kid": "\(.*\)".*/\1/p' <<<"$STDOUT")
key=$(sed -n 's/.*"hmac_key": "\(.*\)".*/\1/p' <<<"$STDOUT")
bound() {
    command lego --accept-tos --email alice@smoke.test --server "$DIRECTORY" --path bound --eab --kid "$kid" --hmac "$key" \
        --http --http.port "127.0.0.1:$HTTP" "$@"
}
expect_success bound -d alice run
expect_success openssl verify -purpose sslclient -CAfile "$CA" -untrusted bound/certificates/alice.issuer.crt \
    bound/certificates/alice.crt
assert_contains "$(openssl x509 -noout -subject -in bound/certificates/alice.crt)" alice
expect_failure any bound -d bob run
assert_contains "$STDERR$STDOUT" "no name of the identity"
expect_success "$COUNTERSIGN" acme eab list
assert_contains "$STDOUT" used
expect_success "$COUNTERSIGN" acme eab revoke "$kid"
expect_failure any bound -d alice renew --days 36500 --no-random-sleep
