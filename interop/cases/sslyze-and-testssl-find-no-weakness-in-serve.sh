#!/usr/bin/env bash
# sslyze sees no old version, no weak suite or curve, no renegotiation, compression or known attack; testssl.sh rates nothing
# worse than what stands here with its reason.
# needs: pypi:sslyze testssl
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init
expect_success "$COUNTERSIGN" issue server localhost
start_server "$COUNTERSIGN" serve --cert localhost.pem --key localhost-key.pem --client-ca rootCA.pem --allow-cn alice \
    --listen 127.0.0.1:0
wait_for_line "$SERVER_LOG" 'https://[^ ]*:[0-9]+'
port=$(sed -E 's|.*https://[^ ]*:([0-9]+).*|\1|' <<<"$LINE")

run "$INTEROP_PYTHON" -m sslyze --quiet --json_out=sslyze.json --sni localhost "127.0.0.1:$port"
run "$INTEROP_PYTHON" "$INTEROP/conformance/sslyze.py" sslyze.json
printf '%s\n' "$STDOUT" "$STDERR"
assert_eq 0 "$STATUS" "what sslyze finds"

# Protocols, the server's defaults, forward secrecy, and the attacks on TLS that have names; not the simulations of forty
# old browsers, which take minutes. 29 suites to offer are enough to find the accepted ones.
run testssl --quiet --color 0 --warnings off --jsonfile testssl.json --add-ca rootCA.pem --ip 127.0.0.1 \
    --protocols --server-defaults --heartbleed --ccs-injection --ticketbleed --renegotiation --compression \
    --poodle --fallback --drown --robot --sweet32 --freak --logjam "https://localhost:$port"
# The findings that are expected:
#   cert_revocation      a development authority has no address where lists are; a deployed one names it (--crl-url)
#   DNS_CAArecord        records in the public DNS are about public authorities
#   engine_problem       is about the openssl that testssl.sh runs
#   service              only HTTP with a client certificate is to be had here
expected="cert_revocation DNS_CAArecord engine_problem service"
found=$(tr -d '\n' <testssl.json | grep -oE '\{[^}]*\}' |
    grep -E '"severity" *: *"(LOW|MEDIUM|HIGH|CRITICAL|WARN|FATAL)"' | sed -E 's/.*"id" *: *"([^"]*)".*/\1/' || true)
for id in $found; do
    case " $expected " in
    *" $id "*) ;;
    *) grep -A4 "\"$id\"" testssl.json >&2
        fail "testssl.sh finds $id" ;;
    esac
done
# It did look: the lines of a good verdict are there.
for id in SSLv3 TLS1 TLS1_1 heartbleed CCS ROBOT; do
    grep -A4 "\"$id\"" testssl.json | grep -q '"OK"' || fail "testssl.sh has no good word on $id"
done
