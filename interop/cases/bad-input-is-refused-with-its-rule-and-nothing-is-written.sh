#!/usr/bin/env bash
# Names that break a rule, names outside the constraints, damaged PEM, swapped files, world-readable keys and a port
# in use each get their own words and exit code, and no file appears.
# needs: openssl
. "$(dirname "$0")/../lib.sh"

expect_failure 2 "$COUNTERSIGN" issue client alice
assert_contains "$STDERR" "countersign init" "the remedy without an authority"
expect_success "$COUNTERSIGN" init --name "Rules"
expect_failure 1 "$COUNTERSIGN" init
assert_contains "$STDERR" "already"

before=$(ls -A | grep -v '^\.std' || true)
refused() {
    expect_failure 1,2 "$COUNTERSIGN" "${@:2}"
    assert_contains "$STDERR" "$1" "the refusal of ${*:2}"
    assert_eq "$before" "$(ls -A | grep -v '^\.std' || true)" "the folder after ${*:2}"
}
refused "empty" issue client ""
refused "outside" issue server example.com
refused "permit" issue server example.com
refused "wildcard" issue server '*.*.localhost'
refused "wildcard" issue client '*.localhost'
refused "URL" issue server --dns https://localhost/ localhost
refused "no IP address" issue server localhost --ip 127.0.0.1/8
refused "no email" issue client a --email 'a b@localhost'
refused "no span of time" issue client a --for soon
refused "no key type" issue client a --key rsa1024
refused "no directory" issue client a --out missing
refused "was found" revoke nobody
refused "no revocation reason" revoke nobody --reason boredom

# The folder of another authority's certificates.
expect_success env COUNTERSIGN_HOME="$PWD/other-home" "$COUNTERSIGN" init --name Other
cp other-home/rootCA.pem rootCA.pem
before=$(ls -A | grep -v '^\.std')
refused "another authority" issue client alice
rm -r other-home rootCA.pem

expect_success "$COUNTERSIGN" issue client alice
refused_pem() {
    printf '%b' "$2" >damaged.pem
    expect_failure 1,2 "$COUNTERSIGN" verify damaged.pem --cacert rootCA.pem
    assert_contains "$STDERR" "$1" "the words for damaged PEM"
    rm damaged.pem
}
body=$(openssl x509 -in alice.pem | grep -v -- -----)
refused_pem "cut short" "-----BEGIN CERTIFICATE-----\n$body\n"
refused_pem "glued" "-----BEGIN CERTIFICATE-----\n$body\n-----END CERTIFICATE----------BEGIN CERTIFICATE-----\n"
refused_pem "byte order mark" "\xef\xbb\xbf-----BEGIN CERTIFICATE-----\n$body\n-----END CERTIFICATE-----\n"
refused_pem "\\n" "-----BEGIN CERTIFICATE-----\\\\n${body//$'\n'/\\\\n}\\\\n-----END CERTIFICATE-----"

expect_success "$COUNTERSIGN" issue server localhost
serve() { timeout 20 "$COUNTERSIGN" serve --listen 127.0.0.1:0 --client-ca rootCA.pem --allow-all "$@"; }
expect_failure 2 serve --cert localhost-key.pem --key localhost.pem
assert_contains "$STDERR" "no certificate" "the words for a swapped pair"
expect_failure 2 serve --cert localhost.pem --key alice-key.pem
assert_contains "$STDERR" "does not belong" "the words for a wrong key"
openssl pkcs8 -topk8 -in localhost-key.pem -passout pass:planted-secret -v2 aes-256-cbc -out encrypted-key.pem
expect_failure 2 serve --cert localhost.pem --key encrypted-key.pem
assert_contains "$STDERR" "passphrase" "the words for an encrypted key"

start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key localhost-key.pem \
    --client-ca rootCA.pem --allow-all
wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
port=$(grep -o -E ':[0-9]+' <<<"${LINE#*https:}" | head -n1 | tr -d :)
expect_failure 2 "$COUNTERSIGN" serve --listen "127.0.0.1:$port" --cert localhost.pem --key localhost-key.pem \
    --client-ca rootCA.pem --allow-all
assert_contains "$STDERR" "in use" "the words for a port in use"
# An empty policy admits nobody, so it is refused at the start.
expect_failure 2 "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key localhost-key.pem --client-ca rootCA.pem
assert_contains "$STDERR" "--allow" "the words for an empty policy"

chmod 644 alice-key.pem
expect_success "$COUNTERSIGN" fetch --cacert rootCA.pem --cert alice.pem --key alice-key.pem "https://localhost:$port/"
assert_contains "$STDERR" "chmod 600" "the warning about a readable key"
