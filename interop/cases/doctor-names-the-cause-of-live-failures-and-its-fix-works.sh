#!/usr/bin/env bash
# Twenty-two failures of mutual TLS, each a live pair of a real server and a client's files: the doctor names code and
# side of each first, within a second or so, and where its fix can be run it is run; then the pair works and is healthy.
# needs: curl nginx node openssl python3
. "$(dirname "$0")/../lib.sh"
. "$INTEROP/pairs.sh"

BOTH=(--cacert ca.pem --cert client.pem --key client.key)
ASKS='ssl_client_certificate ca.pem; ssl_verify_client on;'
asks() { printf 'ssl_client_certificate %s/%s; ssl_verify_client on;' "$PWD" "${1:-ca.pem}"; }

# Each pair sets up what is wrong; FLAGS are the doctor's, and mend_… does by hand what cannot be pasted.
pair_F01() { make_pair; serve_openssl -Verify 2 -verify_return_error -CAfile ca.pem; FLAGS=(--cacert ca.pem); }
pair_F03() { make_pair; serve_nginx "$(asks)"; FLAGS=(--cacert ca.pem); }
pair_F05() {
    make_pair; make_ca other "Other CA"
    serve_nginx "ssl_client_certificate $PWD/other.pem; ssl_trusted_certificate $PWD/ca.pem; ssl_verify_client on;"
}
mend_F05() { stop_server; serve_nginx "$(asks)"; }
pair_F09() { make_pair; serve_openssl -Verify 2 -verify_return_error -CAfile ca.pem; FLAGS=(--cert client.pem --key client.key); }
pair_F11() {
    make_ca ca "Test CA"; make_certificate inter "Test Intermediate" ca "${AUTHORITY[@]}"
    make_certificate server localhost inter "${SERVER[@]}" "$LOCALHOST"; make_certificate client alice ca "${CLIENT[@]}"
    serve_nginx "$(asks)"
}
mend_F11() { stop_server; CHAIN=fullchain.pem; serve_nginx "$(asks)"; }
pair_F14() { make_pair; serve_openssl; FLAGS=(--cacert server.pem); }
pair_F17() {
    make_ca old "Test CA"; make_ca ca "Test CA"; make_certificate server localhost ca "${SERVER[@]}" "$LOCALHOST"
    IDENTIFIER=authorityKeyIdentifier=none make_certificate client alice old "${CLIENT[@]}"
    serve_openssl -Verify 2 -verify_return_error -CAfile ca.pem
}
reissue() { rm client.key; make_certificate client alice ca "${CLIENT[@]}"; }
mend_F17() { reissue; }
pair_F22() {
    make_ca ca "Test CA"; make_ca other "Other CA"; make_certificate server localhost ca "${SERVER[@]}" "$LOCALHOST"
    make_certificate client alice other "${CLIENT[@]}"; serve_openssl -Verify 2 -verify_return_error -CAfile ca.pem
}
mend_F22() { reissue; }
pair_F24() {
    make_ca ca "Test CA"; make_certificate server localhost ca "${SERVER[@]}" "$LOCALHOST"
    FROM=20200101000000Z TO=20210101000000Z make_certificate client alice ca "${CLIENT[@]}"; serve_nginx "$(asks)"
}
mend_F24() { reissue; }
pair_F26() {
    make_ca ca "Test CA"; make_certificate server localhost ca "${SERVER[@]}" "$LOCALHOST"
    make_certificate client alice ca "${SERVER[@]}"; serve_openssl -Verify 2 -verify_return_error -CAfile ca.pem
}
mend_F26() { reissue; }
pair_F31() {
    make_ca ca "Constrained CA" "${AUTHORITY[@]}" "nameConstraints=critical,permitted;DNS:internal.test"
    make_certificate server localhost ca "${SERVER[@]}" subjectAltName=DNS:localhost; serve_openssl; FLAGS=(--cacert ca.pem)
}
mend_F31() {
    stop_server; rm server.key; HOST=api.internal.test
    make_certificate server localhost ca "${SERVER[@]}" subjectAltName=DNS:api.internal.test; serve_openssl
}
pair_F37() {
    make_pair; openssl ca -config client.cnf -cert ca.pem -keyfile ca.key -revoke client.pem 2>/dev/null; make_list
    serve_openssl -Verify 2 -verify_return_error -CAfile ca.pem -crl_check -CRL ca.crl
}
mend_F37() { reissue; }
pair_F38() {
    make_pair; FROM=20200101000000Z TO=20200201000000Z make_list
    serve_openssl -Verify 2 -verify_return_error -CAfile ca.pem -crl_check -CRL ca.crl
}
mend_F38() { stop_server; make_list; serve_openssl -Verify 2 -verify_return_error -CAfile ca.pem -crl_check -CRL ca.crl; }
pair_F44() { make_pair; HOST=api.example.test; serve_openssl; FLAGS=(--cacert ca.pem); }
mend_F44() {
    stop_server; rm server.key
    make_certificate server localhost ca "${SERVER[@]}" subjectAltName=DNS:localhost,DNS:api.example.test; serve_openssl
}
pair_F45() {
    make_ca ca "Test CA"; make_certificate server 127.0.0.1 ca "${SERVER[@]}" subjectAltName=DNS:127.0.0.1,DNS:localhost
    HOST=127.0.0.1; serve_openssl; FLAGS=(--cacert ca.pem)
}
mend_F45() {
    stop_server; rm server.key
    make_certificate server localhost ca "${SERVER[@]}" "$LOCALHOST"; serve_openssl
}
pair_F50() { make_pair; make_key other.key; serve_nginx "$(asks)"; FLAGS=(--cacert ca.pem --cert client.pem --key other.key); }
pair_F53() {
    make_pair; openssl pkcs12 -export -legacy -certpbe PBE-SHA1-RC2-40 -keypbe PBE-SHA1-3DES -macalg sha1 -in client.pem \
        -inkey client.key -passout pass:x -out old.p12
    serve_openssl -Verify 2 -verify_return_error -CAfile ca.pem; FLAGS=(--cacert ca.pem --cert-type P12 --cert old.p12:x)
}
pair_F55() {
    make_pair; make_ca other "Other CA"; { printf %s "$(cat other.pem)"; cat ca.pem; } >glued.pem
    serve_openssl; FLAGS=(--cacert glued.pem)
}
pair_F60() { make_pair; serve_openssl -tls1_3; FLAGS=(--cacert ca.pem --tls-max 1.2); }
pair_F66() { make_pair; serve_nginx "$(asks)"; SCHEME=http; FLAGS=("${BOTH[@]}"); }
pair_F72() {
    make_pair; make_certificate proxy front-proxy ca "${CLIENT[@]}"; serve_nginx "$(asks)"; BEHIND=$PORT
    serve_nginx "location /up { proxy_pass https://127.0.0.1:$BEHIND/; }"; LOCATION=/up
}
mend_F72() {
    stop_server
    serve_nginx "location /up { proxy_pass https://127.0.0.1:$BEHIND/; proxy_ssl_certificate $PWD/proxy.pem; proxy_ssl_certificate_key $PWD/proxy.key; }"
}
pair_F76() {
    make_ca ca "Test CA"; make_ca other "Other CA"; make_certificate server localhost ca "${SERVER[@]}" "$LOCALHOST"
    make_certificate client alice other "${CLIENT[@]}"
    serve_node "ca: file('ca.pem'), requestCert: true, rejectUnauthorized: true"
}
mend_F76() { reissue; }

# id, expected code, side, verdict, and what is done about it: `paste` runs the fix as it stands and expects an answer
# with status 200, `server` runs it and starts the server again, `hand` does what it says by hand.
TABLE='
F01 no_client_certificate        client refused  paste
F03 no_client_certificate        client refused  paste
F05 issuer_not_requested         server degraded hand
F09 unknown_issuer               client refused  paste
F11 intermediate_missing         server refused  server
F14 leaf_as_anchor               client degraded paste
F17 signature_invalid            client refused  hand
F22 unknown_issuer               client refused  hand
F24 certificate_expired          client refused  hand
F26 wrong_purpose                client refused  hand
F31 name_constraints_violated    issuer refused  hand
F37 certificate_revoked          client refused  hand
F38 crl_expired                  server refused  hand
F44 name_mismatch                server refused  hand
F45 address_not_named            server refused  hand
F50 key_mismatch                 client refused  paste
F53 pkcs12_legacy_encryption     client refused  convert
F55 pem_damaged                  client refused  repair
F60 protocol_version             client refused  paste
F66 plain_http                   client refused  paste
F72 certificate_not_forwarded    proxy  refused  hand
F76 unknown_issuer               client refused  hand
'

# What curl answers to a fix that was pasted.
paste() {
    expect_success bash -c "$1 -sS -o pasted.txt -w '%{http_code}'"
    assert_eq 200 "$STDOUT" "the status after the fix: $1"
}

slowest=0
while read -r id code side verdict kind; do
    [ -n "$id" ] || continue
    mkdir "$id" && cd "$id"
    HOST=localhost SCHEME=https LOCATION=/ CHAIN=server.pem FLAGS=("${BOTH[@]}")
    "pair_$id"
    before=$(date +%s%N)
    diagnose "${FLAGS[@]}"
    took=$((($(date +%s%N) - before) / 1000000))
    [ "$took" -le "$slowest" ] || slowest=$took
    assert_eq "$code $side $verdict 1" "$(field 'f["code"]+" "+f["fault"]+" "+r["verdict"]') $STATUS" "$id: code, side, verdict, exit code"
    fix=$(field 'f["fix"]["command"]')
    say "$id: $fix"
    case $kind in
        paste) paste "$fix" ;;
        server) bash -c "$fix" && "mend_$id" ;;
        hand) "mend_$id" ;;
        convert)
            # The passwords that openssl would ask for.
            fix=${fix//pkcs12 -legacy/pkcs12 -passin pass:x -legacy}
            bash -c "${fix//-export/-export -passout pass:x}"
            FLAGS=(--cacert ca.pem --cert-type P12 --cert old-new.p12:x)
            ;;
        repair)
            # inspect exits with 1, since it found the damage; what it repaired is written.
            expect_failure 0,1 bash -c "${fix/#countersign/\"\$COUNTERSIGN\"}"
            FLAGS=(--cacert repaired.pem)
            ;;
    esac
    if [ "$kind" != paste ]; then
        diagnose "${FLAGS[@]}"
        assert_eq "healthy 0" "$(field 'r["verdict"]') $STATUS" "$id after the fix: $(cat report.json)"
    fi
    stop_server
    cd ..
done <<<"$TABLE"
say "slowest verdict: $slowest ms"
