#!/usr/bin/env python3
"""A signer for countersign: keeps nothing, and lets the openssl program sign with a key file.

In place of openssl stands the command or library of a key management service. The protocol is in
docs/external-signers.md: one JSON object comes on standard input, one goes to standard output.

    openssl-signer.py FOLDER

holds one key for each FOLDER/NAME.pem.
"""

import base64
import json
import pathlib
import subprocess
import sys
import tempfile

HASHES = {"sha256": "sha256", "sha384": "sha384", "sha512": "sha512"}


def openssl(*arguments, octets=None):
    done = subprocess.run(["openssl", *arguments], input=octets, capture_output=True)
    if done.returncode != 0:
        raise ValueError(done.stderr.decode(errors="replace").strip().splitlines()[-1])
    return done.stdout


def sign(key, request):
    algorithm = request["algorithm"]
    options = []
    if "digest" in request:
        octets = base64.b64decode(request["digest"])
        hash_name = HASHES[algorithm.rsplit("-", 1)[1]]
        options = ["-pkeyopt", f"digest:{hash_name}"]
        if algorithm.startswith("rsa-pss-"):
            options += ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest"]
        return openssl("pkeyutl", "-sign", "-inkey", key, *options, octets=octets)
    octets = base64.b64decode(request["message"])
    # openssl reads a message that is signed whole from a file alone.
    with tempfile.NamedTemporaryFile() as file:
        file.write(octets)
        file.flush()
        return openssl("pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", file.name)


def answer(folder, request):
    name = request.get("key", "default")
    if not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"there is no key {name!r}")
    key = pathlib.Path(folder) / f"{name}.pem"
    if not key.exists():
        raise ValueError(f"there is no key {name!r}")
    if request["operation"] == "describe":
        public = openssl("pkey", "-in", str(key), "-pubout", "-outform", "DER")
        return {"public_key": base64.b64encode(public).decode()}
    return {"signature": base64.b64encode(sign(str(key), request)).decode()}


def main():
    try:
        print(json.dumps(answer(sys.argv[1], json.load(sys.stdin))))
    except (ValueError, KeyError) as error:
        print(json.dumps({"error": str(error)}))


if __name__ == "__main__":
    main()
