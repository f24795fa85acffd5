"""Clients that enrol, renew and revoke at replicas of the authority, while one replica after the other is killed, the
database is restarted, the feeds of gateways are cut, the disk runs full and a clock is set; and what must be true at the
end. Python's own library alone; keys and requests are made by openssl before it begins.

What is promised: every certificate that a client holds is in the store and in the log; no serial number is there twice;
each invite that is good once was used at most once; no list and no OCSP answer that was asked for after a revocation was
confirmed calls its certificate good; no two checkpoints contradict each other; and once the feeds are whole again, each
gateway lets in whoever holds a certificate that is good, and nobody whose certificate was revoked while it heard nothing.
"""

import argparse
import base64
import http.client
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--home", required=True)
    parser.add_argument("--ports", required=True, help="two ports for each replica, with commas: TLS and plain")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gateways", help="two ports for each gateway, with commas: its feed's relay and its own")
    parser.add_argument("--cut", action="store_true", help="cut the feeds of the gateways again and again")
    parser.add_argument("--disk", help="a folder of the file system under the memory, which is filled now and then")
    parser.add_argument("--database", help="a command that restarts the database the hard way, run now and then")
    parser.add_argument("--clock", help="libfaketime: the clock of the first replica jumps at each start")
    parser.add_argument("--kill", action="store_true", help="kill a random replica again and again")
    parser.add_argument("--out", required=True)
    return parser.parse_args()


ARGUMENTS = arguments()
ROOT = os.path.join(ARGUMENTS.home, "rootCA.pem")
OVER = threading.Event()
LOCK = threading.Lock()
VIOLATIONS = []
HELD = []  # (name, DER) of each certificate that a client was given
REVOKED = {}  # serial octets: when the authority had confirmed it
INVITES = []  # handles of invites that are good once
CHECKPOINTS = {}  # size: root
COUNTS = {"kills": 0, "database": 0, "cut": 0, "full": 0, "joined": 0, "renewed": 0, "revoked": 0, "asked": 0, "failed": 0}


def count(what):
    with LOCK:
        COUNTS[what] += 1


def violation(text):
    with LOCK:
        VIOLATIONS.append(text)


class Replica:
    def __init__(self, index, port, plain):
        self.index, self.port, self.plain, self.process = index, port, plain, None
        self.start()

    def start(self):
        environment = dict(os.environ)
        if ARGUMENTS.clock and self.index == 0:
            # Minutes, not hours: certificates begin five minutes in the past, and everybody is to go on.
            environment["LD_PRELOAD"] = ARGUMENTS.clock
            environment["FAKETIME"] = random.choice(["-2m", "-1m", "+0", "+1m", "+2m"])
            # A clock that is set does not move the monotonic one, and the kernel's futexes, which know the true one,
            # would wait two minutes longer for a deadline of a false one. Old and new name of the same switch.
            environment["DONT_FAKE_MONOTONIC"] = environment["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"
        log = open(os.path.join(ARGUMENTS.out, f"replica-{self.index}.log"), "ab")
        command = [ARGUMENTS.binary, "ca", "serve", "--listen", f"127.0.0.1:{self.port}"]
        command += ["--status-listen", f"127.0.0.1:{self.plain}"]
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait()


class Relay:
    """Passes on what a gateway and its replica say to each other, and cuts it when it is told to."""

    def __init__(self, port, to):
        self.to, self.open, self.is_cut, self.lock = to, set(), False, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.to), timeout=5)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            with self.lock:
                if self.is_cut:
                    near.close()
                    far.close()
                    continue
                self.open |= {near, far}
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self.pass_on, args=(one, other), daemon=True).start()

    def pass_on(self, one, other):
        try:
            while octets := one.recv(65536):
                other.sendall(octets)
        except OSError:
            pass
        self.end([one, other])

    def end(self, connections):
        for connection in connections:
            with self.lock:
                self.open.discard(connection)
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()

    def cut(self):
        with self.lock:
            self.is_cut = True
            connections = list(self.open)
        self.end(connections)

    def mend(self):
        with self.lock:
            self.is_cut = False


class Gateway:
    def __init__(self, index, relay, port, replica):
        self.index, self.port = index, port
        self.relay = Relay(relay, replica.port)
        here = lambda name: os.path.join(ARGUMENTS.out, name)
        command = [ARGUMENTS.binary, "serve", "--listen", f"127.0.0.1:{port}", "--allow-all", "--log", "off"]
        command += ["--cert", here("localhost.pem"), "--key", here("localhost-key.pem")]
        command += ["--feed", f"https://localhost:{relay}", "--feed-ca", ROOT]
        command += ["--feed-cert", here("gateway.pem"), "--feed-key", here("gateway-key.pem")]
        with open(here(f"gateway-{index}.log"), "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def lets_in(self, certificate):
        """Whether who shows this is answered; an answer that is not heard is none."""
        context = ssl.create_default_context(cafile=ROOT)
        context.load_cert_chain(*certificate)
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=20, context=context)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status}: {body[:200]!r}")
        self.status = status


def once(replica, method, path, body=None, certificate=None, plain=False):
    if plain:
        connection = http.client.HTTPConnection("127.0.0.1", replica.plain, timeout=20)
    else:
        context = ssl.create_default_context(cafile=ROOT)
        if certificate:
            context.load_cert_chain(*certificate)
        connection = http.client.HTTPSConnection("localhost", replica.port, timeout=20, context=context)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        octets = answer.read()
    finally:
        connection.close()
    if answer.status >= 400:
        raise Refused(answer.status, octets)
    return octets


def ask(method, path, body=None, certificate=None, plain=False, until=None):
    """At any replica, until one answers; a refusal that will not change is raised."""
    while True:
        try:
            return once(random.choice(REPLICAS), method, path, body, certificate, plain)
        except Refused as refused:
            if refused.status not in (429, 500, 503):
                raise
            count("failed")
        except (OSError, ssl.SSLError, http.client.HTTPException):
            count("failed")
        if until and time.monotonic() > until:
            raise TimeoutError(path)
        time.sleep(random.uniform(0.01, 0.1))


ADMIN = (os.path.join(ARGUMENTS.home, "admin.pem"), os.path.join(ARGUMENTS.home, "admin-key.pem"))


def first_der(pem):
    text = pem.decode()
    body = text.split("-----BEGIN CERTIFICATE-----")[1].split("-----END CERTIFICATE-----")[0]
    return base64.b64decode(body)


def element(octets, at):
    """The tag, the start and the end of the content of the DER element at this place."""
    length, start = octets[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(octets[start : start + size], "big")
        start += size
    return octets[at], start, start + length


def serial_of(der):
    _, tbs, _ = element(der, 0)
    _, inner, _ = element(der, tbs)
    _, _, version_end = element(der, inner)
    tag, start, end = element(der, version_end)
    assert tag == 2
    return der[start:end]


def integer(serial):
    return bytes([2, len(serial)]) + serial


def status_of(octets, serial):
    """What an OCSP answer says of a serial number: the status stands behind it (RFC 6960 section 4.2.1). None where it
    says nothing of it, such as that the responder is to be asked again later."""
    at = octets.find(integer(serial))
    return {0x80: "good", 0xA1: "revoked", 0x82: "unknown"}.get(octets[at + 2 + len(serial)]) if at >= 0 else None


def check_revoked(serial, name):
    """Every list and answer that is asked for from now on says so."""
    confirmed = time.monotonic()
    with LOCK:
        REVOKED[serial] = confirmed
    until = time.monotonic() + 60
    listed = ask("GET", "/crl/issuing.crl", plain=True, until=until)
    if integer(serial) not in listed:
        violation(f"{name}: a list that was asked for after the revocation does not have it")
    issuing = os.path.join(ARGUMENTS.out, "issuing.pem")
    request = subprocess.run(
        ["openssl", "ocsp", "-sha256", "-issuer", issuing, "-serial", "0x" + serial.hex(), "-no_nonce", "-reqout", "-"],
        capture_output=True, check=False,
    ).stdout
    status = None
    while status is None:
        status = status_of(ask("POST", "/ocsp", request, plain=True, until=until), serial)
    if status != "revoked":
        violation(f"{name}: an OCSP answer that was asked for after the revocation calls it {status}")
    count("asked")


def look_at_the_log():
    text = ask("GET", "/log/checkpoint", plain=True).decode()
    _, size, root = text.split("\n")[:3]
    with LOCK:
        if CHECKPOINTS.setdefault(int(size), root) != root:
            VIOLATIONS.append(f"two checkpoints of {size} entries differ")


def hold(name, pem, file):
    der = first_der(pem)
    with LOCK:
        HELD.append((name, der))
    with open(file, "wb") as out:
        out.write(pem)
    return der


def life(index):
    """One identity: invited, joined, robbed in vain, renewed, and one of its certificates taken back."""
    folder = os.path.join(ARGUMENTS.out, f"client-{index}")
    key, request = os.path.join(folder, "key.pem"), open(os.path.join(folder, "request.pem"), "rb").read()
    other = open(os.path.join(folder, "other.pem"), "rb").read()
    turn = 0
    while not OVER.is_set():
        turn += 1
        name = f"client-{index}-{turn}"
        wish = json.dumps({"name": name, "names": {"common_name": name}}).encode()
        invited = json.loads(ask("POST", "/api/v1/invites", wish, ADMIN))
        path = "/i/" + invited["link"].split("/i/")[1].split("#")[0]
        with LOCK:
            INVITES.append(invited["handle"])
        first = hold(name, ask("POST", path, request), os.path.join(folder, "first.pem"))
        count("joined")
        try:
            stolen = ask("POST", path, other)
            violation(f"{name}: a second key got {serial_of(first_der(stolen)).hex()} from an invite that is good once")
        except Refused as refused:
            if refused.status != 410:
                violation(f"{name}: a second key was told {refused}")
        own = (os.path.join(folder, "first.pem"), key)
        hold(name, ask("POST", "/api/v1/renew", request, own), os.path.join(folder, "second.pem"))
        count("renewed")
        serial = serial_of(first)
        wish = json.dumps({"which": serial.hex(), "reason": "superseded"}).encode()
        try:
            ask("POST", "/api/v1/revocations", wish, ADMIN)
        except Refused as refused:
            # An answer that was lost with its replica: it is revoked already, and this says so.
            if refused.status != 409:
                raise
        count("revoked")
        check_revoked(serial, name)
        look_at_the_log()


def client(index):
    try:
        life(index)
    except BaseException as error:  # noqa: BLE001: a client that ends before its time is a finding
        violation(f"client {index} ended: {error!r}")


def cut_again_and_again():
    while not OVER.wait(random.uniform(0.5, 2.0)):
        relay = random.choice(GATEWAYS).relay
        relay.cut()
        OVER.wait(random.uniform(0.2, 3.0))
        relay.mend()
        count("cut")


def fill_the_disk():
    """No octet more fits, for a moment."""
    ballast = os.path.join(ARGUMENTS.disk, "ballast")
    until = time.monotonic() + random.uniform(0.3, 1.5)
    try:
        with open(ballast, "wb", buffering=0) as file:
            size = 1 << 20
            # What others give back while it lasts is taken as well.
            while time.monotonic() < until and not OVER.is_set():
                try:
                    file.write(bytes(size))
                except OSError:
                    size = max(size // 2, 1)
                    if size == 1:
                        time.sleep(0.01)
    finally:
        os.remove(ballast)
    count("full")
    if ARGUMENTS.database:
        # One that could not even write its log has ended.
        subprocess.run(ARGUMENTS.database, shell=True, check=False, stdout=subprocess.DEVNULL)
    for replica in REPLICAS:
        if replica.process.poll() is not None:
            replica.start()


def kill_again_and_again():
    while not OVER.is_set():
        if OVER.wait(random.uniform(0.5, 2.0)):
            return
        # The first time at once, so that a short storm has it too.
        if ARGUMENTS.disk and (COUNTS["full"] == 0 or random.random() < 0.2):
            fill_the_disk()
        if ARGUMENTS.database and (COUNTS["database"] == 0 or random.random() < 0.2):
            subprocess.run(ARGUMENTS.database, shell=True, check=False, stdout=subprocess.DEVNULL)
            count("database")
        if ARGUMENTS.kill:
            replica = random.choice(REPLICAS)
            replica.kill()
            replica.start()
            count("kills")


def read_log():
    entries = []
    while True:
        page = json.loads(ask("GET", f"/api/v1/log/entries?start={len(entries)}&limit=500", None, ADMIN))["entries"]
        if not page:
            return entries
        entries += [base64.b64decode(entry) for entry in page]


def judge():
    entries = read_log()
    logged = set(entries)
    serials = [serial_of(entry) for entry in entries]
    if len(set(serials)) != len(serials):
        violation("a serial number is in the log twice")
    for name, der in HELD:
        if der not in logged:
            violation(f"{name} holds a certificate that is not in the log")
        known = json.loads(ask("GET", "/api/v1/certificates/" + serial_of(der).hex(), None, ADMIN))["certificates"]
        if len(known) != 1:
            violation(f"{name}: {len(known)} certificates of one serial number are in the store")
    made_by = {}
    for name in {name for name, _ in HELD}:
        for known in json.loads(ask("GET", "/api/v1/certificates/" + name, None, ADMIN))["certificates"]:
            made_by.setdefault(known["requested_by"], []).append(known["serial_number"])
    for handle in INVITES:
        used = made_by.get(f"invite {handle}", [])
        if len(used) != 1:
            violation(f"the invite {handle} is good once and made {used}")
    for replica in REPLICAS:
        listed = once(replica, "GET", "/crl/issuing.crl", plain=True)
        missing = [serial.hex() for serial in REVOKED if integer(serial) not in listed]
        if missing:
            violation(f"the last list of replica {replica.index} lacks {missing}")
    return len(entries)


def judge_gateways():
    """What each gateway makes of the last two certificates of each client, once it has heard what it missed."""
    until = time.monotonic() + 60
    for gateway in GATEWAYS:
        for index in range(ARGUMENTS.clients):
            folder = os.path.join(ARGUMENTS.out, f"client-{index}")
            key = os.path.join(folder, "key.pem")
            for name in ("first.pem", "second.pem"):
                file = os.path.join(folder, name)
                if not os.path.exists(file):
                    continue
                with open(file, "rb") as pem:
                    is_revoked = serial_of(first_der(pem.read())) in REVOKED
                while gateway.lets_in((file, key)) == is_revoked:
                    if time.monotonic() > until:
                        what = "lets a revoked" if is_revoked else "does not let a good"
                        violation(f"gateway {gateway.index} {what} certificate of client {index} in")
                        break
                    time.sleep(0.1)


def main():
    random.seed(ARGUMENTS.seed)
    started = time.monotonic()
    wait_until_ready()
    if ARGUMENTS.gateways:
        ports = [int(port) for port in ARGUMENTS.gateways.split(",")]
        for index in range(len(ports) // 2):
            GATEWAYS.append(Gateway(index, *ports[2 * index : 2 * index + 2], REPLICAS[index % len(REPLICAS)]))
        wait_for_gateways()
    threads = [threading.Thread(target=client, args=(index,)) for index in range(ARGUMENTS.clients)]
    troublemakers = [threading.Thread(target=kill_again_and_again)]
    if ARGUMENTS.cut:
        troublemakers.append(threading.Thread(target=cut_again_and_again))
    for thread in [*threads, *troublemakers]:
        thread.start()
    time.sleep(ARGUMENTS.seconds)
    OVER.set()
    for troublemaker in troublemakers:
        troublemaker.join()
    # With everything up again each client ends what it began.
    for thread in threads:
        thread.join(timeout=90)
        if thread.is_alive():
            violation("a client could not end what it began in 90 seconds")
            break
    wait_until_ready()
    entries = judge()
    judge_gateways()
    for gateway in GATEWAYS:
        if gateway.process.poll() is not None:
            violation(f"gateway {gateway.index} ended while its feed was away")
    for replica in REPLICAS:
        replica.kill(signal.SIGTERM)
    print(json.dumps({**COUNTS, "log": entries, "held": len(HELD), "checkpoints": len(CHECKPOINTS),
                      "seconds": round(time.monotonic() - started, 1)}))
    for text in VIOLATIONS[:20]:
        print("VIOLATION:", text, file=sys.stderr)
    return 1 if VIOLATIONS else 0


def wait_until_ready():
    until = time.monotonic() + 60
    for replica in REPLICAS:
        while True:
            try:
                once(replica, "GET", "/status", plain=True)
                break
            except (OSError, http.client.HTTPException, Refused):
                if replica.process.poll() is not None:
                    # It may have met a database that was away when it started.
                    replica.start()
                if time.monotonic() > until:
                    sys.exit(f"replica {replica.index} does not serve")
                time.sleep(0.05)


def wait_for_gateways():
    until = time.monotonic() + 60
    for gateway in GATEWAYS:
        while True:
            try:
                socket.create_connection(("127.0.0.1", gateway.port), timeout=5).close()
                break
            except OSError:
                if gateway.process.poll() is not None or time.monotonic() > until:
                    sys.exit(f"gateway {gateway.index} does not serve")
                time.sleep(0.05)


GATEWAYS = []
PORTS = [int(port) for port in ARGUMENTS.ports.split(",")]
REPLICAS = [Replica(index, *PORTS[2 * index : 2 * index + 2]) for index in range(len(PORTS) // 2)]
try:
    sys.exit(main())
finally:
    for each in [*REPLICAS, *GATEWAYS]:
        if each.process.poll() is None:
            each.process.kill()
