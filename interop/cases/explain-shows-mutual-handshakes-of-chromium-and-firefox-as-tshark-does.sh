#!/usr/bin/env bash
# Chromium and Firefox show a client certificate through a tap: with the secrets that they log, explain opens their
# handshakes to the last byte, says who proved what, knows every extension that they send, and agrees with tshark on
# messages and fields.
# needs: node chromium firefox-esr certutil pk12util tshark npm:playwright-core npm:ws
. "$(dirname "$0")/../lib.sh"

ln -s "$INTEROP_NODE_MODULES" node_modules
cp "$INTEROP"/browser/browser.mjs "$INTEROP"/browser/firefox.mjs "$INTEROP/compare.mjs" .
expect_success "$COUNTERSIGN" init --name "Browsers"
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client alice --p12
start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key localhost-key.pem \
    --client-ca rootCA.pem --allow-cn alice
wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
server=$(grep -o -E ':[0-9]+' <<<"${LINE#*https:}" | head -n1 | tr -d :)

cat >chromium-visit.mjs <<'X'
import * as browser from './browser.mjs';
import fs from 'node:fs';
const [url] = process.argv.slice(2);
browser.chooseCertificatesForLocalhost();
fs.mkdirSync('chromium-home');
const password = fs.readFileSync('alice-p12-password.txt', 'utf8').trim();
const context = await browser.open(`${process.cwd()}/chromium-home`, 'rootCA.pem', { file: 'alice.p12', password });
const page = await context.newPage();
await page.goto(url);
console.log(await page.evaluate('document.body.innerText'));
await context.close();
process.exit(0);
X
cat >firefox-visit.mjs <<'X'
import { open } from './firefox.mjs';
const [url] = process.argv.slice(2);
const browser = await open('firefox-home', 'rootCA.pem', { file: 'alice.p12', passwordFile: 'alice-p12-password.txt' });
await browser.go(url);
console.log(await browser.read('document.body.innerText'));
await browser.close();
process.exit(0);
X
# The first of the tapped connections in which both sides proved who they are and data went on.
cat >mutual.mjs <<'X'
import fs from 'node:fs';
const { connections } = JSON.parse(fs.readFileSync(process.argv[2]));
const types = connections.flatMap((connection) => connection.messages.map((message) => message.type));
const from = (sender) => connections.flatMap((connection) => connection.messages)
  .some((message) => message.sender === sender && message.type === 'CertificateVerify');
process.exit(from('client') && from('server') && types.includes('ApplicationData') && !types.includes('Encrypted') ? 0 : 1);
X
# Nothing of what a browser sends is left as bytes that nobody explains.
cat >known.mjs <<'X'
import fs from 'node:fs';
const [file, ...expected] = process.argv.slice(2);
const names = new Set();
const walk = (field) => {
  names.add(field.name);
  if (/not decoded|undecoded|Not known here/.test(field.meaning) || /unknown/.test(field.name) || field.problem)
    throw new Error(JSON.stringify(field));
  (field.fields ?? []).forEach(walk);
};
const messages = JSON.parse(fs.readFileSync(file)).connections.flatMap((connection) => connection.messages);
messages.forEach((message) => message.fields.forEach(walk));
for (const name of expected) if (!names.has(name)) throw new Error(`${name} is not there: ${[...names]}`);
X

for who in chromium firefox; do
    say "$who"
    : >keys.log
    start_server "$COUNTERSIGN" explain --listen 127.0.0.1:0 --to "localhost:$server" --keylog keys.log \
        --pcapng "$who.pcapng" --json
    tap_pid=$SERVER_PID tap_log=$SERVER_LOG
    wait_for_line "$tap_log" '^listening on 127.0.0.1:[0-9]+'
    port=${LINE#listening on 127.0.0.1:}
    SSLKEYLOGFILE=$PWD/keys.log expect_success node "$who-visit.mjs" "https://localhost:${port%%,*}/"
    assert_contains "$STDOUT" "alice" "the page that $who was shown"
    kill -INT "$tap_pid"
    wait "$tap_pid" || true
    found=
    for capture in "$who"*.pcapng; do
        run "$COUNTERSIGN" explain "$capture" --json
        printf '%s' "$STDOUT" >"$who.json"
        if node mutual.mjs "$who.json"; then
            found=$capture
            break
        fi
    done
    [ -n "$found" ] || fail "$who: no connection of $(echo "$who"*.pcapng) is mutual and open"
    expect_success node compare.mjs "$found" keys.log "$server" "$who.json"
    say "$who: $STDOUT"
    case $who in
        chromium) extensions="GREASE encrypted_client_hello compress_certificate application_settings" ;;
        firefox) extensions="delegated_credential encrypted_client_hello compress_certificate record_size_limit" ;;
    esac
    # shellcheck disable=SC2086 # They are words.
    expect_success node known.mjs "$who.json" $extensions
done
