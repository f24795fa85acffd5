#!/usr/bin/env bash
# The doctor reads command lines of curl, openssl and wget as those programs do, judges as other programs, and examines
# texts, piles of files, a client that connects to it, and captures; and it never shows a private key or a passphrase.
# needs: curl java keytool nginx openssl python3
. "$(dirname "$0")/../lib.sh"
. "$INTEROP/pairs.sh"

make_ca ca "Test CA"
make_ca other "Other CA"
make_certificate server localhost ca "${SERVER[@]}" "$LOCALHOST"
make_certificate client alice ca "${CLIENT[@]}"
make_certificate stranger eve other "${CLIENT[@]}"
serve_nginx "ssl_client_certificate $PWD/ca.pem; ssl_verify_client on;"
url=https://localhost:$PORT/

# examined CODE SIDE EXIT-CODE COMMAND…: the report's first finding, `none` for none.
examined() {
    local code=$1 side=$2 exit=$3
    shift 3
    case $1 in
        files) run "$COUNTERSIGN" doctor "$@" --json ;;
        *) run "$COUNTERSIGN" doctor --json "$@" ;;
    esac
    printf '%s' "$STDOUT" >report.json
    assert_eq "$code $side $exit" "$(field '(f["code"]+" "+f["fault"]) if f else "none none"') $STATUS" "$*: $STDOUT $STDERR"
}

examined none none 0 -- curl -sSE client.pem --key client.key --cacert ca.pem "$url"
examined no_client_certificate client 1 -- curl --cacert ca.pem "$url"
examined unknown_issuer client 1 -- curl -E stranger.pem --key stranger.key --cacert ca.pem "$url"
CURL_CA_BUNDLE=ca.pem examined none none 0 -- curl -E client.pem --key client.key "$url"
HTTPS_PROXY=http://127.0.0.1:$(free_port) examined proxy_refused environment 1 -- curl --cacert ca.pem "$url"
cp client.pem alice:2026.pem
examined option_misread client 1 -- curl --cert alice:2026.pem --key client.key --cacert ca.pem "$url"
examined none none 0 -- openssl s_client -connect "127.0.0.1:$PORT" -servername localhost -CAfile ca.pem -cert client.pem -key client.key
examined none none 0 -- wget --certificate=client.pem --private-key=client.key --ca-certificate=ca.pem "$url"

# The same pair and another program: a wrong CA is "unknown issuer" to curl, and a certificate kept back to Go.
examined unknown_issuer client 1 "$url" --cert stranger.pem --key stranger.key --cacert ca.pem
examined issuer_not_requested server 1 "$url" --as go --cert stranger.pem --key stranger.key --cacert ca.pem
examined none none 0 "$url" --as node --cert client.pem --key client.key --cacert ca.pem

# What is offered less than the defaults, a revocation list, another Host header; and nothing is changed by any of it.
before=$(sha256sum ./*.pem ./*.key)
restricted() { examined "$1" client 1 "$url" --cert client.pem --key client.key --cacert ca.pem "${@:2}"; }
restricted no_shared_cipher --tls-max 1.2 --ciphers ECDHE-RSA-AES256-GCM-SHA384
restricted no_shared_signature_algorithm --sigalgs rsa_pss_rsae_sha256
run "$COUNTERSIGN" doctor -v "$url" --cert stranger.pem --key stranger.key --cacert ca.pem --host other.test
assert_contains "$STDERR" "connecting as your client connects"
assert_eq "$before" "$(sha256sum ./*.pem ./*.key)" "the files after the doctor looked"

# What a Java client believes stands in key stores, of both kinds; in the runtime's own where none is named.
openssl pkcs12 -export -in client.pem -inkey client.key -out client.p12 -passout pass:planted-secret-of-the-key
import() { expect_success keytool -importcert -noprompt -alias ca -file "$1" -keystore "$2" -storetype "$3" -storepass "$4"; }
import ca.pem trust.p12 pkcs12 planted-secret-of-the-store
import ca.pem trust.jks jks planted-secret-of-the-store
import other.pem others.jks jks planted-secret-of-the-store
mkdir -p jdk/lib/security && import ca.pem jdk/lib/security/cacerts jks changeit
java=(java -Djavax.net.ssl.keyStore=client.p12 -Djavax.net.ssl.keyStorePassword=planted-secret-of-the-key)
for store in trust.p12 trust.jks; do
    examined none none 0 -- "${java[@]}" "-Djavax.net.ssl.trustStore=$store" -Djavax.net.ssl.trustStorePassword=planted-secret-of-the-store -jar a.jar "$url"
done
examined unknown_issuer client 1 -- "${java[@]}" -Djavax.net.ssl.trustStore=others.jks -jar a.jar "$url"
JAVA_HOME=$PWD/jdk examined none none 0 "$url" --as java --cert-type P12 --cert client.p12:planted-secret-of-the-key
JAVA_HOME=$PWD/jdk examined unknown_issuer client 1 "https://localhost:$PORT" --as java --cert-type P12 --cert client.p12:planted-secret-of-the-key --cacert other.pem
cp others.jks jdk/lib/security/jssecacerts
JAVA_HOME=$PWD/jdk examined unknown_issuer client 1 "$url" --as java --cert-type P12 --cert client.p12:planted-secret-of-the-key
assert_contains "$(cat report.json)" jdk/lib/security/jssecacerts
# What openssl puts into a PKCS#12 is marked as trusted nowhere, so Java believes nothing of it.
openssl pkcs12 -export -nokeys -in ca.pem -out unmarked.p12 -passout pass:planted-secret-of-the-store
examined configuration_unusable client 1 -- "${java[@]}" -Djavax.net.ssl.trustStore=unmarked.p12 -Djavax.net.ssl.trustStorePassword=planted-secret-of-the-store "$url"

# The texts of real programs, as they come from them; and one that nobody knows.
words() { run "$@" && printf '%s\n%s\n' "$STDOUT" "$STDERR" >text.txt; }
words curl -sS "$url"
examined unknown_issuer client 1 --text text.txt
words curl --cacert ca.pem -E client.pem --key stranger.key "$url"
# curl has one text for a key that is missing, unreadable, sealed or another one's: the doctor names all of them.
examined private_key_missing client 1 --text text.txt
for code in file_unreadable passphrase_missing key_mismatch; do
    assert_contains "$(cat report.json)" "\"$code\""
done
words curl --cacert ca.pem "http://localhost:$PORT/" --http0.9
examined plain_http client 1 --text text.txt
words openssl s_client -connect "localhost:$PORT" -verify_return_error -verify_hostname other.test -CAfile ca.pem
examined name_mismatch server 1 --text text.txt
echo 'curl: (56) tlsv13 alert certificate required' >text.txt
examined no_client_certificate client 1 --text text.txt
echo 'the gate of the castle is closed' >text.txt
examined unexplained environment 1 --text text.txt

# A pile of files; a key of another certificate in it is told.
examined none none 0 files client.pem client.key ca.pem
run "$COUNTERSIGN" doctor files client.pem client.key ca.pem
assert_contains "$STDOUT" "client.key holds the key of CN=alice"
examined key_mismatch client 1 files client.pem stranger.key ca.pem

# An encrypted key: without the passphrase, with a wrong one, with the right one; and none of it is ever shown.
openssl pkcs8 -topk8 -in client.key -out sealed.key -passout pass:planted-secret-horse -v2 aes-256-cbc
examined passphrase_missing client 1 "$url" --cert client.pem --key sealed.key --cacert ca.pem
examined passphrase_wrong client 1 -- curl --cert client.pem --key sealed.key --pass planted-secret-staple --cacert ca.pem "$url"
examined none none 0 -- curl --cert client.pem --key sealed.key --pass planted-secret-horse --cacert ca.pem "$url"
run "$COUNTERSIGN" doctor -v -- curl --cert client.pem --key sealed.key --pass planted-secret-staple --cacert ca.pem "$url"
assert_lacks "$STDOUT$STDERR" planted-secret-staple
for key in client.key stranger.key; do
    middle=$(sed -n 2p "$key")
    run "$COUNTERSIGN" doctor "$url" --cert stranger.pem --key "$key" --cacert ca.pem
    assert_lacks "$STDOUT$STDERR" "$middle"
done

# Nobody there.
examined connection_refused server 3 "https://localhost:$(free_port)/"

# A client that comes to the doctor: the right one, one of another CA, one that does not believe the server.
receive() {
    local port
    port=$(free_port)
    start_server "$COUNTERSIGN" doctor server --listen "127.0.0.1:$port" --cert server.pem --key server.key --client-ca ca.pem --json
    wait_for_port "$port"
    run curl -sS -o /dev/null "$@" "https://localhost:$port/"
    # The report is written at once, and the program ends.
    wait "$SERVER_PID" || true
    sed -n '/^{/,$p' "$SERVER_LOG" >report.json
    RECEIVED=$(field '(f["code"]+" "+f["fault"]) if f else "none none"')
}
receive --cacert ca.pem --cert client.pem --key client.key
assert_eq "none none" "$RECEIVED" "the right client"
receive --cacert ca.pem --cert stranger.pem --key stranger.key
assert_eq "unknown_issuer client" "$RECEIVED" "a client of another CA"
receive --cacert ca.pem
assert_eq "no_client_certificate client" "$RECEIVED" "a client without certificate"
receive --cacert other.pem --cert client.pem --key client.key
assert_eq "unknown_issuer client" "$RECEIVED" "a client that does not believe the server"

# A transcript of the refusal says the same.
run "$COUNTERSIGN" explain "$url" --cert stranger.pem --key stranger.key --cacert ca.pem --get / --save refused.transcript
examined unknown_issuer client 1 --from refused.transcript

# So does a capture, with the secrets in it or beside it; without them the doctor says what would open it.
expect_success "$COUNTERSIGN" explain --from refused.transcript --pcapng refused.pcapng
examined unknown_issuer client 1 refused.pcapng
python3 - <<'X2'
import struct

# pcapng: blocks of type, length, body, length; those of type 10 hold decryption secrets behind eight octets of kind and size.
capture = open("refused.pcapng", "rb").read()
kept, secrets, at = b"", b"", 0
while at < len(capture):
    kind, length = struct.unpack_from("<II", capture, at)
    if kind == 0x0A:
        (size,) = struct.unpack_from("<I", capture, at + 12)
        secrets += capture[at + 16 : at + 16 + size]
    else:
        kept += capture[at : at + length]
    at += length
assert secrets, "the capture has no secrets"
open("closed.pcapng", "wb").write(kept)
open("keys.log", "wb").write(secrets)
X2
examined unknown_issuer client 1 closed.pcapng --keylog keys.log
run "$COUNTERSIGN" doctor closed.pcapng
assert_contains "$STDOUT" "no secrets of this connection are at hand"
assert_lacks "$STDOUT" unknown_issuer

# What a server staples is judged from a recording too, in both versions.
openssl ocsp -issuer ca.pem -cert server.pem -reqout request.der >/dev/null 2>&1
answer() { openssl ocsp -index issued-ca/index -rsigner ca.pem -rkey ca.key -CA ca.pem -reqin request.der -ndays 1 -respout "$1" >/dev/null 2>&1; }
answer good.der
openssl ca -config server.cnf -cert ca.pem -keyfile ca.key -revoke server.pem 2>/dev/null
answer revoked.der
for version in tls1_2 tls1_3; do
    for word in good revoked; do
        serve_openssl "-$version" -status_file "$word.der"
        expect_failure 0,1 "$COUNTERSIGN" explain "https://localhost:$PORT/" --cacert ca.pem --get / --save "$version-$word.transcript"
        stop_server
        case $word in
            good)
                examined none none 0 --from "$version-good.transcript" --cacert ca.pem
                assert_contains "$(cat report.json)" "the stapled OCSP response is in date"
                ;;
            revoked) examined certificate_revoked server 1 --from "$version-revoked.transcript" --cacert ca.pem ;;
        esac
    done
done

# The server is on its CA's list by now.
make_list
serve_openssl
examined certificate_revoked server 1 "https://localhost:$PORT/" --cacert ca.pem --crl ca.crl

# nginx tells only that it refuses, and its revocation list lies here: past its end.
FROM=20200101000000Z TO=20200201000000Z make_list
serve_nginx "ssl_client_certificate $PWD/ca.pem; ssl_verify_client on; ssl_crl $PWD/ca.crl;"
examined crl_expired server 1 "https://localhost:$PORT/" --cacert ca.pem --cert client.pem --key client.key
