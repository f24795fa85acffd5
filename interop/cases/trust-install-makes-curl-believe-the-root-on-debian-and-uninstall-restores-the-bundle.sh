#!/usr/bin/env bash
# `trust install --only system` on Debian's layout, with the distribution's own update-ca-certificates: curl then
# accepts a server of the authority without --cacert, and after `trust uninstall` the bundle is what it was, byte for
# byte, and no link of it is left. Works on a private copy of the system's folders.
# needs: curl openssl setpriv unshare update-ca-certificates
. "$(dirname "$0")/../private-system.sh"
. "$(dirname "$0")/../lib.sh"
make_system_private

expect_success "$COUNTERSIGN" init
expect_success "$COUNTERSIGN" issue server localhost --out .

bundle=/etc/ssl/certs/ca-certificates.crt
# What a first update makes of the machine as it is found, so that the comparison is about ours alone.
expect_success update-ca-certificates --fresh
cp "$bundle" bundle-before
links() {
    find /etc/ssl/certs /usr/local/share/ca-certificates -printf '%p %l\n' | sort
}
links >links-before

port=$(free_port)
start_server openssl s_server -accept "127.0.0.1:$port" -cert localhost.pem -key localhost-key.pem \
    -cert_chain localhost.pem -www
wait_for_port "$port"
url=https://localhost:$port/

expect_failure 60 curl -sS --ipv4 -o page "$url"
expect_success "$COUNTERSIGN" trust install --only system
expect_success curl -sS --ipv4 -o page "$url"
grep -q 's_server' page || fail "curl did not get the page"
file=$(find /usr/local/share/ca-certificates -name 'countersign*.crt')
[ -n "$file" ] || fail "no file of ours is among the local anchors"
assert_file_mode 644 "$file"

expect_success "$COUNTERSIGN" trust install --only system
expect_success "$COUNTERSIGN" trust uninstall --only system
expect_failure 60 curl -sS --ipv4 -o page "$url"
cmp bundle-before "$bundle" || fail "the bundle is not what it was"
links >links-after
diff links-before links-after || fail "the folders are not what they were"
expect_success "$COUNTERSIGN" trust uninstall --only system

say "without root: told what to type, and nothing is written"
# In a folder that everyone may enter, which the folder of a case need not be.
open=/var/lib/countersign-interop
mkdir -m 755 "$open"
cp "$COUNTERSIGN" "$open/countersign"
install -m 644 rootCA.pem "$open/rootCA.pem"
chmod 755 "$open/countersign"
cd "$open"
STDOUT=$(setpriv --reuid 65534 --regid 65534 --clear-groups ./countersign trust install --only system \
    --ca rootCA.pem 2>&1) && fail "an install without root succeeded"
cd "$OLDPWD"
assert_contains "$STDOUT" "install -D -m 0644 $open/rootCA.pem" "the remedy"
assert_contains "$STDOUT" "update-ca-certificates" "the remedy"
cmp bundle-before "$bundle" || fail "the bundle was changed without root"
