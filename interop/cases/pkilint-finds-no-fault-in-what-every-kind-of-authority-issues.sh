#!/usr/bin/env bash
# pkilint finds no fault worse than a notice in any certificate and list that authorities of every key type issue, save
# those that are its own: it wants two labels in a host name, knows no wildcard (RFC 9525), and no URI of SPIFFE.
# needs: openssl python3 pypi:pkilint
. "$(dirname "$0")/../lib.sh"

for key in p256 p384 ed25519 rsa2048 rsa3072 rsa4096; do
    export COUNTERSIGN_HOME=$PWD/home-$key
    expect_success "$COUNTERSIGN" init --name "Authority $key" --key "$key" --permit dev.test --permit @acme.test \
        --permit 10.0.0.0/8 --permit uri:acme.test
    mkdir "$key"
    cd "$key"
    for leaf in p256 ed25519 rsa2048; do
        expect_success "$COUNTERSIGN" issue server "$leaf.dev.test" '*.dev.test' 10.1.2.3 127.0.0.1 ::1 --key "$leaf"
        expect_success "$COUNTERSIGN" issue client "client-$leaf" --key "$leaf" --email a@acme.test \
            --uri spiffe://acme.test/a --ou Payments --org "Acme, Inc."
    done
    expect_success "$COUNTERSIGN" revoke client-p256 --reason keyCompromise
    expect_success "$COUNTERSIGN" crl --out lists.pem
    cd ..
done

cat > lint.py <<'PY'
"""Lints every certificate and list under the folders given, in one process: pkilint needs a second to start."""
import contextlib, glob, io, re, sys
from pkilint.bin import lint_crl, lint_pkix_cert

OWN = re.compile(
    r'invalid_domain_name_syntax.*"(localhost|\*\.[^"]*)"$|invalid_email_address_syntax.*"(localhost|acme\.test)"$'
    r'|invalid_uri_syntax.*"(localhost|acme\.test|spiffe://[^"]*)"$'
)
blocks = found = 0
for path in sorted(glob.glob("*/*.pem")):
    if path.endswith("-key.pem"):
        continue
    for label, block in re.findall(r"(?s)(-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \2-----\n)", open(path).read()):
        blocks += 1
        with open("one.pem", "w") as one:
            one.write(label)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            if block == "X509 CRL":
                lint_crl.main(["lint", "-t", "CRL", "-p", "PKIX", "-s", "WARNING", "one.pem"])
            else:
                lint_pkix_cert.main(["lint", "-s", "WARNING", "one.pem"])
        for line in out.getvalue().splitlines():
            if re.search(r"\((WARNING|ERROR|FATAL)\)", line) and not OWN.search(line):
                found += 1
                print(path, line.strip())
print(f"{blocks} linted, {found} findings")
sys.exit(found != 0)
PY
expect_success "$INTEROP_PYTHON" lint.py
assert_contains "$STDOUT" "0 findings" "what pkilint says"

say "the linter sees what is wrong"
mkdir wrong
expect_success openssl req -x509 -newkey rsa:2048 -nodes -keyout wrong/a-key.pem -out wrong/a.pem -subj "/CN=Wrong" \
    -set_serial -5
expect_failure 1 "$INTEROP_PYTHON" lint.py
