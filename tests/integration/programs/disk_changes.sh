#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: Apache-2.0
# For guests: makes the same changes to each disk, of 4 MiB: data of many lengths at many places, some of it over other data or over
# zeros, and zeros.
#   disk_changes.sh DISK...
export PATH=/bin
dd if=/dev/urandom of=/tmp/data bs=64k count=8 2>/dev/null

# OFFSET BYTES SKIP: bytes of the data, not from its start.
put() {
	dd if=/tmp/data of="$disk" bs=4k seek="$1" count="$2" skip="$3" iflag=count_bytes,skip_bytes oflag=seek_bytes conv=notrunc,fsync \
		2>/dev/null
}

# OFFSET BYTES [-p]: -p: the space may be given back.
zero() {
	/bin/fallocate "${3:--z}" -o "$1" -l "$2" "$disk"
}

change() {
	put 0 512 0 && put 123456 300000 7 && put 131072 65536 99 && put 4190208 4096 5 && put 3000000 1 0 && zero 1040384 614400 &&
		zero 2101248 307200 -p && put 1100000 5000 1 && put 2200000 70000 2
}

for disk in "$@"; do
	change
	echo "$disk changed:$?"
done
