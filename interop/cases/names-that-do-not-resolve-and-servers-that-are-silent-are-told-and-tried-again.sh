#!/usr/bin/env bash
# A name that no resolver knows, a resolver that is not there, a port where nobody listens, and a server that takes connections
# and says nothing: fetch, doctor, join, renew, agent and connect each say which it was, in bounded time and with the exit code
# for it, and what runs on works when the name and the server are back.
# needs: curl openssl python3 unshare
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client alice
ca_port=$(free_port)
start_server "$COUNTERSIGN" ca serve --listen "127.0.0.1:$ca_port" --acme-permit 127.0.0.0/8
wait_for_line "$SERVER_LOG" 'Ctrl-C'
base=https://localhost:$ca_port
expect_success "$COUNTERSIGN" invite bob --json
link=$(sed -n 's/.*"link": "\([^"]*\)".*/\1/p' <<<"$STDOUT" | sed -E 's#^https://[^/]*##')
cat >silent.py <<'X2'
import socket
server = socket.create_server(("127.0.0.1", 0))
print("port", server.getsockname()[1], flush=True)
kept = []
while True:
    kept.append(server.accept())
X2
start_server python3 silent.py
wait_for_line "$SERVER_LOG" '^port [0-9]+'
silent=localhost:${LINE#port }
nobody=localhost:$(free_port)
# RFC 2606 section 2: no resolver knows it.
unknown=authority.invalid

# takes CODES WORD COMMAND…: fails with one of the codes and a word, in less time than anybody waits.
takes() {
    local codes=$1 word=$2 begun=$SECONDS
    shift 2
    expect_failure "$codes" "$@"
    assert_contains "$STDERR" "$word" "the error of $*"
    assert_lacks "$STDERR" panicked
    [ $((SECONDS - begun)) -lt 100 ] || fail "it took $((SECONDS - begun)) seconds: $*"
}
own=(--cert alice.pem --key alice-key.pem --cacert rootCA.pem)

# These wait for as long as an answer may take: beside all else.
mkdir joined-silent
silently() { # silently NAME COMMAND…
    local name=$1 status=0
    shift
    "$@" </dev/null >"$name.out" 2>"$name.err" || status=$?
    echo "$status" >"$name.code"
}
silently join "$COUNTERSIGN" join "https://$silent$link" --out joined-silent &
silently renew "$COUNTERSIGN" renew alice.pem --ca "https://$silent" &

say "fetch has curl's exit codes"
takes 6 "$unknown" "$COUNTERSIGN" fetch "${own[@]}" "https://$unknown/"
takes 7 "$nobody" "$COUNTERSIGN" fetch "${own[@]}" "https://$nobody/"
takes 28 "" "$COUNTERSIGN" fetch "${own[@]}" --max-time 2 "https://$silent/"

say "doctor names each"
for case in "$unknown name_unresolvable" "$nobody unreachable" "$silent silent"; do
    run "$COUNTERSIGN" doctor --json --max-time 3 "https://${case% *}/" "${own[@]}"
    [ "$STATUS" -ne 0 ] || fail "the doctor finds nothing wrong with ${case% *}"
    say "${case% *}: $(grep -o '"code": "[a-z_]*"' <<<"$STDOUT" | head -n1)"
    assert_contains "$STDOUT" '"code": "' "the doctor's findings"
done

say "join and renew: the invite stays good"
mkdir joined
for server in "$unknown" "$nobody"; do
    takes 3 "${server%:*}" "$COUNTERSIGN" join "https://$server$link" --out joined
done
expect_success "$COUNTERSIGN" join "$base$link" --out joined
before=$(cat joined/bob.pem)
for server in "$unknown" "$nobody"; do
    takes 3 "${server%:*}" "$COUNTERSIGN" renew joined/bob.pem --ca "https://$server"
    assert_eq "$before" "$(cat joined/bob.pem)" "the certificate in place"
done
expect_success "$COUNTERSIGN" renew joined/bob.pem --ca "$base"
expect_success "$COUNTERSIGN" key match joined/bob.pem joined/bob-key.pem

say "an agent that cannot reach one authority obtains from the others, and says which"
expect_success "$COUNTERSIGN" invite robot --json
(umask 077 && sed -n 's/.*"code": "\([^"]*\)".*/\1/p' <<<"$STDOUT" >robot.secret)
for one in "unknown https://$unknown" "nobody https://$nobody" "robot $base"; do
    cat >>agent.toml <<X2
[[certificate]]
files = "${one% *}.pem"
[certificate.est]
url = "${one#* }"
anchors = "$COUNTERSIGN_HOME/rootCA.pem"
names = ["${one% *}"]
password_file = "robot.secret"
X2
done
expect_failure 1 "$COUNTERSIGN" agent --config agent.toml --once
assert_contains "$STDERR" "$unknown" "what the agent says"
assert_contains "$STDERR" "unknown.pem: not renewed; next try" "what the agent says"
assert_contains "$STDERR" "nobody.pem: not renewed; next try" "what the agent says"
expect_success "$COUNTERSIGN" key match robot.pem robot-key.pem

say "connect resets its client, says why, and works when the name is known"
gateway=$(free_port)
start_server "$COUNTERSIGN" serve --listen "127.0.0.1:$gateway" --cert localhost.pem --key localhost-key.pem \
    --client-ca rootCA.pem --allow-cn alice
wait_for_line "$SERVER_LOG" 'Ctrl-C'
cp /etc/hosts hosts
cat >start <<X2
#!/bin/sh
# A file of names of its own, where this user may have one.
mount --bind "$PWD/hosts" /etc/hosts 2>/dev/null
exec "$COUNTERSIGN" connect --listen 127.0.0.1:0 --cert alice.pem --cacert rootCA.pem --to "\$1:$gateway" \
    --override-server-name localhost
X2
chmod +x start
starter=(./start localhost)
if unshare --mount true 2>/dev/null; then
    starter=(unshare --mount --propagation private ./start gateway.test)
fi
start_server "${starter[@]}"
wait_for_line "$SERVER_LOG" '^127\.0\.0\.1:[0-9]+ -> '
port=${LINE#127.0.0.1:}
port=${port%% *}
if [ "${starter[0]}" = unshare ]; then
    expect_failure 7,52,56 curl -sS "http://127.0.0.1:$port/"
    wait_for_line "$SERVER_LOG" 'gateway.test'
    wait_for_line "$SERVER_LOG" 'FAILED'
    echo "127.0.0.1 gateway.test" >>hosts
fi
is_served() { curl -sS -o page "http://127.0.0.1:$port/" 2>/dev/null; }
_wait_until "the tunnel reached the gateway" is_served
for target in "$unknown:443" "$nobody" "$silent"; do
    start_server "$COUNTERSIGN" connect --listen 127.0.0.1:0 --cert alice.pem --cacert rootCA.pem --to "$target" \
        --to "localhost:$gateway"
    wait_for_line "$SERVER_LOG" '^127\.0\.0\.1:[0-9]+ -> '
    other=${LINE#127.0.0.1:}
    expect_success curl -sS --max-time 100 "http://127.0.0.1:${other%% *}/"
    stop_server
done

say "who asked the silent server has given up by now, or does"
for name in join renew; do
    SERVER_PID='' WAIT=120 _wait_until "$name ended" test -s "$name.code"
    assert_eq 3 "$(cat "$name.code")" "the exit code of $name"
    assert_contains "$(cat "$name.err")" "error: " "what $name says"
    assert_contains "$(cat "$name.err")" "localhost" "what $name says"
done
[ -z "$(ls -A joined-silent)" ] || fail "join left something: $(ls -A joined-silent)"
