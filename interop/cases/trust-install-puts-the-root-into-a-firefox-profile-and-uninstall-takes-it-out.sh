#!/usr/bin/env bash
# `trust install --only nss` puts the root into a Firefox profile, trusted for servers, so that NSS itself accepts a
# server of the authority; `trust uninstall` takes it out again and leaves what else is in the profile.
# needs: certutil openssl tstclnt
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init
expect_success "$COUNTERSIGN" issue server localhost --out .

profile=$HOME/.mozilla/firefox/ab12cd34.default-release
mkdir -p "$profile"
printf '[Profile0]\nName=default-release\nIsRelative=1\nPath=ab12cd34.default-release\n' \
    >"$HOME/.mozilla/firefox/profiles.ini"
expect_success certutil -N -d "sql:$profile" --empty-password

# Somebody else's root, which has to survive.
expect_success openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout other.key \
    -out other.pem -subj "/CN=Somebody else" -days 2
expect_success certutil -A -d "sql:$profile" -t C,, -n "somebody else" -i other.pem

port=$(free_port)
start_server openssl s_server -accept "127.0.0.1:$port" -cert localhost.pem -key localhost-key.pem \
    -cert_chain localhost.pem -www
wait_for_port "$port"

# NSS as a client, with the profile's trust and no other. Q: shake hands, then leave.
nss_client() {
    tstclnt -Q -h localhost -4 -p "$port" -d "sql:$profile"
}

expect_failure any nss_client
assert_contains "$STDERR" "SEC_ERROR_UNKNOWN_ISSUER" "what NSS says of a root that it does not know"

run "$COUNTERSIGN" trust status --only nss
assert_contains "$STDOUT" "not trusted" "status before"
assert_contains "$STDOUT" "default-release" "status before"

expect_success "$COUNTERSIGN" trust install --only nss
run "$COUNTERSIGN" trust status --only nss
assert_lacks "$STDOUT" "not trusted" "status after"
assert_contains "$STDOUT" "trusted" "status after"
expect_success nss_client
say "again, with nothing left to do"
expect_success "$COUNTERSIGN" trust install --only nss
expect_success certutil -L -d "sql:$profile"
assert_eq 2 "$(grep -c 'C,,' <<<"$STDOUT")" "the number of trusted roots"

expect_success "$COUNTERSIGN" trust uninstall --only nss
expect_failure any nss_client
expect_success certutil -L -d "sql:$profile"
assert_contains "$STDOUT" "somebody else" "the profile"
assert_lacks "$STDOUT" "countersign" "the profile"
expect_success "$COUNTERSIGN" trust uninstall --only nss
