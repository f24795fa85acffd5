#!/usr/bin/env bash
# Each unit under packaging/ has no fault in systemd's eyes, is rated 2.0 or better of 10 for exposure (a unit that says
# nothing has 9.6), starts a command line that countersign takes, and has the same sandbox as the others.
# needs: systemd-analyze
. "$(dirname "$0")/../lib.sh"

units=$(cd "$INTEROP/../packaging" && pwd)
measure() { # measure UNIT: its exposure
    systemd-analyze security --offline=true --no-pager "$1" | awk '/Overall exposure level/ { print $(NF - 2) }'
}

printf '[Service]\nExecStart=/bin/true\n' >nothing.service
bare=$(measure "$PWD/nothing.service")
awk -v bare="$bare" 'BEGIN { exit !(bare > 9) }' || fail "a unit without a sandbox is rated $bare: the measure is broken"

count=0
for unit in "$units"/*.service; do
    name=${unit##*/}
    # As it is installed, but for where the binary is.
    sed "s|/usr/bin/countersign|$COUNTERSIGN|" "$unit" >"$name"
    expect_success systemd-analyze verify --man=no "$PWD/$name"
    assert_eq "" "$STDERR" "systemd's complaints about $name"
    exposure=$(measure "$PWD/$name")
    awk -v exposure="$exposure" 'BEGIN { exit !(exposure != "" && exposure <= 2.0) }' || fail "$name is rated '$exposure'"
    say "$name: exposure $exposure"
    # The command line: known to the parser, refused for the file that is not there and for nothing else.
    command=$(sed -n "s|^ExecStart=/usr/bin/countersign ||p" "$unit" | sed "s|/etc/countersign|$PWD/none|; s|/var/lib/countersign|$PWD/none|")
    read -ra words <<<"$command"
    expect_failure 1,2 "$COUNTERSIGN" "${words[@]}"
    assert_lacks "$STDERR" "Usage:" "the answer to the command line of $name"
    for line in NoNewPrivileges=yes LimitCORE=0 LimitMEMLOCK=infinity ProtectSystem=strict MemoryDenyWriteExecute=yes; do
        grep -qx "$line" "$unit" || fail "$name lacks $line"
    done
    count=$((count + 1))
done
assert_eq 4 "$count" "units"
