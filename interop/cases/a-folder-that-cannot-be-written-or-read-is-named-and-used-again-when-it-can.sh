#!/usr/bin/env bash
# The authority's home becomes read-only, loses its permissions, and sits on a disk that is full; a running authority, gateway
# and agent lose the permission for their files. Each says which file and why, nothing is left half-written, what goes on
# without it goes on, and when the fault ends everything works again.
# needs: curl openssl setpriv unshare
. "$(dirname "$0")/../lib.sh"

# Root without its capabilities is held by permissions as everybody is.
ordinary=()
[ "$(id -u)" -ne 0 ] || ordinary=(setpriv --bounding-set=-all --inh-caps=-all)
countersign() { "${ordinary[@]}" "$COUNTERSIGN" "$@"; }
# told CODES WORD… -- COMMAND…: it fails with one of the codes and an error that has the words, and without a panic.
told() {
    local codes=$1 words=()
    shift
    while [ "$1" != -- ]; do
        words+=("$1")
        shift
    done
    shift
    expect_failure "$codes" "${ordinary[@]}" "$COUNTERSIGN" "$@"
    for word in "${words[@]}"; do assert_contains "$STDERR" "$word" "the error of $*"; done
    [[ $STDERR == "error: "* ]] || fail "that is no error of ours: $STDERR"
    assert_lacks "$STDERR" panicked
}
absent() { for file in "$@"; do [ ! -e "$file" ] || fail "$file is there"; done; }

expect_success countersign init --no-constraints
expect_success countersign issue server localhost
expect_success countersign issue client alice
home=$COUNTERSIGN_HOME

say "the home can be read and not be written"
chmod 400 "$home"/ca.db*
chmod 500 "$home" "$home"/keys
told 1,2,3 "ca.db" -- issue client bob
absent bob.pem bob-key.pem
told 1,2,3 "ca.db" -- revoke alice
chmod 700 "$home" "$home"/keys
chmod 600 "$home"/ca.db*
expect_success countersign issue client bob
expect_success countersign audit verify

say "the home cannot even be read"
chmod 000 "$home"
for command in "issue client carol" "list" "crl" "audit verify"; do
    # shellcheck disable=SC2086 # Words of a command.
    told 1,2,3 "$home" "ermission" -- $command
done
absent carol.pem carol-key.pem
chmod 700 "$home"
expect_success countersign issue client carol

say "the key cannot be read"
chmod 000 "$home"/keys/*
told 1,2,3 "cannot be read" "$home/keys/" -- issue client dora
absent dora.pem dora-key.pem
chmod 600 "$home"/keys/*
expect_success countersign issue client dora

say "the folder for the files cannot be written: nothing is issued for nobody"
mkdir closed
chmod 500 closed
told 1,2,3 "closed" "ermission" -- issue client erika --out closed
expect_success countersign list --search erika --json
assert_lacks "$STDOUT" '"erika"' "what was issued without a place to go"
chmod 700 closed
expect_success countersign issue client erika --out closed

if unshare --mount true 2>/dev/null; then
    say "a disk that is full, and a file system that turned read-only"
    cat >small-disk <<'X2'
#!/usr/bin/env bash
# Its own mounts, which end with it.
set -euo pipefail
mkdir -p disk
mount -t tmpfs -o size=3m,mode=700 tmpfs disk
"$COUNTERSIGN" --home disk/home init --quiet --no-constraints >/dev/null
"$COUNTERSIGN" --home disk/home issue client first --quiet --out disk >/dev/null
dd if=/dev/zero of=disk/filler bs=4096 status=none 2>/dev/null || true
status=0
"$COUNTERSIGN" --home disk/home issue client second --quiet --out disk 2>full.txt || status=$?
[ "$status" -ne 0 ] && [ ! -e disk/second.pem ] && [ ! -e disk/second-key.pem ] || { echo "on a full disk: $status"; exit 1; }
rm disk/filler
"$COUNTERSIGN" --home disk/home issue client second --quiet --out disk >/dev/null
mount -o remount,ro disk
status=0
"$COUNTERSIGN" --home disk/home issue client third --quiet --out . 2>read-only.txt || status=$?
[ "$status" -ne 0 ] && [ ! -e third.pem ] || { echo "on a read-only disk: $status"; exit 1; }
mount -o remount,rw disk
"$COUNTERSIGN" --home disk/home issue client third --quiet --out disk >/dev/null
"$COUNTERSIGN" --home disk/home audit verify >/dev/null
X2
    chmod +x small-disk
    expect_success unshare --mount --propagation private ./small-disk
    assert_contains "$(cat full.txt)" "full" "the error on a full disk"
    assert_contains "$(cat read-only.txt)" "read" "the error on a read-only file system"
fi

say "a running authority whose files are taken away"
port=$(free_port)
start_server "${ordinary[@]}" "$COUNTERSIGN" ca serve --listen "127.0.0.1:$port"
ca=$SERVER_PID ca_log=$SERVER_LOG
wait_for_line "$ca_log" 'Ctrl-C'
base=https://localhost:$port
link_for() { # link_for NAME: prints the link of an invite
    countersign invite "$1" --json | sed -n 's/.*"link": "\([^"]*\)".*/\1/p' | sed -E "s#^(https://[^/]*)?#$base#"
}
link=$(link_for frida)
mkdir joined
chmod 000 "$home"/ca.db* "$home"/keys/*
chmod 500 "$home"
# Its files are open: what it does with them is its own affair, but it must not end, and say no nonsense.
run countersign join "$link" --out joined
[ "$STATUS" = 0 ] || assert_contains "$STDERR" "error: " "the refusal"
kill -0 "$ca" || fail "the authority ended"
chmod 700 "$home"
chmod 600 "$home"/ca.db* "$home"/keys/*
[ -e joined/frida.pem ] || expect_success countersign join "$link" --out joined
expect_success countersign key match joined/frida.pem joined/frida-key.pem
assert_lacks "$(cat "$ca_log")" panicked "the authority's log"

say "joining into a folder that cannot be written costs no use of the invite"
link=$(link_for greta)
mkdir shut
chmod 500 shut
told 1,2,3 "shut" "ermission" -- join "$link" --out shut
chmod 700 shut
expect_success countersign join "$link" --out shut

say "an agent whose folder cannot be written costs none either"
run countersign invite robot --json
(umask 077 && sed -n 's/.*"code": "\([^"]*\)".*/\1/p' <<<"$STDOUT" >robot.secret)
mkdir fresh
cat >agent.toml <<X2
[[certificate]]
files = "fresh/robot.pem"
[certificate.est]
url = "$base"
anchors = "$home/rootCA.pem"
names = ["robot"]
password_file = "robot.secret"
X2
chmod 500 fresh
expect_failure 1,2 countersign agent --config agent.toml --once
assert_contains "$STDERR" "fresh/robot" "what the agent says"
assert_contains "$STDERR" "ermission" "what the agent says"
start_server "${ordinary[@]}" "$COUNTERSIGN" agent --config agent.toml --metrics 127.0.0.1:0
agent_log=$SERVER_LOG
wait_for_line "$agent_log" 'robot.pem: not renewed; next try'
kill -0 "$SERVER_PID" || fail "the agent ended"
stop_server
chmod 700 fresh
expect_success countersign agent --config agent.toml --once
expect_success countersign key match fresh/robot.pem fresh/robot-key.pem

say "a running gateway that may not read its files any more serves on, and says so"
start_server "${ordinary[@]}" "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key localhost-key.pem \
    --client-ca rootCA.pem --allow-cn alice
wait_for_line "$SERVER_LOG" 'https://[^ ]*:[0-9]+'
url=$(sed -E 's|.*(https://[^ ]*:[0-9]+).*|\1|' <<<"$LINE")
ask() { curl -sS --cacert rootCA.pem --cert alice.pem --key alice-key.pem -o page -w '%{http_code}' "$url/"; }
for file in localhost-key.pem localhost.pem rootCA.pem; do
    mode=$(stat -c %a "$file")
    chmod 000 "$file"
    kill -HUP "$SERVER_PID"
    wait_for_line "$SERVER_LOG" "$file.*(cannot be read|ermission)"
    chmod 644 rootCA.pem
    assert_eq 200 "$(ask)" "the answer while $file cannot be read"
    chmod "$mode" "$file"
    before=$(grep -c 'Loaded anew' "$SERVER_LOG" || true)
    is_loaded_again() { [ "$(grep -c 'Loaded anew' "$SERVER_LOG" || true)" -gt "$before" ]; }
    kill -HUP "$SERVER_PID"
    _wait_until "it was loaded again" is_loaded_again
done
assert_eq 200 "$(ask)" "the answer afterwards"
assert_lacks "$(cat "$SERVER_LOG")" panicked "the gateway's log"
