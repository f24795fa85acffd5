#!/usr/bin/env bash
# `key` reads what OpenSSL, NSS, Java and GnuTLS write, old encryption, no password, several keys and trust stores included,
# and they read its forms; passphrases come from a file, a descriptor, a systemd credential and a terminal.
# needs: openssl node keytool certutil pk12util certtool python3
. "$(dirname "$0")/../lib.sh"

key() { "$COUNTERSIGN" key "$@"; }
(umask 077 && echo "planted-secret horse" >passphrase.txt)
expect_success "$COUNTERSIGN" init --name "Keys"
expect_success "$COUNTERSIGN" issue client ecc
expect_success "$COUNTERSIGN" issue client rsa --key rsa2048
mkdir nss-rsa-legacy
expect_success certutil -N -d sql:nss-rsa-legacy --empty-password
expect_success key convert rsa-key.pem --cert rsa.pem --to pkcs12 --target legacy --name "Alice's key" \
    --new-passphrase-file passphrase.txt --out rsa-legacy.p12
expect_success pk12util -i rsa-legacy.p12 -d sql:nss-rsa-legacy -w passphrase.txt

# Each one's own files are read: OpenSSL old and new, NSS, GnuTLS, Java with two keys.
openssl pkcs12 -export -legacy -inkey rsa-key.pem -in rsa.pem -name old -passout file:passphrase.txt -out openssl-old.p12
openssl pkcs12 -export -legacy -descert -inkey rsa-key.pem -in rsa.pem -passout pass: -out openssl-empty.p12
pk12util -o nss.p12 -n "Alice's key" -d sql:nss-rsa-legacy -w passphrase.txt >/dev/null
pk12util -o nss-old.p12 -n "Alice's key" -d sql:nss-rsa-legacy -w passphrase.txt \
    -c "PKCS #12 V2 PBE With SHA-1 And 40 Bit RC2 CBC" -C "PKCS #12 V2 PBE With SHA-1 And 3KEY Triple DES-cbc" >/dev/null
for file in openssl-old.p12 nss.p12 nss-old.p12; do
    expect_success key match "$file" rsa-key.pem --passphrase-file passphrase.txt
done
expect_success key match openssl-empty.p12 rsa-key.pem
# No password at all, and an empty one, as each maker understands that.
expect_success pk12util -o nss-empty.p12 -n "Alice's key" -d sql:nss-rsa-legacy -W ""
openssl x509 -in rsa.pem -out rsa-leaf.pem
for none in null empty; do
    expect_success certtool --to-p12 --load-privkey rsa-key.pem --load-certificate rsa-leaf.pem --p12-name alice --outder \
        --outfile "gnutls-$none.p12" "--$none-password"
done
for file in nss-empty.p12 gnutls-null.p12 gnutls-empty.p12; do
    expect_success key match "$file" rsa-key.pem
done
# GnuTLS derives a key of its own for the key and each certificate, 600,000 times.
certtool --to-p12 --load-privkey rsa-key.pem --load-certificate rsa.pem --p12-name alice --outder --outfile gnutls.p12 \
    --password "$(cat passphrase.txt)" >certtool.out 2>&1 || fail "certtool made no file"
expect_success key match gnutls.p12 rsa-key.pem --passphrase-file passphrase.txt
for name in first second; do
    expect_success keytool -genkeypair -alias "$name" -keyalg EC -groupname secp256r1 -dname "CN=$name" \
        -keystore java.p12 -storetype PKCS12 -storepass:file passphrase.txt
done
expect_failure 2 key convert java.p12 --passphrase-file passphrase.txt --out java-key.pem
assert_contains "$STDERR" "'first' (ECDSA P-256), 'second' (ECDSA P-256)" "the keys there are"
expect_success key convert java.p12 --alias second --passphrase-file passphrase.txt --out java-key.pem --certs java.pem
assert_eq "subject=CN = second" "$(openssl x509 -in java.pem -noout -subject)" "the certificate of the key"
expect_success key match java.pem java-key.pem

# Trust stores: ours in Java, Java's here, and a JKS by the command that the refusal names.
expect_success key convert rootCA.pem --to pkcs12 --target java --name Keys --new-passphrase-file passphrase.txt --out trust.p12
expect_success keytool -list -keystore trust.p12 -storetype PKCS12 -storepass:file passphrase.txt
assert_contains "$STDOUT" "trustedCertEntry" "what keytool takes the certificate for"
expect_success keytool -importcert -noprompt -alias theirs -file rootCA.pem -keystore theirs.jks -storetype JKS \
    -storepass:file passphrase.txt
expect_failure 2 key match theirs.jks rootCA.pem --passphrase-file passphrase.txt
assert_contains "$STDERR" "keytool -importkeystore -srckeystore FILE -destkeystore NEW.p12 -deststoretype PKCS12"
expect_success keytool -importkeystore -srckeystore theirs.jks -destkeystore theirs.p12 -deststoretype PKCS12 \
    -srcstorepass:file passphrase.txt -deststorepass:file passphrase.txt
expect_success key match theirs.p12 rootCA.pem --passphrase-file passphrase.txt

# Encrypted PKCS#8 of both derivations, and the forms of RSA and elliptic curves, by OpenSSL.
for kdf in pbkdf2 scrypt; do
    expect_success key encrypt ecc-key.pem --kdf $kdf --new-passphrase-file passphrase.txt --out "enc-$kdf.pem"
    expect_success openssl pkey -in "enc-$kdf.pem" -passin file:passphrase.txt -pubout
    assert_eq "$(openssl pkey -in ecc-key.pem -pubout)" "$STDOUT" "the key under $kdf"
done
openssl pkcs8 -topk8 -scrypt -in rsa-key.pem -passout file:passphrase.txt -out theirs-scrypt.pem
expect_success key match theirs-scrypt.pem rsa.pem --passphrase-file passphrase.txt
expect_success key convert rsa-key.pem --to pkcs1 --out rsa.pkcs1
assert_contains "$(head -n1 rsa.pkcs1)" "BEGIN RSA PRIVATE KEY"
expect_success openssl pkey -in rsa.pkcs1 -noout
expect_success key convert ecc-key.pem --to sec1 --der --out ecc.sec1
expect_success openssl ec -inform DER -in ecc.sec1 -noout
for kind in ecc rsa; do
    expect_success key convert "$kind-key.pem" --to jwk --out "$kind.jwk"
    assert_file_mode 600 "$kind.jwk"
    expect_success node -e "const { createPrivateKey, createPublicKey } = require('crypto'), fs = require('fs');
        const key = createPrivateKey({ key: JSON.parse(fs.readFileSync('$kind.jwk')), format: 'jwk' });
        fs.writeFileSync('node.jwk', JSON.stringify(key.export({ format: 'jwk' })), { mode: 0o600 });"
    expect_success key match node.jwk "$kind.pem"
    rm node.jwk
done

# Where passphrases come from.
expect_success key match enc-pbkdf2.pem ecc.pem --passphrase-file fd:7 7<passphrase.txt
expect_success env CREDENTIALS_DIRECTORY="$PWD" "$COUNTERSIGN" key match enc-pbkdf2.pem ecc.pem --passphrase-file credential:passphrase.txt
expect_failure 2 env -u CREDENTIALS_DIRECTORY "$COUNTERSIGN" key match enc-pbkdf2.pem ecc.pem --passphrase-file credential:x
assert_contains "$STDERR" "LoadCredential=x:" "the hint"
expect_failure 2 setsid "$COUNTERSIGN" key match enc-pbkdf2.pem ecc.pem --passphrase-file prompt
assert_contains "$STDERR" "there is no terminal" "what is said where nobody can be asked"
# A person at a terminal: types when asked, and what is typed is not shown.
cat >terminal.py <<'END'
import os, pty, sys
lines = [line.rstrip("\n") for line in open("passphrase.txt")] * 2
passphrase = lines[0].encode()
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
shown = b""
while True:
    try:
        octets = os.read(terminal, 1024)
    except OSError:
        break
    if not octets:
        break
    shown += octets
    if octets.rstrip().endswith(b":") and lines:
        os.write(terminal, lines.pop(0).encode() + b"\n")
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
assert passphrase not in shown, "the passphrase was shown"
print(shown.decode().replace("\r", ""), end="")
sys.exit(status)
END
expect_success python3 terminal.py "$COUNTERSIGN" key encrypt rsa-key.pem --new-passphrase-file prompt --out typed.pem
assert_contains "$STDOUT" "New passphrase, again:" "what the terminal showed"
expect_success key match typed.pem rsa.pem --passphrase-file passphrase.txt
expect_success python3 terminal.py "$COUNTERSIGN" key decrypt typed.pem --passphrase-file prompt --out typed-clear.pem
assert_file_mode 600 typed-clear.pem

# What is wrong is said in one sentence, and nothing is written.
expect_failure 1 key match ecc.pem rsa-key.pem
assert_contains "$STDOUT" "do NOT belong together"
expect_failure 2 key convert ecc-key.pem --cert rsa.pem --to pkcs12 --new-passphrase-file passphrase.txt --out wrong.p12
assert_contains "$STDERR" "none that fits the key" "a foreign certificate"
expect_failure any key convert ecc-key.pem --to pkcs1 --out wrong.pem
expect_failure 2 key encrypt ecc-key.pem --new-passphrase-file passphrase.txt --out enc-pbkdf2.pem
assert_contains "$STDERR" "is not overwritten" "a file that is there"
[ ! -e wrong.p12 ] && [ ! -e wrong.pem ] || fail "a refused conversion wrote a file"
(umask 077 && echo "planted-secret pässwort" >umlaut-passphrase.txt)
expect_success key convert ecc-key.pem --cert ecc.pem --to pkcs12 --new-passphrase-file umlaut-passphrase.txt --out umlaut.p12
assert_contains "$STDERR" "keytool opens no PKCS#12 whose password is not ASCII"
expect_success openssl pkcs12 -in umlaut.p12 -passin file:umlaut-passphrase.txt -noenc -out opened.pem
rm opened.pem
expect_failure any keytool -list -keystore umlaut.p12 -storetype PKCS12 -storepass:file umlaut-passphrase.txt
