# shellcheck shell=bash
# For cases in which a disk runs full: the case goes on in a mount namespace of its own, where small_disk mounts a file
# system of a few megabytes in memory. The machine outside does not see it. Read in before lib.sh:
#
#     . "$(dirname "$0")/../small-disk.sh"
#     . "$(dirname "$0")/../lib.sh"
#     small_disk 32
#
# Whoever is not root gets one in a user namespace, in which he is root; a case whose programs refuse to run as root says
# SMALL_DISK_NEEDS_ROOT=yes before. Where the kernel allows neither, $SMALL_DISK stays empty, and the case says what it
# leaves out.

if [ -z "${SMALL_DISK_IS_PRIVATE:-}" ]; then
    export SMALL_DISK_IS_PRIVATE=no
    _namespace=(unshare --mount --propagation private --)
    if [ "$(id -u)" -ne 0 ]; then
        _namespace=(unshare --user --map-root-user --mount --propagation private --)
    fi
    if [ "$(id -u)" -eq 0 ] || [ -z "${SMALL_DISK_NEEDS_ROOT:-}" ]; then
        if "${_namespace[@]}" true 2>/dev/null; then
            export SMALL_DISK_IS_PRIVATE=yes
            exec "${_namespace[@]}" bash "$0" "$@"
        fi
    fi
fi

# small_disk MEGABYTES [FOLDER]: $SMALL_DISK is the folder, on a file system of that size, or nothing where there can be
# none.
small_disk() {
    local folder=${2:-$PWD/disk}
    SMALL_DISK=
    [ "$SMALL_DISK_IS_PRIVATE" = yes ] || return 0
    mkdir "$folder"
    # Whoever is not root here may enter it too.
    mount -t tmpfs -o "mode=0755,size=${1}m" tmpfs "$folder" || return 0
    SMALL_DISK=$folder
}
