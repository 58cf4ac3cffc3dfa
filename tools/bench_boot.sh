#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Start-up of the release binary against QEMU (tests/bench/bench_boot.py): on this machine's KVM where that runs guests, otherwise
# in the lab, with the programs, their libraries and the kernels in memory.
#   tools/bench_boot.sh RELEASE_BUILD_DIR [ARGUMENT OF bench_boot.py...]
# BENCH_KERNELS: some of debian12-cloud, debian12-generic, debian13-cloud, debian13-generic (default: all)
# BENCH_ENTRY_ONLY=1: on this machine's own KVM, even if it does not run guests, exec to the first ioctl(KVM_RUN) only
set -eu
build=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."
data=$build/bench
mkdir -p "$data"
gcc -O2 -static -o "$data/minimal" tests/bench/minimal_kvm.c
cp "$build/alioth" "$data/alioth"
tools/lab/guest_initramfs.sh "$data/initramfs"

bench() {
	if [ -n "${BENCH_ENTRY_ONLY:-}" ] || "$data/alioth" check >/dev/null 2>&1; then
		"$@" ${BENCH_ENTRY_ONLY:+--entry-only}
	else
		tools/lab/lab run --timeout 3000 -- tools/lab/in_ram.sh "$data" /usr/bin/qemu-system-x86_64 /usr/share/qemu /usr/share/seabios -- "$@"
	fi
}

for kernel in ${BENCH_KERNELS:-debian12-cloud debian12-generic debian13-cloud debian13-generic}; do
	cp -L "$(tools/lab/fetch.sh "$kernel")/boot/vmlinuz" "$data/bzImage"
	tools/lab/extract_vmlinux.py "$data/bzImage" "$data/vmlinux"
	echo "$kernel"
	# More vCPUs once: what they cost does not depend on the kernel.
	cpus=
	[ "$kernel" != debian12-cloud ] || cpus="--cpus 4 32"
	# shellcheck disable=SC2086 # words
	bench /usr/bin/python3 -B tests/bench/bench_boot.py --alioth "$data/alioth" --kernel "$data/bzImage" --vmlinux "$data/vmlinux" \
		--initramfs "$data/initramfs" --minimal "$data/minimal" $cpus "$@"
done
