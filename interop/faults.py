"""Makes the system calls on an authority's SQLite files fail, one after the other, as SQLite's own tests do: the first
read, then the second, and so on, until a command went through without having met the fault. After each it is looked
whether a certificate was kept back or given out without being on record, and whether what failed said so.

Usage: faults.py BINARY HOME SQLITE-FILE WORK [all]
Prints how many faults were met. `all` goes through every call of every command; without it reads are taken by sevens.
"""

import os
import re
import sqlite3
import subprocess
import sys

BINARY, HOME, DATABASE, WORK = (os.path.realpath(path) for path in sys.argv[1:5])
EVERY = "all" in sys.argv[5:]
# What each call can say when a disk is broken, full, or not to be opened (their manuals' ERRORS). Locks (fcntl) are left
# out: one that could not be given back is waited for as if another process had it, a minute long, and then told.
CALLS = {"pwrite64": "ENOSPC", "fsync": "EIO", "fdatasync": "EIO", "ftruncate": "EIO", "openat": "EACCES", "unlink": "EIO",
         "mmap": "ENOMEM", "pread64": "EIO"}
ENDS = ("", "-wal", "-shm", "-journal")
ENVIRONMENT = {**os.environ, "COUNTERSIGN_HOME": HOME}


def countersign(*words, before=()):
    done = subprocess.run([*before, BINARY, *words], env=ENVIRONMENT, cwd=WORK, capture_output=True, text=True, timeout=60)
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


def main():
    commands, met, issued, wrong = Commands(), 0, [], []
    for kind in ("issue", "revoke", "invite", "init") if EVERY else ("issue",):
        for call, error in CALLS.items():
            step = 7 if call == "pread64" and not EVERY else 1
            number = 1
            while True:
                name = f"{kind}-{call}-{number}"
                words = getattr(commands, kind)(name)
                trace = f"{WORK}/trace"
                database = f"{WORK}/{name}/ca.db" if kind == "init" else DATABASE
                paths = [word for end in ENDS for word in ("-P", database + end)]
                strace = ["strace", "-f", "-qq", "-o", trace, *paths, "-e", f"trace={call}",
                          "-e", f"inject={call}:error={error}:when={number}"]
                code, out, err = countersign(*words, before=strace)
                with open(trace) as lines:
                    is_met = any("(INJECTED)" in line for line in lines)
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
                if fault := getattr(commands, "after_" + kind)(name, code):
                    wrong.append(f"{name}: {fault}: {said}")
                if kind == "issue" and code == 0:
                    issued.append(name)
                number += step
    # What was said to be issued is on record; whatever the faults were, the trail and the file are whole.
    record = on_record()
    wrong += [f"{name} was issued, and is not on record" for name in issued if f'"{name}"' not in record]
    for words in (["audit", "verify"], ["audit", "log", "verify"], ["issue", "client", "afterwards", "--quiet"]):
        code, _, err = countersign(*words)
        if code != 0:
            wrong.append(f"{' '.join(words)}: {err}")
    [[verdict]] = sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True).execute("PRAGMA integrity_check").fetchall()
    if verdict != "ok":
        wrong.append(f"SQLite's integrity check: {verdict}")
    print("\n".join(wrong) if wrong else f"{met} faults met, {len(issued)} of them without effect")
    sys.exit(1 if wrong else 0)


main()
