#!/usr/bin/env bash
# Twenty-two failures of mutual TLS, each a live pair of a real server and a client's files: the doctor names code and
# side of each first, within a second, and its fix is run as it is printed; then the pair works and is healthy.
# needs: curl nginx node openssl python3
. "$(dirname "$0")/../lib.sh"
. "$INTEROP/pairs.sh"

asks() { printf 'ssl_client_certificate %s/%s; ssl_verify_client on;' "$PWD" "${1:-ca.pem}"; }

# The fixes are commands of people who have the binary on their path.
mkdir bin && ln -s "$COUNTERSIGN" bin/countersign
PATH=$PWD/bin:$PATH

# make_authority: an authority of ours that issued for server and client.
make_authority() {
    expect_success countersign init --name "Test CA" --no-constraints
    expect_success countersign issue server localhost 127.0.0.1
    expect_success countersign issue client alice
    cp localhost.pem server.pem && cp localhost-key.pem server.key
    BOTH=(--cacert rootCA.pem --cert alice.pem --key alice-key.pem) FLAGS=("${BOTH[@]}")
}
SENDS_CHAIN=(-cert_chain server.pem -Verify 2 -verify_return_error -CAfile rootCA.pem -crl_check -CRL ca.crl)

# Each pair sets up what is wrong; FLAGS are the doctor's.
pair_F01() { make_pair; serve_openssl -Verify 2 -verify_return_error -CAfile ca.pem; FLAGS=(--cacert ca.pem); }
pair_F03() { make_pair; serve_nginx "$(asks)"; FLAGS=(--cacert ca.pem); }
pair_F05() {
    make_pair; make_ca other "Other CA"
    serve_nginx "ssl_client_certificate $PWD/other.pem; ssl_trusted_certificate $PWD/ca.pem; ssl_verify_client on;"
}
pair_F09() { make_pair; serve_openssl -Verify 2 -verify_return_error -CAfile ca.pem; FLAGS=(--cert client.pem --key client.key); }
pair_F11() {
    make_ca ca "Test CA"; make_certificate inter "Test Intermediate" ca "${AUTHORITY[@]}"
    make_certificate server localhost inter "${SERVER[@]}" "$LOCALHOST"; make_certificate client alice ca "${CLIENT[@]}"
    serve_nginx "$(asks)"
}
pair_F14() { make_pair; serve_openssl; FLAGS=(--cacert server.pem); }
pair_F17() {
    make_ca old "Test CA"; make_ca ca "Test CA"; make_certificate server localhost ca "${SERVER[@]}" "$LOCALHOST"
    IDENTIFIER=authorityKeyIdentifier=none make_certificate client alice old "${CLIENT[@]}"
    serve_openssl -Verify 2 -verify_return_error -CAfile ca.pem
}
pair_F22() {
    make_ca ca "Test CA"; make_ca other "Other CA"; make_certificate server localhost ca "${SERVER[@]}" "$LOCALHOST"
    make_certificate client alice other "${CLIENT[@]}"; serve_openssl -Verify 2 -verify_return_error -CAfile ca.pem
}
pair_F24() {
    make_ca ca "Test CA"; make_certificate server localhost ca "${SERVER[@]}" "$LOCALHOST"
    FROM=20200101000000Z TO=20210101000000Z make_certificate client alice ca "${CLIENT[@]}"; serve_nginx "$(asks)"
}
pair_F26() {
    make_ca ca "Test CA"; make_certificate server localhost ca "${SERVER[@]}" "$LOCALHOST"
    make_certificate client alice ca "${SERVER[@]}"; serve_openssl -Verify 2 -verify_return_error -CAfile ca.pem
}
pair_F31() {
    make_ca ca "Constrained CA" "${AUTHORITY[@]}" "nameConstraints=critical,permitted;DNS:internal.test"
    make_certificate server localhost ca "${SERVER[@]}" subjectAltName=DNS:localhost; serve_openssl; FLAGS=(--cacert ca.pem)
}
pair_F37() {
    make_authority; expect_success countersign revoke alice; expect_success countersign crl --out ca.crl
    serve_openssl "${SENDS_CHAIN[@]}"
}
pair_F38() {
    make_authority; stale_list; serve_openssl "${SENDS_CHAIN[@]}"
}
# stale_list: a list of the authority's issuing CA that ended years ago.
stale_list() {
    awk '/BEGIN/ { n++ } n == 2' alice.pem >issuing.pem
    mkdir -p lists && : >lists/index && echo 01 >lists/number
    printf '%s\n' '[ca]' default_ca=c '[c]' database=lists/index crlnumber=lists/number default_md=sha256 crl_extensions=x \
        '[x]' authorityKeyIdentifier=keyid >lists/cnf
    openssl ca -config lists/cnf -gencrl -cert issuing.pem -keyfile "$COUNTERSIGN_HOME/keys/issuing-key.pem" -out ca.crl \
        -crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z
}
pair_F44() { make_pair; HOST=api.example.test; serve_openssl; FLAGS=(--cacert ca.pem); }
pair_F45() {
    make_ca ca "Test CA"; make_certificate server 127.0.0.1 ca "${SERVER[@]}" subjectAltName=DNS:127.0.0.1,DNS:localhost
    HOST=127.0.0.1; serve_openssl; FLAGS=(--cacert ca.pem)
}
pair_F50() { make_pair; make_key other.key; serve_nginx "$(asks)"; FLAGS=(--cacert ca.pem --cert client.pem --key other.key); }
pair_F53() {
    make_pair; openssl pkcs12 -export -legacy -certpbe PBE-SHA1-RC2-40 -keypbe PBE-SHA1-3DES -macalg sha1 -in client.pem \
        -inkey client.key -passout pass:planted-secret-x -out old.p12
    serve_openssl -Verify 2 -verify_return_error -CAfile ca.pem; FLAGS=(--cacert ca.pem --cert-type P12 --cert old.p12:planted-secret-x)
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
pair_F76() {
    make_ca ca "Test CA"; make_ca other "Other CA"; make_certificate server localhost ca "${SERVER[@]}" "$LOCALHOST"
    make_certificate client alice other "${CLIENT[@]}"
    serve_node "ca: file('ca.pem'), requestCert: true, rejectUnauthorized: true"
}

# id, expected code, side, verdict, and what becomes of the fix, which is run as it is printed: `call` calls the client
# rightly, and gets the server's page; `make` makes a file for the client, and the pair is healthy; `reload` makes one for
# the server, which is started again, and the pair is healthy; `asks` is a `make` that asks for a password on the terminal;
# `none` stands for what no command on the client's machine can do.
# F72: the directives belong into the configuration of the proxy; where that lies, nobody can see from the client's side.
TABLE='
F01 no_client_certificate        client refused  call
F03 no_client_certificate        client refused  call
F05 issuer_not_requested         server degraded reload
F09 unknown_issuer               client refused  call
F11 intermediate_missing         server refused  reload
F14 leaf_as_anchor               client degraded call
F17 signature_invalid            client refused  make
F22 unknown_issuer               client refused  make
F24 certificate_expired          client refused  make
F26 wrong_purpose                client refused  make
F31 name_constraints_violated    issuer refused  make
F37 certificate_revoked          client refused  call
F38 crl_expired                  server refused  reload
F44 name_mismatch                server refused  reload
F45 address_not_named            server refused  reload
F50 key_mismatch                 client refused  call
F53 pkcs12_legacy_encryption     client refused  asks
F55 pem_damaged                  client refused  make
F60 protocol_version             client refused  call
F66 plain_http                   client refused  call
F72 certificate_not_forwarded    proxy  refused  none
F76 unknown_issuer               client refused  make
'

# call COMMAND: what a client is called with ends well, with the page of those who are let in.
call() {
    expect_success bash -c "$1"
    grep -q -E 'verify=SUCCESS|s_server' <<<"$STDOUT" || fail "no page of the server's after the fix: $STDOUT"
}

# on_terminal COMMAND ANSWER: runs it on a terminal of its own, and gives this answer to whatever is asked.
on_terminal() {
    python3 - "$@" <<'PY'
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execvp("bash", ["bash", "-c", sys.argv[1]])
while True:
    try:
        said = os.read(terminal, 4096)
    except OSError:
        break
    if said.rstrip().endswith(b":"):
        os.write(terminal, sys.argv[2].encode() + b"\n")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
PY
}

slowest=0
while read -r id code side verdict kind; do
    [ -n "$id" ] || continue
    mkdir "$id" && cd "$id"
    export COUNTERSIGN_HOME=$PWD/home
    HOST=localhost SCHEME=https LOCATION=/ BOTH=(--cacert ca.pem --cert client.pem --key client.key)
    FLAGS=("${BOTH[@]}")
    "pair_$id"
    # Right, and within a second: the best of some tries, since this machine may have other things to do. A server that
    # is kept from answering for 0.7 s is called silent; a wrong word that comes sooner has no such excuse.
    best=
    for try in 1 2 3 4 5; do
        before=$(date +%s%N)
        diagnose "${FLAGS[@]}"
        took=$((($(date +%s%N) - before) / 1000000))
        [ -n "$best" ] && [ "$best" -le "$took" ] || best=$took
        said="$(field 'f["code"]+" "+f["fault"]+" "+r["verdict"]') $STATUS"
        if [ "$said" = "$code $side $verdict 1" ]; then
            [ "$best" -gt 1000 ] || break
        elif [ "$took" -lt 700 ]; then
            break
        fi
        say "$id: try $try took $took ms: $said"
    done
    [ "$best" -le 1000 ] || fail "$id: the best of five verdicts took $best ms"
    [ "$best" -le "$slowest" ] || slowest=$best
    assert_eq "$code $side $verdict 1" "$said" "$id: code, side, verdict, exit code"
    fix=$(field 'f["fix"]["command"]')
    say "$id: $fix"
    case $kind in
        call) call "$fix" ;;
        # A repair says by its exit code that there was damage.
        make) expect_failure 0,1 bash -c "$fix" ;;
        asks) on_terminal "$fix" planted-secret-x ;;
        reload)
            expect_success bash -c "$fix"
            serve_again
            ;;
        none) ;;
    esac
    if [ "$kind" != call ] && [ "$kind" != none ]; then
        diagnose "${FLAGS[@]}"
        assert_eq "healthy 0" "$(field 'r["verdict"]') $STATUS" "$id after the fix: $(cat report.json)"
    fi
    stop_server
    cd ..
done <<<"$TABLE"
say "slowest verdict: $slowest ms"
