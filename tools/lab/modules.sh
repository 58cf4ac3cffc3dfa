#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copies kernel modules and all that they depend on, unpacked and numbered in the order of loading.
#   tools/lab/modules.sh KERNEL_FOLDER TARGET_FOLDER MODULE...
set -eu
kernel=$1
target=$2
shift 2
release=$(ls "$kernel/lib/modules")
mkdir -p "$target"
for module in "$@"; do
	# A module that is built in is listed as such, one that does not exist in this kernel is skipped.
	PATH=$PATH:/usr/sbin:/sbin modprobe -d "$kernel" -S "$release" --show-depends "$module" 2>/dev/null || true
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | {
	n=0
	while read -r file; do
		name=$(printf '%03d-%s' "$n" "${file##*/}")
		case $file in
		*.xz) xz -dc "$file" >"$target/${name%.xz}" ;;
		*.zst) zstd -q -dc "$file" >"$target/${name%.zst}" ;;
		*) cp "$file" "$target/$name" ;;
		esac
		n=$((n + 1))
	done
}
