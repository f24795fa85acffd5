#!/usr/bin/env bash
# An authority keeps its memory in a PostgreSQL that lets nobody in without a certificate, over TLS with a key in a SoftHSM
# token; with another key of the token, and without one, it is not let in.
# needs: pg_ctlcluster setpriv softhsm2-util
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../postgres.sh"
. "$(dirname "$0")/../softhsm.sh"

start_tokens db
at() { echo "pkcs11:token=db;object=$1?$query"; }
# In the address of a database, what means something there is written as octets.
encoded() { at "$1" | sed 's/%/%25/g; s/:/%3A/g; s/;/%3B/g; s/=/%3D/g; s/?/%3F/g; s/&/%26/g'; }

say "certificates for the database and for who uses it, of an authority in a file"
expect_success "$COUNTERSIGN" --home files init --name Database
expect_success "$COUNTERSIGN" --home files issue server localhost
expect_success "$COUNTERSIGN" --home files issue client countersign --key-at "$(at countersign)"
mkdir others issued
expect_success "$COUNTERSIGN" --home files issue client mallory --key-at "$(at mallory)" --out others

start_postgres
data=$postgres_data
port=$(free_port)
as=()
[ "$(id -u)" -ne 0 ] || as=(setpriv --reuid nobody --regid nogroup --clear-groups)
install -m 600 localhost-key.pem "$data/server.key"
install -m 644 localhost.pem "$data/server.crt"
install -m 644 rootCA.pem "$data/root.crt"
cat > hba <<'END'
hostssl all all 127.0.0.1/32 cert
END
install -m 644 hba "$data/pg_hba.conf"
cat >> "$data/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
port = $port
ssl = on
ssl_ca_file = 'root.crt'
END
[ "$(id -u)" -ne 0 ] || chown nobody:nogroup "$data"/server.key "$data"/server.crt "$data"/root.crt "$data"/pg_hba.conf
(cd / && "${as[@]}" "$binaries/pg_ctl" -s -w -m fast -D "$data" -o "-c unix_socket_directories='$(dirname "$data")'" restart)
unset COUNTERSIGN_STORE

address="postgres://countersign@localhost:$port/postgres?sslmode=verify-full&sslrootcert=$PWD/rootCA.pem"
say "with the key in the token"
store="$address&sslcert=$PWD/countersign.pem&sslkey=$(encoded countersign)"
expect_success "$COUNTERSIGN" --store "$store" init --name Token
expect_success "$COUNTERSIGN" --store "$store" issue client alice --out issued
expect_success "$COUNTERSIGN" --store "$store" list
assert_contains "$STDOUT" alice "what the database holds"

say "and not without"
expect_failure any "$COUNTERSIGN" --store "$address" list
expect_failure any "$COUNTERSIGN" --store "$address&sslcert=$PWD/others/mallory.pem&sslkey=$(encoded mallory)" list
expect_failure 2 "$COUNTERSIGN" --store "$address&sslcert=$PWD/countersign.pem&sslkey=$(encoded mallory)" list
assert_contains "$STDERR" "does not belong to the certificate" "another key of the token"
expect_failure 2 "$COUNTERSIGN" --store "$address&sslcert=$PWD/countersign.pem&sslkey=$(encoded gone)" list
assert_contains "$STDERR" "has no private key for" "a key that is not there"
