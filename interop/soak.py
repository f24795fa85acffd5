"""Gateway, authority and agents together under mixed load, for as long as it is asked to: every answer is compared with
what it must be, and what those processes hold that stay from the beginning to the end must not grow.

- Two authorities on one SQLite file: one stays, the other is killed and started again and again.
- Two gateways that follow the feed: one stays and is told to load everything anew, the other hands its sockets to a next
  one again and again. No request at either may fail.
- Two agents renew six certificates every few seconds, which clients use for requests: short ones, uploads, downloads, on
  new connections and on kept ones. One of the agents is killed and started again.
- Somebody is let in, revoked, and from then on refused, again and again.

Usage: soak.py --binary FILE --out FOLDER --minutes N
Prints figures as JSON; exits 1 with one line for each promise that was not kept.
"""

import argparse
import hashlib
import http.client
import http.server
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

PARSER = argparse.ArgumentParser()
PARSER.add_argument("--binary", required=True)
PARSER.add_argument("--out", required=True)
PARSER.add_argument("--minutes", type=float, default=30)
PARSER.add_argument("--clients", type=int, default=6)
ARGUMENTS = PARSER.parse_args()
OUT = os.path.realpath(ARGUMENTS.out)
HOME = os.path.join(OUT, "home")
BINARY = os.path.realpath(ARGUMENTS.binary)
ENVIRONMENT = {**os.environ, "COUNTERSIGN_HOME": HOME, "HOME": OUT}
OVER = threading.Event()
LOCK = threading.Lock()
FAULTS, COUNTS = [], {}
AGENTS, EACH = 2, 3
# The least that a certificate may live so that an agent, which renews at two thirds counted from five minutes before it
# was made, renews it every few seconds; and the most that it is away.
LIFE = "3m"
# People who are let in and revoked in turn.
VISITORS = 100
# What a run is to show at least once, and the seconds that a short one waits for it.
SHOWN = ("short", "renewed", "revoked")
LONGEST_WAIT = 120


def fault(text):
    with LOCK:
        FAULTS.append(text)
        print(f"{time.strftime('%T')} {text}", file=sys.stderr, flush=True)


def count(what, by=1):
    with LOCK:
        COUNTS[what] = COUNTS.get(what, 0) + by


def countersign(*words):
    done = subprocess.run([BINARY, *words], env=ENVIRONMENT, cwd=OUT, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
    return done.stdout


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def of_unit(name):
    """What the systemd unit has in its environment."""
    with open(os.path.join(os.path.dirname(__file__), f"../packaging/countersign-{name}.service")) as unit:
        lines = [line.strip().removeprefix("Environment=") for line in unit if line.startswith("Environment=")]
    return dict(line.split("=", 1) for line in lines)


class Process:
    """One that stays, or comes back."""

    def __init__(self, name, *words):
        self.name, self.words, self.process = name, words, None
        self.environment = ENVIRONMENT | of_unit(words[0])
        self.start()

    def start(self):
        with open(os.path.join(OUT, f"{self.name}.log"), "ab") as log:
            self.process = subprocess.Popen([BINARY, *self.words], env=self.environment, cwd=OUT, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)

    def end(self, how):
        self.process.send_signal(how)
        return self.process.wait(timeout=90)

    def holds(self):
        """Its memory in kB, anonymous since the rest is the file of the program, and its open files."""
        with open(f"/proc/{self.process.pid}/status") as status:
            memory = next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
        return memory, len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Service(http.server.BaseHTTPRequestHandler):
    """What stands behind the gateways: says who asked, as it was told, and what came."""

    protocol_version = "HTTP/1.1"

    def answer(self, body):
        size = int(self.headers.get("x-want", 0))
        told = json.dumps({"headers": {key.lower(): value for key, value in self.headers.items()},
                           "sha256": hashlib.sha256(body).hexdigest()}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(told) + 1 + size))
        self.end_headers()
        self.wfile.write(told + b"\n" + b"x" * size)

    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["content-length"])))

    def log_message(self, *_):
        pass


class Refused(Exception):
    pass


# How Python tells of a connection that was closed before an octet of the answer came.
CLOSED = (http.client.RemoteDisconnected, ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, BrokenPipeError)


def connect(port, certificate):
    context = ssl.create_default_context(cafile=os.path.join(OUT, "rootCA.pem"))
    # The agent renames the key first and then the certificate: between the two they are no pair, and any program that
    # reads both by itself asks again.
    for _ in range(200):
        try:
            context.load_cert_chain(f"{certificate}.pem", f"{certificate}-key.pem")
            break
        except ssl.SSLError:
            time.sleep(0.01)
    else:
        raise RuntimeError(f"{certificate}: key and certificate are no pair for two seconds")
    return http.client.HTTPSConnection("localhost", port, timeout=60, context=context)


def request(connection, name):
    """One request of some kind, and whether the answer is the right one."""
    kind = random.choice(["short", "short", "short", "upload", "download"])
    body = random.randbytes(random.randint(1, 300_000)) if kind == "upload" else b""
    size = random.randint(1, 1_000_000) if kind == "download" else 0
    method = "POST" if body else "GET"
    connection.request(method, f"/{kind}", body or None, {"x-want": str(size)})
    answer = connection.getresponse()
    octets = answer.read()
    if answer.status != 200:
        raise Refused(f"{answer.status}: {octets[:300]!r}")
    told, _, rest = octets.partition(b"\n")
    told = json.loads(told)
    if len(rest) != size or rest.strip(b"x"):
        fault(f"{name}: {len(rest)} octets came of {size}")
    if told["sha256"] != hashlib.sha256(body).hexdigest():
        fault(f"{name}: an upload of {len(body)} octets arrived as something else")
    if name not in json.dumps(told["headers"]):
        fault(f"{name}: the service was told of somebody else: {told['headers']}")
    count(kind)


def client(index):
    """Uses one of the agents' certificates, at either gateway."""
    name = f"device-{index % (AGENTS * EACH)}"
    certificate = os.path.join(OUT, "certificates", name)
    while not OVER.is_set():
        port = random.choice(GATEWAYS)
        # A new connection often, so that renewed certificates are used; a kept one for up to twenty requests.
        connection = connect(port, certificate)
        done = 0
        try:
            for _ in range(random.choice([1, 1, 5, 20])):
                request(connection, name)
                done += 1
                if connection.sock is None or OVER.wait(random.uniform(0, 0.05)):
                    break
        except Exception as error:  # noqa: BLE001: whatever it is, no request may fail
            # A gateway that hands over gives an idle connection two seconds for one more request (--last-call). A client
            # that was away for longer than that may send one while it is closed, and asks again then as every client of
            # HTTP does (RFC 9112 section 9.5); it is counted, and should hardly happen. On a new connection it is no excuse.
            if done and port == GATEWAYS[1] and isinstance(error, CLOSED):
                count("closed while idle")
            else:
                fault(f"{name} at {port}, after {done} requests: {error!r}")
        finally:
            connection.close()
        count("connections")


def visitor():
    """Is let in, revoked, and refused from then on, by both gateways."""
    turn = 0
    folder = os.path.join(OUT, "visitors")
    while not OVER.is_set():
        turn += 1
        # A gateway remembers whom it has seen, some thousands of them: that its memory is flat shows when the same come back.
        name = f"visitor-{turn % VISITORS}"
        certificate = os.path.join(folder, name)
        try:
            countersign("issue", "client", name, "--quiet", "--out", folder, "--for", "1h")
            for port in GATEWAYS:
                with_it = connect(port, certificate)
                request(with_it, name)
                with_it.close()
            countersign("revoke", name)
            for port in GATEWAYS:
                until = time.monotonic() + 60
                while is_let_in(port, certificate, name):
                    if time.monotonic() > until:
                        fault(f"{name} is let in a minute after it was revoked")
                        break
                    time.sleep(0.05)
                if any(is_let_in(port, certificate, name) for _ in range(3)):
                    fault(f"{name} was refused, and is let in again")
            count("revoked")
        except Exception as error:  # noqa: BLE001
            fault(f"{name}: {error!r}")
        for end in (".pem", "-key.pem"):
            try:
                os.remove(certificate + end)
            except FileNotFoundError:
                pass
        OVER.wait(random.uniform(0.5, 2))


def is_let_in(port, certificate, name):
    connection = connect(port, certificate)
    try:
        request(connection, name)
        return True
    except (OSError, Refused, http.client.HTTPException):
        return False
    finally:
        connection.close()


def trouble():
    """Reloads, restarts and kills, one every few seconds."""
    steady, moving = STEADY["gateway"], MOVING["gateway"]
    while not OVER.wait(random.uniform(1, 4)):
        what = random.choice(["reload", "reload", "handover", "kill authority", "kill agent"])
        try:
            if what == "reload":
                steady.process.send_signal(signal.SIGHUP)
            elif what == "handover":
                before = moving.process
                moving.start()
                # The old one ends when the new one serves, and not before.
                if before.wait(timeout=90) != 0:
                    fault(f"the gateway that handed over ended with {before.returncode}")
            elif what == "kill authority":
                MOVING["authority"].end(signal.SIGKILL)
                MOVING["authority"].start()
            else:
                MOVING["agent"].end(signal.SIGKILL)
                MOVING["agent"].start()
            count(what)
        except Exception as error:  # noqa: BLE001
            fault(f"{what}: {error!r}")
        for process in (*STEADY.values(), *MOVING.values()):
            if process.process.poll() is not None:
                fault(f"{process.name} ended by itself with {process.process.returncode}")
                process.start()


def renewals():
    """How often the certificates under the agents' care changed."""
    seen = {}
    while not OVER.wait(0.5):
        for index in range(AGENTS * EACH):
            with open(os.path.join(OUT, "certificates", f"device-{index}.pem"), "rb") as file:
                contents = file.read()
            if seen.setdefault(index, contents) != contents:
                seen[index] = contents
                count("renewed")


def prepare():
    os.makedirs(os.path.join(OUT, "certificates"))
    os.makedirs(os.path.join(OUT, "visitors"))
    countersign("init", "--quiet")
    for name in ("gateway", "localhost"):
        countersign("issue", "server" if name == "localhost" else "client", name, "--quiet")
    countersign("identity", "set", "gateway", "--role", "gateway")
    ports = [free_port(), free_port()]
    STEADY["authority"] = Process("authority", "ca", "serve", "--listen", f"127.0.0.1:{ports[0]}")
    MOVING["authority"] = Process("authority-2", "ca", "serve", "--listen", f"127.0.0.1:{ports[1]}")
    authority = f"https://localhost:{ports[0]}"
    for port in ports:
        wait_for_port(port)
    for agent in range(AGENTS):
        with open(os.path.join(OUT, f"agent-{agent}.toml"), "w") as config:
            for index in range(agent * EACH, agent * EACH + EACH):
                invited = json.loads(countersign("invite", f"device-{index}", "--for", LIFE, "--json"))
                link = authority + invited["link"][invited["link"].index("/i/"):]
                folder = os.path.join(OUT, "certificates")
                countersign("join", link, "--out", folder, "--quiet")
                config.write(f'[[certificate]]\nfiles = "{folder}/device-{index}.pem"\njoin = {{}}\n')
    STEADY["agent"] = Process("agent-0", "agent", "--config", "agent-0.toml")
    MOVING["agent"] = Process("agent-1", "agent", "--config", "agent-1.toml")
    service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    service.daemon_threads = True
    threading.Thread(target=service.serve_forever, daemon=True).start()
    common = ["--to", f"http://127.0.0.1:{service.server_port}", "--allow-all", "--cert", "localhost.pem", "--key",
              "localhost-key.pem", "--client-ca", "rootCA.pem", "--feed", authority, "--feed-cert", "gateway.pem",
              "--feed-key", "gateway-key.pem", "--feed-ca", "rootCA.pem"]
    STEADY["gateway"] = Process("gateway", "serve", "--listen", f"127.0.0.1:{GATEWAYS[0]}", *common)
    MOVING["gateway"] = Process("gateway-2", "serve", "--listen", f"127.0.0.1:{GATEWAYS[1]}", "--handover", "handover", *common)
    for port in GATEWAYS:
        wait_for_port(port)


def wait_for_port(port):
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def median(values):
    return sorted(values)[len(values) // 2]


def judge(samples):
    """Flat: the last fifth holds no more than the second one, but for a tenth and what an allocator keeps."""
    figures = {}
    for name, taken in samples.items():
        fifth = max(1, len(taken) // 5)
        parts = [taken[at:at + fifth] for at in range(0, len(taken) - fifth + 1, fifth)][:5]
        memory, files = ([median([sample[which] for sample in part]) for part in parts] for which in (0, 1))
        figures[name] = {"kB": memory, "files": files, "most_files": max(sample[1] for sample in taken)}
        # In a short run everything is still being filled: caches, pools, the tables of an allocator.
        slack = 4096 if ARGUMENTS.minutes >= 5 else 32768
        early = min(1, len(parts) - 1)
        if memory[-1] > memory[early] * 1.1 + slack:
            fault(f"{name} grew from {memory[early]} to {memory[-1]} kB")
        if files[-1] > files[early] + 8:
            fault(f"{name} had {files[early]} files open, and then {files[-1]}")
    return figures


STEADY, MOVING = {}, {}
GATEWAYS = [free_port(), free_port()]


def main():
    prepare()
    started = time.monotonic()
    threads = [threading.Thread(target=client, args=(index,)) for index in range(ARGUMENTS.clients)]
    threads += [threading.Thread(target=part) for part in (visitor, trouble, renewals)]
    for thread in threads:
        thread.start()
    samples = {name: [] for name in STEADY}
    # A short run goes on until each thing that it is to show has happened.
    while (passed := time.monotonic() - started) < ARGUMENTS.minutes * 60 or (
            passed < LONGEST_WAIT and not all(map(COUNTS.get, SHOWN))):
        time.sleep(min(1, ARGUMENTS.minutes * 3))
        for name, process in STEADY.items():
            samples[name].append(process.holds())
    OVER.set()
    for thread in threads:
        thread.join(timeout=120)
        if thread.is_alive():
            fault("a part of the load does not end")
    figures = judge(samples)
    for process in (*STEADY.values(), *MOVING.values()):
        if (code := process.end(signal.SIGTERM)) != 0:
            fault(f"{process.name} ended with {code}")
    for words in (["audit", "verify"], ["audit", "log", "verify"]):
        try:
            countersign(*words)
        except RuntimeError as error:
            fault(str(error))
    for what in SHOWN:
        if not COUNTS.get(what):
            fault(f"nothing was {what}")
    for name in os.listdir(OUT):
        if name.endswith(".log"):
            with open(os.path.join(OUT, name), errors="replace") as log:
                if "panicked" in log.read():
                    fault(f"{name} tells of a panic")
    print(json.dumps({"minutes": ARGUMENTS.minutes, "faults": len(FAULTS), **COUNTS, "held": figures}, indent=1))
    return 1 if FAULTS else 0


try:
    sys.exit(main())
finally:
    for each in (*STEADY.values(), *MOVING.values()):
        if each.process.poll() is None:
            each.process.kill()
