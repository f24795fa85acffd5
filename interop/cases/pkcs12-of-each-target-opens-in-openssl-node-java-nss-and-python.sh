#!/usr/bin/env bash
# `key convert` writes PKCS#12 for each target that OpenSSL, OpenSSL -legacy, Node.js, Python, NSS, GnuTLS and keytool open.
# needs: openssl node keytool certutil pk12util certtool pypi:cryptography
. "$(dirname "$0")/../lib.sh"

key() { "$COUNTERSIGN" key "$@"; }
(umask 077 && echo "planted-secret horse" >passphrase.txt && echo "planted-secret battery" >other-passphrase.txt)
expect_success "$COUNTERSIGN" init --name "Keys"
expect_success "$COUNTERSIGN" issue client ecc
expect_success "$COUNTERSIGN" issue client rsa --key rsa2048

cat >open.py <<'END'
import sys
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs12
data, password = open(sys.argv[1], "rb").read(), open("passphrase.txt", "rb").read().strip()
container = pkcs12.load_pkcs12(data, password)
assert container.key and container.cert and len(container.additional_certs) == 1, container
assert container.cert.friendly_name == b"Alice's key", container.cert.friendly_name
sys.stdout.write(container.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())
END
for kind in ecc rsa; do
    expect_success key public "$kind.pem"
    public=$STDOUT
    assert_eq "$public" "$(openssl x509 -in "$kind.pem" -noout -pubkey)" "the public key as OpenSSL has it"
    targets="modern apple windows java android legacy"
    # The algorithms do not depend on the key: of the other kind one target of each suffices.
    [ "$kind" = ecc ] || targets="modern legacy"
    for target in $targets; do
        file=$kind-$target.p12
        expect_success key convert "$kind-key.pem" --cert "$kind.pem" --to pkcs12 --target "$target" \
            --name "Alice's key" --new-passphrase-file passphrase.txt --out "$file"
        assert_file_mode 600 "$file"
        for provider in '' -legacy; do
            expect_success openssl pkcs12 $provider -in "$file" -passin file:passphrase.txt -noenc -out opened.pem
            assert_eq "$public" "$(openssl pkey -in opened.pem -pubout)" "the key in $file"
            rm opened.pem
        done
        expect_success openssl pkcs12 -in "$file" -passin file:passphrase.txt -info -noout
        case $target in
        apple | android | legacy)
            assert_contains "$STDERR" "MAC: sha1, Iteration 100000"
            assert_contains "$STDERR" "pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 100000" ;;
        *)
            assert_contains "$STDERR" "MAC: sha256, Iteration 250000"
            assert_contains "$STDERR" "PBES2, PBKDF2, AES-256-CBC, Iteration 125000, PRF hmacWithSHA256" ;;
        esac
        expect_success node -e "require('tls').createSecureContext({ pfx: require('fs').readFileSync('$file'),
            passphrase: require('fs').readFileSync('passphrase.txt', 'utf8').trim() })"
        expect_success "$INTEROP_PYTHON" open.py "$file"
        assert_eq "$public" "$STDOUT" "the key that Python has of $file"
        expect_success keytool -list -keystore "$file" -storetype PKCS12 -storepass:file passphrase.txt
        assert_contains "$STDOUT" "alice's key" "the name that keytool shows"
        assert_contains "$STDOUT" "PrivateKeyEntry" "what keytool sees"
        # It takes the password as an argument alone, which the log is not to show.
        certtool --p12-info --inder --infile "$file" --password "$(cat passphrase.txt)" >certtool.out 2>&1 || fail "certtool and $file"
        assert_contains "$(cat certtool.out)" "Alice's key" "what GnuTLS has of $file"
        rm certtool.out
        mkdir "nss-$kind-$target"
        expect_success certutil -N -d "sql:nss-$kind-$target" --empty-password
        expect_success pk12util -i "$file" -d "sql:nss-$kind-$target" -w passphrase.txt
        expect_success certutil -L -d "sql:nss-$kind-$target"
        assert_contains "$STDOUT" "Alice's key" "what NSS imported of $file"
        expect_success key match "$file" "$kind.pem" --passphrase-file passphrase.txt
        expect_failure 2 key match "$file" "$kind.pem" --passphrase-file other-passphrase.txt
    done
done
