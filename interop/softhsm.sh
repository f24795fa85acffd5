# shellcheck shell=bash
# What cases with keys in a token share. A case reads lib.sh, then this.
#
#     start_tokens LABEL...   SoftHSM tokens of the case's own, with the PIN 4815162342, which the file `pin` has too.
#                             $module is the library that speaks for them, and $query what a pkcs11: URI says of it and
#                             of the PIN

start_tokens() {
    local path label
    module=
    for path in /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so /usr/lib64/pkcs11/libsofthsm2.so; do
        [ -e "$path" ] && module=$path && break
    done
    [ -n "$module" ] || fail "softhsm2 is installed, and its module is nowhere"
    mkdir tokens
    printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$PWD/tokens" > softhsm2.conf
    export SOFTHSM2_CONF=$PWD/softhsm2.conf
    for label in "$@"; do
        expect_success softhsm2-util --init-token --free --label "$label" --pin 4815162342 --so-pin 990099
    done
    (umask 077 && echo 4815162342 > pin)
    query="module-path=$module&pin-source=file:$PWD/pin"
}
