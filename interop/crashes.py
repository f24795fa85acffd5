"""Ends commands by SIGKILL at one call of the system after the other that changes something, by strace: the first write, then
the second, and so on, until a command went through. After each it is looked whether what is there is whole, and whether the
same command, or the next one that a person would type, goes on from there.

Usage: crashes.py BINARY HOME WORK BASE KIND… [--all]
KIND is one of issue, renew, revoke, crl, join, agent, reload; BASE is the address at which the authority of HOME serves.
Prints how many times each was ended. `--all` goes through every call; without it some are left out.
"""

import glob
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time

BINARY, HOME, WORK = (os.path.realpath(path) for path in sys.argv[1:4])
BASE = sys.argv[4]
EVERY = "--all" in sys.argv
KINDS = [word for word in sys.argv[5:] if word != "--all"]
ENVIRONMENT = {**os.environ, "COUNTERSIGN_HOME": HOME}
# What changes files, and what tells others of a change. A step of more than one where SQLite makes dozens alike.
CALLS = {"pwrite64": 9, "fsync": 3, "unlink": 3, "write": 2, "fchmod": 1, "rename,renameat,renameat2": 1, "link,linkat": 1,
         "sendto,sendmsg,writev": 2, "ftruncate": 2}


class Wrong(Exception):
    pass


def countersign(*words, before=(), home=HOME, stdin=None):
    environment = {**ENVIRONMENT, "COUNTERSIGN_HOME": home}
    done = subprocess.run([*before, BINARY, *words], env=environment, cwd=WORK, capture_output=True, text=True, input=stdin,
                          timeout=120)
    return done.returncode, done.stdout, done.stderr


def must(*words, **named):
    code, out, err = countersign(*words, **named)
    if code != 0:
        raise Wrong(f"`{' '.join(words)}` afterwards: exit code {code}: {err.strip() or out.strip()}")
    return out


def is_there(name):
    return os.path.exists(f"{WORK}/{name}")


def whole_pair(name):
    """The certificate and the key of a name are there, and belong together."""
    for end in (".pem", "-key.pem"):
        if not is_there(name + end):
            raise Wrong(f"{name}{end} is not there")
    must("key", "match", f"{name}.pem", f"{name}-key.pem")


def serial(name):
    out = subprocess.run(["openssl", "x509", "-noout", "-serial", "-in", f"{WORK}/{name}.pem"], capture_output=True, text=True)
    return out.stdout.strip().split("=")[-1].lower()


def link_for(name, *options):
    link = json.loads(must("invite", name, *options, "--json"))["link"]
    return BASE + re.sub(r"^https://[^/]*", "", link)


class Command:
    """What `begin` gives is ended; `check` says what must be possible then. `fine` are its exit codes when it was not ended."""

    fine = (0,)


class Issue(Command):
    """`issue`: a pair is whole or not there, and the same command makes it."""

    def begin(self, name):
        return ["issue", "client", name, "--quiet"], None

    def check(self, name):
        if is_there(name + ".pem") != is_there(name + "-key.pem"):
            # A person sees what is there and says --force; nothing else is needed.
            must("issue", "client", name, "--quiet", "--force")
        elif not is_there(name + ".pem"):
            must("issue", "client", name, "--quiet")
        whole_pair(name)


class Renew(Command):
    """`renew`: what is in place is one pair or the other, or becomes one by the next `renew`; the old one is good either way."""

    def begin(self, name):
        must("issue", "client", name, "--quiet")
        return ["renew", name, "--quiet"], None

    def check(self, name):
        must("renew", name, "--quiet")
        whole_pair(name)


class Revoke(Command):
    """`revoke`: either it is on record or it can be done now; after it the list has it."""

    def begin(self, name):
        must("issue", "client", name, "--quiet")
        return ["revoke", name, "--quiet"], None

    def check(self, name):
        code, _, err = countersign("revoke", name, "--quiet")
        if code != 0 and "revoked" not in err:
            raise Wrong(f"`revoke` again: {err}")
        if f'"{name}"' not in must("list", "--revoked", "--search", name, "--json", "--limit", "0"):
            raise Wrong("it is not revoked")


class List(Command):
    """`crl --out`: the file is the old list or the new one, whole."""

    def begin(self, name):
        must("issue", "client", name, "--quiet")
        must("crl", "--out", f"{name}-crl.pem", "--quiet")
        must("revoke", name, "--quiet")
        return ["crl", "--out", f"{name}-crl.pem", "--quiet"], None

    def check(self, name):
        done = subprocess.run(["openssl", "crl", "-noout", "-in", f"{WORK}/{name}-crl.pem"], capture_output=True, text=True)
        if done.returncode != 0:
            raise Wrong(f"openssl cannot read the list: {done.stderr}")
        must("crl", "--out", f"{name}-crl.pem", "--quiet")
        done = subprocess.run(["openssl", "crl", "-noout", "-text", "-in", f"{WORK}/{name}-crl.pem"], capture_output=True, text=True)
        if serial(name) not in done.stdout.lower():
            raise Wrong("the next list lacks what was revoked")


class Join(Command):
    """`join`: the link that was used is good for the one who was cut off: the same command obtains the certificate."""

    def begin(self, name):
        os.mkdir(f"{WORK}/{name}")
        self.link = link_for(name)
        return ["join", "-", "--out", name, "--quiet"], self.link

    def check(self, name):
        if is_there(f"{name}/{name}.pem") and is_there(f"{name}/{name}-key.pem"):
            whole_pair(f"{name}/{name}")
            return
        code, _, err = countersign("join", "-", "--out", name, "--quiet", stdin=self.link)
        if code != 0 and "is there already" not in err:
            raise Wrong(f"`join` again: {err}")
        if code != 0:
            # What the error says to do where half of it is in place.
            must("join", "-", "--out", name, "--quiet", "--force", stdin=self.link)
        whole_pair(f"{name}/{name}")


class Agent(Command):
    """`agent --once`: the next pass ends with a pair that is whole, whether it was to obtain or to replace one."""

    def begin(self, name):
        code = json.loads(must("invite", name, "--json"))["code"]
        with open(os.open(f"{WORK}/{name}.code", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(code + "\n")
        with open(f"{WORK}/{name}.toml", "w") as file:
            file.write(f'[[certificate]]\nfiles = "{name}.pem"\n[certificate.est]\nurl = "{BASE}"\nnames = ["{name}"]\n'
                       f'anchors = "{HOME}/rootCA.pem"\npassword_file = "{name}.code"\n')
        return ["agent", "--config", f"{name}.toml", "--once"], None

    def check(self, name):
        must("agent", "--config", f"{name}.toml", "--once")
        whole_pair(name)


class Replace(Agent):
    """The same for a certificate that was joined and is due: it is replaced by this pass or by the next one."""

    # Whatever is good for seconds may be overdue again when the pass ends.
    fine = (0, 1)
    waiting = []

    def begin(self, name):
        if not self.waiting:
            # Many at once, since each must grow old before it is due: two thirds of its time.
            for number in range(25):
                folder = f"{name}-{number}"
                os.mkdir(f"{WORK}/{folder}")
                must("join", "-", "--out", folder, "--quiet", stdin=link_for(folder, "--for", "20s"))
                with open(f"{WORK}/{folder}.toml", "w") as file:
                    file.write(f'[[certificate]]\nfiles = "{folder}/{folder}.pem"\njoin = {{}}\n')
                self.waiting.append((folder, time.time() + 15))
        self.name, due = self.waiting.pop(0)
        while time.time() < due:
            time.sleep(0.2)
        self.first = serial(f"{self.name}/{self.name}")
        return ["agent", "--config", f"{self.name}.toml", "--once"], None

    def check(self, name):
        code, _, err = countersign("agent", "--config", f"{self.name}.toml", "--once")
        if code not in self.fine:
            raise Wrong(f"the next pass: exit code {code}: {err}")
        whole_pair(f"{self.name}/{self.name}")
        if serial(f"{self.name}/{self.name}") == self.first:
            raise Wrong(f"it is still the first certificate: {err}")


ENDED = {"issue": Issue, "renew": Renew, "revoke": Revoke, "crl": List, "join": Join, "agent": Agent, "replace": Replace}


def is_injected(trace):
    with open(trace) as lines:
        return any("killed by SIGKILL" in line for line in lines)


def told_secret():
    """Whatever a crash left: a key that others may read would be told to them."""
    for path in glob.glob(f"{WORK}/**/*", recursive=True) + glob.glob(f"{WORK}/**/.*", recursive=True):
        if os.path.isfile(path) and stat.S_IMODE(os.stat(path).st_mode) & 0o077:
            with open(path, "rb") as file:
                if b"PRIVATE KEY" in file.read():
                    return path
    return None


def main():
    wrong, ended = [], {}
    for kind in KINDS:
        for calls, step in CALLS.items():
            number = 1
            while True:
                command = ENDED[kind]()
                name = f"{kind}-{calls.split(',')[0]}-{number}"
                trace = f"{WORK}.trace"
                before = ["strace", "-f", "-qq", "-s", "0", "-o", trace, "-e", f"trace={calls}", "-e",
                          f"inject={calls}:signal=KILL:when={number}"]
                try:
                    words, stdin = command.begin(name)
                    code, _, err = countersign(*words, before=before, stdin=stdin)
                    is_met = is_injected(trace)
                    if not is_met and code not in command.fine:
                        raise Wrong(f"it fails without having been ended: {err.strip()}")
                    command.check(name)
                    if path := told_secret():
                        raise Wrong(f"others may read a key in {path}")
                except Wrong as error:
                    wrong.append(f"{name}: {error}")
                    is_met = is_injected(trace) if os.path.exists(trace) else False
                if not is_met:
                    break
                ended[kind] = ended.get(kind, 0) + 1
                number += 1 if EVERY else step
    # What every command relied upon is whole after all of them.
    for words in (["audit", "verify"], ["audit", "log", "verify"], ["issue", "client", "afterwards", "--quiet"]):
        try:
            must(*words)
        except Wrong as error:
            wrong.append(str(error))
    print("\n".join(wrong) if wrong else "ended: " + ", ".join(f"{kind} {count}" for kind, count in ended.items()))
    sys.exit(1 if wrong else 0)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
main()
