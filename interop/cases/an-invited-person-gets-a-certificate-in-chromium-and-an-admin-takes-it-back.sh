#!/usr/bin/env bash
# In a real browser an admin invites, approves, finds and revokes; the invited person goes from the link to an imported
# PKCS#12 to a page that greets them, and after the revocation reads why it stays closed; an auditor can look and change
# nothing; and every page is accessible.
# needs: node chromium certutil pk12util curl openssl npm:playwright-core npm:axe-core
. "$(dirname "$0")/../lib.sh"

ln -s "$INTEROP_NODE_MODULES" node_modules
cp "$INTEROP"/browser/*.mjs .
expect_success "$COUNTERSIGN" init --name "Acme"
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client '<script>alert(1)</script>'
for who in boss watcher; do
    expect_success "$COUNTERSIGN" issue client "$who" --p12
done
expect_success "$COUNTERSIGN" identity set boss --role admin
expect_success "$COUNTERSIGN" identity set watcher --role auditor

ca_port=$(free_port)
start_server "$COUNTERSIGN" ca serve --listen "127.0.0.1:$ca_port"
wait_for_line "$SERVER_LOG" 'root sha256'
start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --allow-all --try /try
wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
port=$(grep -o -E ':[0-9]+' <<<"${LINE#*https:}" | head -n1 | tr -d :)

expect_success node console.mjs "https://localhost:$ca_port" "https://localhost:$port" rootCA.pem \
    boss.p12 boss-p12-password.txt watcher.p12 watcher-p12-password.txt "$INTEROP_ARTEFACTS"
assert_contains "$STDOUT" "journey complete"

say "the file that the browser made opens elsewhere too"
expect_success openssl pkcs12 -in alice.p12 -passin file:alice-password.txt -noenc -out alice.pem
assert_eq 2 "$(grep -c 'BEGIN CERTIFICATE' alice.pem)" "the number of certificates in it"
expect_success "$COUNTERSIGN" verify alice.pem --cacert rootCA.pem --purpose client

say "a page of another site cannot use the admin's certificate"
expect_success openssl pkcs12 -in boss.p12 -passin file:boss-p12-password.txt -noenc -out boss-all.pem
revoke_watcher() {
    expect_success curl -sS -o answer.json -w '%{http_code}' --cacert rootCA.pem --cert boss-all.pem "$@" \
        -H 'Content-Type: text/plain' -d '{"which":"watcher"}' "https://localhost:$ca_port/api/v1/revocations"
}
revoke_watcher -H 'Sec-Fetch-Site: cross-site' -H 'Origin: https://evil.test'
assert_eq 403 "$STDOUT" "the answer to another site's page"
revoke_watcher -H 'Origin: https://evil.test'
assert_eq 403 "$STDOUT" "the answer to another site's page in an old browser"
revoke_watcher
assert_eq 200 "$STDOUT" "the answer to a program"

say "without JavaScript the pasted request works"
expect_success "$COUNTERSIGN" invite bob
link=$(grep -o -E 'https://[^ #]+/i/[^ #]+' <<<"$STDOUT" | head -n1)
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout bob-key.pem -out bob.csr 2>/dev/null
expect_success curl -sS --cacert rootCA.pem -H 'Accept: text/html' --data-urlencode request@bob.csr "$link/request"
assert_contains "$STDOUT" "BEGIN CERTIFICATE" "the page"
# Another first character of the secret, which follows the handle and a dash.
secret=${link##*-}
other=x
[ "${secret:0:1}" != x ] || other=y
expect_success curl -sS -o page.html -w '%{http_code}' --cacert rootCA.pem -H 'Accept: text/html' "${link%-*}-$other${secret:1}"
assert_lacks "$(cat page.html)" "bob" "the page of a wrong code"
