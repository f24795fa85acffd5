#!/usr/bin/env bash
# docs/from-lets-encrypt.md, its commands as they are printed: of three clients with a public CA's certificates two are found
# by the gateway's radar, one of them refused because it is for servers only, and one in a folder; each gets a replacement
# while its old certificate still works, and in the end the public CA's certificates open nothing.
# needs: openssl curl node
. "$(dirname "$0")/../lib.sh"

guide=$INTEROP/../docs/from-lets-encrypt.md
# The first block that holds these words, as a reader would paste it.
block() {
    awk -v word="$1" '/^```(sh|toml)$/ { inside = 1; text = ""; next }
        /^```$/ { if (inside && index(text, word)) { printf "%s", text; found = 1; exit } inside = 0 }
        inside { text = text $0 "\n" } END { if (!found) exit 1 }' "$guide" || fail "the guide has no block with '$1'"
}
countersign() { "$COUNTERSIGN" "$@"; }

# A public CA, as its certificates look: a policy of the CA/Browser Forum in each, or proofs that it was logged, and
# certbot's folders.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout public-key.pem -out letsencrypt-roots.pem \
    -subj "/O=Public Trust/CN=Public Root" -days 30 2>/dev/null
mark=certificatePolicies=2.23.140.1.2.1
public() { # public FOLDER NAME USAGES DAYS
    local folder=$1/$2
    mkdir -p "$folder"
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$folder/privkey.pem" -subj "/CN=$2" \
        -out request.csr 2>/dev/null
    openssl x509 -req -in request.csr -CA letsencrypt-roots.pem -CAkey public-key.pem -days "$4" -out "$folder/cert.pem" \
        -extfile <(printf 'subjectAltName=DNS:%s\nextendedKeyUsage=%s\n%s\n' "$2" "$3" "$mark") \
        2>/dev/null
    cp "$folder/cert.pem" "$folder/fullchain.pem"
}
public letsencrypt/live batch.example.test serverAuth,clientAuth 20
public partner-side partner.example.test serverAuth,clientAuth 10
mark=1.3.6.1.4.1.11129.2.4.2=DER:0402aabb public late-side late.example.test serverAuth 25

# The authority, and the gateway as it is before.
expect_success eval "$(block 'init --name')"
expect_success countersign issue server localhost
port=$(free_port)
admin=$(free_port)
block 'client_ca = ["letsencrypt-roots.pem"]' | sed "s/:8443/:$port/; s/:9901/:$admin/" >countersign.toml
assert_eq "countersign serve --config countersign.toml" "$(block 'serve --config')" "the guide's way to serve"
start_server "$COUNTERSIGN" serve --config countersign.toml
wait_for_line "$SERVER_LOG" 'Ctrl-C ends it'
serves=$(block 'ca serve')
assert_eq "countersign ca serve --name ca.example.test --listen 0.0.0.0:8444" "$serves" "the guide's way to serve a CA"
start_server "$COUNTERSIGN" ca serve --listen 127.0.0.1:0
wait_for_line "$SERVER_LOG" 'https://localhost:[0-9]+'

get() { curl -sS --max-time 20 --cacert rootCA.pem --cert "$1" --key "$2" "https://localhost:$port/"; }
old() { get "$1/$2/fullchain.pem" "$1/$2/privkey.pem"; }
expect_success old letsencrypt/live batch.example.test
expect_success old partner-side partner.example.test
expect_failure 35,56 old late-side late.example.test

# Who is affected: nothing is issued, and the exit code says that something is to be done.
look=$(block 'live --admin' | sed "s/:9901/:$admin/")
affected() { node -e '
    const { affected } = JSON.parse(require("fs").readFileSync(0));
    console.log(affected.map(a => [a.name, a.state, a.for_clients, a.key_is_here].join(" ")).join("\n"));' <<<"$STDOUT"; }
# The radar hears of a request once it is over, which is a moment after its client does.
_finds() { # _finds EXPECTED COMMAND
    run eval "$2 --json"
    [ "$(affected)" = "$1" ]
}
expected="partner.example.test to do true false
batch.example.test to do true true
late.example.test to do false false"
_wait_until "it is found who is affected, the first to end before the others" _finds "$expected" "$look"
assert_contains "$STDOUT" '"public_ca": "signed certificate timestamps"' "why the late one is known as a public CA's"
assert_contains "$STDOUT" '"public_ca": "CA/Browser Forum policy 2.23.140.1.2.1"' "why the others are"
expect_failure 1 eval "$look"
assert_contains "$STDOUT" "public CA, for servers only" "what is said of the late one"
assert_contains "$STDERR" "The plan" "the plan"
expect_success countersign list --profile client
assert_lacks "$STDOUT" "example.test" "what a look alone has issued"

# Both are believed; the running gateway takes it up.
believe() { # believe LINE-OF-THE-GUIDE
    local line
    line=$(block "$1")
    sed -i "s/^client_ca = .*/$line/" countersign.toml
}
believe 'client_ca = ["letsencrypt-roots.pem", "rootCA.pem"]'
issue=$(block '--issue' | sed "s/:9901/:$admin/")
expect_success eval "$issue"
assert_file_mode 600 new/batch.example.test-key.pem
links=$STDOUT
_new_is_let_in() { get new/batch.example.test.pem new/batch.example.test-key.pem >page 2>/dev/null; }
_wait_until "the gateway believes the new root" _new_is_let_in
assert_contains "$(cat page)" "batch.example.test" "the page"

# The others join, with what the guide prints.
for name in partner late; do
    link=$(sed -n "s/^$name.example.test: countersign join '\(.*\)'\$/\1/p" <<<"$links")
    [ -n "$link" ] || fail "there is no invite for $name in: $links"
    mkdir "$name"
    cd "$name"
    join=$(block 'countersign join' | sed "s|'https.*'|'$link'|")
    expect_success env -u COUNTERSIGN_HOME bash -c "${join/countersign/\"\$COUNTERSIGN\"}"
    cd ..
    expect_success get "$name/$name.example.test.pem" "$name/$name.example.test-key.pem"
    assert_contains "$STDOUT" "$name.example.test" "the page"
done
# The overlap: the old ones still work.
expect_success old partner-side partner.example.test
expect_success get partner/partner.example.test.pem partner/partner.example.test-key.pem
expected="batch.example.test in use true true
late.example.test in use false false"
_wait_until "the radar has seen who moved" _finds "$expected" "$issue"
serials=$(countersign list --profile client --json | grep -c '"serial_number"')
assert_eq 4 "$serials" "the client certificates: the admin's, and one for each"
expect_success eval "$(block 'clientauth --admin' | sed "s/:9901/:$admin/")"

# The end: the public CA's certificates are strangers'.
believe 'client_ca = ["rootCA.pem"]'
_old_is_refused() { ! old partner-side partner.example.test >page 2>/dev/null; }
_wait_until "the old certificate is refused" _old_is_refused
expect_success get partner/partner.example.test.pem partner/partner.example.test-key.pem

# A name outside of what the root permits is said before an invite is sent that could not be used.
mkdir other
public other/live elsewhere.test serverAuth 20
expect_failure 1 countersign migrate clientauth other/live --issue --out new
assert_contains "$STDERR" "outside of what this authority's root permits" "why there is no replacement"
# What is nobody's business: a server's certificate of our own, and a private CA's client.
expect_success countersign migrate clientauth localhost.pem new/batch.example.test.pem
assert_contains "$STDERR" "none is a public CA's" "what is said of one's own"
