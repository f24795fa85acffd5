#!/usr/bin/env bash
# Three ACME clients that share no code with others obtain certificates: dehydrated (shell) and uacme (C) by dns-01,
# acme-tiny (Python) by http-01 with a web server of its own beside it.
# needs: acme-tiny curl dehydrated openssl pebble-challtestsrv python3 uacme unshare
. "$(dirname "$0")/../lib.sh"
. "$INTEROP/acme.sh"

start_acme
dns_hook

say "dehydrated"
mkdir dehydrated
printf 'CA="%s"\nCHALLENGETYPE=dns-01\nHOOK=%s\nBASEDIR=%s\nKEY_ALGO=prime256v1\nACCOUNT_KEYSIZE=2048\n' "$DIRECTORY" "$PWD/dns-hook" \
    "$PWD/dehydrated" >dehydrated.conf
export CURL_CA_BUNDLE=$CA
expect_success dehydrated -f dehydrated.conf --register --accept-terms
expect_success dehydrated -f dehydrated.conf -c -d dehydrated.smoke.test
expect_success openssl verify -CAfile "$CA" -untrusted dehydrated/certs/dehydrated.smoke.test/chain.pem \
    dehydrated/certs/dehydrated.smoke.test/cert.pem
unset CURL_CA_BUNDLE

say "uacme, which believes the system's bundle alone: in a view of the file system of its own"
cat >uacme.sh <<X2
set -e
cat /etc/ssl/certs/ca-certificates.crt "$CA" >bundle.pem
mount --bind bundle.pem /etc/ssl/certs/ca-certificates.crt
uacme -y -c "$PWD/uacme" -a "$DIRECTORY" new
uacme -c "$PWD/uacme" -a "$DIRECTORY" -h "$PWD/dns-hook" issue uacme.smoke.test
X2
if [ "$(id -u)" = 0 ]; then
    expect_success unshare -m bash uacme.sh
else
    expect_success unshare -rm bash uacme.sh
fi
expect_success openssl x509 -noout -subject -in uacme/uacme.smoke.test/cert.pem

say "acme-tiny"
expect_success openssl genrsa -out account.key 2048
expect_success openssl req -newkey rsa:2048 -nodes -keyout tiny.key -subj /CN=tiny.smoke.test \
    -addext subjectAltName=DNS:tiny.smoke.test -out tiny.csr
mkdir -p www/.well-known/acme-challenge
start_server python3 -m http.server -b 127.0.0.1 -d www "$HTTP"
wait_for_port "$HTTP"
SSL_CERT_FILE=$CA expect_success acme-tiny --account-key account.key --csr tiny.csr \
    --acme-dir www/.well-known/acme-challenge --directory-url "$DIRECTORY" --disable-check
assert_contains "$STDOUT" "BEGIN CERTIFICATE"
