#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The boot loader: a Debian kernel and an initramfs whose init finds the systems on a machine's disks and starts one by kexec (linuxboot/).
#   tools/images/linuxboot.sh LINUXBOOT_PROGRAM OUT_FOLDER
# Writes OUT_FOLDER/vmlinuz and OUT_FOLDER/initramfs. The same inputs give the same bytes.
set -eu
# shellcheck source=tools/lab/common.sh
. "$(dirname "$0")/../lab/common.sh"
[ $# = 2 ] || lab_fail "usage: linuxboot.sh LINUXBOOT_PROGRAM OUT_FOLDER"
program=$1
out=$2
[ -x "$program" ] || lab_fail "$program is not there: run make"
PATH=$PATH:/usr/sbin:/sbin
for needed in strip busybox cpio gzip modprobe depmod; do
	command -v "$needed" >/dev/null || lab_fail "$needed is not there: run tools/deps.sh build lab"
done
kernel=$("$lab_dir/../lab/fetch.sh" debian12-cloud)
work=$(mktemp -d)
trap 'rm -rf "$work" "$out/initramfs.tmp.$$"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
tree=$work/tree
mkdir -p "$tree/bin" "$tree/proc" "$tree/sys" "$tree/dev" "$tree/lib/modules"
strip -o "$tree/init" "$program"
cp "$(command -v busybox)" "$tree/bin/busybox"
for applet in $("$tree/bin/busybox" --list); do
	[ "$applet" = busybox ] || ln -s busybox "$tree/bin/$applet"
done
# ext4's checksums come from a module that it asks for by an alias, FAT's names from two.
"$lab_dir/../lab/modules.sh" "$kernel" "$tree/lib/modules" virtio_pci virtio_mmio virtio_blk virtio_scsi sd_mod nvme crc32c_generic crc32c-intel \
	ext4 vfat nls_cp437 nls_ascii nls_utf8 xfs
find "$tree" -exec touch -h -d @0 {} +
mkdir -p "$out"
# A command at a time: of a pipe only the last one's failure would count.
(cd "$tree" && find .) >"$work/names"
LC_ALL=C sort -o "$work/names" "$work/names"
(cd "$tree" && cpio -o -H newc --quiet --reproducible --owner=0:0) <"$work/names" >"$work/archive"
gzip -9n <"$work/archive" >"$out/initramfs.tmp.$$"
cp -L "$kernel/boot/vmlinuz" "$out/vmlinuz"
mv "$out/initramfs.tmp.$$" "$out/initramfs"
