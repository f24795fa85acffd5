#!/usr/bin/env bash
# As root, gateway, tunnel, authority and agent run as their systemd units say, in the units' own sandboxes, system call filter
# included: an enrolment, requests, a reload and a renewal go through, and in the same sandboxes what is forbidden fails.
# needs: cc curl openssl python3 setpriv systemd-analyze
. "$(dirname "$0")/../lib.sh"

if [ "$(id -u)" -ne 0 ]; then
    say "only root can make such a sandbox"
    exit 0
fi
# Somewhere that the unprivileged user can reach, wherever the sources lie and whoever may enter the case's folder.
place=$(mktemp -d /tmp/csgn-sandbox.XXXXXX)
at_exit rm -rf "$place"
chmod 755 "$place"
cd "$place"
mkdir etc state
cp "$INTEROP/sandbox.py" .
cp -l "$COUNTERSIGN" ./countersign-program 2>/dev/null || cp "$COUNTERSIGN" ./countersign-program
export COUNTERSIGN_HOME=$PWD/state
expect_success "$COUNTERSIGN" init
expect_success "$COUNTERSIGN" issue client alice
expect_success "$COUNTERSIGN" issue server localhost --out etc
expect_success "$COUNTERSIGN" invite device --json
sed -n 's/.*"code": "\([^"]*\)".*/\1/p' <<<"$STDOUT" >etc/device.code
cp rootCA.pem etc/
for unit in "$INTEROP"/../packaging/*.service; do
    sed "s|/usr/bin/countersign|$PWD/countersign-program|; s|/etc/countersign|$PWD/etc|g; s|/var/lib/countersign|$PWD/state|g" \
        "$unit" >"${unit##*/}"
done
# ./sandboxed UNIT WRITABLE… -- COMMAND…: becomes the command.
cat >sandboxed <<'X2'
#!/bin/sh
unit=$1
shift
exec /usr/bin/python3 "${0%/*}/sandbox.py" "$PWD/countersign-$unit.service" "$@"
X2
chmod +x sandboxed
# words UNIT: its command line, into the array `command`.
words() {
    read -ra command <<<"$(sed -n 's/^ExecStart=//p' "countersign-$1.service")"
}

say "the authority"
ca=$(free_port)
gateway=127.86.$((RANDOM % 250 + 1)).$((RANDOM % 250 + 1))
chown -R 65534:65534 state etc
words ca
start_server ./sandboxed ca "$PWD/state" -- "${command[@]}" --listen "127.0.0.1:$ca"
wait_for_line "$SERVER_LOG" 'Ctrl-C'

say "the agent obtains from it, and renews"
cat >etc/agent.toml <<X2
[[certificate]]
files = "$PWD/etc/device.pem"
[certificate.est]
url = "https://localhost:$ca"
anchors = "$PWD/rootCA.pem"
names = ["device"]
password_file = "$PWD/etc/device.code"
X2
words agent
expect_success ./sandboxed agent "$PWD/etc" -- "${command[@]}" --once
expect_success openssl verify -CAfile rootCA.pem -untrusted etc/device.pem etc/device.pem
start_server ./sandboxed agent "$PWD/etc" -- "${command[@]}"
wait_for_line "$SERVER_LOG" .
stop_server

say "the gateway, at a low port"
cat >etc/countersign.toml <<X2
[[listeners]]
address = "$gateway:443"
certificates = [{ cert = "$PWD/etc/localhost.pem", key = "$PWD/etc/localhost-key.pem" }]
client_ca = ["$PWD/etc/rootCA.pem"]
allow = ["cn alice", "cn device"]
[[listeners.routes]]
identity = true
X2
chmod 644 etc/countersign.toml
words serve
start_server ./sandboxed serve "$PWD/state" -- "${command[@]}"
wait_for_line "$SERVER_LOG" 'Ctrl-C'
ask() { curl -sS --resolve "localhost:443:$gateway" --cacert rootCA.pem --cert "$1" --key "$2" https://localhost/; }
expect_success ask alice.pem alice-key.pem
assert_contains "$STDOUT" alice "the page"
expect_success ask etc/device.pem etc/device-key.pem
assert_contains "$STDOUT" device "the page"
assert_eq 2 "$(awk '/^Seccomp:/ { print $2 }' "/proc/$SERVER_PID/status")" "the filter of system calls"
kill -HUP "$SERVER_PID"
wait_for_line "$SERVER_LOG" 'Loaded anew'
expect_success ask alice.pem alice-key.pem
gateway_pid=$SERVER_PID

say "the tunnel, to the gateway"
cp alice.pem etc/app.pem
cp alice-key.pem etc/app-key.pem
chown 65534:65534 etc/app.pem etc/app-key.pem
local=$(free_port)
words connect
command=("${command[@]/127.0.0.1:5432/127.0.0.1:$local}")
command=("${command[@]/db.example.com:5432/$gateway:443}")
start_server ./sandboxed connect "$PWD/state" -- "${command[@]}" --override-server-name localhost
wait_for_line "$SERVER_LOG" 'Ctrl-C'
expect_success curl -sS "http://127.0.0.1:$local/"
assert_contains "$STDOUT" alice "the page"
kill -HUP "$SERVER_PID"
wait_for_line "$SERVER_LOG" 'Loaded anew'
stop_server
stop_server "$gateway_pid"

say "what the sandboxes are for"
cat >attempts.py <<'X2'
import ctypes, mmap, os, socket, sys
def attempt(what, action):
    try:
        action()
        print("possible:", what)
    except OSError as error:
        print("refused:", what, error.strerror)
attempt("write outside", lambda: open("/etc/countersign-was-here", "w"))
attempt("a packet socket", lambda: socket.socket(17, socket.SOCK_RAW))
attempt("memory to write and run", lambda: mmap.mmap(-1, 4096, prot=7))
attempt("become root", lambda: os.setresuid(0, 0, 0))
attempt("change owners", lambda: os.chown(sys.argv[1], 0, 0))
attempt("see other processes", lambda: os.stat("/proc/1"))
attempt("write inside", lambda: open(sys.argv[1] + "/written", "w").close())
X2
for unit in agent ca connect serve; do
    expect_success ./sandboxed "$unit" "$PWD/state" -- /usr/bin/python3 "$PWD/attempts.py" "$PWD/state"
    assert_eq "possible: write inside" "$(grep possible <<<"$STDOUT")" "what is possible in the sandbox of $unit"
    assert_eq 6 "$(grep -c refused <<<"$STDOUT")" "what is refused in the sandbox of $unit"
done
