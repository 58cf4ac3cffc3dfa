#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Start-up of the release binary against QEMU (tests/bench/bench_boot.py): on this machine's KVM where that runs guests, otherwise
# in the lab with time that counts instructions.
#   tools/bench_boot.sh RELEASE_BUILD_DIR [ARGUMENT OF bench_boot.py...]
set -eu
build=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."
kernel=$(tools/lab/fetch.sh debian12-cloud)/boot/vmlinuz
tools/lab/guest_initramfs.sh "$build/bench-initramfs"
cp -L "$kernel" "$build/bench-bzImage"
tools/lab/extract_vmlinux.py "$build/bench-bzImage" "$build/bench-vmlinux"
gcc -O2 -static -o "$build/minimal_kvm" tests/bench/minimal_kvm.c
set -- /usr/bin/python3 -B tests/bench/bench_boot.py --alioth "$build/alioth" --kernel "$build/bench-bzImage" \
	--vmlinux "$build/bench-vmlinux" --initramfs "$build/bench-initramfs" --minimal "$build/minimal_kvm" "$@"
if "$build/alioth" check >/dev/null 2>&1; then
	exec "$@"
fi
exec tools/lab/lab run --icount --timeout 3000 -- "$@"
