#!/usr/bin/env bash
# A TPM 2.0 signs for an authority, a server and its clients by the distribution's tpm2-pkcs11: RSA and ECDSA certificates,
# lists and TLS 1.2 and 1.3, several clients at once; its wrong PIN is tried once, and its own limits are named.
# needs: swtpm tpm2-abrmd tpm2_ptool dbus-run-session openssl curl
# A TPM has room for three objects at a time, and the one in software speaks with one process: the resource manager is
# between, on a message bus of its own here.
if [ -z "${BUS_OF_ITS_OWN-}" ]; then
    BUS_OF_ITS_OWN=1 exec dbus-run-session -- "$0" "$@"
fi
. "$(dirname "$0")/../lib.sh"

module=
for path in /usr/lib/*/pkcs11/libtpm2_pkcs11.so /usr/lib/*/libtpm2_pkcs11.so.1 /usr/lib64/pkcs11/libtpm2_pkcs11.so; do
    [ -e "$path" ] && module=$path && break
done
[ -n "$module" ] || fail "tpm2-pkcs11 is installed, and its module is nowhere"
mkdir tpm store
# By relative paths: the folder of a case is longer than the address of a socket may be.
start_server swtpm socket --tpm2 --tpmstate "dir=$PWD/tpm" --server type=unixio,path=tpm.sock \
    --ctrl type=unixio,path=tpm.sock.ctrl --flags not-need-init,startup-clear
for _ in $(seq 100); do [ -S tpm.sock.ctrl ] && break; sleep 0.1; done
start_server tpm2-abrmd --session --allow-root --tcti swtpm:path=tpm.sock
export TPM2_PKCS11_STORE=$PWD/store TPM2TOOLS_TCTI=tabrmd:bus_type=session TPM2_PKCS11_TCTI=tabrmd:bus_type=session
# It has no line that says that it is there.
for _ in $(seq 100); do
    run tpm2_getcap properties-fixed
    [ "$STATUS" = 0 ] && break
    sleep 0.1
done
assert_contains "$STDOUT" "TPM2_PT_FAMILY_INDICATOR" "what the TPM says"
expect_success tpm2_ptool init --path store
expect_success tpm2_ptool addtoken --pid 1 --label tpm --sopin 990099 --userpin 4815162342 --path store
(umask 077 && echo 4815162342 > pin && echo 481516234200 > wrong-pin)
query="module-path=$module&pin-source=file:$PWD/pin"

say "an authority whose keys are made in the TPM"
expect_success "$COUNTERSIGN" init --name Acme --pkcs11-module "$module" --token tpm --pin-file pin
assert_eq 0 "$(find "$COUNTERSIGN_HOME/keys" -name '*.pem' | wc -l)" "private keys in files"
for kind in p256 p384 rsa2048; do
    expect_success "$COUNTERSIGN" issue client "$kind" --key "$kind" --key-at "pkcs11:token=tpm;object=$kind?$query"
    [ ! -e "$kind-key.pem" ] || fail "the key is in a file"
    expect_success openssl verify -x509_strict -CAfile rootCA.pem -untrusted "$kind.pem" "$kind.pem"
done
say "a key that tpm2_ptool made is used, and not made again"
expect_success tpm2_ptool addkey --algorithm ecc256 --label tpm --key-label made-elsewhere --userpin 4815162342 --path store
expect_success "$COUNTERSIGN" issue server localhost --key-at "pkcs11:token=tpm;object=made-elsewhere?$query"
expect_success "$COUNTERSIGN" issue client curl
expect_success "$COUNTERSIGN" crl --out lists.pem
expect_success openssl verify -crl_check_all -CRLfile lists.pem -CAfile rootCA.pem -untrusted p256.pem p256.pem

start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key "pkcs11:token=tpm;object=made-elsewhere?$query" \
    --client-ca rootCA.pem --allow-all
wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
port=$(grep -o -E ':[0-9]+' <<<"${LINE#*https:}" | head -n1 | tr -d :)
for version in 1.2 1.3; do
    expect_success curl -sS --cacert rootCA.pem --cert curl.pem --key curl-key.pem "--tlsv$version" --tls-max "$version" \
        "https://localhost:$port/"
    assert_contains "$STDOUT" "hello, curl" "what curl got by TLS $version"
done
max=(--tls-max 1.2)
for kind in p256 p384 rsa2048; do
    # The server holds its sessions with the TPM meanwhile. NAME-key.uri says where the key is.
    expect_success "$COUNTERSIGN" fetch --cert "$kind.pem" --cacert rootCA.pem "${max[@]}" "https://localhost:$port/"
    assert_contains "$STDOUT" "hello, $kind" "what fetch got"
    max=()
done
expect_success "$COUNTERSIGN" fetch --cert p256.pem --cacert rootCA.pem \
    --key "pkcs11:token=tpm;object=p256?module-name=tpm2_pkcs11&pin-source=file:$PWD/pin" "https://localhost:$port/"
assert_contains "$STDOUT" "hello, p256" "what fetch got by the module's name"
say "many at once"
visitors=()
for number in $(seq 8); do
    curl -sS --cacert rootCA.pem --cert curl.pem --key curl-key.pem --no-sessionid "https://localhost:$port/" > "got-$number" &
    visitors+=($!)
done
wait "${visitors[@]}"
assert_eq 8 "$(grep -l 'hello, curl' got-* | wc -l)" "who were served"

say "what is wrong is named"
refused() {
    expect_failure 58 "$COUNTERSIGN" fetch --cert p256.pem --key "$1" --cacert rootCA.pem https://localhost:1/
    assert_contains "$STDERR" "$2" "the error of $1"
}
refused "pkcs11:token=tpm;object=p256?module-path=$module&pin-source=file:$PWD/wrong-pin" "refused the PIN"
refused "pkcs11:token=other;object=p256?$query" "has 'tpm' (serial="
refused "pkcs11:token=tpm;object=nope?$query" "it has "
expect_failure 2 "$COUNTERSIGN" issue client ed --key ed25519 --key-at "pkcs11:token=tpm;object=ed?$query"
assert_contains "$STDERR" "does not offer" "a kind of key that a TPM has not"
expect_failure 2 "$COUNTERSIGN" issue client pq --key mldsa44 --key-at "pkcs11:token=tpm;object=pq?$query"
assert_contains "$STDERR" "are not made in tokens" "a kind of key that no token makes yet"
