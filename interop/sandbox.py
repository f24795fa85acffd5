"""What systemd does to a process for the sandbox of a unit, without systemd as init: a file system that is read-only but
for the unit's own folders, /proc with nothing but processes, the capabilities, limits and addresses that the unit leaves,
and its filter of system calls, enforced by the kernel (seccomp(2)).

Usage, as root: sandbox.py UNIT WRITABLE-FOLDER… -- COMMAND…      runs COMMAND as systemd would run ExecStart of UNIT

It is a test's tool: what of a unit it does not know ends it, unless it is listed as seen to elsewhere.
"""

import ctypes
import errno
import os
import re
import resource
import struct
import subprocess
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS = 0x00020000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
NAMESPACES = 0x7E020080  # CLONE_NEW* of sched.h
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
NOBODY = "65534"

# Those that need no doing here: words for people, systemd's own part in starting and ending, and what only devices, the
# clock, the kernel or other users' things could show, none of which the capabilities leave.
ELSEWHERE = set(
    "ExecStart ExecReload Type NotifyAccess WatchdogSec TimeoutStopSec Restart RestartSec StateDirectory StateDirectoryMode "
    "User Group ReadWritePaths ProtectClock ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables "
    "ProtectControlGroups PrivateTmp PrivateDevices RestrictRealtime RestrictSUIDSGID LockPersonality RemoveIPC KeyringMode "
    "ProtectHome".split()
)


def unit(path):
    settings = {}
    section = open(path).read().split("[Service]")[1].split("\n[")[0]
    for line in section.splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            settings.setdefault(key, []).append(value)
    return settings


def checked(result, what):
    if result != 0:
        sys.exit(f"sandbox: {what}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind, flags, data=None):
    words = [word.encode() if word else None for word in (source, target, kind)]
    checked(LIBC.mount(*words, ctypes.c_ulong(flags), data.encode() if data else None), f"mount {target}")


def read_only(writable):
    checked(LIBC.unshare(CLONE_NEWNS), "unshare")
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    for folder in writable:
        mount(folder, folder, None, MS_BIND)
    # As ProtectProc=invisible and ProcSubset=pid have it.
    mount("proc", "/proc", "proc", 0, "hidepid=invisible,subset=pid")
    points = [line.split()[4] for line in open("/proc/self/mountinfo")]
    for point in dict.fromkeys(points):
        if point not in writable and point != "/proc" and not point.startswith(("/dev", "/proc/")):
            flags = MS_REMOUNT | MS_BIND | MS_RDONLY
            if LIBC.mount(None, point.encode(), None, ctypes.c_ulong(flags), None) != 0 and point == "/":
                checked(1, "mount / read-only")


def numbers():
    header = subprocess.run(["cc", "-E", "-dM", "-include", "sys/syscall.h", "-xc", os.devnull], capture_output=True, text=True)
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", header.stdout)}


def members(word):
    if not word.startswith("@"):
        return {word}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True).stdout
    names = [line.strip() for line in listed.splitlines()[1:]]
    return set().union(*(members(name) for name in names if name and not name.startswith("#")))


def allowed(lines):
    calls = set()
    for line in lines:
        for word in line.lstrip("~").split():
            calls = calls - members(word) if line.startswith("~") else calls | members(word)
    # "Some calls are always there" (systemd.exec(5)), for starting the program itself.
    return calls | members("@default") | {"execve", "execveat"}


def program(settings):
    number = numbers()
    calls = sorted(number[name] for name in allowed(settings["SystemCallFilter"]) if name in number)
    denied, unknown, family = (0x00050000 | code for code in (errno.EPERM, errno.ENOSYS, errno.EAFNOSUPPORT))
    yes = 0x7FFF0000
    load = lambda offset: (0x20, 0, 0, offset)
    equal = lambda value, then, otherwise: (0x15, then, otherwise, value)
    ret = lambda value: (0x06, 0, 0, value)
    bits = lambda value, then, otherwise: (0x45, then, otherwise, value)
    masked = lambda value: (0x54, 0, 0, value)
    argument = lambda index: load(16 + 8 * index)
    code = [load(0)]
    # Calls with something to look at: each block is entered by its number, and ends in a verdict.
    def block(name, body):
        code.append(equal(number[name], 0, len(body)))
        code.extend(body)
    # glibc falls back to clone, whose flags a filter can see.
    block("clone3", [ret(unknown)])
    block("clone", [argument(0), bits(NAMESPACES, 0, 1), ret(denied), ret(yes)])
    for name in ("unshare", "setns"):
        block(name, [ret(denied)])
    block("mmap", [argument(2), masked(6), equal(6, 0, 1), ret(denied), ret(yes)])
    for name in ("mprotect", "pkey_mprotect"):
        block(name, [argument(2), bits(4, 0, 1), ret(denied), ret(yes)])
    families = [FAMILIES[word] for word in settings["RestrictAddressFamilies"][0].split()]
    socket = [argument(0)]
    for value in families:
        socket += [equal(value, 0, 1), ret(yes)]
    block("socket", socket + [ret(family)])
    for call in calls:
        code += [equal(call, 0, 1), ret(yes)]
    return code + [ret(denied)]


def filtered(settings):
    code = b"".join(struct.pack("HBBI", *line) for line in program(settings))
    space = ctypes.create_string_buffer(code)
    class Filter(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
    prog = Filter(len(code) // 8, ctypes.cast(space, ctypes.c_void_p))
    checked(LIBC.prctl(38, 1, 0, 0, 0), "no new privileges")
    checked(LIBC.prctl(22, 2, ctypes.byref(prog), 0, 0), "seccomp")


def main():
    path, *rest = sys.argv[1:]
    at = rest.index("--")
    writable, command = [os.path.realpath(folder) for folder in rest[:at]], rest[at + 1:]
    settings = unit(path)
    if os.environ.get("SANDBOX_STAGE") == "2":
        del os.environ["SANDBOX_STAGE"]
        filtered(settings)
        os.execv(command[0], command)
    known = {"Environment", "LimitCORE", "LimitMEMLOCK", "LimitNOFILE", "CapabilityBoundingSet", "AmbientCapabilities", "UMask"}
    done = {"RestrictAddressFamilies", "RestrictNamespaces", "MemoryDenyWriteExecute", "NoNewPrivileges", "ProtectSystem",
            "ProtectProc", "ProcSubset", "SystemCallArchitectures", "SystemCallFilter", "SystemCallErrorNumber"}
    if strange := set(settings) - known - done - ELSEWHERE:
        sys.exit(f"sandbox: nobody has said what {sorted(strange)} of {path} need")
    for key in ("CORE", "MEMLOCK", "NOFILE"):
        for value in settings.get(f"Limit{key}", []):
            limit = resource.RLIM_INFINITY if value == "infinity" else int(value)
            try:
                resource.setrlimit(getattr(resource, f"RLIMIT_{key}"), (limit, limit))
            except (PermissionError, ValueError):
                # A container may leave less; the program must do with it.
                print(f"sandbox: Limit{key}={value} is more than this machine leaves", file=sys.stderr)
    for value in settings.get("Environment", []):
        os.environ.update([value.split("=", 1)])
    os.umask(int(settings["UMask"][0], 8))
    read_only(writable)
    words = [word.removeprefix("CAP_").lower() for word in settings["CapabilityBoundingSet"][0].split()]
    ambient = [word.removeprefix("CAP_").lower() for line in settings.get("AmbientCapabilities", []) for word in line.split()]
    some = lambda words: ",".join(["-all"] + [f"+{word}" for word in words])
    os.environ["SANDBOX_STAGE"] = "2"
    os.execvp("setpriv", ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--inh-caps", some(ambient),
                          "--ambient-caps", some(ambient), "--bounding-set", some(words),
                          sys.executable, os.path.abspath(__file__), path, *writable, "--", *command])


main()
