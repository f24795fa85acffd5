"""Makes what an authority remembers with fail, one call after the other, as SQLite's own tests do: the first read, then
the second, and so on, until a command went through without having met the fault. After each it is looked whether a
certificate was kept back or given out without being on record, and whether what failed said so.

On SQLite it is the system calls on its files that fail, by strace. With COUNTERSIGN_STORE it is PostgreSQL: a connection
is cut before a question is passed on, or when it is answered, so that nobody was told what was done.

Usage: faults.py BINARY HOME WORK [all]
Prints how many faults were met. `all` goes through every call of every command; without it some are left out.
"""

import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from urllib.parse import quote, unquote, urlsplit

BINARY, HOME, WORK = (os.path.realpath(path) for path in sys.argv[1:4])
DATABASE = HOME + "/ca.db"
EVERY = "all" in sys.argv[4:]
STORE = os.environ.get("COUNTERSIGN_STORE")
# What each call can say when a disk is broken, full, or not to be opened (their manuals' ERRORS). Locks (fcntl) are left
# out: one that could not be given back is waited for as if another process had it, a minute long, and then told.
CALLS = {"pwrite64": "ENOSPC", "fsync": "EIO", "fdatasync": "EIO", "ftruncate": "EIO", "openat": "EACCES", "unlink": "EIO",
         "mmap": "ENOMEM", "pread64": "EIO"}
ENDS = ("", "-wal", "-shm", "-journal")
ENVIRONMENT = {**os.environ, "COUNTERSIGN_HOME": HOME}


def countersign(*words, before=(), store=STORE):
    environment = {**ENVIRONMENT, **({"COUNTERSIGN_STORE": store} if store else {})}
    done = subprocess.run([*before, BINARY, *words], env=environment, cwd=WORK, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def on_record():
    code, out, err = countersign("list", "--limit", "0", "--json")
    if code != 0:
        sys.exit(f"list fails without a fault: {err}")
    return out


class Commands:
    """What is done under faults, each time with a name of its own, and what must hold of it afterwards."""

    def issue(self, name):
        return ["issue", "client", name, "--quiet"]

    def after_issue(self, name, code):
        files = [end for end in ("", "-key") if os.path.exists(f"{WORK}/{name}{end}.pem")]
        if code == 0 and len(files) != 2:
            return f"it succeeded, and left {files}"
        if code != 0 and files:
            return f"it failed, and left {files}"
        return None

    def revoke(self, name):
        code, _, err = countersign("issue", "client", name, "--quiet")
        if code != 0:
            sys.exit(f"issue fails without a fault: {err}")
        return ["revoke", name]

    def after_revoke(self, name, code):
        is_revoked = f"\"{name}\"" in countersign("list", "--revoked", "--search", name, "--json")[1]
        # A revocation may be on record although its command could not tell; never the other way round.
        return "it succeeded, and nothing is revoked" if code == 0 and not is_revoked else None

    def invite(self, name):
        return ["invite", name, "--json"]

    def after_invite(self, name, code):
        known = name in countersign("invites", "list", "--json")[1]
        return "it succeeded, and there is no invite" if code == 0 and not known else None

    def init(self, name):
        return ["--home", f"{WORK}/{name}", "init", "--quiet"]

    def after_init(self, name, code):
        home = f"{WORK}/{name}"
        if code != 0:
            # What is left is no authority, or a whole one; nothing in between keeps the next try from it.
            again, _, err = countersign(*self.init(name))
            if again != 0 and "there is an authority" not in err:
                return f"it failed, and again without a fault: {err}"
        code, _, err = countersign("--home", home, "issue", "client", "first", "--quiet", "--out", home)
        return None if code == 0 else f"no certificate can be issued: {err}"


class SystemCalls:
    """The faults of one call of the system on SQLite's files."""

    def __init__(self, call):
        self.call, self.label = call, call
        self.step = 7 if call == "pread64" and not EVERY else 1

    def run(self, kind, name, number, words):
        database = f"{WORK}/{name}/ca.db" if kind == "init" else DATABASE
        paths = [word for end in ENDS for word in ("-P", database + end)]
        trace = f"{WORK}/trace"
        strace = ["strace", "-f", "-qq", "-o", trace, *paths, "-e", f"trace={self.call}",
                  "-e", f"inject={self.call}:error={CALLS[self.call]}:when={number}"]
        code, _, err = countersign(*words, before=strace)
        with open(trace) as lines:
            return any("(INJECTED)" in line for line in lines), code, err


class Limits:
    """Less of something than is needed, and more of it each time."""

    def __init__(self, label, least, each):
        self.label, self.least, self.each, self.step = label, least, each, 1
        # With less than this the program cannot even be started.
        while self.limited(self.least, "--version")[0] != 0:
            self.least += each

    def limited(self, limit, *words):
        return countersign(*words, before=["prlimit", f"--{self.label}={limit}"])

    def run(self, kind, name, number, words):
        code, _, err = self.limited(self.least + (number - 1) * self.each, *words)
        # Where memory is at its end, Rust's allocator aborts, and tokio panics when it can start no thread: no words of ours,
        # and nothing may be lost.
        if (code == -6 and "memory allocation" in err) or (code == 70 and "can't spawn worker thread" in err):
            code, err = 1, "error: the memory is at its end"
        return code != 0, code, err


class Cuts:
    """A stand-in for PostgreSQL that passes everything on, and cuts the connection at one question."""

    def __init__(self, is_answered):
        self.is_answered, self.label = is_answered, "answered" if is_answered else "asked"
        self.step = 1 if EVERY else 2
        address = urlsplit(STORE)
        self.to = unquote(address.hostname) + "/.s.PGSQL.5432"
        # Short: a socket's whole path has at most 107 octets.
        self.folder = tempfile.mkdtemp(prefix="csgn-", dir="/tmp")
        self.store = f"postgres://{address.username}@{quote(self.folder, safe='')}{address.path}"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.folder + "/.s.PGSQL.5432")
        self.listener.listen(64)
        self.lock, self.count, self.at = threading.Lock(), 0, 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.to)
            cut = threading.Event()
            for part, arguments in ((self.ask, (near, far, cut)), (self.answer, (near, far, cut))):
                threading.Thread(target=part, args=arguments, daemon=True).start()

    def ask(self, near, far, cut):
        """Messages of the frontend (PostgreSQL's documentation, "Message Formats"); the first one has no type."""
        stream, is_first = near.makefile("rb"), True
        try:
            while head := stream.read(4 if is_first else 5):
                message = head + stream.read(int.from_bytes(head[-4:], "big") - 4)
                # What is answered: a question in text, or the end of a row of prepared ones.
                if not is_first and head[:1] in b"QS":
                    with self.lock:
                        self.count += 1
                        is_now = self.count == self.at
                    if is_now and not self.is_answered:
                        break
                    if is_now:
                        cut.set()
                is_first = False
                far.sendall(message)
        except OSError:
            pass
        if not cut.is_set():
            self.end(near, far)

    def answer(self, near, far, cut):
        try:
            while data := far.recv(65536):
                if cut.is_set():
                    break
                near.sendall(data)
        except OSError:
            pass
        self.end(near, far)

    @staticmethod
    def end(*sockets):
        for one in sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def run(self, kind, name, number, words):
        with self.lock:
            self.count, self.at = 0, number
        code, _, err = countersign(*words, store=self.store)
        with self.lock:
            return self.count >= number, code, err


def main():
    commands, met, issued, wrong = Commands(), 0, [], []
    kinds = ("issue", "revoke", "invite") if EVERY else ("issue",)
    if STORE:
        faults = [Cuts(False), Cuts(True)]
    else:
        # Open files; octets of address space.
        faults = [SystemCalls(call) for call in CALLS] + [Limits("nofile", 4, 7)]
        faults += [Limits("as", 16 << 20, (1 if EVERY else 4) << 20)]
        # On PostgreSQL a second authority would be refused, since one is there.
        kinds += ("init",) if EVERY else ()
    for kind in kinds:
        for fault in faults:
            number = 1
            while True:
                name = f"{kind}-{fault.label}-{number}"
                words = getattr(commands, kind)(name)
                is_met, code, err = fault.run(kind, name, number, words)
                if not is_met:
                    if code != 0:
                        wrong.append(f"{name}: fails without having met a fault: {err}")
                    break
                met += 1
                said = err.strip()
                if code not in (0, 1, 2, 3) or "panicked" in said:
                    wrong.append(f"{name}: exit code {code}: {said}")
                if code != 0 and not said.startswith("error: "):
                    wrong.append(f"{name}: fails without a word: {said!r}")
                if problem := getattr(commands, "after_" + kind)(name, code):
                    wrong.append(f"{name}: {problem}: {said}")
                if kind == "issue" and code == 0:
                    issued.append(name)
                number += fault.step
    # What was said to be issued is on record; whatever the faults were, the trail and the file are whole.
    record = on_record()
    wrong += [f"{name} was issued, and is not on record" for name in issued if f'"{name}"' not in record]
    for words in (["audit", "verify"], ["audit", "log", "verify"], ["issue", "client", "afterwards", "--quiet"]):
        code, _, err = countersign(*words)
        if code != 0:
            wrong.append(f"{' '.join(words)}: {err}")
    if not STORE:
        database = sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True)
        [[verdict]] = database.execute("PRAGMA integrity_check").fetchall()
        if verdict != "ok":
            wrong.append(f"SQLite's integrity check: {verdict}")
    print("\n".join(wrong) if wrong else f"{met} faults met, {len(issued)} of them without effect")
    sys.exit(1 if wrong else 0)


main()
