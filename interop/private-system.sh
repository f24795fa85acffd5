# shellcheck shell=bash
# For cases that change what belongs to the system: the case goes on in a mount namespace of its own, in which the
# folders named below are thin copies. The programs are the real ones and the files are where they always are; the
# machine outside does not see a byte of it. Read in before lib.sh:
#
#     . "$(dirname "$0")/../private-system.sh"
#     . "$(dirname "$0")/../lib.sh"
#     make_system_private
#
# It takes root and a kernel that lets root make mount namespaces and overlays; in a container, the capability
# SYS_ADMIN. Without them the case fails and says so: it does not fall back on the machine's own files.

# What update-ca-certificates and its hooks write to, dpkg's records of the hooks' triggers included.
PRIVATE_FOLDERS=(/etc /usr/local/share /var/lib)

if [ -z "${INTEROP_IS_PRIVATE:-}" ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "FAILED: this case works on the system's trust store and needs root (in a namespace of its own)" >&2
        exit 1
    fi
    if ! unshare --mount --propagation private true; then
        echo "FAILED: root may not make a mount namespace here; in a container add the capability SYS_ADMIN" >&2
        exit 1
    fi
    export INTEROP_IS_PRIVATE=yes
    exec unshare --mount --propagation private -- bash "$0" "$@"
fi

# make_system_private: from here on the case has copies. They are in memory, and gone with the namespace.
make_system_private() {
    local layers=$PWD/private folder name
    mkdir "$layers"
    mount -t tmpfs -o mode=0755 tmpfs "$layers" || fail "no tmpfs could be mounted"
    for folder in "${PRIVATE_FOLDERS[@]}"; do
        name=${folder//\//-}
        mkdir -p "$layers/upper$name" "$layers/work$name"
        mount -t overlay overlay -o "lowerdir=$folder,upperdir=$layers/upper$name,workdir=$layers/work$name" \
            "$folder" || fail "no overlay could be mounted on $folder"
    done
    # The layers must be free again before the case's folder can be removed.
    at_exit _give_back_system
}

_give_back_system() {
    local index
    for ((index = ${#PRIVATE_FOLDERS[@]} - 1; index >= 0; index--)); do
        umount "${PRIVATE_FOLDERS[index]}" 2>/dev/null || umount --lazy "${PRIVATE_FOLDERS[index]}"
    done
    umount "$PWD/private" 2>/dev/null || umount --lazy "$PWD/private"
}
