#!/usr/bin/env bash
# `trust install --only java` puts the root into the cacerts of every Java runtime, that of JAVA_HOME and the
# machine's own, whatever their format; `trust uninstall` takes exactly it out, under whatever alias it is. Works on a
# private copy of the system's folders.
# needs: keytool openssl unshare
. "$(dirname "$0")/../private-system.sh"
. "$(dirname "$0")/../lib.sh"
make_system_private

expect_success openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key \
    -out root.pem -subj "/CN=For Java" -days 2
expect_success openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout other.key \
    -out other.pem -subj "/CN=For Java" -days 2

# entries FILE [PASSWORD]: aliases and fingerprints; without a password as Java's own trust manager opens cacerts.
entries() {
    keytool -list -keystore "$1" -storepass "${2-changeit}" -J-Duser.language=en \
        -J-XX:TieredStopAtLevel=1 2>/dev/null |
        grep -A 1 trustedCertEntry | sort
}
fingerprint=$(openssl x509 -in root.pem -noout -fingerprint -sha256)
fingerprint=${fingerprint#*=}

# A runtime by JAVA_HOME whose cacerts is a PKCS#12 without a password, as OpenJDK has shipped it since 18.
mkdir -p jdk/lib/security
cacerts=$PWD/jdk/lib/security/cacerts
expect_success keytool -importcert -noprompt -keystore "$cacerts" -storetype PKCS12 -storepass changeit \
    -alias other -file other.pem \
    -J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE -J-Dkeystore.pkcs12.macAlgorithm=NONE
entries "$cacerts" "" >before
[ -s before ] || fail "the key store cannot be opened without a password"
export JAVA_HOME=$PWD/jdk

# The machine's own, through the link that alternatives keep.
own=$(readlink -f "$(dirname "$(dirname "$(readlink -f "$(command -v keytool)")")")/lib/security/cacerts")
entries "$own" >own-before
[ -s own-before ] || fail "$own has no entries"

expect_success "$COUNTERSIGN" trust install --only java --ca root.pem
for file in "$cacerts" "$own"; do
    assert_contains "$(entries "$file")" "$fingerprint" "$file"
done
assert_contains "$(entries "$cacerts" "")" "$fingerprint" "the key store, opened without a password"
run "$COUNTERSIGN" trust status --only java --ca root.pem
assert_lacks "$STDOUT" "not trusted" "the status"
run "$COUNTERSIGN" trust status --only java --ca other.pem
assert_contains "$STDOUT" "not trusted" "the status of another root of the same name"

say "under an alias of somebody else's"
expect_success keytool -changealias -keystore "$cacerts" -storepass changeit \
    -alias "$(entries "$cacerts" | sed -n 's/^\(countersign[^,]*\),.*/\1/p')" -destalias "debian:renamed.pem"
expect_success "$COUNTERSIGN" trust uninstall --only java --ca root.pem
entries "$cacerts" "" >after
diff before after || fail "the key store of JAVA_HOME is not what it was"
entries "$own" >own-after
diff own-before own-after || fail "$own is not what it was"
expect_success "$COUNTERSIGN" trust uninstall --only java --ca root.pem
