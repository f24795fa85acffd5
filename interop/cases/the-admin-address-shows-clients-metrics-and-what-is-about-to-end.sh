#!/usr/bin/env bash
# What a gateway has seen is at its admin address: /_status, /_metrics as Prometheus reads them, /_clients, and the same
# as `countersign clients`: who came, with which key, how often, how long their certificates last; and who was refused, by
# code. Nothing of it is at the public address, and nothing can be changed.
# needs: curl node
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Gateway"
expect_success "$COUNTERSIGN" issue client alice --for 20d
expect_success "$COUNTERSIGN" issue client bob
expect_success "$COUNTERSIGN" issue client carol
expect_success "$COUNTERSIGN" revoke carol
admin=127.0.0.1:$(free_port)
start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --allow-cn alice --admin "$admin" --log json
wait_for_line "$SERVER_LOG" '^https://localhost:[0-9]+/'
url=${LINE%% *}
url=${url%/}
as() { curl -sS --max-time 20 --cacert rootCA.pem --cert "$1.pem" --key "$1-key.pem" "${@:2}"; }
for _ in 1 2 3; do expect_success as alice "$url/"; done
expect_success as bob -o page -w '%{http_code}' "$url/"
assert_eq 403 "$STDOUT"
expect_failure any as carol "$url/"
wait_for_line "$SERVER_LOG" '"certificate_revoked"'

say "/_clients and the radar on the command line"
expect_success curl -sS "http://$admin/_clients"
printf '%s' "$STDOUT" >clients.json
expect_success "$COUNTERSIGN" clients --admin "$admin" --json
cat >look.mjs <<'X2'
import fs from 'node:fs';
import assert from 'node:assert/strict';
for (const file of process.argv.slice(2)) {
  const { clients } = JSON.parse(fs.readFileSync(file, 'utf8'));
  const alice = clients.find((client) => client.identity === 'cn=alice');
  const bob = clients.find((client) => client.identity === 'cn=bob');
  assert.equal(alice.requests, 3);
  assert.ok(alice.days_left === 19 || alice.days_left === 20, `${alice.days_left} days`);
  assert.match(alice.tls_version, /^TLSv1\.3$/);
  assert.match(alice.key, /P-256/);
  assert.ok(Date.parse(alice.first_seen) <= Date.parse(alice.last_seen));
  assert.equal(bob.refused, 1);
  assert.ok(clients.indexOf(alice) < clients.indexOf(bob), 'whose certificate ends first comes first');
  assert.match(alice.serial, /^[0-9a-f:]+$/i);
}
X2
printf '%s' "$STDOUT" >command.json
expect_success node look.mjs clients.json command.json
expect_success "$COUNTERSIGN" clients --admin "$admin"
assert_contains "$STDOUT" "DAYS LEFT"
assert_contains "$STDOUT" "alice"

say "/_metrics and /_status"
expect_success curl -sS -i "http://$admin/_metrics"
for line in 'text/plain; version=0.0.4' 'countersign_requests_total{route="default",status="2xx",verdict="SUCCESS"} 3' \
    'countersign_requests_total{route="default",status="4xx",verdict="FAILED:not_allowed_by_policy"} 1' \
    'countersign_refusals_total{code="certificate_revoked"} 1' 'countersign_handshakes_refused_total 1' \
    'countersign_own_certificate_expiry_seconds{name="localhost"}' 'countersign_client_certificate_expiry_seconds{identity="cn=alice"} 17' \
    'countersign_request_duration_seconds_count 4'; do
    assert_contains "$STDOUT" "$line"
done
# Every line is a comment or a sample, as Prometheus's text format has them.
bad=$(printf '%s\n' "$STDOUT" | tr -d '\r' | sed '1,/^$/d' | grep -vE '^(# (HELP|TYPE) countersign_[a-z_]+ .+|countersign_[a-z_]+(\{[a-z_]+="([^"\\]|\\.)*"(,[a-z_]+="([^"\\]|\\.)*")*\})? [0-9.e+-]+)$' || true)
assert_eq "" "$bad" "lines that are none of Prometheus's"
expect_success curl -sS "http://$admin/_status"
assert_contains "$STDOUT" '"version"'

say "nothing of it is public, and nothing can be changed"
expect_success as alice "$url/_clients"
assert_lacks "$STDOUT" "days_left"
expect_success curl -sS -o answer -w '%{http_code}' -X POST "http://$admin/_clients"
assert_eq 405 "$STDOUT"
expect_failure 3 "$COUNTERSIGN" clients --admin "127.0.0.1:$(free_port)"
assert_contains "$STDERR" "--admin"
