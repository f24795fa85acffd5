#!/usr/bin/env bash
# `serve --config`: a public path without a certificate beside one with rules for methods and a rate, judged the same by
# `policy check`; a changed file takes effect without a restart, and a bad one is refused with its line and column.
# needs: curl node
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Config"
for name in alice bob mallory; do expect_success "$COUNTERSIGN" issue client "$name"; done
mkdir public
echo "for everyone" >public/index.html
cat >server.mjs <<'X2'
import http from 'node:http';
const server = http.createServer((request, response) => response.end(
  `${request.method} ${request.url} ${request.headers['x-client-identity']} ${request.headers['x_client_identity'] ?? ''}\n`));
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
X2
start_server node server.mjs
wait_for_line "$SERVER_LOG" '^port [0-9]+'
api=${LINE#port }
port=$(free_port)
cat >countersign.toml <<X2
[upstreams.api]
to = ["http://127.0.0.1:$api"]

[[listeners]]
address = "127.0.0.1:$port"
client_certificate = "optional"

[[listeners.routes]]
name = "public"
path = "/"
dir = "public"
without_certificate = "allow"

[[listeners.routes]]
name = "pay"
path = "/pay"
upstream = "api"
allow = ["cn alice"]
deny = ["cn mallory"]
rules = [{ allow = "cn bob", methods = ["GET"] }]

[[listeners.routes]]
name = "slow"
path = "/slow"
upstream = "api"
allow = ["cn alice"]
rate = "1/h burst 2"
X2
expect_success "$COUNTERSIGN" config check
assert_contains "$STDOUT" "1 listener(s), 3 route(s)"
expect_success "$COUNTERSIGN" config show
assert_contains "$STDOUT" '"deny-cn mallory"'
start_server "$COUNTERSIGN" serve --config countersign.toml
gateway=$SERVER_LOG
wait_for_line "$gateway" 'Ctrl-C ends it'

# ask NAME METHOD PATH: the status and body, as the client of that name; `-` is nobody.
ask() {
    local who=()
    [ "$1" = - ] || who=(--cert "$1.pem" --key "$1-key.pem")
    curl -sS --cacert rootCA.pem "${who[@]}" -X "$2" -w ' %{http_code}' "https://localhost:$port$3"
}
# check NAME METHOD PATH: what `policy check` says to the same.
check() {
    local who=()
    [ "$1" = - ] || who=(--cert "$1.pem")
    "$COUNTERSIGN" policy check "${who[@]}" "$2" "$3"
}

say "the gateway and policy check say the same"
while read -r who method path status; do
    expect_success ask "$who" "$method" "$path"
    assert_contains "$STDOUT" " $status" "$who $method $path"
    if [ "$status" = 200 ]; then expect_success check "$who" "$method" "$path"; else expect_failure 1 check "$who" "$method" "$path"; fi
done <<'X2'
- GET / 200
alice GET /pay/1 200
alice DELETE /pay 200
bob GET /pay 200
bob POST /pay 403
mallory GET /pay 403
- GET /pay 403
X2
expect_failure 1 check mallory GET /pay
assert_contains "$STDOUT" "the rule deny-cn mallory forbids it"
expect_success check bob GET /pay
assert_contains "$STDOUT" "route pay: the rule allow-cn bob (GET) admits it"

say "the service hears who it is, and not what the client says of itself"
expect_success curl -sS --cacert rootCA.pem --cert alice.pem --key alice-key.pem \
    -H 'X-Client-Identity: root' -H 'X_Client_Identity: root' "https://localhost:$port/pay"
assert_eq "GET /pay alice " "$STDOUT"

say "a rate"
expect_success ask alice GET /slow && assert_contains "$STDOUT" " 200"
expect_success ask alice GET /slow && assert_contains "$STDOUT" " 200"
expect_success ask alice GET /slow && assert_contains "$STDOUT" " 429"
assert_contains "$STDOUT" "too_many_requests"

say "a bad file keeps the old one in force and says where; a good one is taken"
sed 's/cn bob/who bob/' countersign.toml >bad.toml && cp countersign.toml good.toml && mv bad.toml countersign.toml
wait_for_line "$gateway" 'line 20, column 20: write a kind and a value'
expect_failure 2 "$COUNTERSIGN" config check
expect_success ask bob GET /pay && assert_contains "$STDOUT" " 200"
sed 's/cn bob/cn nobody/' good.toml >new.toml && mv new.toml countersign.toml
wait_for_line "$gateway" 'Loaded anew'
expect_success ask bob GET /pay && assert_contains "$STDOUT" " 403"
