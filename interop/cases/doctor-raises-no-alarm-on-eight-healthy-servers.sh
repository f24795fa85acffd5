#!/usr/bin/env bash
# A healthy pair on nginx, HAProxy, Apache, Node.js, openssl, Python, Java and our own gateway gives exit code 0 and
# no finding, with the client's certificate let in.
# needs: apache2 curl haproxy java javac keytool nginx node openssl python3
. "$(dirname "$0")/../lib.sh"
. "$INTEROP/pairs.sh"

make_pair
HOST=localhost
FLAGS=(--cacert ca.pem --cert client.pem --key client.key)

# healthy WHO: the doctor on $PORT has nothing to say, and says what it checked.
healthy() {
    diagnose "${FLAGS[@]}"
    assert_eq "healthy 0 0" "$(field 'r["verdict"]+" "+str(len(r["findings"]))') $STATUS" "$1: $(cat report.json)"
    assert_contains "$(cat report.json)" "was sent and not refused" "$1"
    stop_server
}

serve_nginx "ssl_client_certificate $PWD/ca.pem; ssl_verify_client on;"
healthy nginx

serve_openssl -Verify 2 -verify_return_error -CAfile ca.pem
healthy openssl

serve_node "ca: file('ca.pem'), requestCert: true, rejectUnauthorized: true"
healthy Node.js

PORT=$(free_port)
cat server.pem server.key >both.pem
cat >haproxy.cfg <<CONF
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 10s
frontend f
    bind 127.0.0.1:$PORT ssl crt $PWD/both.pem ca-file $PWD/ca.pem verify required
    http-request return status 200 content-type text/plain string "ok"
CONF
start_server haproxy -db -f haproxy.cfg
wait_for_port "$PORT"
healthy HAProxy

PORT=$(free_port)
modules=/usr/lib/apache2/modules
cat >apache.conf <<CONF
ServerName localhost
PidFile $PWD/apache.pid
Mutex pthread
DefaultRuntimeDir $PWD
ErrorLog /dev/stderr
Listen 127.0.0.1:$PORT
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule ssl_module $modules/mod_ssl.so
DocumentRoot $PWD/htdocs
SSLEngine on
SSLCertificateFile $PWD/server.pem
SSLCertificateKeyFile $PWD/server.key
SSLCACertificateFile $PWD/ca.pem
SSLVerifyClient require
<Directory $PWD/htdocs>
    Require all granted
</Directory>
CONF
mkdir htdocs && echo ok >htdocs/index.html && chmod 755 . htdocs
start_server apache2 -X -f "$PWD/apache.conf"
wait_for_port "$PORT"
healthy Apache

PORT=$(free_port)
cat >server.py <<PY
import http.server, ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('server.pem', 'server.key')
context.load_verify_locations('ca.pem')
context.verify_mode = ssl.CERT_REQUIRED
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', '2')
        self.end_headers()
        self.wfile.write(b'ok')
server = http.server.ThreadingHTTPServer(('127.0.0.1', $PORT), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
PY
start_server python3 server.py
wait_for_port "$PORT"
healthy Python

openssl pkcs12 -export -in server.pem -inkey server.key -out server.p12 -passout pass:changeit
keytool -importcert -noprompt -alias ca -file ca.pem -keystore trust.p12 -storepass changeit >/dev/null 2>&1
PORT=$(free_port)
cat >Server.java <<JAVA
import com.sun.net.httpserver.*;
import java.io.*;
import java.net.*;
import java.security.*;
import javax.net.ssl.*;
public class Server {
    static KeyStore store(String file) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream in = new FileInputStream(file)) { store.load(in, "changeit".toCharArray()); }
        return store;
    }
    public static void main(String[] arguments) throws Exception {
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(store("server.p12"), "changeit".toCharArray());
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(store("trust.p12"));
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        HttpsServer server = HttpsServer.create(new InetSocketAddress("127.0.0.1", $PORT), 0);
        server.setHttpsConfigurator(new HttpsConfigurator(context) {
            public void configure(HttpsParameters parameters) {
                SSLParameters tls = context.getDefaultSSLParameters();
                tls.setNeedClientAuth(true);
                parameters.setSSLParameters(tls);
            }
        });
        server.createContext("/", exchange -> {
            exchange.sendResponseHeaders(200, 2);
            exchange.getResponseBody().write("ok".getBytes());
            exchange.close();
        });
        server.start();
    }
}
JAVA
start_server java Server.java
wait_for_port "$PORT"
# The first handshake of a fresh JVM loads half of the JDK, and the doctor waits for no silent server.
expect_success curl -sS --cacert ca.pem --cert client.pem --key client.key "https://localhost:$PORT/"
healthy Java

start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert server.pem --key server.key --client-ca ca.pem --allow-cn alice
wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
PORT=$(grep -o -E ':[0-9]+' <<<"${LINE#*https:}" | head -n1 | tr -d :)
healthy "our gateway"
