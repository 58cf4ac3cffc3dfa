#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A small ext4 root file system for tests of disks, in blocks of a page (for DAX): busybox and an init that says so and powers off.
#   tools/lab/rootfs.sh OUT [MIB]
set -eu
out=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work/sbin" "$work/proc" "$work/sys" "$work/dev" "$work/mnt" "$work/tmp"
cp "$(command -v busybox)" "$work/bin/busybox"
for applet in $("$work/bin/busybox" --list); do
	[ "$applet" = busybox ] || ln -s busybox "$work/bin/$applet"
done
cat >"$work/sbin/init" <<'INIT'
#!/bin/busybox sh
export PATH=/bin
mount -t proc none /proc
echo "root file system ready: $(head -c 7 /marker) $(grep ' / ' /proc/mounts)"
mount -o remount,rw / && echo written >/written && sync
poweroff -f
INIT
echo "marked" >"$work/marker"
chmod 755 "$work/sbin/init" "$work/bin/busybox"
rm -f "$out"
PATH=$PATH:/usr/sbin:/sbin mke2fs -q -t ext4 -b 4096 -d "$work" "$out" "${2:-32}M"
