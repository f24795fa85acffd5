# shellcheck shell=bash
# The library of the interop cases: servers that end with their case, bounded waiting, assertions that say what
# they saw. A case reads it in first:
#
#     . "$(dirname "$0")/../lib.sh"
#
# The runner (cargo xtask interop) gives each case a folder of its own, which is its working directory and its
# HOME, and these variables:
#
#     COUNTERSIGN       the binary under test
#     COUNTERSIGN_HOME  the authority's home; it does not exist yet
#     INTEROP_PORTS     a folder shared by the cases of a run, where free_port marks what it gave away
#
# A case started by hand needs COUNTERSIGN alone: the rest is made here, and removed at its end.

set -Eeuo pipefail

# A command that fails on its own, outside of the assertions below, is named.
trap 'echo "FAILED: exit code $? of \`$BASH_COMMAND\`, ${BASH_SOURCE[0]##*/} line $LINENO" >&2' ERR

if [ -z "${COUNTERSIGN:-}" ]; then
    echo "COUNTERSIGN must name the binary under test: COUNTERSIGN=target/release/countersign $0" >&2
    exit 2
fi
# An absolute path, since the working directory changes below.
COUNTERSIGN=$(realpath -- "$COUNTERSIGN")
export COUNTERSIGN

# The folder of the library, for files that cases share.
INTEROP=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
export INTEROP

# Seconds that anything is waited for. Long, since a loaded machine is slow; a wait ends when its event comes.
WAIT=${WAIT:-60}

_own_world=
_servers=()
_at_exit=()

# ---------------------------------------------------------------------------------------------- saying things

# say WORDS…: a line in the case's log, to find one's way in a failure.
say() {
    printf '# %s\n' "$*"
}

# fail WORDS…: ends the case.
fail() {
    printf 'FAILED: %s\n' "$*" >&2
    local frame=0
    # The callers, innermost first: the line of the case is the last.
    while caller "$frame" >&2; do
        frame=$((frame + 1))
    done
    exit 1
}

# show_file TITLE FILE: the file's lines, marked, for a failure.
show_file() {
    printf -- '--- %s\n' "$1" >&2
    sed 's/^/    /' -- "$2" >&2 || true
}

# --------------------------------------------------------------------------------------------- the way out

# at_exit COMMAND [ARGUMENT…]: runs at the case's end, however it ends; the last one given runs first.
at_exit() {
    _at_exit+=("$(printf '%q ' "$@")")
}

_leave() {
    local status=$? index
    trap - EXIT ERR
    set +e
    for ((index = ${#_at_exit[@]} - 1; index >= 0; index--)); do
        eval "${_at_exit[index]}"
    done
    if [ "$status" -ne 0 ]; then
        local log
        for log in "$PWD"/server-*.log; do
            [ -f "$log" ] && show_file "${log##*/}" "$log"
        done
    fi
    for index in "${!_servers[@]}"; do
        _end_process "${_servers[index]}"
    done
    if [ -n "$_own_world" ]; then
        cd / || exit 1
        if [ -n "${INTEROP_KEEP:-}" ]; then
            echo "# kept: $_own_world"
        else
            rm -rf -- "$_own_world"
        fi
    fi
    exit "$status"
}

# Ends a child of this shell by its id: asks, waits, and after five seconds does not ask any more.
_end_process() {
    local pid=$1 deadline=$((SECONDS + 5))
    kill -TERM "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            kill -KILL "$pid" 2>/dev/null || true
            break
        fi
        sleep 0.02
    done
    # Its exit code is the signal's; reaping it is all that is wanted.
    wait "$pid" 2>/dev/null || true
}

trap _leave EXIT
# A signal ends the case by way of the exit trap, with the code that a shell gives for it.
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -z "${INTEROP_PORTS:-}" ]; then
    _own_world=$(mktemp -d "${TMPDIR:-/tmp}/interop.XXXXXX")
    cd -- "$_own_world"
    INTEROP_PORTS=$_own_world/ports
    mkdir ports
    INTEROP_ARTEFACTS=${INTEROP_ARTEFACTS:-$_own_world/artefacts}
    export INTEROP_ARTEFACTS INTEROP_PORTS HOME=$_own_world TMPDIR=$_own_world COUNTERSIGN_HOME=$_own_world/countersign
fi

# ------------------------------------------------------------------------------------------- ports and servers

# _is_listening PORT: does anything on this machine listen on it? Looks; does not connect, since a server that
# serves one connection would have served it.
_is_listening() {
    if [ -r /proc/net/tcp ]; then
        local hex
        printf -v hex ':%04X' "$1"
        # Columns: slot, local address, remote address, state; 0A is LISTEN.
        awk -v port="$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }' \
            /proc/net/tcp /proc/net/tcp6 2>/dev/null
    else
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
    fi
}

# free_port: prints a port that nobody listens on and no other case of this run was given. Below 32768, where
# no system takes the ports of outgoing connections from. Prefer port 0 where a server can say what it got.
free_port() {
    local port try
    for try in {1..200}; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        # mkdir is the lock: of two cases that try the same port one succeeds.
        if ! _is_listening "$port" && mkdir -- "$INTEROP_PORTS/$port" 2>/dev/null; then
            echo "$port"
            return 0
        fi
    done
    fail "no free port was found in $try tries"
}

# start_server COMMAND…: starts it in the background, with its output in $SERVER_LOG and its id in $SERVER_PID;
# it ends with the case. Wait for it with wait_for_line or wait_for_port.
start_server() {
    SERVER_LOG=$PWD/server-$((${#_servers[@]} + 1)).log
    "$@" </dev/null >"$SERVER_LOG" 2>&1 &
    SERVER_PID=$!
    _servers+=("$SERVER_PID")
    say "server $SERVER_PID: $*"
}

# stop_server [PID]: ends a server before the case does; without an id the last one started.
stop_server() {
    _end_process "${1:-$SERVER_PID}"
}

# _wait_until WHAT COMMAND…: until the command succeeds, $WAIT seconds at most, and only as long as the last
# server runs. The short sleep is the pace of looking; no duration is guessed.
_wait_until() {
    local what=$1 deadline=$((SECONDS + WAIT)) is_last=
    shift
    while ! "$@"; do
        # One look more after its end: what is waited for may be the last thing that it did.
        [ -z "$is_last" ] || fail "the server ended before $what"
        if [ -n "${SERVER_PID:-}" ] && ! kill -0 "$SERVER_PID" 2>/dev/null; then
            is_last=yes
            continue
        fi
        [ "$SECONDS" -lt "$deadline" ] || fail "$WAIT seconds passed before $what"
        sleep 0.02
    done
}

# wait_for_line FILE PATTERN: waits for a line that matches the extended regular expression, and leaves it in
# $LINE.
wait_for_line() {
    _wait_until "a line like '$2' was in ${1##*/}" grep -q -s -E -- "$2" "$1"
    LINE=$(grep -m 1 -E -- "$2" "$1")
}

# wait_for_port PORT: waits until something listens on it.
wait_for_port() {
    _wait_until "port $1 was open" _is_listening "$1"
}

# descriptors_of PID: how many files it has open. A process that keeps its memory to itself is looked into by root alone;
# for others the count is 0, always.
descriptors_of() {
    if ls -- "/proc/$1/fd" >/dev/null 2>&1; then
        ls -- "/proc/$1/fd" | wc -l
    else
        kill -0 "$1" && echo 0
    fi
}

# ------------------------------------------------------------------------------------ running and judging

# run COMMAND…: runs it with its outputs in $STDOUT and $STDERR and its exit code in $STATUS, whatever it is.
run() {
    say "\$ $*"
    STATUS=0
    "$@" </dev/null >.stdout 2>.stderr || STATUS=$?
    # NUL cannot be held by a variable; a command that prints some is better read from its own output file.
    STDOUT=$(tr -d '\0' <.stdout)
    STDERR=$(tr -d '\0' <.stderr)
}

_show_run() {
    show_file "stdout" .stdout
    show_file "stderr" .stderr
}

# expect_success COMMAND…: runs it; anything but exit code 0 ends the case.
expect_success() {
    run "$@"
    if [ "$STATUS" -ne 0 ]; then
        _show_run
        fail "exit code $STATUS instead of 0: $*"
    fi
}

# expect_failure CODE COMMAND…: runs it; any other exit code ends the case. CODE is a number, or `any` for all
# but 0, or several with commas between.
expect_failure() {
    local code=$1
    shift
    run "$@"
    case ",$code," in
        ,any,) [ "$STATUS" -ne 0 ] && return 0 ;;
        *",$STATUS,"*) return 0 ;;
    esac
    _show_run
    fail "exit code $STATUS instead of $code: $*"
}

# assert_eq EXPECTED ACTUAL [WHAT]
assert_eq() {
    [ "$1" = "$2" ] || fail "${3:-the value} is '$2' instead of '$1'"
}

# assert_contains TEXT PART [WHAT]
assert_contains() {
    case $1 in
        *"$2"*) ;;
        *)
            printf '%s\n' "$1" >&2
            fail "${3:-the text above} does not contain '$2'"
            ;;
    esac
}

# assert_lacks TEXT PART [WHAT]
assert_lacks() {
    case $1 in
        *"$2"*)
            printf '%s\n' "$1" >&2
            fail "${3:-the text above} contains '$2'"
            ;;
    esac
}

# assert_file_mode MODE FILE: the permission bits in octal, as `stat` prints them.
assert_file_mode() {
    local mode
    mode=$(stat -c %a -- "$2" 2>/dev/null || stat -f %Lp -- "$2")
    assert_eq "$1" "$mode" "the mode of $2"
}
