#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A disk that UEFI firmware boots by its removable-media path, and a BIOS by its first sector: GRUB, a kernel and an initramfs on an EFI
# system partition.
#   tools/lab/efi_disk.sh OUT KERNEL INITRAMFS COMMAND_LINE
set -eu
out=$1
kernel=$2
initramfs=$3
cmdline=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Sectors: 1 MiB before the partition, 33 sectors of the other partition table behind it.
bytes=$(($(stat -Lc %s "$kernel") + $(stat -Lc %s "$initramfs") + (24 << 20)))
mib=$((bytes >> 20))
rm -f "$out"
truncate -s "$((mib + 2))M" "$out"
PATH=$PATH:/usr/sbin:/sbin
printf 'label: gpt\nlabel-id: 5a8f7c1e-7b1c-4b8e-9a55-6d3f3c1d2e01\nstart=1MiB, size=%sMiB, type=uefi, name=esp, uuid=5a8f7c1e-7b1c-4b8e-9a55-6d3f3c1d2e02\n' "$mib" |
	sfdisk -q "$out"
# Each word in quotes: GRUB has a shell's idea of what special characters are.
words=
for word in $cmdline; do
	words="$words \"$word\""
done
cat >"$work/grub.cfg" <<CFG
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set timeout=0
menuentry "test" {
	echo "GRUB boots the test"
	linux /vmlinuz$words
	initrd /initrd
}
CFG
part=$out@@1M
export MTOOLS_SKIP_CHECK=1
mformat -i "$part" -T "$((mib * 2048))" -h 64 -s 32 -F -v ESP ::
mmd -i "$part" ::/EFI ::/EFI/BOOT ::/EFI/debian
# Debian's GRUB looks for its configuration in the folder of the distribution.
mcopy -i "$part" /usr/lib/grub/x86_64-efi/monolithic/grubx64.efi ::/EFI/BOOT/BOOTX64.EFI
mcopy -i "$part" "$work/grub.cfg" ::/EFI/debian/grub.cfg
mcopy -i "$part" "$kernel" ::/vmlinuz
mcopy -i "$part" "$initramfs" ::/initrd

# For a BIOS: GRUB's first sector, around the partition table in it, and the rest of it in the gap before the partition. Each of its two
# parts is told where the next one is.
cat >"$work/embedded.cfg" <<CFG
set root=(hd0,gpt1)
configfile /EFI/debian/grub.cfg
CFG
grub-mkimage -O i386-pc -p /EFI/debian -c "$work/embedded.cfg" -o "$work/core.img" biosdisk part_gpt fat normal configfile linux serial terminal echo
sector() {
	printf '%b' "$(printf '\\%03o\\%03o' $(($3 % 256)) $(($3 / 256)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
cp /usr/lib/grub/i386-pc/boot.img "$work/boot.img"
sector "$work/boot.img" 92 40
sector "$work/core.img" 500 41
dd if="$work/boot.img" of="$out" bs=440 count=1 conv=notrunc status=none
dd if="$work/core.img" of="$out" bs=512 seek=40 conv=notrunc status=none
