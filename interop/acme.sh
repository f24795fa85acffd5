# shellcheck shell=bash
# What cases of ACME share: an authority that serves, and a world for it to look at. A case reads lib.sh, then this.
#
#     start_acme [FLAG…]   an authority for any name, with these flags more; leaves
#         DIRECTORY   the URL of its ACME directory      CA    the file of its root
#         BASE        its URL                            SERVE its log
#         HTTP, ALPN  the ports that http-01 and tls-alpn-01 are looked for on 127.0.0.1
#         DNS, DNS_CONTROL  a resolver in which every name is 127.0.0.1, and where its TXT records are set
#     dns_hook             writes ./dns-hook, which certbot, dehydrated, lego, uacme and the agent call to set a record

start_acme() {
    HTTP=$(free_port)
    ALPN=$(free_port)
    DNS=$(free_port)
    DNS_CONTROL=$(free_port)
    local port
    port=$(free_port)
    start_server pebble-challtestsrv -defaultIPv6 "" -dns01 "127.0.0.1:$DNS" -http01 "" -https01 "" -tlsalpn01 "" \
        -management "127.0.0.1:$DNS_CONTROL"
    wait_for_port "$DNS_CONTROL"
    expect_success "$COUNTERSIGN" init --name "Interop" --no-constraints
    start_server "$COUNTERSIGN" ca serve --listen "127.0.0.1:$port" --acme-permit 127.0.0.0/8 \
        --dns-resolver "127.0.0.1:$DNS" --acme-http-port "$HTTP" --acme-https-port "$ALPN" "$@"
    SERVE=$SERVER_LOG
    SERVE_PID=$SERVER_PID
    wait_for_port "$port"
    BASE=https://localhost:$port
    DIRECTORY=$BASE/acme/directory
    CA=$COUNTERSIGN_HOME/rootCA.pem
    export HTTP ALPN DNS DNS_CONTROL BASE DIRECTORY CA SERVE SERVE_PID
}

dns_hook() {
    cat >dns-hook <<HOOK
#!/usr/bin/env bash
set_txt() { curl -sS -d "{\"host\":\"\$1\",\"value\":\"\$2\"}" http://127.0.0.1:$DNS_CONTROL/set-txt; }
case "\$1" in
present) set_txt "\$2" "\$3" ;;
deploy_challenge) set_txt "_acme-challenge.\$2." "\$4" ;;
certbot) set_txt "_acme-challenge.\$CERTBOT_DOMAIN." "\$CERTBOT_VALIDATION" ;;
begin) [ "\$2" = dns-01 ] || exit 1; set_txt "_acme-challenge.\$3." "\$5" ;;
esac
exit 0
HOOK
    chmod +x dns-hook
}
