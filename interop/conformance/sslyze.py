"""What sslyze finds about a server that asks for client certificates: one line for each thing that is not as it should be.

Usage: sslyze.py RESULTS.json

Exit code 1 with findings, and 3 where a scan did not come to its end, so that there is nothing to judge.
"""

import json
import sys

FORWARD_SECRET = ("TLS_ECDHE_", "TLS_AES_", "TLS_CHACHA20_")
AUTHENTICATED = ("_GCM_", "_CHACHA20_POLY1305", "TLS_AES_", "TLS_CHACHA20_")
# Scans that sslyze cannot end without a client certificate of its own, each with its reason.
NOT_SCANNED = {"session_renegotiation": "CLIENT_CERTIFICATE_NEEDED"}


def main():
    [server] = json.load(open(sys.argv[1]))["server_scan_results"]
    if server["scan_status"] != "COMPLETED":
        print(f"sslyze could not scan: {server.get('connectivity_error_trace')}")
        sys.exit(3)
    found = server["scan_result"]
    wrong, unfinished = [], []
    for name, scan in found.items():
        if scan is None or scan["status"] in ("COMPLETED", "NOT_SCHEDULED"):
            continue
        if NOT_SCANNED.get(name) != scan["error_reason"]:
            unfinished.append(f"{name} was not scanned: {scan['error_reason']}")
    if unfinished:
        print("\n".join(unfinished))
        sys.exit(3)

    def accepted(version):
        suites = found[f"{version}_cipher_suites"]["result"]["accepted_cipher_suites"]
        return [suite["cipher_suite"]["name"] for suite in suites]

    for version in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"):
        wrong += [f"{version} is spoken: {name}" for name in accepted(version)]
    for version in ("tls_1_2", "tls_1_3"):
        names = accepted(version)
        if not names:
            wrong.append(f"{version} is not spoken")
        for name in names:
            if not name.startswith(FORWARD_SECRET) or not any(part in name for part in AUTHENTICATED):
                wrong.append(f"{version}: {name} lacks forward secrecy or authenticated encryption")
    expected = {
        ("tls_compression", "supports_compression"): False,
        ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection"): False,
        ("heartbleed", "is_vulnerable_to_heartbleed"): False,
        ("robot", "robot_result"): "NOT_VULNERABLE_RSA_NOT_SUPPORTED",
        ("tls_fallback_scsv", "supports_fallback_scsv"): True,
        ("tls_extended_master_secret", "supports_ems_extension"): True,
    }
    for (scan, key), value in expected.items():
        got = found[scan]["result"][key]
        if got != value:
            wrong.append(f"{scan}: {key} is {got}")
    curves = {curve["name"] for curve in found["elliptic_curves"]["result"]["supported_curves"]}
    if not curves <= {"X25519", "prime256v1", "secp256r1", "secp384r1", "secp521r1"}:
        wrong.append(f"curves: {sorted(curves)}")
    print("\n".join(wrong) or f"sslyze finds nothing: {accepted('tls_1_2') + accepted('tls_1_3')}")
    sys.exit(1 if wrong else 0)


main()
