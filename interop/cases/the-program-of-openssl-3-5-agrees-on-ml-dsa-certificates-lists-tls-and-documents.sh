#!/usr/bin/env bash
# The command-line program of OpenSSL 3.5 verifies chains, lists, OCSP answers and signed documents with ML-DSA-44, -65 and
# -87 that we made, we verify its requests and documents, and each is the other's client and server; and so with Ed25519 in
# documents, which OpenSSL 3.0 has not.
# needs: debian:openssl
. "$(dirname "$0")/../lib.sh"

openssl35=$INTEROP_PROGRAMS/openssl-3.5
expect_success "$openssl35" version
assert_contains "$STDOUT" "OpenSSL 3.5" "the program"
head -c 300000 /dev/urandom > document
cp document changed
printf x >> changed

# Documents by one kind of key, both ways: NAME.pem, NAME-key.pem, rootCA.pem and the name of the algorithm here.
documents() {
    local name=$1 algorithm=$2 form
    awk '/BEGIN/ { n++ } n > 1' "$name.pem" > chain.pem
    expect_success "$COUNTERSIGN" document sign document --cert "$name.pem" --out ours.p7s --force
    expect_success "$openssl35" cms -verify -binary -inform DER -in ours.p7s -content document -CAfile rootCA.pem -purpose any -out /dev/null
    expect_failure any "$openssl35" cms -verify -binary -inform DER -in ours.p7s -content changed -CAfile rootCA.pem -purpose any -out /dev/null
    for form in "-md sha512" "-md sha512 -cades" "-md sha512 -keyid" "-md sha512 -stream -nodetach"; do
        # shellcheck disable=SC2086 # The form is several words.
        expect_success "$openssl35" cms -sign -binary -in document -signer "$name.pem" -inkey "$name-key.pem" -certfile chain.pem \
            -outform DER $form -out theirs
        file=document
        [[ $form != *nodetach* ]] || file=
        expect_success "$COUNTERSIGN" document verify $file --signature theirs --cacert rootCA.pem --json
        assert_contains "$STDOUT" '"valid": true' "our verdict on $form"
        assert_contains "$STDOUT" "\"algorithm\": \"$algorithm\"" "the algorithm of $form"
    done
    expect_failure 1 "$COUNTERSIGN" document verify changed --signature ours.p7s --cacert rootCA.pem
    assert_contains "$STDOUT" "the content is not what was signed" "our verdict on another content"
}

for size in 44 65 87; do
    export COUNTERSIGN_HOME=$PWD/home-$size
    expect_success "$COUNTERSIGN" init --name "Quantum $size" --key "mldsa$size"
    mkdir "$size"
    cp document changed "$size"
    cd "$size"
    expect_success "$COUNTERSIGN" issue server localhost --key "mldsa$size"
    for name in alice mallory; do
        expect_success "$COUNTERSIGN" issue client "$name" --key "mldsa$size"
    done
    expect_success "$openssl35" x509 -in alice.pem -noout -text
    assert_contains "$STDOUT" "Signature Algorithm: ML-DSA-$size" "what it reads in alice's certificate"
    # A request and a key of its making.
    (umask 077 && expect_success "$openssl35" req -new -newkey "ml-dsa-$size" -noenc -keyout bob-key.pem -subj /CN=bob -out bob.csr)
    expect_success "$COUNTERSIGN" sign bob.csr --profile client --out bob.pem
    expect_success "$COUNTERSIGN" revoke mallory --reason keyCompromise
    expect_success "$COUNTERSIGN" crl --out lists.pem
    for name in localhost alice bob; do
        expect_success "$openssl35" verify -x509_strict -crl_check_all -CRLfile lists.pem -CAfile rootCA.pem -untrusted "$name.pem" "$name.pem"
    done
    expect_failure any "$openssl35" verify -crl_check_all -CRLfile lists.pem -CAfile rootCA.pem -untrusted mallory.pem mallory.pem
    assert_contains "$STDERR" "certificate revoked" "its verdict on mallory"
    awk '/BEGIN/ { n++ } n == 2' alice.pem > issuing.pem
    start_server "$COUNTERSIGN" ca serve --listen 127.0.0.1:0 --status-listen 127.0.0.1:0
    wait_for_line "$SERVER_LOG" 'lists and OCSP without TLS on http://[^ ]+:[0-9]+'
    status=$(grep -o -E 'http://127[^ ]+' <<<"$LINE")
    for verdict in "good alice" "revoked mallory"; do
        expect_success "$openssl35" ocsp -issuer issuing.pem -cert "${verdict#* }.pem" -url "$status/ocsp" -CAfile rootCA.pem -no_nonce
        assert_contains "$STDOUT" "${verdict#* }.pem: ${verdict% *}" "the answer"
        assert_contains "$STDERR" "Response verify OK" "its signature"
    done
    stop_server

    # Each as the other's client.
    start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key localhost-key.pem \
        --client-ca rootCA.pem --crl lists.pem --allow-cn alice --allow-cn bob --allow-cn mallory
    wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
    port=$(grep -o -E ':[0-9]+' <<<"${LINE#*https:}" | head -n1 | tr -d :)
    printf 'GET / HTTP/1.0\r\nHost: localhost\r\n\r\n' >request
    visit() {
        run bash -c "'$openssl35' s_client -ign_eof -CAfile rootCA.pem -verify_return_error -servername localhost -cert $1.pem \
            -cert_chain $1.pem -key $1-key.pem -connect 127.0.0.1:$port <request"
    }
    for name in alice bob; do
        visit "$name"
        assert_contains "$STDOUT" "hello, $name" "what it got"
        assert_contains "$STDOUT" "Peer signature type: mldsa$size" "the signature of our server"
        assert_contains "$STDOUT" "Negotiated TLS1.3 group: X25519MLKEM768" "the group"
    done
    visit mallory
    assert_contains "$STDERR" "certificate revoked" "the alert that mallory heard"
    stop_server
    start_server "$openssl35" s_server -accept 127.0.0.1:0 -cert localhost.pem -cert_chain localhost.pem -key localhost-key.pem \
        -CAfile rootCA.pem -Verify 3 -verify_return_error -www
    wait_for_line "$SERVER_LOG" '^ACCEPT .*:[0-9]+'
    for name in alice bob; do
        expect_success "$COUNTERSIGN" fetch --cacert rootCA.pem --cert "$name.pem" --key "$name-key.pem" "https://localhost:${LINE##*:}/"
        assert_contains "$STDOUT" "Peer signature type: mldsa$size" "our client's signature"
    done
    stop_server

    documents alice "ML-DSA-$size"
    # The hash that RFC 9882 wants is insisted upon.
    if [ "$size" != 44 ]; then
        expect_success "$openssl35" cms -sign -binary -in document -signer alice.pem -inkey alice-key.pem -outform DER \
            -md sha256 -out weak
        expect_failure 1 "$COUNTERSIGN" document verify document --signature weak --cacert rootCA.pem --untrusted chain.pem
        assert_contains "$STDOUT" "RFC 9882 section 3.3" "our verdict on SHA-256"
    fi
    (umask 077 && echo "planted-secret horse" >passphrase.txt)
    expect_success "$COUNTERSIGN" key encrypt alice-key.pem --new-passphrase-file passphrase.txt --out encrypted.pem
    expect_success "$openssl35" pkey -in encrypted.pem -passin file:passphrase.txt -pubout
    assert_eq "$("$openssl35" x509 -in alice.pem -noout -pubkey)" "$STDOUT" "the public half of the encrypted key"
    cd ..
done

say "Ed25519 in documents"
export COUNTERSIGN_HOME=$PWD/home-ed
expect_success "$COUNTERSIGN" init --name Edwards
expect_success "$COUNTERSIGN" issue client ed25519 --key ed25519
documents ed25519 Ed25519
