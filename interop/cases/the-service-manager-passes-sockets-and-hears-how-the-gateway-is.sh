#!/usr/bin/env bash
# What systemd promises a service is kept: sockets that were opened before are served (by the real systemd-socket-activate,
# and by a stand-in that listens to sd_notify), READY comes when requests are served, RELOADING around a reload, STOPPING
# at the end, and signs of life as long as the watchdog wants them. A restart behind a passed socket refuses nobody. The
# tunnel and the authority keep the same promises.
# needs: curl python3 systemd-socket-activate
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Gateway"
expect_success "$COUNTERSIGN" issue client alice
ask() { curl -sS --max-time 20 --cacert rootCA.pem --cert alice.pem --key alice-key.pem "https://localhost:$1/"; }

say "systemd-socket-activate"
port=$(free_port)
start_server systemd-socket-activate -l "127.0.0.1:$port" -E HOME -E COUNTERSIGN_HOME \
    "$COUNTERSIGN" serve --listen "127.0.0.1:$port" --workers 3 --allow-cn alice
wait_for_port "$port"
expect_success ask "$port"
assert_contains "$STDOUT" "hello, alice"
for _ in 1 2 3 4 5 6; do expect_success ask "$port"; done

say "a socket for which there is no listener is told, not left to wait for ever"
other=$(free_port)
start_server systemd-socket-activate -l "127.0.0.1:$other" -E HOME -E COUNTERSIGN_HOME \
    "$COUNTERSIGN" serve --listen "127.0.0.1:$(free_port)" --allow-cn alice
wait_for_port "$other"
expect_failure any ask "$other"
wait_for_line "$SERVER_LOG" "passes a socket for 127\.0\.0\.1:$other"

say "a stand-in for the manager"
# A socket's whole path has at most 107 octets, which a case's folder may fill.
notify=$(mktemp -d /tmp/countersign-notify.XXXXXX)
at_exit rm -rf "$notify"
export notify
cat >manager.py <<'X2'
# Opens the socket, starts the service with it, prints what it is told, and starts it again whenever it ends.
import os, signal, socket, subprocess, sys
if sys.argv[1].startswith('/'):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(sys.argv[1])
    listening.listen()
else:
    listening = socket.create_server(('127.0.0.1', int(sys.argv[1])))
heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told = os.environ['notify'] + f'/{os.getpid()}'
heard.bind(told)
over = []
def start():
    def inside():
        os.dup2(listening.fileno(), 3)
        # It may have been 3 already, and closed on exec.
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', WATCHDOG_USEC='600000', WATCHDOG_PID=str(os.getpid()),
                          NOTIFY_SOCKET=told)
        os.execvpe(sys.argv[2], sys.argv[2:], os.environ)
    child = os.fork()
    if child == 0:
        inside()
    print('started', child, flush=True)
    return child
child = start()
signal.signal(signal.SIGTERM, lambda *_: (over.append(1), os.kill(child, signal.SIGTERM)))
heard.settimeout(0.05)
while True:
    try:
        print(heard.recv(4096).decode().replace('\n', ' '), flush=True)
    except (TimeoutError, InterruptedError):
        pass
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        print('ended', ended, status, flush=True)
        if over:
            break
        child = start()
X2
port=$(free_port)
start_server python3 manager.py "$port" "$COUNTERSIGN" serve --listen "127.0.0.1:$port" --allow-cn alice --log off
log=$SERVER_LOG
# times PATTERN NUMBER: whether the log has that many lines like it.
times() { [ "$(grep -c -E -- "$1" "$log")" -ge "$2" ]; }
wait_for_line "$log" '^started [0-9]+'
service=${LINE#started }
wait_for_line "$log" '^READY=1 STATUS=1 listener'
expect_success ask "$port"
assert_contains "$STDOUT" "hello, alice"
_wait_until "three signs of life" times '^WATCHDOG=1' 3
kill -HUP "$service"
wait_for_line "$log" '^RELOADING=1 MONOTONIC_USEC=[0-9]+'
_wait_until "the end of the reload was told" times '^READY=1' 2
say "it ends and is started again, while others ask without a pause"
(for _ in $(seq 60); do ask "$port" >>answers 2>>errors || echo "failed" >>errors; done) &
asking=$!
kill -TERM "$service"
wait_for_line "$log" '^STOPPING=1'
_wait_until "it was started again" times '^started' 2
wait "$asking"
[ ! -s errors ] || fail "$(sort errors | uniq -c)"
assert_eq 60 "$(grep -c 'hello, alice' answers)" "answers"
say "one that hangs gives no sign of life"
service=$(grep -E '^started' "$log" | tail -1 | cut -d' ' -f2)
_wait_until "it serves" times '^READY=1' 3
kill -STOP "$service"
at_exit kill -CONT "$service"
hung=$(grep -c '^WATCHDOG=1' "$log")
# A request that nobody answers takes its second; in it more than one sign would have been due.
expect_failure any curl -sS --max-time 2 --cacert rootCA.pem --cert alice.pem --key alice-key.pem "https://localhost:$port/"
[ "$(grep -c '^WATCHDOG=1' "$log")" -le $((hung + 1)) ] || fail "it gave signs of life"
kill -CONT "$service"

# promises WORD PID: of what the manager's log says, what every service has in common.
promises() {
    log=$SERVER_LOG
    wait_for_line "$log" '^started [0-9]+'
    service=${LINE#started }
    wait_for_line "$log" "^READY=1 STATUS=$1"
    _wait_until "three signs of life of $1" times '^WATCHDOG=1' 3
}

say "a tunnel, behind a unix socket that was opened before"
start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --allow-cn alice --log off
wait_for_line "$SERVER_LOG" '^https://localhost:[0-9]+/'
gateway=${LINE%%/ *}
gateway=${gateway##*:}
through() { curl -sS --max-time 20 --unix-socket "$notify/db" http://localhost/; }
start_server python3 manager.py "$notify/db" "$COUNTERSIGN" connect --listen "unix:$notify/db" \
    --to "localhost:$gateway" --cert alice.pem --cacert rootCA.pem --log off
promises '1 local address'
expect_success through
assert_contains "$STDOUT" "hello, alice"
kill -HUP "$service"
wait_for_line "$log" '^RELOADING=1 MONOTONIC_USEC=[0-9]+'
_wait_until "the end of the reload was told" times '^READY=1' 2
kill -TERM "$service"
wait_for_line "$log" '^STOPPING=1'
_wait_until "it was started again" times '^started' 2
expect_success through
assert_contains "$STDOUT" "hello, alice"

say "and one without a listener for the socket"
start_server systemd-socket-activate -l "$notify/other" -E HOME -E COUNTERSIGN_HOME \
    "$COUNTERSIGN" connect --listen "127.0.0.1:$(free_port)" --to "localhost:$gateway" --cert alice.pem
_wait_until "the socket is there" test -S "$notify/other"
expect_failure any curl -sS --max-time 20 --unix-socket "$notify/other" http://localhost/
wait_for_line "$SERVER_LOG" "passes a socket for unix:$notify/other"

say "the authority"
port=$(free_port)
start_server python3 manager.py "$port" "$COUNTERSIGN" ca serve --listen "127.0.0.1:$port"
promises 'the authority at https'
lives() { curl -sS --max-time 20 --cacert rootCA.pem -o /dev/null -w '%{http_code}' "https://localhost:$port/"; }
expect_success lives
kill -TERM "$service"
wait_for_line "$log" '^STOPPING=1'
_wait_until "it was started again" times '^started' 2
expect_success lives
