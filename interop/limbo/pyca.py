#!/usr/bin/env python3
"""The verdicts of pyca/cryptography on a corpus of x509-limbo: pyca.py < limbo.json > results.json."""

import datetime
import ipaddress
import json
import sys

import cryptography
from cryptography import x509
from cryptography.x509 import verification


def judge(case):
    if case.get("crls"):
        return "SKIPPED", "revocation lists are not supported by this API"
    try:
        leaf = x509.load_pem_x509_certificate(case["peer_certificate"].encode())
        roots = [x509.load_pem_x509_certificate(text.encode()) for text in case["trusted_certs"]]
        others = [x509.load_pem_x509_certificate(text.encode()) for text in case["untrusted_intermediates"]]
    except ValueError as error:
        return "FAILURE", str(error)
    at = datetime.datetime.fromisoformat((case["validation_time"] or "2026-11-22T09:05:57Z").replace("Z", "+00:00"))
    builder = verification.PolicyBuilder().time(at)
    if case.get("max_chain_depth") is not None:
        builder = builder.max_chain_depth(case["max_chain_depth"])
    try:
        builder = builder.store(verification.Store(roots))
        if case["validation_kind"] == "CLIENT":
            builder.build_client_verifier().verify(leaf, others)
            return "SUCCESS", None
        name = case["expected_peer_name"]
        if name is None:
            return "SKIPPED", "this API wants a name for a server"
        try:
            subject = x509.IPAddress(ipaddress.ip_address(name["value"]))
        except ValueError:
            subject = x509.DNSName(name["value"])
        builder.build_server_verifier(subject).verify(leaf, others)
        return "SUCCESS", None
    except (ValueError, verification.VerificationError) as error:
        return "FAILURE", str(error)


def main():
    results = []
    for case in json.load(sys.stdin)["testcases"]:
        actual, context = judge(case)
        results.append({"id": case["id"], "actual_result": actual, "context": context})
    harness = f"pyca/cryptography {cryptography.__version__}"
    json.dump({"version": 1, "harness": harness, "results": results}, sys.stdout, indent=1)


main()
