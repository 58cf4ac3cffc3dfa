#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A Debian 12 system on a disk image, from Debian's packages with the machine's own mirror: GPT with an EFI system partition (GRUB, also
# under the removable path) and an ext4 root with systemd and cloud-init. Needs neither loop devices nor, where user namespaces are
# allowed, root. Nobody can log in before a seed says how: see seed.sh.
#   tools/images/debian.sh [OPTION...] [OUT]
# Makes the system once, keeps it in $ALIOTH_CACHE, and prints its folder: disk.raw (sparse), vmlinuz, initrd.img, packages.
# With OUT it also writes a disk of your own there.
# Options: --format raw|qcow2     of OUT (raw)
#          --size SIZE            of OUT, such as 8G: the system grows into it at its next start
#          --kernel cloud|generic (cloud)
#          --include PACKAGE,...  more packages
#          --fresh                with the packages of today instead of those of an earlier run
set -eu
# shellcheck source=tools/lab/common.sh
. "$(dirname "$0")/../lab/common.sh"
PATH=$PATH:/usr/sbin:/sbin

usage() {
	sed -n '3,$ { /^#/ !q; s/^# \{0,1\}//p }' "$0" >&2
	lab_fail "$*"
}

format=raw
size=
kernel=cloud
include=
fresh=
out=
while [ $# -gt 0 ]; do
	case $1 in
	--format | --size | --kernel | --include) [ $# -gt 1 ] || usage "$1 needs a value" ;;
	esac
	case $1 in
	--format) format=$2; shift ;;
	--size) size=$2; shift ;;
	--kernel) kernel=$2; shift ;;
	--include) include=$2; shift ;;
	--fresh) fresh=1 ;;
	-*) usage "unknown option '$1'" ;;
	*) [ -z "$out" ] || usage "two files to write: '$out' and '$1'"; out=$1 ;;
	esac
	shift
done
case $format in raw | qcow2) ;; *) usage "unknown format '$format'" ;; esac
case $kernel in
cloud) kernel_package=linux-image-cloud-amd64 ;;
generic) kernel_package=linux-image-amd64 ;;
*) usage "unknown kernel '$kernel'" ;;
esac
for program in mmdebstrap fakeroot mcopy sfdisk mke2fs qemu-img; do
	command -v "$program" >/dev/null || lab_fail "$program is not there: run tools/deps.sh images"
done

packages="systemd-sysv,libpam-systemd,dbus,udev,systemd-resolved,$kernel_package,initramfs-tools,zstd,grub-efi-amd64,efibootmgr,cloud-init"
packages="$packages,cloud-guest-utils,fdisk,e2fsprogs,kmod,procps,iproute2,iputils-ping,netbase,sudo,ca-certificates"
[ -z "$include" ] || packages="$packages,$include"
key=$({ echo "$packages"; cat "$lab_dir"/debian*.sh; } | sha256sum | cut -c1-32)
folder=$lab_cache/images/debian12-$kernel-$(echo "$key" | cut -c1-12)

# What apt would read is known without ever having made an update. The security archive only where the machine has one.
sources() {
	signed="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
	sites=$(apt-get update --print-uris | sed -n "s,^'\(.*debian.*\)/dists/.*,\1,p" | sort -u)
	main=$(echo "$sites" | grep -v security | head -n 1)
	security=$(echo "$sites" | grep security | head -n 1)
	[ -n "$main" ] || lab_fail "apt has no source of Debian packages to derive the mirror from"
	echo "deb $signed $main bookworm main"
	echo "deb $signed $main bookworm-updates main"
	[ -z "$security" ] || echo "deb $signed $security bookworm-security main"
}

# The file system as an archive; documentation stays out, as in Debian's images for containers.
make_tree() {
	sources >"$work/sources"
	mmdebstrap --variant=minbase --include="$packages" --aptopt='APT::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --customize-hook="$lab_dir/debian_setup.sh \"\$1\" $key" \
		bookworm "$work/root.tar" - <"$work/sources" >"$work/log" 2>&1 ||
		{ tail -n 40 "$work/log" >&2; lab_fail "the packages could not be installed"; }
}

make_system() {
	[ -n "$fresh" ] || [ ! -e "$folder/disk.raw" ] || return 0
	echo "making a Debian 12 disk image (a few minutes, once) ..." >&2
	mkdir -p "$lab_cache/images"
	work=$(mktemp -d "$lab_cache/images/work.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	# Times in the file system, so that the same packages give the same bytes.
	export SOURCE_DATE_EPOCH=1767225600
	make_tree
	mkdir "$work/out"
	# It knows owners, which only root can give to files, without being root.
	fakeroot "$lab_dir/debian_disk.sh" "$work/root.tar" "$key" "$work/out" >"$work/log" 2>&1 ||
		{ tail -n 40 "$work/log" >&2; lab_fail "the disk could not be made"; }
	rm -rf "$folder"
	mv "$work/out" "$folder"
}

# A disk of the user's own, complete or not there.
write_image() {
	target=$out.tmp.$$
	trap 'rm -f "$target"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	if [ "$format" = raw ]; then
		cp --sparse=always --reflink=auto "$folder/disk.raw" "$target"
	else
		qemu-img convert -f raw -O qcow2 "$folder/disk.raw" "$target"
	fi
	if [ -n "$size" ] && ! problem=$(qemu-img resize -q -f "$format" "$target" "$size" 2>&1); then
		lab_fail "--size $size: $problem"
	fi
	mv "$target" "$out"
}

lab_locked images make_system
[ -z "$out" ] || write_image
echo "$folder"
