#!/usr/bin/env bash
# docs/rollover.md, its commands as they are printed: at every step openssl verifies the certificates of both lines by
# either root, curl gets through a gateway that follows the feed, an agent follows by itself, and whoever is still seen
# with the old line holds the last step back.
# needs: curl node openssl
. "$(dirname "$0")/../lib.sh"

guide=$INTEROP/../docs/rollover.md
# The command of the block that holds these words, as a reader would paste it.
block() {
    awk -v word="$1" '/^```sh$/ { inside = 1; text = ""; next }
        /^```$/ { if (inside && index(text, word)) { printf "%s", text; exit } inside = 0 }
        inside { text = text $0 "\n" }' "$guide"
}
countersign() { "$COUNTERSIGN" "$@"; }
command_of() {
    COMMAND=$(block "$1")
    [ -n "$COMMAND" ] || fail "the guide has no block with '$1'"
}
paste() {
    command_of "$1"
    expect_success eval "$COMMAND"
}

expect_success countersign init --name Rolling --permit acme.test
start_server "$COUNTERSIGN" ca serve --listen 127.0.0.1:0 --status-listen 127.0.0.1:0
wait_for_line "$SERVER_LOG" 'lists and OCSP without TLS on http://[^ ]+:[0-9]+'
status=$(grep -o -E 'http://127[^ ]+' <<<"$LINE")
wait_for_line "$SERVER_LOG" 'https://localhost:[0-9]+'
ca=$(grep -o -E 'https://localhost:[0-9]+' <<<"$LINE" | head -n1)
expect_success countersign identity set gateway --role gateway --ca "$ca"
for name in gateway alice bob; do
    mkdir $name
    expect_success countersign invite $name --ca "$ca" --json
    expect_success countersign join "$(node -p 'JSON.parse(require("fs").readFileSync(0)).link' <<<"$STDOUT")" --out $name
done
expect_success countersign issue server localhost --out gateway
mkdir files && echo "still here" >files/page.txt
start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --dir files --allow-cn alice --allow-cn bob \
    --cert gateway/localhost.pem --key gateway/localhost-key.pem \
    --feed "$ca" --feed-cert gateway/gateway.pem --feed-key gateway/gateway-key.pem --feed-ca gateway/rootCA.pem
wait_for_line "$SERVER_LOG" 'https://localhost:[0-9]+'
url=$(grep -o -E 'https://localhost:[0-9]+' <<<"$LINE" | head -n1)
printf '[[certificate]]\nfiles = "alice/alice.pem"\nreload = { command = ["touch", "reloaded"] }\njoin = {}\n' >agent.toml
cp "$COUNTERSIGN_HOME/rootCA.pem" old.pem
# Two more, by EST and by ACME, whose file of roots has that of somebody else in it too.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout other-key.pem -subj "/CN=Somebody Else" \
    -days 9 -out other.pem 2>/dev/null
mkdir carol dave
for name in carol dave; do cat old.pem other.pem >$name/roots.pem; done
expect_success countersign invite carol --ca "$ca" --json
node -p 'JSON.parse(require("fs").readFileSync(0)).code' <<<"$STDOUT" >carol.code
expect_success countersign acme eab add dave --json
node -p 'JSON.parse(require("fs").readFileSync(0)).hmac_key' <<<"$STDOUT" >dave.key
kid=$(node -p 'JSON.parse(require("fs").readFileSync(0)).kid' <<<"$STDOUT")
cat >>agent.toml <<X2

[[certificate]]
files = "carol/carol.pem"
[certificate.est]
url = "$ca"
anchors = "carol/roots.pem"
keep_anchors = true
names = ["carol"]
password_file = "carol.code"

[[certificate]]
files = "dave/dave.pem"
[certificate.acme]
directory = "$ca/acme/directory"
anchors = "dave/roots.pem"
keep_anchors = true
names = ["dave"]
eab_kid = "$kid"
eab_key_file = "dave.key"
X2
expect_success countersign agent --config agent.toml --once
cp bob/bob.pem bob-before.pem && cp bob/bob-key.pem bob-before-key.pem

through() { curl -sS --fail --cacert "$1" --cert "$2.pem" --key "$2-key.pem" "$url/page.txt"; }
# Waits until a page is had: the gateway follows in its own time.
gets_through() {
    _through() { through "$1" "$2" >page 2>page.err; }
    _wait_until "$2 gets through, believing $1" _through "$1" "$2"
    assert_eq "still here" "$(cat page)" "what $2 got"
}
verifies() { expect_success openssl verify -CAfile "$1" -untrusted "$2" "$2"; }
fact() { countersign ca rollover status --json --ca "$ca" 2>/dev/null | node -p "const s = JSON.parse(require('fs').readFileSync(0)); $1"; }
until_fact() {
    _fact() { [ "$(fact "$1")" = true ]; }
    _wait_until "$1" _fact "$1"
}
issuer() { openssl x509 -in "$1" -noout -issuer; }

say "before: everybody is served"
for name in alice/alice bob/bob; do gets_through old.pem $name; done
expect_failure 1 countersign ca rollover retire --ca "$ca"
assert_contains "$STDERR" "countersign ca rollover start" "what a step without a rollover is told"

say "distribute"
paste 'rollover start'
expect_failure 1 countersign ca rollover start --ca "$ca"
paste 'ca bundle'
assert_eq 2 "$(grep -c BEGIN bundle.pem)" "the roots in the bundle"
awk '/BEGIN/ { n++ } n == 2' bundle.pem >new.pem
cmp -s old.pem new.pem && fail "the second root is the first"
curl -sS --cacert old.pem "$ca/.well-known/est/cacerts" | base64 -d | openssl pkcs7 -inform DER -print_certs >est.pem
assert_eq 6 "$(grep -c BEGIN est.pem)" "two roots, two issuing CAs and what the roots signed for each other, by EST"
until_fact 's.gateways.length > 0 && s.gateways.every(g => g.believes_new_root)'
for name in alice/alice bob/bob; do gets_through old.pem $name; done
expect_success countersign agent --config agent.toml --once
assert_eq 2 "$(grep -c BEGIN alice/rootCA.pem)" "the roots that the agent has written"
for name in carol dave; do
    assert_eq 3 "$(grep -c BEGIN $name/roots.pem)" "the roots that the agent has written for $name"
    assert_contains "$(cat $name/roots.pem)" "$(sed -n 2,4p other.pem)" "what somebody else's root is in"
done
[ -e reloaded ] || fail "who uses the agent's files was not told that the roots changed"
expect_success countersign renew gateway/localhost.pem
gets_through new.pem alice/alice
verifies old.pem gateway/localhost.pem
verifies new.pem gateway/localhost.pem

say "the new line issues"
paste 'rollover status'
assert_contains "$STDOUT" "believes the new root" "the status"
command_of 'rollover next'
expect_success eval "${COMMAND/next/next --renew-within 1s}"
_renewed() {
    local name
    countersign agent --config agent.toml --once >agent.out 2>&1
    for name in alice carol dave; do [[ $(issuer $name/$name.pem) == *"Issuing CA 2"* ]] || return 1; done
}
_wait_until "the agent has renewed its certificates early" _renewed
verifies old.pem alice/alice.pem
verifies new.pem alice/alice.pem
verifies old.pem bob/bob.pem
paste 'list --good --line 1'
assert_contains "$STDOUT" bob "what is left of the old line"
assert_lacks "$(countersign list --good --line 2 --ca "$ca")" bob "what the new line has issued"
for name in alice/alice bob/bob; do gets_through old.pem $name; done
until_fact 's.gateways.some(g => g.shows_of_old_line.includes("localhost"))'
command_of 'rollover retire'
expect_failure 1 eval "$COMMAND --seen-within 1s"
assert_contains "$STDERR" "shows the certificate 'localhost'" "what the gateway shows to its clients"
expect_success countersign renew gateway/localhost.pem
until_fact 's.gateways.every(g => g.shows_of_old_line.length === 0)'
for root in old.pem new.pem; do
    for name in alice/alice bob/bob; do gets_through $root $name; done
done

say "bob is still seen"
until_fact 's.still_seen.some(one => one.name === "bob" && /gateway/.test(one.seen_by))'
command_of 'rollover retire'
expect_failure 1 eval "$COMMAND"
assert_contains "$STDERR" "'bob'" "who would be cut off"
assert_contains "$STDERR" "--force" "how it is done all the same"
gets_through old.pem bob/bob
expect_success countersign renew bob/bob.pem
assert_eq 2 "$(grep -c BEGIN bob/rootCA.pem)" "the roots that bob's renewal has written"
for file in gateway/gateway.pem "$COUNTERSIGN_HOME/admin.pem"; do expect_success countersign renew "$file"; done
_retired() { run eval "${COMMAND/retire/retire --seen-within 2s}" && [ "$STATUS" = 0 ]; }
_wait_until "nobody is seen with the old line any more" _retired

say "the old root is retired"
countersign ca bundle --ca "$ca" --ca-root new.pem >bundle.pem
cmp bundle.pem new.pem || fail "the old root is still believed"
cmp "$COUNTERSIGN_HOME/rootCA.pem" new.pem || fail "the home still believes the old root"
expect_success countersign agent --config agent.toml --once
cmp alice/rootCA.pem new.pem || fail "the agent still believes the old root"
cat other.pem new.pem >expected.pem
for name in carol dave; do cmp $name/roots.pem expected.pem || fail "the agent still believes the old root for $name"; done
for name in alice/alice bob/bob; do gets_through new.pem $name; done
_cut() { ! through new.pem bob-before >page 2>page.err; }
_wait_until "a certificate of the old line is refused" _cut
gets_through new.pem bob/bob
fetch() { curl -sS --fail -o "$2" "$status$1" && openssl crl -inform DER -in "$2" -out "$2.pem"; }
for path in issuing line-2/issuing line-2/root; do fetch "/crl/$path.crl" "${path//\//-}"; done
cat line-2-issuing.pem line-2-root.pem >lists.pem
expect_success openssl verify -crl_check_all -CAfile new.pem -CRLfile lists.pem -untrusted alice/alice.pem alice/alice.pem
openssl x509 -in bob-before.pem -out /dev/null
awk '/BEGIN/ { n++ } n == 2' bob-before.pem >issuing-1.pem
expect_success openssl crl -in issuing.pem -noout -verify -CAfile issuing-1.pem
assert_contains "$STDOUT$STDERR" "verify OK" "the old line's list"

say "the log is the one that it was"
expect_success countersign audit log verify --ca "$ca"
expect_success countersign audit prove alice --ca "$ca" --out alice.proof
expect_success countersign audit log check alice.proof alice/alice.pem --root new.pem
expect_success countersign audit verify --ca "$ca"
