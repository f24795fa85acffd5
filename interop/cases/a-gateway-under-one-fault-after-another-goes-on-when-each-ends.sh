#!/usr/bin/env bash
# A name that is not known, a torn certificate, one that is never read to its end, no file left to open and a clock ten years
# ahead: each is told, none ends the gateway or what it serves meanwhile, and when the fault ends everything is as before.
# needs: curl faketime python3 unshare
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client alice
backend=$(free_port)
start_server python3 -m http.server --bind 127.0.0.1 "$backend"
wait_for_port "$backend"
library=$(find /usr/lib -name libfaketimeMT.so.1 2>/dev/null | head -n1)
[ -n "$library" ] || fail "faketime is installed, and its library is nowhere"
echo "+0" >clock
cp /etc/hosts hosts
port=$(free_port)
cat >start <<X2
#!/bin/sh
# A file of names of its own, where this user may have one.
mount --bind "$PWD/hosts" /etc/hosts 2>/dev/null
ulimit -n 60
# The clock on the wall alone: one that is set does not move the monotonic one.
export LD_PRELOAD=$library FAKETIME_TIMESTAMP_FILE=$PWD/clock FAKETIME_NO_CACHE=1
export DONT_FAKE_MONOTONIC=1 FAKETIME_DONT_FAKE_MONOTONIC=1
exec "$COUNTERSIGN" serve --listen 127.0.0.1:$port --workers 1 --cert localhost.pem --key localhost-key.pem \
    --client-ca rootCA.pem --allow-cn alice --to "http://\$1:$backend"
X2
chmod +x start
name=127.0.0.1
starter=(./start)
if unshare --mount true 2>/dev/null; then
    name=backend.test
    starter=(unshare --mount --propagation private ./start)
fi
start_server "${starter[@]}" "$name"
wait_for_line "$SERVER_LOG" 'Ctrl-C'
ask() {
    curl -sS --max-time 20 --cacert rootCA.pem --cert alice.pem --key alice-key.pem -o page -w '%{http_code}' \
        "https://localhost:$port/start"
}
status() { ask 2>/dev/null || true; }
# until_status CODE: asks until the answer has this status.
until_status() { _wait_until "the answer was $1" is_status "$1"; }
is_status() { [ "$(status)" = "$1" ]; }

if [ "$name" = backend.test ]; then
    say "a name that nobody knows"
    assert_eq 502 "$(status)" "the answer while the name is not known"
    echo "127.0.0.1 backend.test" >>hosts
fi
until_status 200

say "a certificate of which half is written"
cp localhost.pem whole.pem
head -c 300 whole.pem >localhost.pem
kill -HUP "$SERVER_PID"
wait_for_line "$SERVER_LOG" 'cannot be loaded; what was in force stays so'
assert_eq 200 "$(status)" "the answer with a torn certificate"
cat whole.pem >localhost.pem
kill -HUP "$SERVER_PID"
wait_for_line "$SERVER_LOG" 'Loaded anew'

say "a certificate that is never read to its end"
mkfifo slow
mv slow localhost.pem
kill -HUP "$SERVER_PID"
wait_for_line "$SERVER_LOG" 'localhost.pem is a pipe or a device'
assert_eq 200 "$(status)" "the answer with a pipe in the certificate's place"
before=$(grep -c 'Loaded anew' "$SERVER_LOG")
is_loaded_again() { [ "$(grep -c 'Loaded anew' "$SERVER_LOG")" -gt "$before" ]; }
cp whole.pem another.pem && mv another.pem localhost.pem
_wait_until "it was loaded from a file again" is_loaded_again

say "no file left to open"
cat >crowd.py <<'X2'
import socket, sys, time
# More than it may have open; each stays until the end of standard input. Who is not taken waits in the kernel's queue.
crowd = []
for _ in range(90):
    one = socket.socket()
    one.settimeout(20)
    one.connect(("127.0.0.1", int(sys.argv[1])))
    crowd.append(one)
print("crowded", flush=True)
sys.stdin.read()
X2
mkfifo crowd-end
python3 crowd.py "$port" <crowd-end >crowd.log &
crowd=$!
exec 7>crowd-end
_wait_until "the crowd was there" grep -q -s crowded crowd.log
wait_for_line "$SERVER_LOG" '[Tt]oo many open files'
exec 7>&-
wait "$crowd"
until_status 200

say "a clock ten years ahead"
echo "+10y" >clock
expect_failure any ask
echo "+0" >clock
until_status 200
wait_for_line "$SERVER_LOG" 'FAILED:certificate_expired'
stop_server
assert_lacks "$(cat "$SERVER_LOG")" panicked "the log"
