#!/usr/bin/env bash
# docs/post-quantum.md, its commands as they are printed: one listener shows OpenSSL 3.5 the ML-DSA chain and OpenSSL 3.0
# the ECDSA one, in TLS 1.2 only the latter; both clients are let in, and `clients` counts who could switch.
# needs: openssl npm:node curl
. "$(dirname "$0")/../lib.sh"

guide=$INTEROP/../docs/post-quantum.md
# The commands of the block that holds these words, as a reader would paste them.
block() {
    awk -v word="$1" '/^```(sh|toml)$/ { inside = 1; text = ""; next }
        /^```$/ { if (inside && index(text, word)) { printf "%s", text; exit } inside = 0 }
        inside { text = text $0 "\n" }' "$guide"
}
countersign() { "$COUNTERSIGN" "$@"; }
paste() {
    local commands
    commands=$(block "$1")
    [ -n "$commands" ] || fail "the guide has no block with '$1'"
    expect_success eval "$commands"
}
node35=$(find -L "$INTEROP_NODE_MODULES" -path '*/node-linux-*/bin/node' -type f | head -n1)
[ -n "$node35" ] || fail "the npm package node has no program for this machine"

paste 'init --name "Example"'
paste 'init --name "Example PQ"'
assert_eq 2 "$(grep -c BEGIN roots.pem)" "the roots"
port=$(free_port)
admin=$(free_port)
block 'client_ca' | sed "s/:8443/:$port/; s/:9901/:$admin/" >countersign.toml
assert_eq "countersign serve --config countersign.toml" "$(block 'serve --config')" "the guide's way to serve"
start_server "$COUNTERSIGN" serve --config countersign.toml
log=$SERVER_LOG
wait_for_line "$log" 'Ctrl-C ends it'

cat >client.js <<'END'
const tls = require('tls'), fs = require('fs');
const [port, cert, ca, servername] = process.argv.slice(2);
const socket = tls.connect({ port, host: '127.0.0.1', servername, ca: fs.readFileSync(ca), checkServerIdentity() {},
  cert: fs.readFileSync(`${cert}.pem`), key: fs.readFileSync(`${cert}-key.pem`) }, () => {
  console.log(socket.getPeerX509Certificate().publicKey.asymmetricKeyType);
  socket.end('GET / HTTP/1.0\r\nHost: localhost\r\n\r\n');
});
socket.on('data', data => process.stdout.write(data));
socket.on('error', error => { console.error(error.code, error.message); process.exit(1); });
END
# OpenSSL 3.5 gets the ML-DSA chain, by name and without one, whatever its own certificate is.
for name in localhost ''; do
    for client in quantum-files/bob classic-files/alice; do
        expect_success "$node35" client.js "$port" "$client" roots.pem $name
        assert_contains "$STDOUT" "ml-dsa-65" "the key of the chain that OpenSSL 3.5 was shown"
        assert_contains "$STDOUT" "hello, ${client#*/}" "the page"
    done
done
# What the guide warns of: able to verify, and not told of the root.
expect_failure 1 "$node35" client.js "$port" classic-files/alice classic-files/rootCA.pem localhost
[[ $STDERR =~ (SELF_SIGNED|UNABLE_TO) ]] || fail "what OpenSSL 3.5 says without the new root: $STDERR"

# OpenSSL 3.0 gets the other, in both versions of TLS, with both roots and with the old one alone.
for version in -tls1_2 -tls1_3; do
    for roots in roots.pem classic-files/rootCA.pem; do
        printf 'GET / HTTP/1.0\r\nHost: localhost\r\n\r\n' >request
        for name in '-servername localhost' -noservername; do
            run bash -c "openssl s_client -ign_eof -verify_return_error -CAfile $roots $name $version \
                -cert classic-files/alice.pem -cert_chain classic-files/alice.pem -key classic-files/alice-key.pem \
                -connect 127.0.0.1:$port <request"
            assert_contains "$STDOUT" "hello, alice" "what OpenSSL 3.0 got with $version"
            assert_contains "$STDOUT" "ECDSA" "the signature of the server"
        done
    done
done

# The count.
expect_success "$COUNTERSIGN" clients --admin "127.0.0.1:$admin"
assert_contains "$STDOUT" "KEY EXCHANGE"
assert_contains "$STDERR" "of 2 clients"
expect_success curl -sS "http://127.0.0.1:$admin/_metrics"
assert_contains "$STDOUT" 'countersign_clients_post_quantum{what="has_certificate"} 1' "bob has an ML-DSA certificate"
assert_contains "$STDOUT" 'countersign_clients_post_quantum{what="offers_signature"} 1' "alice was last seen with OpenSSL 3.0"
[[ $STDOUT =~ countersign_handshakes_by_group_total\{group=\"X25519MLKEM768\"\}\ [1-9] ]] || fail "no hybrid handshake is counted"
[[ $STDOUT =~ countersign_handshakes_by_group_total\{group=\"X25519\"\}\ [1-9] ]] || fail "no classical handshake is counted"

# The way out, beside what it is the way out of.
out=$(block 'fetch --classical' | sed "s/:8443/:$port/")
expect_success eval "$out -v"
assert_contains "$STDERR" ", X25519, ALPN" "the group under --classical"
expect_success eval "${out/--classical /} -v"
assert_contains "$STDERR" ", X25519MLKEM768, ALPN" "the group without it"
