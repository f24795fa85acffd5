#!/usr/bin/env bash
# As root, serve --user binds a low port and is then nobody in every thread, with no capability left; its core limit is
# zero, its memory is closed to others of its user, and it still serves. An account that does not exist is refused.
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
chown 65534:65534 localhost-key.pem
chmod 755 . # the folder of the case, which the other user reads from
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
stop_server

# As root without --user: memory is locked, where the machine lets root do it.
start_server "${serve[@]}" --listen 127.0.0.1:0
wait_for_line "$SERVER_LOG" 'https://'
if [ $((0x$(field "/proc/$SERVER_PID/status" CapEff) >> 14 & 1)) -eq 1 ]; then
    locked=$(field "/proc/$SERVER_PID/status" VmLck)
    [ "${locked% kB}" -gt 1000 ] || fail "only $locked is locked"
fi
