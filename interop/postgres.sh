# shellcheck shell=bash
# What cases with PostgreSQL share. A case reads lib.sh, then this.
#
#     start_postgres   a cluster of its own, as somebody who is not root, on a unix socket alone; it ends with the case.
#                      $COUNTERSIGN_STORE names it, $binaries is where its programs are, $postgres_data its
#                      folder

start_postgres() {
    local cluster as=()
    binaries=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n1)
    cluster=$(mktemp -d /tmp/csgn-pg.XXXXXX)
    chmod 777 "$cluster"
    [ "$(id -u)" -ne 0 ] || as=(setpriv --reuid nobody --regid nogroup --clear-groups)
    at_exit rm -rf "$cluster"
    at_exit env -C / "${as[@]}" "$binaries/pg_ctl" -s -m immediate -D "$cluster/data" stop
    (cd / && "${as[@]}" "$binaries/initdb" --auth=trust --username=countersign --encoding=UTF8 --no-sync \
        -D "$cluster/data" >/dev/null)
    (cd / && "${as[@]}" "$binaries/pg_ctl" -s -w -D "$cluster/data" -l "$cluster/log" \
        -o "-c listen_addresses='' -c unix_socket_directories='$cluster'" start)
    export COUNTERSIGN_STORE="postgres://countersign@${cluster//\//%2F}/postgres" binaries
    postgres_data=$cluster/data
}
