#!/usr/bin/env bash
# `trust status` writes nothing: not in the home with its NSS databases, not in a key store of Java's, not in the
# system's folders; neither contents nor times change, and nothing is made.
# needs: certutil keytool openssl
. "$(dirname "$0")/../lib.sh"

expect_success openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key \
    -out root.pem -subj "/CN=Not asked for" -days 2

world=$PWD/world
mkdir -p "$world/home/.pki/nssdb" "$world/home/.mozilla/firefox/ab12.default" "$world/jdk/lib/security" "$world/tmp"
expect_success certutil -N -d "sql:$world/home/.pki/nssdb" --empty-password
expect_success certutil -N -d "sql:$world/home/.mozilla/firefox/ab12.default" --empty-password
expect_success keytool -importcert -noprompt -keystore "$world/jdk/lib/security/cacerts" -storepass changeit \
    -alias first -file root.pem
expect_success openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key \
    -out own.pem -subj "/CN=Asked for" -days 2

# Paths, modes, sizes, times of change and contents. The times of reading change, and may.
snapshot() {
    local folder
    for folder in "$world" /etc/ssl /etc/pki /etc/ca-certificates /usr/local/share/ca-certificates; do
        [ -e "$folder" ] || continue
        find "$folder" -printf '%p %m %s %T@ %l\n' | sort
        find "$folder" -type f -exec sha256sum {} + | sort
    done
}

snapshot >before
run env HOME="$world/home" TMPDIR="$world/tmp" JAVA_HOME="$world/jdk" \
    "$COUNTERSIGN" trust status --ca own.pem
assert_contains "$STDOUT" "$world/jdk/lib/security/cacerts" "the status"
assert_contains "$STDOUT" ".pki/nssdb" "the status"
assert_contains "$STDOUT" "profile default" "the status"
assert_contains "$STDOUT" "not trusted" "the status"
assert_lacks "$STDOUT" "cannot tell" "the status"
snapshot >after
diff before after || fail "status changed what is shown above"
