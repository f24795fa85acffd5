#!/usr/bin/env bash
# As root, serve --user binds a low port and is then nobody in every thread, with no capability left; its core limit is
# zero, its memory is closed to others of its user, and it still serves. What it could not read again is refused at the
# start, and a reload that cannot be read is told while the old one serves on. ca serve does the same.
# needs: setpriv curl
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client alice
serve=("$COUNTERSIGN" serve --cert localhost.pem --key localhost-key.pem --client-ca rootCA.pem --allow-cn alice)

# Status fields of a process: field FILE NAME.
field() {
    awk -v name="$2:" '$1 == name { $1 = ""; sub(/^ +/, ""); print }' "$1"
}
core_limit() {
    awk '/^Max core file size/ { print $5, $6 }' "/proc/$1/limits"
}

if [ "$(id -u)" -ne 0 ]; then
    # Without root there is nothing to drop; the rest holds all the same.
    expect_failure 2 "${serve[@]}" --listen 127.0.0.1:0 --user 65534:65534
    assert_contains "$STDERR" "only root" "the refusal"
    start_server "${serve[@]}" --listen 127.0.0.1:0
    wait_for_line "$SERVER_LOG" 'https://[^ ]*:[0-9]+'
    assert_eq "0 0" "$(core_limit "$SERVER_PID")" "the limit of core files"
    exit 0
fi

expect_failure 2 "${serve[@]}" --listen 127.0.0.1:0 --user no-such-user
assert_contains "$STDERR" "no user 'no-such-user'" "the refusal"

# An address of loopback that nobody else takes, with a port that only root may bind.
address=127.86.$((RANDOM % 250 + 1)).$((RANDOM % 250 + 1))
chmod 755 . # the folder of the case, which the other user reads from
expect_failure 2 "${serve[@]}" --listen "$address:443" --user 65534:65534
assert_contains "$STDERR" "localhost-key.pem cannot be read: it belongs to user 0" "the refusal"
chown 65534:65534 localhost-key.pem
start_server "${serve[@]}" --listen "$address:443" --user 65534:65534
wait_for_line "$SERVER_LOG" "https://"
threads=0
for task in /proc/"$SERVER_PID"/task/*; do
    assert_eq "65534 65534 65534 65534" "$(field "$task/status" Uid | tr '\t' ' ')" "the user of $task"
    assert_eq "65534 65534 65534 65534" "$(field "$task/status" Gid | tr '\t' ' ')" "the group of $task"
    assert_eq "65534" "$(field "$task/status" Groups | tr -d ' ')" "the groups of $task"
    assert_eq "0000000000000000" "$(field "$task/status" CapEff)" "the capabilities of $task"
    assert_eq "0000000000000000" "$(field "$task/status" CapPrm)" "the capabilities it could take, of $task"
    assert_eq "1" "$(field "$task/status" NoNewPrivs)" "no new rights for $task"
    threads=$((threads + 1))
done
[ "$threads" -ge 2 ] || fail "only $threads thread was looked at"
assert_eq "0 0" "$(core_limit "$SERVER_PID")" "the limit of core files"
# Another process of the same user cannot look into its memory, and can into one that has not closed it.
sleep 60 &
open=$!
at_exit kill "$open"
look() {
    setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "$@"
}
setpriv --reuid 65534 --regid 65534 --clear-groups sleep 60 &
theirs=$!
at_exit kill "$theirs"
for _ in $(seq 100); do
    look ls "/proc/$theirs/fd" >/dev/null 2>&1 && break
    sleep 0.05
done
expect_success look ls "/proc/$theirs/fd"
expect_failure any look ls "/proc/$SERVER_PID/fd"
expect_failure any look cat "/proc/$SERVER_PID/environ"
expect_success curl -sS --resolve "localhost:443:$address" --cacert rootCA.pem --cert alice.pem --key alice-key.pem \
    https://localhost/
assert_contains "$STDOUT" alice "the page"
# A key that root alone can read is not taken over the old one; one that can be read is.
mkdir next
expect_success "$COUNTERSIGN" issue server localhost --out next
cp next/localhost-key.pem localhost-key.pem.new && mv localhost-key.pem.new localhost-key.pem
cp next/localhost.pem localhost.pem.new && mv localhost.pem.new localhost.pem
kill -HUP "$SERVER_PID"
wait_for_line "$SERVER_LOG" 'localhost-key.pem cannot be read: it belongs to user 0'
first=$(curl -sS --resolve "localhost:443:$address" --cacert rootCA.pem --cert alice.pem --key alice-key.pem \
    -w '%{http_code} %{certs}' -o page https://localhost/ | sha256sum)
assert_contains "$(cat page)" alice "the page after the reload that failed"
chown 65534:65534 localhost-key.pem
kill -HUP "$SERVER_PID"
wait_for_line "$SERVER_LOG" 'Loaded anew'
second=$(curl -sS --resolve "localhost:443:$address" --cacert rootCA.pem --cert alice.pem --key alice-key.pem \
    -w '%{http_code} %{certs}' -o page https://localhost/ | sha256sum)
[ "$first" != "$second" ] || fail "the certificate is the old one after a reload"
stop_server

# The authority: its home is to be the user's own.
place=$(mktemp -d /tmp/csgn-user.XXXXXX) # where the other user can come, whoever may enter the case's folder
at_exit rm -rf "$place"
chmod 755 "$place"
cp -a "$COUNTERSIGN_HOME" "$place/home"
ca=("$COUNTERSIGN" --home "$place/home" ca serve --listen "$address:444" --user 65534:65534)
expect_failure any "${ca[@]}"
assert_contains "$STDERR" "ermission" "the refusal, with the home still root's"
chown -R 65534:65534 "$place/home"
start_server "${ca[@]}"
wait_for_line "$SERVER_LOG" 'Ctrl-C'
for task in /proc/"$SERVER_PID"/task/*; do
    assert_eq "65534 65534 65534 65534" "$(field "$task/status" Uid | tr '\t' ' ')" "the user of $task"
    assert_eq "0000000000000000" "$(field "$task/status" CapPrm)" "the capabilities it could take, of $task"
done
expect_success curl -sS --resolve "localhost:444:$address" --cacert rootCA.pem https://localhost:444/crl
stop_server

# As root without --user: memory is locked, where the machine lets root do it.
start_server "${serve[@]}" --listen 127.0.0.1:0
wait_for_line "$SERVER_LOG" 'https://'
if [ $((0x$(field "/proc/$SERVER_PID/status" CapEff) >> 14 & 1)) -eq 1 ]; then
    locked=$(field "/proc/$SERVER_PID/status" VmLck)
    [ "${locked% kB}" -gt 1000 ] || fail "only $locked is locked"
fi
