#!/usr/bin/env bash
# A passphrase, a PKCS#12 password, a token's PIN, a signer's token, a database's password, an invite's code and an EAB key
# are planted, used, and used wrongly. None of them is in a command line or environment of any process that countersign
# starts or is, in a log, a metric, a page, an error or the audit trail.
# needs: curl openssl softhsm2-util strace
. "$(dirname "$0")/../lib.sh"

mkdir said work
mkdir -m 700 secrets
umask 077
planted() { # planted NAME: a new secret, in its file
    printf '%s\n' "planted-secret-$1-$RANDOM$RANDOM$RANDOM" >"secrets/$1"
}
number=0
# tell COMMAND…: runs it, and keeps what it says and the command line and environment of whatever it starts.
tell() {
    number=$((number + 1))
    say "\$ $*"
    strace -f -qq -s 65536 -v -e trace=execve,execveat -e signal=none -o "said/exec-$number" "$@" \
        <"${INPUT:-/dev/null}" >"said/out-$number" 2>&1 || echo "exit code $?" >>"said/out-$number"
}
tell_success() {
    tell "$@"
    ! grep -q '^exit code' "said/out-$number" || { cat "said/out-$number"; fail "$*"; }
}
tell_failure() {
    tell "$@"
    grep -q '^exit code' "said/out-$number" || fail "it succeeds: $*"
}
for name in passphrase wrong-passphrase p12 token database; do planted "$name"; done
echo "4815162342$RANDOM" >secrets/pin
echo "48151623429$RANDOM" >secrets/wrong-pin
export SOFTHSM2_CONF=$PWD/softhsm2.conf
mkdir tokens
printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = DEBUG\n' "$PWD/tokens" >softhsm2.conf
softhsm2-util --init-token --free --label acme --pin "$(cat secrets/pin)" --so-pin 990099 >/dev/null
module=$(find /usr/lib -name libsofthsm2.so 2>/dev/null | head -n1)

say "files and keys"
tell_success "$COUNTERSIGN" init --passphrase-file secrets/passphrase --no-constraints
with=(--passphrase-file secrets/passphrase)
tell_success "$COUNTERSIGN" issue client alice "${with[@]}" --p12 --p12-password-file secrets/p12
tell_failure "$COUNTERSIGN" issue client bob --passphrase-file secrets/wrong-passphrase
tell_success "$COUNTERSIGN" key encrypt alice-key.pem --new-passphrase-file secrets/passphrase --out encrypted-key.pem
tell_failure "$COUNTERSIGN" key decrypt encrypted-key.pem --passphrase-file secrets/wrong-passphrase --out clear-key.pem
tell_success "$COUNTERSIGN" inspect encrypted-key.pem
tell_failure "$COUNTERSIGN" key convert alice.p12 --passphrase-file secrets/wrong-passphrase --out clear-key.pem
tell_success "$COUNTERSIGN" issue client robot "${with[@]}" \
    --key-at "pkcs11:token=acme;object=robot?module-path=$module&pin-source=file:$PWD/secrets/pin"
tell_failure "$COUNTERSIGN" issue client robot2 "${with[@]}" \
    --key-at "pkcs11:token=acme;object=robot2?module-path=$module&pin-source=file:$PWD/secrets/wrong-pin"
tell_failure "$COUNTERSIGN" issue client robot3 "${with[@]}" \
    --key-at "https+signer://localhost:1/sign?key=robot&cacert=rootCA.pem&token-file=secrets/token"
COUNTERSIGN_STORE="postgres://someone:$(cat secrets/database)@127.0.0.1:1/ca" "$COUNTERSIGN" list \
    >said/out-database 2>&1 && fail "there is no database at port 1"

say "the authority, its invites and its external account keys"
"$COUNTERSIGN" invite device --json "${with[@]}" >work/invite
sed -n 's/.*"code": "\([^"]*\)".*/\1/p' work/invite >secrets/code
"$COUNTERSIGN" invite est-device --json "${with[@]}" >work/est
sed -n 's/.*"code": "\([^"]*\)".*/\1/p' work/est >secrets/est-code
"$COUNTERSIGN" acme eab add robot --json >work/eab
sed -n 's/.*"hmac_key": "\([^"]*\)".*/\1/p' work/eab >secrets/eab
kid=$(sed -n 's/.*"kid": "\([^"]*\)".*/\1/p' work/eab)
port=$(free_port)
start_server "$COUNTERSIGN" ca serve --listen "127.0.0.1:$port" --log "${with[@]}"
ca_log=$SERVER_LOG ca=$SERVER_PID
wait_for_line "$ca_log" 'Ctrl-C'
base=https://localhost:$port
echo "$base$(sed -n 's/.*"link": "\([^"]*\)".*/\1/p' work/invite)" >work/link
# The same with another last character of the code: wrong, and nearly the right one.
sed 's/#/0#/' work/link >work/wrong-link
INPUT=work/wrong-link tell_failure "$COUNTERSIGN" join - --out work
INPUT=work/link tell_success "$COUNTERSIGN" join - --out work
INPUT=work/link tell_failure "$COUNTERSIGN" join - --out work --force
curl -sS --cacert rootCA.pem "$base/i/$(cat secrets/code)" >said/page-invite 2>&1
cat >work/agent.toml <<X2
[[certificate]]
files = "$PWD/work/robot.pem"
[certificate.acme]
directory = "$base/acme/directory"
anchors = "$PWD/rootCA.pem"
names = ["robot"]
eab_kid = "$kid"
eab_key_file = "$PWD/secrets/eab"
[[certificate]]
files = "$PWD/work/est-device.pem"
[certificate.est]
url = "$base"
anchors = "$PWD/rootCA.pem"
names = ["est-device"]
password_file = "$PWD/secrets/est-code"
X2
tell_success "$COUNTERSIGN" agent --config work/agent.toml --once
tell_success "$COUNTERSIGN" agent --config work/agent.toml --status --json
tell_success "$COUNTERSIGN" invites list "${with[@]}"
tell_success "$COUNTERSIGN" acme eab list
tell_success "$COUNTERSIGN" audit export --out said/audit.jsonl "${with[@]}"
metrics=$(free_port)
start_server "$COUNTERSIGN" agent --config work/agent.toml --metrics "127.0.0.1:$metrics"
agent=$SERVER_PID
wait_for_port "$metrics"
curl -sS "http://127.0.0.1:$metrics/metrics" >said/metrics-agent

say "the gateway"
tell_success "$COUNTERSIGN" issue server localhost "${with[@]}"
start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key localhost-key.pem --client-ca rootCA.pem \
    --allow-cn alice --log json --admin "127.0.0.1:$(free_port)"
wait_for_line "$SERVER_LOG" 'http://127[^ ]*_status'
admin=${LINE%%/_status*}
for page in _status _metrics _clients; do curl -sS "${admin#"${admin%%http*}"}/$page" >>said/pages-gateway; done
for process in "$ca" "$agent" "$SERVER_PID"; do
    tr '\0' '\n' <"/proc/$process/cmdline" >"said/process-$process"
    tr '\0' '\n' <"/proc/$process/environ" >>"said/process-$process"
done
cp "$PWD"/server-*.log said/

say "what was said"
# An empty line would be in everything.
for secret in secrets/*; do [ "$(wc -c <"$secret")" -ge 10 ] || fail "$secret holds nothing"; done
grep -qFf <(cat secrets/*) secrets/eab || fail "the search finds nothing"
[ "$(cat said/exec-* | grep -c execve)" -ge 15 ] || fail "no process was seen to start"
[ -s said/metrics-agent ] && [ -s said/pages-gateway ] || fail "a page said nothing"
if grep -rnFf <(cat secrets/*) said >&2; then fail "the lines above tell a secret"; fi
