#!/usr/bin/env bash
# Completion scripts load in a real shell, every command has a manual page and a help that starts with examples, and
# `fetch` ends with curl's exit codes 3, 6, 7, 58 and 60.
# needs: curl
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" completions bash
printf '%s\n' "$STDOUT" >completion.bash
bash -n completion.bash
assert_contains "$STDOUT" "issue" "the completion script"
for shell in zsh fish; do
    expect_success "$COUNTERSIGN" completions "$shell"
done

mkdir man
expect_success "$COUNTERSIGN" man --dir man
for command in demo init issue sign renew revoke list show crl inspect verify trust serve fetch completions man; do
    [ -s "man/countersign-$command.1" ] || fail "there is no manual page of $command"
    expect_success "$COUNTERSIGN" "$command" --help
    [[ $STDOUT == Examples:* ]] || fail "the help of $command does not start with examples"
    # Characters: awk may count the octets of one.
    longest=$(python3 -c 'import sys; print(max(map(len, sys.stdin.buffer.read().decode().splitlines())))' <<<"$STDOUT")
    [ "$longest" -le 80 ] || fail "the help of $command has a line of $longest columns"
done
expect_success "$COUNTERSIGN" man issue-client
assert_contains "$STDOUT" "countersign"

expect_success "$COUNTERSIGN" init --name Codes
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client alice
expect_success "$COUNTERSIGN" issue client bob
mkdir other
COUNTERSIGN_HOME=$PWD/other-home expect_success "$COUNTERSIGN" init --name Other
COUNTERSIGN_HOME=$PWD/other-home expect_success "$COUNTERSIGN" issue client x --out other
start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --allow-cn alice
wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
port=$(grep -o -E ':[0-9]+' <<<"${LINE#*https:}" | head -n1 | tr -d :)
url=https://localhost:$port/
closed=$(free_port)
expect_success "$COUNTERSIGN" fetch --cacert rootCA.pem --cert alice.pem -o page.txt -w '%{http_code} %{tls_version}' "$url"
assert_eq "200 TLSv1.3" "$STDOUT" "what -w printed"
both() {
    local code=$1
    shift
    expect_failure "$code" curl -sS "$@"
    expect_failure "$code" "$COUNTERSIGN" fetch "$@"
}
both 6 "https://name.invalid/"
both 7 "https://127.0.0.1:$closed/"
both 58 --cacert rootCA.pem --cert alice.pem --key bob-key.pem "$url"
both 60 --cacert other/rootCA.pem --cert alice.pem --key alice-key.pem "$url"
both 60 --cacert rootCA.pem --resolve "other.localhost:$port:127.0.0.1" "https://other.localhost:$port/"
both 22 --fail --cacert rootCA.pem --cert bob.pem --key bob-key.pem "$url"
expect_success "$COUNTERSIGN" fetch -k --cert alice.pem "$url"
