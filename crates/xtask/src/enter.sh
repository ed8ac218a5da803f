# Enters a tree of tools. Words: the tree, a folder that is its /srv (read and written), the program and its arguments.
# pivot_root rather than chroot: namespaces cannot be made inside the latter.
tree=$1 work=$2
shift 2
mount --bind "$tree" "$tree"
cd "$tree"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=0755 tmpfs run
mount --bind "$work" srv
# A release's signing keys, for this program alone.
if [ -n "${release_keys:-}" ]; then
    mkdir -p srv/release-keys
    mount --bind -o ro "$release_keys" srv/release-keys
fi
pivot_root . mnt
umount -l /mnt
cd /srv
exec "$@"
