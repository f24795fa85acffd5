#!/usr/bin/env bash
# `openssl verify -x509_strict` accepts every certificate that every kind of authority issues, also with
# -crl_check_all, and refuses the one that was revoked.
# needs: openssl
. "$(dirname "$0")/../lib.sh"

for ca in p256 p384 ed25519 rsa2048 rsa3072 rsa4096; do
    export COUNTERSIGN_HOME=$PWD/home-$ca
    expect_success "$COUNTERSIGN" init --name "Authority $ca" --key "$ca" --permit dev.test --permit @acme.test \
        --permit 10.0.0.0/8 --permit uri:acme.test
    mkdir "$ca"
    cd "$ca"
    for leaf in p256 p384 ed25519 rsa2048; do
        expect_success "$COUNTERSIGN" issue server "$leaf.localhost" 127.0.0.1 ::1 10.1.2.3 '*.dev.test' --key "$leaf"
        expect_success "$COUNTERSIGN" issue client "client-$leaf" --key "$leaf" --email a@acme.test \
            --uri spiffe://acme.test/a --ou Payments --org "Acme, Inc."
    done
    expect_success "$COUNTERSIGN" issue client mallory
    expect_success "$COUNTERSIGN" revoke mallory --reason keyCompromise
    expect_success "$COUNTERSIGN" crl --out lists.pem
    for file in *.localhost.pem; do
        expect_success openssl verify -x509_strict -purpose sslserver -CAfile rootCA.pem -untrusted "$file" "$file"
        expect_success openssl verify -x509_strict -crl_check_all -CRLfile lists.pem -purpose sslserver \
            -CAfile rootCA.pem -untrusted "$file" "$file"
    done
    for file in client-????.pem client-ed25519.pem client-rsa2048.pem; do
        expect_success openssl verify -x509_strict -crl_check_all -CRLfile lists.pem -purpose sslclient \
            -CAfile rootCA.pem -untrusted "$file" "$file"
    done
    expect_failure any openssl verify -x509_strict -crl_check_all -CRLfile lists.pem -CAfile rootCA.pem \
        -untrusted mallory.pem mallory.pem
    assert_contains "$STDERR$STDOUT" "revoked" "openssl's words"
    cd ..
done
