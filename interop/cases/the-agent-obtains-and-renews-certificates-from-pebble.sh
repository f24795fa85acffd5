#!/usr/bin/env bash
# The agent is an ACME client of a server that is not ours: Pebble, which refuses nonces at random and wants external
# accounts. It obtains by http-01 and dns-01, and replaces a certificate that it is told to.
# needs: curl openssl pebble pebble-challtestsrv
. "$(dirname "$0")/../lib.sh"
. "$INTEROP/acme.sh"

HTTP=$(free_port) ALPN=$(free_port) DNS=$(free_port) DNS_CONTROL=$(free_port)
port=$(free_port) management=$(free_port)
expect_success "$COUNTERSIGN" init
expect_success "$COUNTERSIGN" issue server localhost
start_server pebble-challtestsrv -defaultIPv6 "" -dns01 "127.0.0.1:$DNS" -http01 "" -https01 "" -tlsalpn01 "" \
    -management "127.0.0.1:$DNS_CONTROL"
wait_for_port "$DNS_CONTROL"
dns_hook
mac=zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W
cat >pebble.json <<X2
{ "pebble": { "listenAddress": "127.0.0.1:$port", "managementListenAddress": "127.0.0.1:$management",
  "certificate": "localhost.pem", "privateKey": "localhost-key.pem", "httpPort": $HTTP, "tlsPort": $ALPN,
  "ocspResponderURL": "", "externalAccountBindingRequired": true, "externalAccountMACKeys": { "kid-1": "$mac" } } }
X2
PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=20 start_server pebble -config pebble.json -dnsserver "127.0.0.1:$DNS"
wait_for_port "$port"
ca=$COUNTERSIGN_HOME/rootCA.pem

echo "$mac" >eab.key
cat >agent.toml <<X2
[[certificate]]
files = "web.pem"
[certificate.acme]
directory = "https://localhost:$port/dir"
anchors = "$ca"
names = ["web.smoke.test", "www.smoke.test"]
contact = ["mailto:a@smoke.test"]
account_key = "account.pem"
eab_kid = "kid-1"
eab_key_file = "eab.key"
http_listen = "127.0.0.1:$HTTP"

[[certificate]]
files = "wild.pem"
[certificate.acme]
directory = "https://localhost:$port/dir"
anchors = "$ca"
names = ["*.smoke.test"]
account_key = "account.pem"
dns_command = ["./dns-hook"]
X2
expect_success "$COUNTERSIGN" agent --once
names=$(openssl x509 -noout -ext subjectAltName -in web.pem)
assert_contains "$names" web.smoke.test
assert_contains "$names" www.smoke.test
assert_contains "$(openssl x509 -noout -ext subjectAltName -in wild.pem)" '*.smoke.test'
expect_success curl -sS --cacert "$ca" -o root.pem "https://localhost:$management/roots/0"
openssl x509 -in web.pem -out leaf.pem
expect_success openssl verify -CAfile root.pem -untrusted web.pem leaf.pem
expect_success "$COUNTERSIGN" agent --status
assert_contains "$STDOUT" "good until"

say "where the pair is gone, the next pass obtains another"
first=$(openssl x509 -noout -serial -in web.pem)
rm web-key.pem
expect_success "$COUNTERSIGN" agent --once
assert_lacks "$(openssl x509 -noout -serial -in web.pem)" "$first" "the serial number"
