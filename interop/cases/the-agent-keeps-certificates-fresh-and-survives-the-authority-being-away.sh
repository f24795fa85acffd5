#!/usr/bin/env bash
# The agent obtains by ACME and EST, renews what was joined, calls its hooks and tells its metrics; while the authority
# is away it goes on with what it has, and --once says by its exit code whether something is overdue.
# needs: curl openssl pebble-challtestsrv
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../softhsm.sh"
. "$INTEROP/acme.sh"

start_acme
dns_hook
start_tokens agent
at() { echo "pkcs11:token=agent;object=$1?$query"; }
expect_success "$COUNTERSIGN" acme eab add robot --json
kid=$(sed -n 's/.*"kid": "\(.*\)".*/\1/p' <<<"$STDOUT")
sed -n 's/.*"hmac_key": "\(.*\)".*/\1/p' <<<"$STDOUT" >eab.key
expect_success "$COUNTERSIGN" invite device --json
sed -n 's/.*"code": "\([^"]*\)".*/\1/p' <<<"$STDOUT" >device.code
printf '#!/bin/sh\necho "$COUNTERSIGN_CERTIFICATE" >>hooks.log\n' >hook
chmod +x hook
mkdir bin
printf '#!/bin/sh\necho "$@" >>systemctl.log\n' >bin/systemctl
chmod +x bin/systemctl
export PATH=$PWD/bin:$PATH
# A program that uses a certificate, and is told by a signal.
start_server bash -c 'trap "echo told" USR1; echo ready; while :; do read -r -t 0.2 <> <(:) || true; done'
user_log=$SERVER_LOG
echo "$SERVER_PID" >user.pid
wait_for_line "$user_log" ready
cat >agent.toml <<X2
[[certificate]]
files = "web.pem"
reload = { command = ["./hook"] }
[certificate.acme]
directory = "$DIRECTORY"
anchors = "$CA"
names = ["web.smoke.test"]
http_listen = "127.0.0.1:$HTTP"

[[certificate]]
files = "wild.pem"
key_type = "p384"
reload = { signal = "USR1", pid_file = "user.pid" }
[certificate.acme]
directory = "$DIRECTORY"
anchors = "$CA"
names = ["*.smoke.test"]
account_key = "$(at account)"
dns_command = ["./dns-hook"]

[[certificate]]
files = "robot.pem"
reload = { unit = "robot.service" }
[certificate.acme]
directory = "$DIRECTORY"
anchors = "$CA"
names = ["robot"]
eab_kid = "$kid"
eab_key_file = "eab.key"

[[certificate]]
files = "device.pem"
key_at = "$(at device)"
[certificate.est]
url = "$BASE"
anchors = "$CA"
names = ["device"]
password_file = "device.code"
X2

say "nothing is there: that is said, and then obtained"
expect_failure 1 "$COUNTERSIGN" agent --status
assert_contains "$STDOUT" "it is not there"
expect_success "$COUNTERSIGN" agent --once
for name in web wild; do
    openssl x509 -in "$name.pem" -out leaf.pem
    expect_success openssl verify -purpose sslserver -CAfile "$CA" -untrusted "$name.pem" leaf.pem
done
for name in robot device; do
    openssl x509 -in "$name.pem" -out leaf.pem
    expect_success openssl verify -purpose sslclient -CAfile "$CA" -untrusted "$name.pem" leaf.pem
    assert_contains "$(openssl x509 -noout -subject -in "$name.pem")" "$name"
done
assert_file_mode 600 robot-key.pem
[ ! -e device-key.pem ] && [ ! -e wild-acme-account-key.pem ] || fail "a key that belongs into the token is in a file"
expect_success "$COUNTERSIGN" key match device.pem "$(at device)"
assert_eq "$PWD/web.pem" "$(realpath "$(cat hooks.log)")" "what the hook was told, once"
wait_for_line "$user_log" told
assert_eq "try-reload-or-restart -- robot.service" "$(cat systemctl.log)" "what systemd was told"
before=$(cat web.pem robot.pem device.pem)
expect_success "$COUNTERSIGN" agent --once
assert_eq "$before" "$(cat web.pem robot.pem device.pem)" "nothing is due, so nothing changes"

say "what is revoked is replaced as renewal information says; what has ended is replaced by itself"
serial=$(openssl x509 -noout -serial -in robot.pem | cut -d= -f2)
expect_success "$COUNTERSIGN" revoke "$serial"
expect_success "$COUNTERSIGN" agent --once
assert_lacks "$(openssl x509 -noout -serial -in robot.pem)" "$serial" "the serial number"

say "a joined certificate renews itself over mutual TLS"
expect_success "$COUNTERSIGN" invite alice --for 30s --json
link=$(sed -n 's/.*"link": "\([^"]*\)".*/\1/p' <<<"$STDOUT")
mkdir joined
expect_success "$COUNTERSIGN" join "${link/https:\/\/*\/i\//$BASE/i/}" --out joined
expect_success "$COUNTERSIGN" invite carol --for 30s --json
link=$(sed -n 's/.*"link": "\([^"]*\)".*/\1/p' <<<"$STDOUT")
expect_success "$COUNTERSIGN" join "${link/https:\/\/*\/i\//$BASE/i/}" --out joined --key-at "$(at carol)"
printf '[[certificate]]\nfiles = "joined/%s.pem"\njoin = {}\n' alice carol >joined.toml
carol=$(openssl x509 -noout -serial -in joined/carol.pem)
first=$(openssl x509 -noout -serial -in joined/alice.pem)
start_server "$COUNTERSIGN" agent --config joined.toml --metrics 127.0.0.1:0
wait_for_line "$SERVER_LOG" '^metrics at '
metrics=${LINE#metrics at }
wait_for_line "$SERVER_LOG" 'alice.pem: renewed'
assert_lacks "$(openssl x509 -noout -serial -in joined/alice.pem)" "$first" "the serial number"
wait_for_line "$SERVER_LOG" 'carol.pem: renewed'
assert_lacks "$(openssl x509 -noout -serial -in joined/carol.pem)" "$carol" "the serial number of the one in the token"
expect_success "$COUNTERSIGN" key match joined/carol.pem "$(at carol)"
expect_success curl -sS "$metrics"
assert_contains "$STDOUT" 'countersign_agent_renewals_total{certificate="joined/alice.pem"}'
agent_log=$SERVER_LOG

say "the authority is away: the agent stays, says so, and what is in place is kept"
stop_server "$SERVE_PID"
wait_for_line "$agent_log" 'alice.pem: not renewed; next try'
expect_success "$COUNTERSIGN" agent --status
sed -i "s#files = \"web.pem\"#files = \"new.pem\"#" agent.toml
expect_failure 1 "$COUNTERSIGN" agent --once
assert_contains "$STDERR" "new.pem is not there"
expect_success curl -sS "$metrics"
assert_contains "$STDOUT" 'countersign_agent_renewal_failures_total{certificate="joined/alice.pem"}'
