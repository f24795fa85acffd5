#!/usr/bin/env bash
# A stranger, a revoked client, a server's certificate used as a client's, and a client that policy does not name
# are refused by `serve`, each with its own alert or status, and the log says why, and with which command it is mended:
# the one for the revoked client is run as it stands there, and the client is let in.
# needs: curl
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Reasons"
for client in alice bob mallory; do
    expect_success "$COUNTERSIGN" issue client "$client"
done
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" revoke mallory --reason keyCompromise
expect_success "$COUNTERSIGN" crl --out lists.pem
mkdir other
COUNTERSIGN_HOME=$PWD/other-home expect_success "$COUNTERSIGN" init --name Other
COUNTERSIGN_HOME=$PWD/other-home expect_success "$COUNTERSIGN" issue client alice --out other

start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key localhost-key.pem \
    --client-ca rootCA.pem --crl lists.pem --allow-cn alice --allow-cn mallory
wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
port=$(grep -o -E ':[0-9]+' <<<"${LINE#*https:}" | head -n1 | tr -d :)
url=https://localhost:$port/
as() { curl -sS --max-time 20 --cacert rootCA.pem --cert "$1.pem" --key "$1-key.pem" "${@:2}" "$url"; }

expect_success as alice
assert_contains "$STDOUT" "alice"
expect_failure 56 as other/alice
assert_contains "$STDERR" "unknown ca"
wait_for_line "$SERVER_LOG" 'unknown_issuer.*; fix at the client: countersign doctor'
expect_failure 56 as mallory
assert_contains "$STDERR" "revoked"
wait_for_line "$SERVER_LOG" 'certificate_revoked.*; fix at the CA: '
fix=${LINE##*; fix at the CA: }
assert_eq "countersign issue client mallory" "$fix" "the fix in the log"
mkdir anew bin && ln -s "$COUNTERSIGN" bin/countersign
(cd anew && PATH=$PWD/../bin:$PATH expect_success bash -c "$fix")
expect_success as anew/mallory
expect_failure 56 as localhost
assert_contains "$STDERR" "unsupported certificate"
wait_for_line "$SERVER_LOG" 'wrong_purpose.*; fix at the CA: countersign issue client localhost'
expect_success as bob -o denied.txt -w '%{http_code}'
assert_eq 403 "$STDOUT" "bob's status"
assert_contains "$(cat denied.txt)" "not_allowed_by_policy"
wait_for_line "$SERVER_LOG" 'not_allowed_by_policy.*; fix at the server: countersign serve … --allow-cn bob'
expect_failure 56 curl -sS --cacert rootCA.pem "$url"
assert_contains "$STDERR" "certificate required"
wait_for_line "$SERVER_LOG" 'no_client_certificate.*; fix at the client: curl --cert'
# fetch tells the same, in words.
expect_failure 56 "$COUNTERSIGN" fetch --cacert rootCA.pem "$url"
assert_contains "$STDERR" "certificate_required"
