# shellcheck shell=bash
# For the cases that run interop/storm.py: a PostgreSQL cluster of their own, keys and requests for the clients, and two
# gateways that follow the feed, each of another replica and through a relay that cuts it.
#
# STORM_SECONDS and STORM_CLIENTS make it longer or larger than a run of all cases has time for.

STORM_SECONDS=${STORM_SECONDS:-10}
STORM_CLIENTS=${STORM_CLIENTS:-50}

# storm_cluster [MEGABYTES]: a cluster on a unix socket, as somebody who is not root, with its data on a disk of that size
# where there can be one; $COUNTERSIGN_STORE is a database in it, and $STORM_RESTART the command that restarts it as if it
# had crashed.
storm_cluster() {
    local binaries cluster data
    binaries=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n1)
    cluster=$(mktemp -d /tmp/csgn-pg.XXXXXX)
    data=$cluster/data
    [ -z "${1:-}" ] || small_disk "$1" "$cluster/disk"
    if [ -n "${SMALL_DISK:-}" ]; then
        data=$SMALL_DISK/data
        mkdir "$data"
        [ "$(id -u)" -ne 0 ] || chown nobody:nogroup "$data"
    fi
    chmod 777 "$cluster"
    local as=()
    [ "$(id -u)" -ne 0 ] || as=(setpriv --reuid nobody --regid nogroup --clear-groups)
    at_exit rm -rf --one-file-system "$cluster"
    [ -z "${SMALL_DISK:-}" ] || at_exit umount --lazy "$SMALL_DISK"
    at_exit env -C / "${as[@]}" "$binaries/pg_ctl" -s -m immediate -D "$data" stop
    (cd / && "${as[@]}" "$binaries/initdb" --auth=trust --username=countersign --encoding=UTF8 --no-sync \
        -D "$data" >/dev/null)
    # Its write-ahead log is kept small where the disk is.
    local options="-c listen_addresses='' -c unix_socket_directories='$cluster' -c max_wal_size=48MB -c min_wal_size=32MB"
    (cd / && "${as[@]}" "$binaries/pg_ctl" -s -w -D "$data" -l "$cluster/log" -o "$options" start)
    STORM_RESTART=$(printf '%q ' env -C / "${as[@]}" "$binaries/pg_ctl" -s -w -m immediate -D "$data" \
        -l "$cluster/log" -o "$options" restart)
    export COUNTERSIGN_STORE="postgres://countersign@${cluster//\//%2F}/postgres"
}

# storm FLAG…: keys and requests, then the storm with these flags; what it counted is in $STDOUT. Then the trail and the
# log are verified, against a checkpoint from before the storm.
storm() {
    local index
    mkdir storm
    expect_success "$COUNTERSIGN" audit log checkpoint
    printf '%s\n' "$STDOUT" >before.checkpoint
    expect_success "$COUNTERSIGN" issue client someone --out storm
    expect_success "$COUNTERSIGN" identity set gateway --role gateway
    expect_success "$COUNTERSIGN" issue client gateway --out storm
    expect_success "$COUNTERSIGN" issue server localhost 127.0.0.1 --out storm
    awk '/BEGIN/ { n++ } n == 2' storm/someone.pem >storm/issuing.pem
    for ((index = 0; index < STORM_CLIENTS; index++)); do
        mkdir "storm/client-$index"
        (
            cd "storm/client-$index"
            openssl ecparam -name prime256v1 -genkey -noout -out key.pem
            openssl req -new -key key.pem -subj /CN=me -out request.pem
            openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout other-key.pem -subj /CN=me \
                -out other.pem 2>/dev/null
        )
    done
    local ports gateways
    gateways=$(free_port),$(free_port),$(free_port),$(free_port)
    ports=$(free_port),$(free_port),$(free_port),$(free_port)
    expect_success python3 "$INTEROP/storm.py" --binary "$COUNTERSIGN" --home "$COUNTERSIGN_HOME" --ports "$ports" --gateways "$gateways" \
        --clients "$STORM_CLIENTS" --seconds "$STORM_SECONDS" --out storm "$@"
    say "$STDOUT"
    local counted=$STDOUT
    expect_success "$COUNTERSIGN" audit verify
    expect_success "$COUNTERSIGN" audit log verify --since before.checkpoint
    STDOUT=$counted
}

# storm_counted WORD: a number of what the storm counted.
storm_counted() {
    grep -o -E "\"$1\": [0-9]+" <<<"$STDOUT" | grep -o -E '[0-9]+'
}
