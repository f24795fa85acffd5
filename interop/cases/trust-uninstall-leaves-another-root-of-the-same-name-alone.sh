#!/usr/bin/env bash
# Two authorities of one name in one NSS database: NSS lists them under each other's nicknames, and `trust
# uninstall` of the one still takes out its own certificate and leaves the other trusted.
# needs: certutil openssl
. "$(dirname "$0")/../lib.sh"

root() {
    expect_success openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" \
        -out "$1.pem" -subj "/CN=One name for two" -days "$2"
}
database=$HOME/.pki/nssdb
mkdir -p "$database"
expect_success certutil -N -d "sql:$database" --empty-password

# is_trusted FILE: is this very certificate in the database, with trust for servers? Asked by the fingerprint that
# OpenSSL computes, in what certutil prints, so that none of our own code answers.
is_trusted() {
    local fingerprint nickname
    fingerprint=$(openssl x509 -in "$1" -noout -fingerprint -sha256)
    certutil -L -d "sql:$database" | sed -n 's/ *C,, *$//p' >nicknames
    while read -r nickname; do
        certutil -L -d "sql:$database" -n "$nickname"
    done <nicknames >described
    awk -v wanted="${fingerprint#*=}" '
        index($0, wanted) { ours = 1 }
        ours && /SSL Flags:/ { flags = 1; next }
        flags && /Flags:|^$/ { exit }
        flags && /Trusted CA/ { trusted = 1 }
        END { exit !trusted }' described
}

# The older and the younger one in turn, since NSS prefers the younger.
for gone in first second; do
    root first 2
    root second 20
    case $gone in first) stays=second ;; *) stays=first ;; esac
    expect_success "$COUNTERSIGN" trust install --only nss --ca first.pem
    expect_success "$COUNTERSIGN" trust install --only nss --ca second.pem
    is_trusted first.pem || fail "the first root is not trusted after its installation"
    is_trusted second.pem || fail "the second root is not trusted after its installation"

    expect_success "$COUNTERSIGN" trust uninstall --only nss --ca "$gone.pem"
    is_trusted "$stays.pem" || fail "uninstalling the $gone root took the $stays one out"
    ! is_trusted "$gone.pem" || fail "the $gone root is still trusted"
    expect_success "$COUNTERSIGN" trust uninstall --only nss --ca "$stays.pem"
done

# Put in by hand, both under one nickname, as browsers do it: whatever can be done, the wrong one never goes.
root first 2
root second 20
for each in first second; do
    expect_success certutil -A -d "sql:$database" -t C,, -n "one nickname" -i "$each.pem"
done
run "$COUNTERSIGN" trust uninstall --only nss --ca first.pem
if [ "$STATUS" -eq 0 ]; then
    ! is_trusted first.pem || fail "uninstall said that it was done and the root is still trusted"
else
    assert_eq 1 "$STATUS" "the exit code of a refusal"
    assert_contains "$STDOUT$STDERR" "share its nickname" "the reason"
    is_trusted first.pem || fail "uninstall said that it could not and the root is gone"
fi
is_trusted second.pem || fail "the other root of the nickname is gone"
