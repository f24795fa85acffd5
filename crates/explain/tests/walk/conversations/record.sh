#!/usr/bin/env bash
# Records the conversations that the tests explain, with real peers: `record.sh COUNTERSIGN`, from this folder.
# The recordings are kept in the repository, since a golden text needs the same bytes each time; run this again only
# to add one, and look at what changes. Needs openssl, curl, node. The keys are made here and thrown away; the secrets
# in the recordings open nothing else. Compressed certificates come from two tlslite-ng peers (PyPI: tlslite-ng brotli
# zstandard), since no OpenSSL or GnuTLS of a distribution compresses them: PYTHON names an interpreter that has them.
set -euo pipefail
countersign=$(realpath "$1")
here=$PWD
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
export COUNTERSIGN_HOME=$work/home
"$countersign" -q init --name "Example" > /dev/null
"$countersign" -q issue server localhost > /dev/null
"$countersign" -q issue client alice > /dev/null
cp localhost.pem server.pem; cp localhost-key.pem server-key.pem
# What stands above the leaf: openssl sends the file of -cert_chain as well as that of -cert.
above() { awk '/BEGIN/ { n++ } n > 1' "$1"; }
above server.pem > above.pem
mkdir other; (cd other; COUNTERSIGN_HOME=$work/other/home "$countersign" -q init --name "Stranger" > /dev/null
  COUNTERSIGN_HOME=$work/other/home "$countersign" -q issue client alice > /dev/null)

# A certificate that has expired: openssl's own little authority, below a root of its own.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout old-ca-key.pem -out old-ca.pem \
  -subj "/CN=Old CA" -days 3650 2> /dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout old-key.pem -out old.csr -subj "/CN=yesterday" 2> /dev/null
touch index.txt; echo 01 > serial
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n[e]\nextendedKeyUsage=clientAuth\n' > ca.cnf
openssl ca -batch -config ca.cnf -extensions e -in old.csr -cert old-ca.pem -keyfile old-ca-key.pem -out old.pem -notext \
  -startdate 20240101000000Z -enddate 20250101000000Z 2> /dev/null
cat rootCA.pem old-ca.pem > client-cas.pem

# A server ends where its standard input does, so it gets one that says nothing and does not end.
mkfifo silence; exec 9<> silence
wait_for() { for _ in $(seq 100); do if (: < "/dev/tcp/127.0.0.1/$1") 2> /dev/null; then return; fi; sleep 0.1; done; exit 1; }
serve() { # serve PORT ARGUMENTS…: OpenSSL's server
  local port=$1; shift
  openssl s_server -accept "127.0.0.1:$port" -cert server.pem -cert_chain above.pem -key server-key.pem -CAfile client-cas.pem \
    "$@" < "$work/silence" > /dev/null 2>&1 &
  pids+=($!); wait_for "$port"
}
explain() { # explain NAME ARGUMENTS…
  local name=$1; shift
  "$countersign" -q explain --cacert rootCA.pem --save "$work/$name" "$@" > /dev/null || true
  mv "$work/$name" "$here/$name.transcript"
}
tap() { # tap NAME PORT SERVER_PORT: the next connection to PORT
  "$countersign" -q explain --listen "127.0.0.1:$2" --to "localhost:$3" --keylog keys.log --connections 1 \
    --save "$work/$1" > /dev/null &
  tapping=$!
  for _ in $(seq 100); do if grep -q ":$(printf %04X "$2") .* 0A " /proc/net/tcp; then return; fi; sleep 0.1; done
}
tapped() { wait "$tapping" || true; mv "$work/$1" "$here/$1.transcript"; }

serve 20001 -Verify 3 -verify_return_error
explain tls13-mutual https://localhost:20001 --cert alice.pem --key alice-key.pem
explain tls13-no-client-certificate https://localhost:20001
explain tls13-wrong-ca https://localhost:20001 --cert other/alice.pem --key other/alice-key.pem
explain tls13-expired https://localhost:20001 --cert old.pem --key old-key.pem
explain tls12-mutual https://localhost:20001 --cert alice.pem --key alice-key.pem --tls-max 1.2

# The server takes P-384 alone, and the client sends a key for X25519 first.
serve 20002 -Verify 3 -groups P-384
: > keys.log
tap hello-retry-request 20012 20002
openssl s_client -connect 127.0.0.1:20012 -servername localhost -groups X25519:P-384 -cert alice.pem -cert_chain above.pem \
  -key alice-key.pem -CAfile rootCA.pem -keylogfile keys.log < /dev/null > /dev/null 2>&1 || true
tapped hello-retry-request

# A session of the first connection is resumed in the second.
sleep 1 | openssl s_client -connect 127.0.0.1:20001 -servername localhost -cert alice.pem -cert_chain above.pem \
  -key alice-key.pem -CAfile rootCA.pem -sess_out session.pem > /dev/null 2>&1 || true
tap resumed 20013 20001
sleep 0.5 | openssl s_client -connect 127.0.0.1:20013 -servername localhost -CAfile rootCA.pem -sess_in session.pem \
  -keylogfile keys.log > /dev/null 2>&1 || true
tapped resumed

# Data in the first flight, which the server takes since it was told not to mind replays.
serve 20007 -Verify 3 -early_data -no_anti_replay
sleep 1 | openssl s_client -connect 127.0.0.1:20007 -servername localhost -cert alice.pem -cert_chain above.pem \
  -key alice-key.pem -CAfile rootCA.pem -sess_out early.pem > /dev/null 2>&1 || true
printf 'sent before the handshake is done\n' > early.txt
: > keys.log
tap early-data 20014 20007
sleep 0.5 | openssl s_client -connect 127.0.0.1:20014 -servername localhost -CAfile rootCA.pem -sess_in early.pem \
  -early_data early.txt -keylogfile keys.log > /dev/null 2>&1 || true
tapped early-data

# Data in the first flight that the server refuses, for each of the reasons there are: it wants another key share; the
# session is resumed with another protocol; the ticket is used a second time, so that the handshake is a whole one.
early() { # early PORT OPENSSL_ARGUMENTS…: a connection that resumes the session, if there is one, with data at once
  local port=$1; shift
  sleep 0.5 | openssl s_client -connect "127.0.0.1:$port" -servername localhost -cert alice.pem -cert_chain above.pem \
    -key alice-key.pem -CAfile rootCA.pem "$@" > /dev/null 2>&1 || true
}
serve 20030 -Verify 3 -early_data -no_anti_replay -groups P-384
early 20030 -sess_out early.pem
: > keys.log
tap early-data-refused-by-retry 20016 20030
early 20016 -sess_in early.pem -early_data early.txt -keylogfile keys.log -groups X25519:P-384
tapped early-data-refused-by-retry

serve 20031 -Verify 3 -early_data -no_anti_replay -alpn http/1.1,h2
early 20031 -sess_out early.pem -alpn h2
: > keys.log
tap early-data-refused-for-another-protocol 20017 20031
early 20017 -sess_in early.pem -early_data early.txt -keylogfile keys.log -alpn h2,http/1.1
tapped early-data-refused-for-another-protocol

serve 20032 -Verify 3 -early_data
early 20032 -sess_out early.pem
early 20032 -sess_in early.pem -early_data early.txt
: > keys.log
tap early-data-refused-with-the-ticket 20018 20032
early 20018 -sess_in early.pem -early_data early.txt -keylogfile keys.log
tapped early-data-refused-with-the-ticket

# Both certificates compressed, in the three ways of RFC 8879.
for algorithm in zlib brotli zstd; do
  : > keys.log
  tap "compressed-$algorithm" 20015 20008
  "${PYTHON:-python3}" "$here/compressed.py" "$algorithm" 20008 20015 keys.log > /dev/null
  tapped "compressed-$algorithm"
done

# Node.js closes the connection without a word.
cat > server.js <<'JS'
const fs = require('fs');
require('https').createServer({ cert: fs.readFileSync('server.pem'), key: fs.readFileSync('server-key.pem'),
  ca: fs.readFileSync('rootCA.pem'), requestCert: true, rejectUnauthorized: true }, (_, r) => r.end('hello\n'))
  .listen(20003, '127.0.0.1');
JS
node server.js & pids+=($!); wait_for 20003
explain nodejs-closes-silently https://localhost:20003 --cert other/alice.pem --key other/alice-key.pem

# CBC with the MAC first, and with the encryption first; ChaCha20; CCM.
record12() { # record12 NAME PORT SERVER_PORT OPENSSL_ARGUMENTS…
  local name=$1 port=$2 server=$3; shift 3
  tap "$name" "$port" "$server"
  echo hello | openssl s_client -connect "127.0.0.1:$port" -servername localhost -cert alice.pem -cert_chain above.pem \
    -key alice-key.pem -CAfile rootCA.pem -keylogfile keys.log "$@" > /dev/null 2>&1 || true
  tapped "$name"
}
record12 tls12-cbc-encrypt-then-mac 20021 20001 -tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256
serve 20004 -Verify 3 -no_etm
record12 tls12-cbc-mac-then-encrypt 20022 20004 -tls1_2 -cipher ECDHE-ECDSA-AES256-SHA
record12 tls12-chacha20 20023 20001 -tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305
serve 20005 -Verify 3 -cipher ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0 -ciphersuites TLS_AES_128_CCM_SHA256
record12 tls12-ccm-8 20024 20005 -tls1_2 -cipher ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0
record12 tls13-ccm 20025 20005 -tls1_3 -ciphersuites TLS_AES_128_CCM_SHA256
record12 tls13-chacha20 20026 20001 -tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256
# K and a line end make s_client send a KeyUpdate that asks for one in return; it comes with the server's next words.
serve 20006 -Verify 3 -rev
tap key-update 20027 20006
(sleep 0.5; echo K; sleep 0.5; echo after; sleep 0.5) | openssl s_client -connect 127.0.0.1:20027 -servername localhost \
  -cert alice.pem -cert_chain above.pem -key alice-key.pem -CAfile rootCA.pem -keylogfile keys.log > /dev/null 2>&1 || true
tapped key-update
# chromium and firefox come from the interop case of their name: INTEROP_KEEP=1, and then in its folder
# `countersign explain chromium.pcapng --save chromium.transcript`, of the capture that the case took.
ls -l "$here"/*.transcript
