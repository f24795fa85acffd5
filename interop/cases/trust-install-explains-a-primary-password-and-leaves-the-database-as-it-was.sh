#!/usr/bin/env bash
# An NSS database with a primary password takes a certificate and then refuses its trust: `trust install` explains
# it, exits 1, gives the command that asks for the password, and leaves no half-trusted certificate behind. It does
# not wait for a person either, and a database that another program has locked is explained as well.
# needs: certutil python3
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init

database=$HOME/.pki/nssdb
mkdir -p "$database"
echo "planted-secret primary" >password
expect_success certutil -N -d "sql:$database" -f password
expect_success certutil -L -d "sql:$database"
before=$STDOUT

expect_failure 1 "$COUNTERSIGN" trust install --only nss
assert_contains "$STDOUT$STDERR" "primary password" "the reason"
assert_contains "$STDOUT$STDERR" "certutil -A -d sql:$database" "the remedy"
expect_success certutil -L -d "sql:$database"
assert_eq "$before" "$STDOUT" "the list of certificates"

say "the same database without its password"
: >no-password
printf '\n' >no-password
expect_success certutil -W -d "sql:$database" -f password -@ no-password
expect_success "$COUNTERSIGN" trust install --only nss

say "and locked by another program"
start_server python3 -u -c "
import sqlite3, time
database = sqlite3.connect('$database/cert9.db', isolation_level=None)
database.execute('BEGIN EXCLUSIVE')
print('locked')
time.sleep(60)"
wait_for_line "$SERVER_LOG" '^locked$'
expect_failure 1 "$COUNTERSIGN" trust uninstall --only nss
assert_contains "$STDOUT$STDERR" "locked" "the reason"
stop_server
expect_success "$COUNTERSIGN" trust uninstall --only nss
