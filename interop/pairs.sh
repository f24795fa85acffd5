# shellcheck shell=bash
# Pairs of a real server and a client's files for the cases of doctor: a small CA made with openssl, servers that
# ask for client certificates, and the doctor called as the client would be. Read in behind lib.sh.

# The extensions of a right server's and a right client's certificate.
SERVER=(basicConstraints=CA:FALSE keyUsage=critical,digitalSignature extendedKeyUsage=serverAuth)
CLIENT=(basicConstraints=CA:FALSE keyUsage=critical,digitalSignature extendedKeyUsage=clientAuth)
LOCALHOST=subjectAltName=DNS:localhost,IP:127.0.0.1
AUTHORITY=(basicConstraints=critical,CA:TRUE keyUsage=critical,keyCertSign,cRLSign)

# make_key FILE: a P-256 key.
make_key() {
    (umask 077 && openssl ecparam -name prime256v1 -genkey -noout -out "$1")
}

# make_ca NAME COMMON-NAME [EXTENSION…]: a self-signed CA in NAME.pem and NAME.key; a key that is there is used again.
make_ca() {
    local name=$1 common=$2
    shift 2
    [ $# -gt 0 ] || set -- "${AUTHORITY[@]}"
    [ -e "$name.key" ] || make_key "$name.key"
    printf '%s\n' '[req]' distinguished_name=d '[d]' '[x]' subjectKeyIdentifier=hash "$@" >"$name.cnf"
    openssl req -x509 -new -key "$name.key" -subj "/CN=$common" -days 60 -config "$name.cnf" -extensions x \
        -out "$name.pem"
}

# make_certificate NAME COMMON-NAME CA EXTENSION…: NAME.pem and NAME.key, issued by CA. FROM and TO
# (YYYYMMDDHHMMSSZ) set its validity, IDENTIFIER what stands for authorityKeyIdentifier.
make_certificate() {
    local name=$1 common=$2 ca=$3
    shift 3
    [ -e "$name.key" ] || make_key "$name.key"
    mkdir -p "issued-$ca"
    [ -e "issued-$ca/index" ] || { : >"issued-$ca/index" && openssl rand -hex 12 >"issued-$ca/serial"; }
    printf '%s\n' '[ca]' default_ca=c '[c]' "database=issued-$ca/index" "new_certs_dir=issued-$ca" \
        "serial=issued-$ca/serial" default_md=sha256 policy=p unique_subject=no default_days=60 \
        default_crl_days=30 '[p]' commonName=supplied '[req]' distinguished_name=d '[d]' '[x]' \
        subjectKeyIdentifier=hash "${IDENTIFIER:-authorityKeyIdentifier=keyid}" "$@" >"$name.cnf"
    openssl req -new -key "$name.key" -subj "/CN=$common" -config "$name.cnf" -out "$name.csr"
    openssl ca -batch -config "$name.cnf" -extensions x -cert "$ca.pem" -keyfile "$ca.key" -in "$name.csr" \
        -out "$name.pem" -notext ${FROM:+-startdate "$FROM"} ${TO:+-enddate "$TO"} >"$name.log" 2>&1 ||
        fail "openssl ca: $(cat "$name.log")"
}

# make_pair: a CA, a server's and a client's certificate that work together.
make_pair() {
    make_ca ca "Test CA"
    make_certificate server localhost ca "${SERVER[@]}" "$LOCALHOST"
    make_certificate client alice ca "${CLIENT[@]}"
}

# make_list [DAYS]: the revocation list of ca in ca.crl, or with FROM and TO one of that time.
make_list() {
    openssl ca -config client.cnf -gencrl -cert ca.pem -keyfile ca.key -out ca.crl \
        ${FROM:+-crl_lastupdate "$FROM"} ${TO:+-crl_nextupdate "$TO"} -crldays 30 2>/dev/null
}

# serve COMMAND…: starts a server on $PORT, so that serve_again can start it with what its files hold by then.
serve() {
    SERVED=("$@")
    start_server "$@"
    wait_for_port "$PORT"
}

# serve_again: the last server, ended and started anew.
serve_again() {
    stop_server
    serve "${SERVED[@]}"
}

# serve_openssl [FLAGS…]: openssl s_server on $PORT, which answers with a page.
serve_openssl() {
    PORT=$(free_port)
    serve openssl s_server -accept "127.0.0.1:$PORT" -cert server.pem -key server.key -www "$@"
}

# serve_nginx DIRECTIVES: nginx on $PORT with these directives in its server block.
serve_nginx() {
    PORT=$(free_port)
    local folder=nginx-$PORT
    mkdir -p "$folder/tmp"
    cat >"$folder/nginx.conf" <<CONF
daemon off;
pid $PWD/$folder/nginx.pid;
error_log stderr info;
worker_processes 1;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path $PWD/$folder/tmp/a;
    proxy_temp_path $PWD/$folder/tmp/b;
    fastcgi_temp_path $PWD/$folder/tmp/c;
    uwsgi_temp_path $PWD/$folder/tmp/d;
    scgi_temp_path $PWD/$folder/tmp/e;
    server {
        listen 127.0.0.1:$PORT ssl;
        server_name localhost;
        ssl_certificate $PWD/server.pem;
        ssl_certificate_key $PWD/server.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        location / { return 200 "ok verify=\$ssl_client_verify\n"; }
        $1
    }
}
CONF
    serve nginx -p "$PWD/$folder/" -e stderr -c nginx.conf
}

# serve_node OPTIONS: Node.js's https server on $PORT; OPTIONS are members of a JavaScript object.
serve_node() {
    PORT=$(free_port)
    cat >"node-$PORT.js" <<JS
const fs = require('fs'), https = require('https');
const file = name => fs.readFileSync(name);
const options = { cert: file('server.pem'), key: file('server.key'), $1 };
const server = https.createServer(options, (request, response) => response.end('ok\n'));
server.on('tlsClientError', error => console.error('tlsClientError', error.code));
server.on('clientError', () => {});
server.listen($PORT, '127.0.0.1');
JS
    serve node "node-$PORT.js"
}

# field PYTHON-EXPRESSION: what it gives for the report `r`.
field() {
    python3 -c 'import json,sys; r=json.load(open("report.json")); f=(r["findings"] or [{}])[0]; print(eval(sys.argv[1]))' "$1"
}

# diagnose FLAGS…: the doctor on $HOST:$PORT at the loopback address, its report in report.json.
diagnose() {
    local url=${SCHEME:-https}://$HOST:$PORT${LOCATION:-/}
    run "$COUNTERSIGN" doctor "$url" --resolve "$HOST:$PORT:127.0.0.1" --json "$@"
    printf '%s' "$STDOUT" >report.json
    [ "$STATUS" -ne 2 ] || fail "doctor: $STDERR"
}
