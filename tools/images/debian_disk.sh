#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Part of debian.sh, run under fakeroot: the files of an archive become a disk, beside its kernel and its initramfs in the folder OUT.
#   tools/images/debian_disk.sh ARCHIVE KEY OUT
# The disk: a MiB for the table, the EFI system partition, the root, last so that it can grow, a MiB for the second table.
set -eu
archive=$1
key=$2
out=$3
PATH=$PATH:/usr/sbin:/sbin
# shellcheck source=tools/images/debian_names.sh
. "$(dirname "$0")/debian_names.sh"
esp_mib=32
work=$(dirname "$archive")
tree=$work/tree
mkdir "$tree"
tar -C "$tree" --exclude='./dev/*' -xf "$archive"
rm "$archive"

cp -L "$tree/vmlinuz" "$out/vmlinuz"
cp -L "$tree/initrd.img" "$out/initrd.img"
chmod 644 "$out/vmlinuz" "$out/initrd.img"
# shellcheck disable=SC2016 # dpkg's own variables
dpkg-query --admindir="$tree/var/lib/dpkg" -W -f '${Package} ${Version}\n' >"$out/packages"

truncate -s "${esp_mib}M" "$work/esp"
mformat -i "$work/esp" -v ESP -N "$fat_serial" -T $((esp_mib * 2048)) -h 64 -s 32 ::
mcopy -m -Q -s -i "$work/esp" "$tree/boot/efi/EFI" ::
rm -r "$tree/boot/efi/EFI"

root_mib=$(($(du -sm "$tree" | cut -f1) * 5 / 4 + 256))
# GRUB 2.06 reads neither of the two features.
E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH mke2fs -q -t ext4 -O ^metadata_csum_seed,^orphan_file -L debian-root -U "$root_uuid" \
	-E "hash_seed=$(uuid_of hash),lazy_itable_init=0,lazy_journal_init=0" -d "$tree" "$work/root" "${root_mib}M"
rm -r "$tree"

truncate -s $((esp_mib + root_mib + 2))M "$out/disk.raw"
sfdisk -q "$out/disk.raw" <<TABLE
label: gpt
label-id: $disk_uuid
start=2048, size=$((esp_mib * 2048)), type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=$esp_partition, name="esp"
start=$(((1 + esp_mib) * 2048)), size=$((root_mib * 2048)), type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid=$root_partition, name="root"
TABLE
dd if="$work/esp" of="$out/disk.raw" bs=1M seek=1 conv=notrunc,sparse status=none
dd if="$work/root" of="$out/disk.raw" bs=1M seek=$((1 + esp_mib)) conv=notrunc,sparse status=none
