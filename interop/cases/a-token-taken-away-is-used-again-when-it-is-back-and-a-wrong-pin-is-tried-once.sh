#!/usr/bin/env bash
# While a token is away, handshakes that need it fail with that reason; once it is back, it is logged in to again and serves.
# A slow token has several signatures at work at once, and keeps nobody waiting who needs none of it. A wrong PIN reaches the
# token once, and none does where one try is left.
# needs: softhsm2-util cc curl
. "$(dirname "$0")/../lib.sh"

for path in /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so /usr/lib64/pkcs11/libsofthsm2.so; do
    [ -e "$path" ] && SHIM_REAL=$path && break
done
[ -n "${SHIM_REAL-}" ] || fail "softhsm2 is installed, and its module is nowhere"
mkdir tokens state
printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$PWD/tokens" > softhsm2.conf
export SHIM_REAL SHIM_STATE=$PWD/state SOFTHSM2_CONF=$PWD/softhsm2.conf
expect_success cc -shared -fPIC -O1 -Wall -o shim.so "$(dirname "$0")/../pkcs11/shim.c" -ldl
expect_success softhsm2-util --init-token --free --label acme --pin 4815162342 --so-pin 990099
(umask 077 && echo 4815162342 > pin && echo 481516234200 > wrong-pin)
logins() {
    [ ! -e state/logins ] || wc -l < state/logins
}

expect_success "$COUNTERSIGN" init --name Acme
key="pkcs11:token=acme;object=web?module-path=$PWD/shim.so&pin-source=file:$PWD"
expect_success "$COUNTERSIGN" issue server localhost --key-at "$key/pin"
expect_success "$COUNTERSIGN" issue client curl
rm -f state/logins
start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key "$key/pin" --client-ca rootCA.pem --allow-cn curl
wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
port=$(grep -o -E ':[0-9]+' <<<"${LINE#*https:}" | head -n1 | tr -d :)
get() {
    curl -sS --cacert rootCA.pem --cert curl.pem --key curl-key.pem "https://localhost:$port/"
}
expect_success get
assert_contains "$STDOUT" "hello, curl" "what curl got"
assert_eq 1 "$(logins)" "logins of the server"

say "away"
touch state/away
expect_failure any get
wait_for_line "$SERVER_LOG" 'was taken away'
expect_failure any get
assert_eq 1 "$(logins)" "logins while it is away"

say "back"
rm state/away
expect_success get
assert_contains "$STDOUT" "hello, curl" "what curl got once it is back"
assert_eq 2 "$(logins)" "logins of the server, with the one after it came back"
stop_server

say "slow"
mkdir beside
expect_success "$COUNTERSIGN" issue server localhost --out beside
ports=("$(free_port)" "$(free_port)")
cat > countersign.toml <<END
# No limit of its own ends what waits for the token here.
[limits]
handshake_timeout = "100s"

[[listeners]]
address = "127.0.0.1:${ports[0]}"
certificates = [{ cert = "localhost.pem", key = "$key/pin" }]
client_ca = ["rootCA.pem"]
allow = ["cn curl"]
[[listeners.routes]]
identity = true

[[listeners]]
address = "127.0.0.1:${ports[1]}"
certificates = [{ cert = "beside/localhost.pem", key = "beside/localhost-key.pem" }]
client_ca = ["rootCA.pem"]
allow = ["cn curl"]
[[listeners.routes]]
identity = true
END
start_server "$COUNTERSIGN" serve --config countersign.toml
wait_for_line "$SERVER_LOG" 'Ctrl-C ends it'
touch state/slow
port=${ports[0]}
waiting=()
for number in 1 2 3; do
    get > "waited-$number" &
    waiting+=($!)
done
for _ in $(seq $((WAIT * 10))); do
    [ -e state/waiting ] && [ "$(wc -l < state/waiting)" = 3 ] && break
    sleep 0.1
done
assert_eq 3 "$(wc -l < state/waiting)" "signatures that the token is at"
port=${ports[1]}
expect_success get
assert_contains "$STDOUT" "hello, curl" "what is got meanwhile where no token is needed"
kill -0 "${waiting[@]}" || fail "somebody was served without the token"
rm state/slow
wait "${waiting[@]}"
assert_eq 3 "$(grep -l 'hello, curl' waited-* | wc -l)" "who were served in the end"
stop_server

say "a wrong PIN is tried once"
rm state/logins
expect_failure 2 "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key "$key/wrong-pin" --client-ca rootCA.pem --allow-all
assert_contains "$STDERR" "refused the PIN" "why it does not start"
assert_eq 1 "$(logins)" "logins with the wrong PIN"

say "no PIN is tried where one try is left, not even the right one"
touch state/final
expect_failure 2 "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key "$key/pin" --client-ca rootCA.pem --allow-all
assert_contains "$STDERR" "locks itself after one more wrong PIN" "why it does not start"
assert_eq 1 "$(logins)" "logins with one try left"
