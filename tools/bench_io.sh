#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The data path of the release binary against QEMU (tests/bench/bench_io.py): fio, iperf3 and ping_pong in a Debian guest, on this
# machine's KVM where that runs guests, otherwise in the lab, with the programs and their libraries in memory.
#   tools/bench_io.sh RELEASE_BUILD_DIR [ARGUMENT OF bench_io.py...]
# BENCH_ROUNDS: how often everything is measured (3)     BENCH_SECONDS: of a measurement (1)
# BENCH_ONLY: a regular expression for the names of measurements, such as 'blk .*depth 32' or 'net tcp'
# BENCH_RESULTS: a file that keeps the figures of several calls; what it has counts as further rounds
set -eu
build=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."
data=$build/bench
mkdir -p "$data"
results=${BENCH_RESULTS:-}
cp "$build/alioth" "$data/alioth"
gcc -O2 -static -o "$data/ping_pong" tests/bench/ping_pong.c
kernel=$(tools/lab/fetch.sh debian12-cloud)
cp -L "$kernel/boot/vmlinuz" "$data/bzImage"
tools/lab/guest_initramfs.sh "$data/initramfs-modules" "$kernel" virtio_pci virtio_blk virtio_net
tools/lab/guest_programs.sh "$data/initramfs-io" "$data/initramfs-modules" "$data/ping_pong" tests/bench/io_guest.sh fio iperf3

set -- /usr/bin/python3 -B tests/bench/bench_io.py --alioth "$data/alioth" --kernel "$data/bzImage" --initramfs "$data/initramfs-io" \
	--ping-pong "$data/ping_pong" --rounds "${BENCH_ROUNDS:-3}" --seconds "${BENCH_SECONDS:-1}" --only "${BENCH_ONLY:-}" "$@"
if "$data/alioth" check >/dev/null 2>&1; then
	exec "$@" ${results:+--results "$results"}
fi
rm -rf "$data/modules"
tools/lab/modules.sh "$(tools/lab/fetch.sh debian13-generic)" "$data/modules" null_blk
mkdir -p "$data/results"
rm -f "$data/results/io.json"
[ -z "$results" ] || [ ! -e "$results" ] || cp "$results" "$data/results/io.json"
tools/lab/lab run --mem 4096 --timeout 3000 --share "$data/results" -- tools/lab/in_ram.sh "$data/alioth" "$data/bzImage" "$data/initramfs-io" \
	/usr/bin/qemu-system-x86_64 /usr/share/qemu /usr/share/seabios -- "$@" --modules "$data/modules" --results "$data/results/io.json"
[ -z "$results" ] || cp "$data/results/io.json" "$results"
