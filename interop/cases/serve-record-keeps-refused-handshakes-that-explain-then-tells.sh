#!/usr/bin/env bash
# A handshake that the gateway refused is kept with the secrets of the handshake alone, for its owner alone; explain then
# shows the client's certificate and the reason. One that was let in is not kept.
# needs: curl
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Recorded"
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client alice
mkdir other
expect_success "$COUNTERSIGN" --home other/home init --name "Stranger"
(cd other && expect_success "$COUNTERSIGN" --home home issue client mallory)

mkdir files
port=$(free_port)
start_server "$COUNTERSIGN" serve --listen "127.0.0.1:$port" --dir files --cert localhost.pem --key localhost-key.pem \
    --client-ca rootCA.pem --allow-cn alice --record refused
wait_for_port "$port"
server=$SERVER_PID
run curl -sS --cacert rootCA.pem --cert alice.pem --key alice-key.pem "https://localhost:$port/"
expect_failure any curl -sS --cacert rootCA.pem --cert other/mallory.pem --key other/mallory-key.pem "https://localhost:$port/"
expect_failure any curl -sS --cacert rootCA.pem "https://localhost:$port/"
stop_server "$server"

files=(refused/*.transcript)
assert_eq 2 "${#files[@]}" "how many are kept"
assert_file_mode 600 "${files[0]}"
assert_file_mode 700 refused
expect_failure 1 grep -E 'TRAFFIC_SECRET_0|EXPORTER|CLIENT_RANDOM' "${files[@]}"
run "$COUNTERSIGN" explain --from "${files[0]}"
assert_contains "$STDOUT" "CN=mallory"
assert_contains "$STDOUT" "the server refused: unknown_issuer"
assert_contains "$STDOUT" "only an alert has"
run "$COUNTERSIGN" explain --from "${files[1]}" --json
assert_contains "$STDOUT" '"certificates": []'
