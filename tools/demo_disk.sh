#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `make demo-disk`: a whole Debian 12 on its own disk, to a login prompt. The disk and its seed stay in build/demo-disk: what is changed
# there is there the next time; remove the folder to begin anew.
#   tools/demo_disk.sh ALIOTH_BINARY
# HOW=kernel       direct kernel boot (the default)
# HOW=firmware     Debian's OVMF and GRUB; variables stay in the same folder
# HOW=linuxboot    the boot loader of linuxboot/
# DEMO_HOSTNAME= and DEMO_PASSWORD= (alioth) go into the seed.
set -eu
alioth=$(cd "$(dirname "$1")" && pwd)/${1##*/}
loader=${alioth%/src/cli/alioth}/linuxboot/linuxboot
cd "$(dirname "$0")/.."
folder=$(pwd)/build/demo-disk
password=${DEMO_PASSWORD:-alioth}
case ${HOW:-kernel} in
kernel | firmware | linuxboot) ;;
*)
	echo "demo_disk.sh: HOW='$HOW' is none of kernel, firmware, linuxboot" >&2
	exit 2
	;;
esac
mkdir -p "$folder"
system=$(cat "$folder/system" 2>/dev/null || true)
if [ ! -e "$folder/disk.raw" ] || { [ "${HOW:-kernel}" = kernel ] && [ ! -e "$system/vmlinuz" ]; }; then
	system=$(tools/images/debian.sh)
	echo "$system" >"$folder/system"
fi
[ -e "$folder/disk.raw" ] || tools/images/debian.sh "$folder/disk.raw" >/dev/null
[ -e "$folder/seed.img" ] || tools/images/seed.sh --hostname "${DEMO_HOSTNAME:-alioth-demo}" --password "$password" "$folder/seed.img"

set -- "$alioth" boot --memory size=1G --cpu count=1 --blk "path=$folder/disk.raw" --blk "path=$folder/seed.img,readonly=on" --entropy
case ${HOW:-kernel} in
kernel) set -- "$@" --kernel "$system/vmlinuz" --initramfs "$system/initrd.img" --cmdline "root=/dev/vda2 console=ttyS0 quiet" ;;
firmware)
	[ -e "$folder/vars.fd" ] || cp /usr/share/OVMF/OVMF_VARS_4M.fd "$folder/vars.fd"
	set -- "$@" --firmware "/usr/share/OVMF/OVMF_CODE_4M.fd,vars=$folder/vars.fd"
	;;
linuxboot)
	tools/images/linuxboot.sh "$loader" "$folder/loader"
	set -- "$@" --kernel "$folder/loader/vmlinuz" --initramfs "$folder/loader/initramfs" --cmdline "console=ttyS0 quiet"
	;;
esac
interactive=
[ ! -t 0 ] || interactive=--interactive
echo "Log in as debian, password $password; the first start takes longest." >&2
# shellcheck disable=SC2086 # an option or none
LEAVE="sudo poweroff" exec tools/on_kvm.sh "$alioth" --share "$folder" --cpus 1 $interactive -- "$@"
