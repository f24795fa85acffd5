#!/usr/bin/env bash
# Keys in a SoftHSM token serve where key files do: an authority over keys that are there already, its lists and OCSP, join,
# renew, connect, the way to a service, doctor, explain, inspect, documents and `key`; and TLS 1.2 and 1.3 get the RSA
# signatures that each takes.
# needs: softhsm2-util pkcs11-tool openssl curl
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../softhsm.sh"

start_tokens acme
(umask 077 && echo 481516234200 > wrong-pin)
at() { echo "pkcs11:token=acme;object=$1?$query"; }
port_of() { grep -o -E ':[0-9]+' <<<"${1#*https:}" | head -n1 | tr -d :; }
key_of() { openssl x509 -in "$1" -noout -pubkey; }

say "an authority over two keys that somebody else made"
for name in root issuing; do
    expect_success pkcs11-tool --module "$module" --token-label acme --login --pin 4815162342 --keypairgen --key-type EC:secp384r1 \
        --label "$name" --id "$(printf '%s' "$name" | od -An -tx1 | tr -d ' \n')"
done
expect_success "$COUNTERSIGN" init --name Acme --root-key "$(at root)" --issuing-key "$(at issuing)"
assert_eq 0 "$(find "$COUNTERSIGN_HOME/keys" -name '*.pem' | wc -l)" "private keys in files"
expect_success "$COUNTERSIGN" issue server localhost --key rsa2048 --key-at "$(at web)"
expect_success "$COUNTERSIGN" issue client robot --key rsa2048 --key-at "$(at robot)"
expect_failure 1 "$COUNTERSIGN" issue client robot
assert_contains "$STDERR" "is there already" "a second robot"
expect_success "$COUNTERSIGN" issue client curl
web=$(key_of localhost.pem)

say "renew keeps the key where it is"
expect_success "$COUNTERSIGN" renew localhost
assert_eq "$web" "$(key_of localhost.pem)" "the key after renewal"
[ ! -e localhost-key.pem ] || fail "renew made a key in a file"

say "lists and OCSP by the token's keys, and join, renew and the feed over mutual TLS"
start_server "$COUNTERSIGN" ca serve --listen 127.0.0.1:0 --status-listen 127.0.0.1:0 --responder-key "$(at ocsp)"
authority=$SERVER_PID
wait_for_line "$SERVER_LOG" 'lists and OCSP without TLS on http://[^ ]+:[0-9]+'
status=$(grep -o -E 'http://127[^ ]+' <<<"$LINE")
wait_for_line "$SERVER_LOG" 'https://localhost:[0-9]+'
ca=$(grep -o -E 'https://localhost:[0-9]+' <<<"$LINE" | head -n1)
awk '/BEGIN/ { n++ } n == 2' robot.pem > issuing.pem
expect_success openssl ocsp -issuer issuing.pem -cert robot.pem -url "$status/ocsp" -CAfile rootCA.pem -no_nonce
assert_contains "$STDOUT" "robot.pem: good" "the responder's answer"
assert_contains "$STDERR" "Response verify OK" "its signature"
expect_success "$COUNTERSIGN" key public "$(at ocsp)"
responder=$STDOUT
expect_success openssl ocsp -issuer issuing.pem -cert robot.pem -url "$status/ocsp" -CAfile rootCA.pem -no_nonce -resp_text
assert_eq "$responder" "$(awk '/BEGIN/,/END/' <<<"$STDOUT" | openssl x509 -noout -pubkey)" "the key that signs OCSP answers"
for name in issuing root; do
    expect_success curl -sS --fail -o "$name.crl" "$status/crl/$name.crl"
    openssl crl -inform DER -in "$name.crl" >> lists.pem
done
expect_success openssl verify -crl_check_all -CRLfile lists.pem -CAfile rootCA.pem -untrusted robot.pem robot.pem
expect_success "$COUNTERSIGN" invite alice --ca "$ca" --json
link=$(sed -n 's/.*"link": "\([^"]*\)".*/\1/p' <<<"$STDOUT")
mkdir joined
expect_success "$COUNTERSIGN" join "$link" --key-at "$(at alice)" --out joined
[ ! -e joined/alice-key.pem ] || fail "join made a key in a file"
alice=$(key_of joined/alice.pem)
serial=$(openssl x509 -in joined/alice.pem -noout -serial)
expect_success "$COUNTERSIGN" renew joined/alice.pem
assert_eq "$alice" "$(key_of joined/alice.pem)" "alice's key after renewal"
[ "$serial" != "$(openssl x509 -in joined/alice.pem -noout -serial)" ] || fail "alice was not renewed"
expect_success "$COUNTERSIGN" identity set alice --role auditor --ca "$ca"
expect_success "$COUNTERSIGN" list --ca "$ca" --ca-cert joined/alice.pem --ca-key "$(at alice)"
assert_contains "$STDOUT" "alice" "what alice is shown of the authority"
expect_success "$COUNTERSIGN" identity set gateway --role gateway
expect_success "$COUNTERSIGN" invite gateway --ca "$ca" --json
link=$(sed -n 's/.*"link": "\([^"]*\)".*/\1/p' <<<"$STDOUT")
expect_success "$COUNTERSIGN" join "$link" --out joined --key-at "pkcs11:token=acme;object=gateway?module-name=softhsm2&pin-source=file:$PWD/pin"
start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key "$(at web)" --allow-cn robot \
    --feed "$ca" --feed-cert joined/gateway.pem --feed-key "$(at gateway)" --feed-ca rootCA.pem
wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
expect_success "$COUNTERSIGN" fetch --cert robot.pem --cacert rootCA.pem "https://localhost:$(port_of "$LINE")/"
assert_contains "$STDOUT" "hello, robot" "what a gateway that follows the feed said"
stop_server
stop_server "$authority"

say "serve with it, to a service that wants one too, and connect in front"
start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key "$(at web)" --client-ca rootCA.pem \
    --allow-cn robot --allow-cn alice
wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
port=$(port_of "$LINE")
start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key "$(at web)" --client-ca rootCA.pem \
    --allow-cn curl --to "https://localhost:$port" --upstream-ca rootCA.pem --upstream-cert robot.pem --upstream-key "$(at robot)"
wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
front=$(port_of "$LINE")
expect_success curl -sS --cacert rootCA.pem --cert curl.pem --key curl-key.pem "https://localhost:$front/"
assert_contains "$STDOUT" "hello, robot" "what the service behind said"
start_server "$COUNTERSIGN" connect --listen 127.0.0.1:0 --to "localhost:$port" --cacert rootCA.pem --cert joined/alice.pem \
    --key "$(at alice)"
wait_for_line "$SERVER_LOG" '127.0.0.1:[0-9]+.* -> '
tunnel=$(grep -o -E '127.0.0.1:[0-9]+' <<<"$LINE" | head -n1)
for _ in 1 2; do
    expect_success curl -sS "http://$tunnel/"
    assert_contains "$STDOUT" "hello, alice" "what came through the tunnel"
done

say "each version of TLS gets the RSA signature that it takes"
for row in "tls1_2 RSA+SHA256 RSA" "tls1_2 RSA-PSS+SHA256:RSA+SHA256 RSA-PSS" "tls1_2 RSA+SHA512 RSA" \
    "tls1_3 RSA+SHA256:RSA-PSS+SHA256 RSA-PSS" "tls1_3 RSA-PSS+SHA512 RSA-PSS"; do
    read -r version offered expected <<<"$row"
    run openssl s_client "-$version" -sigalgs "$offered" -connect "127.0.0.1:$port" -servername localhost -CAfile rootCA.pem </dev/null
    assert_contains "$STDOUT" "Verification: OK" "$row"
    assert_eq "Peer signature type: $expected" "$(grep '^Peer signature type' <<<"$STDOUT")" "$row"
done
# And the client's signature, as openssl's server sees it.
expect_success "$COUNTERSIGN" issue server localhost --out "$PWD/joined"
for row in "tls1_2 RSA+SHA256:ECDSA+SHA256 RSA" "tls1_2 RSA-PSS+SHA256:ECDSA+SHA256 RSA-PSS" \
    "tls1_3 RSA-PSS+SHA384:ECDSA+SHA256 RSA-PSS"; do
    read -r version offered expected <<<"$row"
    start_server openssl s_server "-$version" -accept 127.0.0.1:0 -cert joined/localhost.pem -key joined/localhost-key.pem \
        -cert_chain joined/localhost.pem -CAfile rootCA.pem -Verify 3 -verify_return_error -client_sigalgs "$offered" -www
    wait_for_line "$SERVER_LOG" '^ACCEPT .*:[0-9]+'
    expect_success "$COUNTERSIGN" fetch --cert robot.pem --cacert rootCA.pem "https://localhost:${LINE##*:}/"
    assert_contains "$STDOUT" "Peer signature type: $expected" "$row"
    stop_server
done

say "doctor, explain, inspect, documents and key"
expect_success "$COUNTERSIGN" doctor "https://localhost:$port/" --cacert rootCA.pem --cert robot.pem --key "$(at robot)"
assert_contains "$STDOUT" "robot" "what doctor found in order"
expect_failure 1 "$COUNTERSIGN" doctor "https://localhost:$port/" --cacert rootCA.pem --cert robot.pem --key "$(at web)"
assert_contains "$STDOUT" "key_mismatch" "the finding about another key"
expect_failure 1 "$COUNTERSIGN" doctor "https://localhost:$port/" --cacert rootCA.pem --cert robot.pem --key "$(at gone)"
assert_contains "$STDOUT" "configuration_unusable" "the finding about a key that is not there"
for command in explain inspect; do
    expect_success "$COUNTERSIGN" "$command" "https://localhost:$port/" --cacert rootCA.pem --cert robot.pem --key "$(at robot)"
done
echo "for the record" > document
expect_success "$COUNTERSIGN" document sign document --cert robot.pem
expect_success openssl cms -verify -binary -inform DER -in document.p7s -content document -CAfile rootCA.pem -purpose any -out /dev/null
expect_success "$COUNTERSIGN" key match robot.pem "$(at robot)"
expect_failure 1 "$COUNTERSIGN" key match robot.pem "$(at alice)"
expect_success "$COUNTERSIGN" key public "$(at robot)"
assert_eq "$(key_of robot.pem)" "$STDOUT" "the public half"
expect_failure 2 "$COUNTERSIGN" key convert "$(at robot)" --to pkcs1 --out robot.pkcs1
assert_contains "$STDERR" "stays where it is" "a key that has no other form"

say "a key that moves out of the token is in one place"
expect_success "$COUNTERSIGN" issue client robot --force
[ -e robot-key.pem ] && [ ! -e robot-key.uri ] || fail "the key is in two places"
