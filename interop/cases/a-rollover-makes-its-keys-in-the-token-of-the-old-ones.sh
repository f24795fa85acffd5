#!/usr/bin/env bash
# An authority whose keys are in a SoftHSM token changes its root, and the new keys are made in that token by the service that
# is asked to, never in a file; OpenSSL believes what they sign. A key that pkcs11-tool made is taken for the next issuing CA
# by its name, and one that the authority has had is not.
# needs: softhsm2-util pkcs11-tool openssl curl
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../softhsm.sh"

start_tokens acme
_private_files() { find "$COUNTERSIGN_HOME/keys" -name '*.pem' | wc -l; }
_private_objects() {
    expect_success pkcs11-tool --module "$module" --token-label acme --login --pin 4815162342 --list-objects --type privkey
}

expect_success "$COUNTERSIGN" init --name Acme --no-constraints --pkcs11-module "$module" --token acme --pin-file pin
expect_success "$COUNTERSIGN" issue client early
start_server "$COUNTERSIGN" ca serve --listen 127.0.0.1:0 --status-listen 127.0.0.1:0
wait_for_line "$SERVER_LOG" 'https://localhost:[0-9]+'
ca=$(grep -o -E 'https://localhost:[0-9]+' <<<"$LINE" | head -n1)
serving=$SERVER_PID

say "a new root, by the service that serves"
expect_success "$COUNTERSIGN" ca rollover start --ca "$ca"
assert_eq 0 "$(_private_files)" "private keys in files"
assert_file_mode 600 "$COUNTERSIGN_HOME/keys/root-key-2.uri"
assert_contains "$(cat "$COUNTERSIGN_HOME/keys/root-key-2.uri")" "object=Acme%20root%202" "where the new root's key is"
_private_objects
assert_contains "$STDOUT" "Acme root 2" "the keys in the token"
assert_contains "$STDOUT" "Acme issuing 2" "the keys in the token"
assert_eq 4 "$(grep -c "never extractable" <<<"$STDOUT")" "keys that cannot leave the token"
expect_success "$COUNTERSIGN" ca rollover next --ca "$ca"
mkdir new
cp "$COUNTERSIGN_HOME/rootCA.pem" both.pem
expect_success "$COUNTERSIGN" issue client late --ca "$ca" --out new
assert_eq 2 "$(grep -c 'BEGIN CERTIFICATE' both.pem)" "the roots that are believed"
awk '/BEGIN/ { n++ } n == 1' both.pem >old.pem
for anchor in old both; do
    expect_success openssl verify -x509_strict -CAfile $anchor.pem -untrusted new/late.pem new/late.pem
done
expect_success "$COUNTERSIGN" crl --out lists.pem
expect_success openssl verify -crl_check_all -CRLfile lists.pem -CAfile both.pem -untrusted new/late.pem new/late.pem
expect_success "$COUNTERSIGN" ca rollover retire --ca "$ca" --force
expect_success curl -sS --cacert "$COUNTERSIGN_HOME/rootCA.pem" "$ca/root.pem"
assert_eq 1 "$(grep -c 'BEGIN CERTIFICATE' <<<"$STDOUT")" "the roots that are believed in the end"
expect_success "$COUNTERSIGN" audit log verify
stop_server "$serving"

say "the next issuing CA, with a key that is named"
expect_success pkcs11-tool --module "$module" --token-label acme --login --pin 4815162342 --keypairgen --key-type EC:prime256v1 \
    --label made-elsewhere --id 0a0b
expect_failure 1 "$COUNTERSIGN" ca rollover start --intermediate --issuing-key "$(cat "$COUNTERSIGN_HOME/keys/issuing-key-2.uri")"
assert_contains "$STDERR" "is the key of 'Acme Issuing CA 2' already" "one that the authority has had"
[ ! -e "$COUNTERSIGN_HOME/keys/issuing-key-3.uri" ] || fail "what was refused stands in the way"
expect_failure 2 "$COUNTERSIGN" ca rollover start --intermediate --issuing-key "made-elsewhere"
assert_contains "$STDERR" "refers to no key" "a name that is no reference"
expect_failure 2 "$COUNTERSIGN" ca rollover start --intermediate --issuing-key command:/bin/true --ca "$ca"
assert_contains "$STDERR" "named where they are used" "a program that an authority elsewhere is to run"
expect_success "$COUNTERSIGN" ca rollover start --intermediate --issuing-key "pkcs11:token=acme;id=%0A%0B?$query"
expect_success "$COUNTERSIGN" ca rollover next
mkdir third
expect_success "$COUNTERSIGN" issue client third --out third
expect_success openssl verify -x509_strict -CAfile "$COUNTERSIGN_HOME/rootCA.pem" -untrusted third/third.pem third/third.pem
expect_success openssl x509 -in third/third.pem -noout -issuer
assert_contains "$STDOUT" "Acme Issuing CA 3" "who issues in the end"
assert_eq 0 "$(_private_files)" "private keys in files"
expect_success "$COUNTERSIGN" audit verify
