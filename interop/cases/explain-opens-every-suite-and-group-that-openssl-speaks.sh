#!/usr/bin/env bash
# Each cipher suite that OpenSSL speaks, by default and on demand, with certificates, without, and by keys that both had
# before, and each of its groups: explain names it, opens every record, and verifies each signature and each Finished. Left
# out are those for DSA keys, of which our authority certifies none, and those for passwords (SRP), since `openssl s_server`
# 3.0 reads memory that it has freed at the first of them, and ends at the second.
# needs: node openssl
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Suites"
mkdir ec rsa
expect_success "$COUNTERSIGN" issue server localhost --out ec
expect_success "$COUNTERSIGN" issue server localhost --key rsa2048 --out rsa
expect_success "$COUNTERSIGN" issue client alice

wanted='ALL:eNULL:!aNULL:!aDSS:!PSK:!SRP:!MD5:@SECLEVEL=0'
openssl ciphers -stdname "$wanted" | awk '/_WITH_/ { print $1, $3 }' >suites
openssl ciphers -stdname 'aNULL:PSK:!SRP:!MD5:!aDSS:@SECLEVEL=0' | awk '/_WITH_/ { print $1, $3 }' >others
tls13="TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256 TLS_AES_128_CCM_SHA256 TLS_AES_128_CCM_8_SHA256"
groups="X25519 P-256 P-384 P-521 X448 ffdhe2048 ffdhe3072 ffdhe4096 ffdhe6144 ffdhe8192"
# Those of RFC 7027, which OpenSSL 3.0 has for TLS 1.2 alone; P-256 goes with them, since both keys are of it.
curves="brainpoolP256r1 brainpoolP384r1 brainpoolP512r1"
count=$(($(wc -l <suites) + $(wc -w <<<"$tls13 $groups $curves")))

: >keys.log
# served FILE COUNT ARGUMENT…: a server with these arguments, and a tap before it at $port, which explains so many connections.
served() {
    local file=$1 count=$2 server
    shift 2
    server=$(free_port)
    start_server openssl s_server -accept "127.0.0.1:$server" -cert ec/localhost.pem -key ec/localhost-key.pem \
        -dcert rsa/localhost.pem -dkey rsa/localhost-key.pem -quiet -cipher ALL:eNULL:@SECLEVEL=0 "$@"
    wait_for_port "$server"
    start_server bash -c "exec \"\$COUNTERSIGN\" explain --listen 127.0.0.1:0 --to localhost:$server --keylog keys.log \
        --connections $count --json >$file"
    tap=$SERVER_PID
    wait_for_line "$SERVER_LOG" '^listening on 127.0.0.1:[0-9]+'
    port=${LINE#listening on 127.0.0.1:}
    port=${port%%,*}
}
speak() {
    openssl s_client -connect "localhost:$port" -servername localhost -CAfile rootCA.pem -keylogfile keys.log "$@" \
        </dev/null >.client 2>&1 || fail "openssl s_client $*: $(cat .client)"
}

served mutual.json "$count" -CAfile rootCA.pem -Verify 3 -ciphersuites "${tls13// /:}" \
    -groups "$(tr ' ' : <<<"$groups $curves")"
mine=(-cert alice.pem -key alice-key.pem)
while read -r _ suite; do
    speak -tls1_2 -cipher "$suite:@SECLEVEL=0" "${mine[@]}"
done <suites
for suite in $tls13; do speak -tls1_3 -ciphersuites "$suite" "${mine[@]}"; done
for group in $groups; do speak -tls1_3 -groups "$group" "${mine[@]}"; done
for curve in $curves; do
    speak -tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256 -groups "$curve:P-256" "${mine[@]}"
done
wait "$tap" || fail "the tap: $(cat "$SERVER_LOG")"

# A server that insists on certificates asks for them where there can be none: this one does not.
secret=0123456789abcdef0123456789abcdef
served others.json "$(wc -l <others)" -psk "$secret" -psk_hint "which key"
while read -r _ suite; do
    speak -tls1_2 -cipher "$suite:@SECLEVEL=0" -psk_identity alice -psk "$secret"
done <others
wait "$tap" || fail "the tap: $(cat "$SERVER_LOG")"
count=$((count + $(wc -l <others)))

cat >check.mjs <<'JS'
import assert from 'node:assert/strict';
import fs from 'node:fs';
const [count, ...expected] = process.argv.slice(2);
const others = fs.readFileSync('others', 'utf8').trim().split('\n').map((line) => line.split(' ')[0]);
// One document for each connection, one behind the other.
const documents = ['mutual.json', 'others.json']
  .flatMap((file) => fs.readFileSync(file, 'utf8').split(/(?<=^\})\n/m)).filter((text) => text.trim());
const connections = documents.flatMap((text) => JSON.parse(text).connections);
assert.equal(connections.length, Number(count));
const named = new Set();
for (const one of connections) {
  const what = `${one.version} ${one.cipher_suite} ${one.group}`;
  named.add(one.cipher_suite).add(one.group);
  const checks = one.messages.flatMap((message) => message.checks);
  const undecoded = one.messages.flatMap((message) => message.problems);
  assert.deepEqual(checks.filter((check) => check.passed !== true), [], what);
  assert.deepEqual(undecoded, [], what);
  assert(!one.messages.some((message) => message.type === 'Encrypted'), `${what}: something stays closed`);
  if (others.includes(one.cipher_suite)) {
    // Nobody has a certificate, or the server one to decrypt with: both Finished, and no signature.
    assert(one.complete && !one.mutual && checks.length === 2, `${what}: ${checks.length} checks`);
    const fields = one.messages.filter((message) => /KeyExchange$/.test(message.type)).flatMap((message) => message.fields);
    assert(!fields.some((field) => ['params', 'exchange_keys'].includes(field.name)), `${what}: not decoded`);
    const value = (name) => fields.find((field) => field.name === name)?.fields[1].value;
    if (/PSK/.test(one.cipher_suite)) assert.deepEqual([value('psk_identity_hint'), value('psk_identity')], ['which key', 'alice'], what);
    continue;
  }
  // Both Finished and the client's signature; the server's but where it has only to decrypt.
  assert(one.complete && one.mutual && checks.length >= 3, `${what}: ${checks.length} checks`);
}
for (const name of expected) assert(named.has(name), `${name} is not among ${[...named]}`);
console.log(`${connections.length} connections opened`);
JS
# shellcheck disable=SC2046 # They are words.
expect_success node check.mjs "$count" $(awk '{ print $1 }' suites others) $tls13 x25519 secp256r1 secp384r1 secp521r1 x448 \
    TLS_ECDHE_ECDSA_WITH_CAMELLIA_256_CBC_SHA384 TLS_DHE_RSA_WITH_ARIA_128_GCM_SHA256 ffdhe2048 ffdhe3072 ffdhe4096 ffdhe6144 ffdhe8192 $curves
say "$STDOUT"
