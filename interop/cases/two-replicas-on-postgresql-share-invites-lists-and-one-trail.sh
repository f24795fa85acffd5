#!/usr/bin/env bash
# Two replicas of the authority on one PostgreSQL, without a leader: what is invited at one is joined at the other, once;
# what is revoked at one is on the other's list; one is killed in the middle and nothing that was confirmed is missing.
# An ACME nonce of one is good at the other, once. A dump that is made meanwhile and restored into another database is an
# authority that uses no number again. Then everything is copied into SQLite, where the trail ends with the same hash.
# needs: pg_ctlcluster setpriv node openssl curl python3 psql
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../postgres.sh"

start_postgres
expect_success "$COUNTERSIGN" init --name "Replicas"
bases=() pids=()
for replica in one two; do
    start_server "$COUNTERSIGN" ca serve --listen 127.0.0.1:0
    wait_for_line "$SERVER_LOG" 'https://localhost:[0-9]+'
    bases+=("$(grep -o -E 'https://localhost:[0-9]+' <<<"$LINE" | head -n1)")
    pids+=("$SERVER_PID")
done

# Invited at one, joined at the other, by two who try at once: one of them gets it.
expect_success "$COUNTERSIGN" invite alice --ca "${bases[0]}" --json
link=$(node -p 'JSON.parse(require("fs").readFileSync(0)).link' <<<"$STDOUT")
path=${link#https://localhost:*/}
tries=()
for index in 0 1; do
    mkdir "try$index"
    env -u COUNTERSIGN_STORE "$COUNTERSIGN" join "${bases[index]}/$path" --out "try$index" >"try$index.log" 2>&1 &
    tries+=("$!")
done
good=0
for pid in "${tries[@]}"; do wait "$pid" && good=$((good + 1)); done
assert_eq 1 "$good" "the number of those who got the one certificate"
alice=$(ls try*/alice.pem)

# Revoked at one, on the list of the other.
expect_success "$COUNTERSIGN" revoke alice --ca "${bases[0]}"
curl -sS --cacert "$COUNTERSIGN_HOME/rootCA.pem" -o list.crl "${bases[1]}/crl/issuing.crl"
serial=$(openssl x509 -in "$alice" -noout -serial)
assert_contains "$(openssl crl -inform DER -in list.crl -noout -text)" "${serial#serial=}" "the other replica's list"

# ACME: a nonce that one gave is spent at the other, and is worth nothing at the first after that.
openssl ecparam -name prime256v1 -genkey -noout -out account-key.pem
cat >account.py <<'PROGRAM'
import base64, json, ssl, subprocess, sys, urllib.error, urllib.request

one, two, root = sys.argv[1:]
context = ssl.create_default_context(cafile=root)
text = lambda octets: base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
spki = subprocess.run(["openssl", "pkey", "-in", "account-key.pem", "-pubout", "-outform", "DER"],
                      capture_output=True, check=True).stdout
key = {"kty": "EC", "crv": "P-256", "x": text(spki[-64:-32]), "y": text(spki[-32:])}


def sign(message):
    der = subprocess.run(["openssl", "dgst", "-sha256", "-sign", "account-key.pem"], input=message,
                         capture_output=True, check=True).stdout
    first = der[4 : 4 + der[3]]
    second = der[6 + der[3] :]
    return b"".join(number[-32:].rjust(32, b"\0") for number in (first, second))


def ask(base, nonce):
    url = base + "/acme/new-account"
    protected = text(json.dumps({"alg": "ES256", "jwk": key, "nonce": nonce, "url": URL}).encode())
    payload = text(json.dumps({"termsOfServiceAgreed": True}).encode())
    signature = text(sign(f"{protected}.{payload}".encode()))
    body = json.dumps({"protected": protected, "payload": payload, "signature": signature}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/jose+json"})
    try:
        with urllib.request.urlopen(request, context=context) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as error:
        return json.loads(error.read())["type"].rsplit(":", 1)[-1]


def directory(base):
    with urllib.request.urlopen(base + "/acme/directory", context=context) as answer:
        return json.loads(answer.read())


# What is signed is where clients reach the authority; each replica is asked at an address of its own here.
with urllib.request.urlopen(urllib.request.Request(directory(one)["newNonce"], method="HEAD"), context=context) as answer:
    nonce = answer.headers["Replay-Nonce"]
URL = directory(two)["newAccount"]
results = [ask(two, nonce)]
URL = directory(one)["newAccount"]
results.append(ask(one, nonce))
print(" ".join(results))
PROGRAM
expect_success python3 account.py "${bases[0]}" "${bases[1]}" "$COUNTERSIGN_HOME/rootCA.pem"
assert_eq "201 badNonce" "$STDOUT" "a nonce of one replica at the other, and then at the first"

# A dump of the living database, restored beside it: the trail and the log are whole, and no list number comes again.
expect_success "$COUNTERSIGN" audit log checkpoint
printf '%s\n' "$STDOUT" >monday.checkpoint
expect_success "$binaries/pg_dump" --format=custom --file=ca.dump "$COUNTERSIGN_STORE"
expect_success "$COUNTERSIGN" issue client later --out .
expect_success "$COUNTERSIGN" crl --out used.pem
expect_success psql -q "$COUNTERSIGN_STORE" -c 'CREATE DATABASE restored'
restored=${COUNTERSIGN_STORE%/postgres}/restored
expect_success "$binaries/pg_restore" --exit-on-error --dbname="$restored" ca.dump
expect_success "$COUNTERSIGN" --store "$restored" audit verify
expect_success "$COUNTERSIGN" --store "$restored" audit log verify --since monday.checkpoint
expect_success "$COUNTERSIGN" --store "$restored" issue client anew --out .
expect_success "$COUNTERSIGN" --store "$restored" crl --out anew.crl.pem
number() { openssl crl -in "$1" -noout -crlnumber | sed 's/.*0x//'; }
[ "$((16#$(number anew.crl.pem)))" -gt "$((16#$(number used.pem)))" ] || fail "a list number came again"

# Many join while one replica is killed; what was confirmed is there.
expect_success "$COUNTERSIGN" invite many --uses 12 --ca "${bases[0]}" --json
path=$(node -p 'JSON.parse(require("fs").readFileSync(0)).link' <<<"$STDOUT")
path=${path#https://localhost:*/}
tries=()
for index in {1..12}; do
    mkdir "many$index"
    env -u COUNTERSIGN_STORE "$COUNTERSIGN" join "${bases[index % 2]}/$path" --out "many$index" \
        >"many$index.log" 2>&1 &
    tries+=("$!")
    [ "$index" -ne 6 ] || kill -KILL "${pids[0]}"
done
for pid in "${tries[@]}"; do wait "$pid" || true; done
# Those whose replica died go on with the key they have, at the other one.
for index in {1..12}; do
    [ -f "many$index/many.pem" ] ||
        expect_success env -u COUNTERSIGN_STORE "$COUNTERSIGN" join "${bases[1]}/$path" --out "many$index"
done
serials=$(for file in many*/many.pem; do openssl x509 -in "$file" -noout -serial; done | sort -u)
assert_eq 12 "$(wc -l <<<"$serials")" "the number of serial numbers"
expect_success "$COUNTERSIGN" list --search many --limit 0 --json
for serial in ${serials//serial=/}; do
    assert_contains "$(tr -d : <<<"${STDOUT^^}")" "$serial" "what the authority knows"
done
# Page after page is the same list, by the memory and by the authority.
numbers() { grep -o '"serial_number": "[^"]*"' <<<"$STDOUT"; }
whole=$(numbers)
for from in "" "--ca ${bases[1]}"; do
    paged='' behind=''
    while true; do
        # shellcheck disable=SC2086 # words of their own
        expect_success "$COUNTERSIGN" list --search many --limit 5 --json $from $behind
        paged+=${paged:+$'\n'}$(numbers)
        next=$(sed -n 's/.*"next": "\(.*\)".*/\1/p' <<<"$STDOUT")
        [ -n "$next" ] || break
        behind="--after $next"
    done
    assert_eq "$whole" "$paged" "the pages of the list ($from)"
    # shellcheck disable=SC2086
    expect_failure 1 "$COUNTERSIGN" list --after 0102030405060708 $from
    assert_contains "$STDERR" "0102030405060708" "what is told of a page behind nothing"
done
# The one character that PostgreSQL takes in no text is refused before it is asked.
expect_success curl -sS --cacert "$COUNTERSIGN_HOME/rootCA.pem" --cert "$COUNTERSIGN_HOME/admin.pem" \
    --key "$COUNTERSIGN_HOME/admin-key.pem" "${bases[1]}/api/v1/certificates?search=a%00b" -o /dev/null -w '%{http_code}'
assert_eq 400 "$STDOUT" "what a search for U+0000 is answered"
expect_failure 1 env -u COUNTERSIGN_STORE "$COUNTERSIGN" join "${bases[1]}/$path" --out .
assert_contains "$STDERR" "used already" "what a thirteenth is told"

# Copied, the trail is the same, and the copy is an authority.
kill -TERM "${pids[1]}"
code=0
wait "${pids[1]}" || code=$?
assert_eq 0 "$code" "the exit code of a replica that was asked to end"
expect_success "$COUNTERSIGN" audit verify
hash=$STDOUT
expect_success "$COUNTERSIGN" store move "$COUNTERSIGN_STORE" sqlite:copy.db
assert_eq "$hash" "$STDOUT" "the hash at the end of the copy's trail"
expect_success "$COUNTERSIGN" --store sqlite:copy.db audit verify --expect "$hash"
expect_success "$COUNTERSIGN" --store sqlite:copy.db issue client bob
