#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian 12 packages that a part of the project needs. Quick and without network when they are there.
#   tools/deps.sh GROUP...        groups: build, test, lab, bench, fuzz, images
set -eu

build="gcc libc6-dev meson ninja-build pkg-config python3 libjansson-dev zlib1g-dev libzstd-dev liblz4-dev liblzma-dev liburing-dev"
test="libcmocka-dev acpica-tools python3-pytest clang clang-tidy clang-format cppcheck shellcheck gcovr git e2fsprogs cpio busybox-static passt"
lab="qemu-system-x86 qemu-utils busybox-static cpio kmod xz-utils lz4 zstd e2fsprogs python3 python3-pytest fio iperf3 ethtool ovmf seabios grub-efi-amd64-bin grub-pc-bin mtools fdisk dmsetup xfsprogs"
bench="qemu-system-x86 busybox-static python3 fio iperf3"
fuzz="clang libclang-rt-14-dev"
images="mmdebstrap debian-archive-keyring fakeroot mtools fdisk e2fsprogs qemu-utils"

wanted=
for group in "$@"; do
	case $group in
	build) wanted="$wanted $build" ;;
	test) wanted="$wanted $test" ;;
	lab) wanted="$wanted $lab" ;;
	bench) wanted="$wanted $bench" ;;
	fuzz) wanted="$wanted $fuzz" ;;
	images) wanted="$wanted $images" ;;
	*)
		echo "deps.sh: unknown group '$group'" >&2
		exit 2
		;;
	esac
done

missing=
for package in $wanted; do
	case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true) in
	installed) ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "deps.sh: this is not Debian; install what corresponds to:$missing" >&2
	exit 1
fi
echo "installing:$missing" >&2
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# shellcheck disable=SC2086 # a list of words
if ! { $as_root apt-get install -y -q --no-install-recommends $missing >"$log" 2>&1 ||
	{ $as_root apt-get update -q >"$log" 2>&1 &&
		$as_root apt-get install -y -q --no-install-recommends $missing >>"$log" 2>&1; }; }; then
	cat "$log" >&2
	rm -f "$log"
	echo "deps.sh: could not install:$missing" >&2
	exit 1
fi
rm -f "$log"
