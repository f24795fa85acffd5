#!/usr/bin/env bash
# Firefox ESR, with a client certificate in its NSS database, is greeted by name and sees the lock opened; once the
# certificate is revoked it shows why, at the gateway and at the console.
# needs: node firefox-esr certutil pk12util npm:ws
. "$(dirname "$0")/../lib.sh"

ln -s "$INTEROP_NODE_MODULES" node_modules
cp "$INTEROP"/browser/firefox*.mjs .
expect_success "$COUNTERSIGN" init --name "Acme"
expect_success "$COUNTERSIGN" issue client alice --p12

ca_port=$(free_port)
start_server "$COUNTERSIGN" ca serve --listen "127.0.0.1:$ca_port"
wait_for_line "$SERVER_LOG" 'root sha256'
start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --allow-all --try /try
gateway_log=$SERVER_LOG
wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
port=$(grep -o -E ':[0-9]+' <<<"${LINE#*https:}" | head -n1 | tr -d :)

expect_success node firefox-journey.mjs "https://localhost:$port" "https://localhost:$ca_port" rootCA.pem \
    alice.p12 alice-p12-password.txt "$INTEROP_ARTEFACTS" \
    "$COUNTERSIGN" revoke alice --reason keyCompromise
assert_contains "$STDOUT" "journey complete"

say "the gateway's log has the same verdict as the page"
wait_for_line "$gateway_log" 'FAILED:certificate_revoked'
