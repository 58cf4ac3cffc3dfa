#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Time from exec to the login prompt of a Debian disk, beside QEMU (tests/bench/bench_disk.py): on this machine's KVM where that runs guests,
# otherwise in the lab.
#   tools/bench_disk.sh RELEASE_BUILD_DIR LINUXBOOT_PROGRAM [ARGUMENT OF bench_disk.py...]
set -eu
build=$(cd "$1" && pwd)
program=$2
shift 2
cd "$(dirname "$0")/.."
system=$(tools/images/debian.sh)
tools/images/linuxboot.sh "$program" "$build/linuxboot-images"
tools/images/seed.sh --hostname seeded --password secret "$build/seed.img"
set -- /usr/bin/python3 -B tests/bench/bench_disk.py --alioth "$build/alioth" --system "$system" --loader "$build/linuxboot-images" --seed "$build/seed.img" "$@"
if "$build/alioth" check >/dev/null 2>&1; then
	exec "$@"
fi
exec tools/lab/lab run --cpus 1 --mem 4096 --timeout 7200 -- tools/lab/in_ram.sh "$build/alioth" "$build/linuxboot-images" "$build/seed.img" \
	"$system/vmlinuz" "$system/initrd.img" /usr/bin/qemu-system-x86_64 /usr/share/qemu /usr/share/seabios /usr/share/OVMF -- "$@"
