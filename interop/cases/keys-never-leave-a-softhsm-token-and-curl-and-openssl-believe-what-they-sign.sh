#!/usr/bin/env bash
# An authority, its server and its clients keep their keys in a SoftHSM token: RSA and ECDSA certificates, lists and TLS
# signatures by them are good for OpenSSL and curl, and each wrong token, PIN, label and module gets its own error.
# needs: softhsm2-util pkcs11-tool openssl curl
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../softhsm.sh"

start_tokens acme
(umask 077 && echo 481516234200 > wrong-pin)

say "an authority whose keys are made in the token"
expect_success "$COUNTERSIGN" init --name Acme --pkcs11-module "$module" --token acme --pin-file pin
assert_contains "$STDERR" "Acme%20root" "what init says"
assert_eq 0 "$(find "$COUNTERSIGN_HOME/keys" -name '*.pem' | wc -l)" "private keys in files"
expect_success pkcs11-tool --module "$module" --token-label acme --login --pin 4815162342 --list-objects --type privkey
assert_contains "$STDOUT" "Acme issuing" "the keys in the token"
assert_contains "$STDOUT" "never extractable" "the keys in the token"

for kind in p256 p384 rsa2048 ed25519; do
    say "a client whose $kind key is made in the token"
    expect_success "$COUNTERSIGN" issue client "$kind" --key "$kind" --key-at "pkcs11:token=acme;object=$kind?$query"
    [ ! -e "$kind-key.pem" ] || fail "the key is in a file"
    expect_success openssl verify -x509_strict -CAfile "$COUNTERSIGN_HOME/rootCA.pem" -untrusted "$kind.pem" "$kind.pem"
done
say "a key that pkcs11-tool made is used, and not made again"
expect_success pkcs11-tool --module "$module" --token-label acme --login --pin 4815162342 --keypairgen --key-type EC:prime256v1 \
    --label made-elsewhere --id 0a0b
expect_success "$COUNTERSIGN" issue server localhost --key-at "pkcs11:token=acme;id=%0A%0B?$query"
expect_success "$COUNTERSIGN" issue client curl

say "lists by the token's keys"
expect_success "$COUNTERSIGN" revoke curl
expect_success "$COUNTERSIGN" issue client curl --force
expect_success "$COUNTERSIGN" crl --out lists.pem
assert_eq 2 "$(grep -c 'BEGIN X509 CRL' lists.pem)" "lists"
expect_success openssl verify -crl_check_all -CRLfile lists.pem -CAfile rootCA.pem -untrusted p256.pem p256.pem

for server in "localhost.pem pkcs11:token=acme;id=%0A%0B?$query" "rsa.pem pkcs11:token=acme;object=rsa-server?$query"; do
    read -r certificate key <<<"$server"
    if [ "$certificate" = rsa.pem ]; then
        mkdir rsa
        expect_success "$COUNTERSIGN" issue server localhost --key rsa2048 --key-at "$key" --out rsa
        certificate=rsa/localhost.pem
    fi
    start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert "$certificate" --key "$key" --client-ca rootCA.pem --allow-all
    wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
    port=$(grep -o -E ':[0-9]+' <<<"${LINE#*https:}" | head -n1 | tr -d :)
    for version in 1.2 1.3; do
        expect_success curl -sS --cacert rootCA.pem --cert curl.pem --key curl-key.pem "--tlsv$version" --tls-max "$version" \
            "https://localhost:$port/"
        assert_contains "$STDOUT" "hello, curl" "what curl got by TLS $version"
        for kind in p256 p384 rsa2048 ed25519; do
            max=()
            [ "$version" = 1.2 ] && max=(--tls-max 1.2)
            expect_success "$COUNTERSIGN" fetch --cert "$kind.pem" --key "pkcs11:token=acme;object=$kind?$query" \
                --cacert rootCA.pem "${max[@]}" "https://localhost:$port/"
            assert_contains "$STDOUT" "hello, $kind" "what fetch got by TLS $version"
        done
    done
    stop_server
done

say "what is wrong is named"
refused() {
    expect_failure 58 "$COUNTERSIGN" fetch --cert p256.pem --key "$1" --cacert rootCA.pem https://localhost:1/
    assert_contains "$STDERR" "$2" "the error of $1"
    assert_lacks "$STDERR" "4815162342" "a PIN in an error"
}
refused "pkcs11:token=nope;object=p256?$query" "has 'acme' (serial="
refused "pkcs11:token=acme;object=nope?$query" "it has "
refused "pkcs11:token=acme?$query" "has several private keys"
refused "pkcs11:token=acme;object=p384?$query" "does not belong to the certificate"
refused "pkcs11:token=acme;object=p256?module-path=$module&pin-source=file:$PWD/wrong-pin" "refused the PIN"
refused "pkcs11:token=acme;object=p256?module-path=$module" "wants a PIN"
refused "pkcs11:token=acme;object=p256?module-path=$module&pin-value=4815162342" "pin-source=file:"
refused "pkcs11:token=acme;object=p256?module-path=$PWD/pin&pin-source=file:$PWD/pin" "no library that can be loaded"
refused "pkcs11:token=acme;object=p256?module-path=/no/such.so" "there is no such file"
refused "pkcs11:label=p256?$query" "which RFC 7512 does not have"
