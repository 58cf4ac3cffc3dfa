#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Adds this machine's dynamic programs to an initramfs of guest_initramfs.sh, in its /bin, with the libraries and the loader that they
# need where they look for them. Kernels unpack one archive after the other, so the old one stays as it is. The same inputs give the same
# bytes. A program that is not there is a failure: tools/deps.sh lab.
#   tools/lab/guest_programs.sh OUT INITRAMFS PROGRAM...
# TREE=FOLDER: programs below a folder of unpacked packages find libraries there too; the guest has those where the packages would put them.
set -eu
# shellcheck source=tools/lab/common.sh
. "$(dirname "$0")/common.sh"
out=$1
initramfs=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A file of this machine under the same name in the guest, whatever links lead to it.
add() {
	target=$work${1#"${TREE:-}"}
	mkdir -p "$(dirname "$target")"
	cp -Lu "$1" "$target"
}

for program in "$@"; do
	path=$(PATH=$PATH:/usr/sbin:/sbin command -v "$program") || lab_fail "no program '$program' on this machine: run tools/deps.sh lab"
	mkdir -p "$work/bin"
	cp -L "$path" "$work/bin/"
	# A static program has none.
	for library in $(LD_LIBRARY_PATH=${TREE:+$TREE/usr/lib/x86_64-linux-gnu} ldd "$path" 2>/dev/null | grep -o '/[^ ]*'); do
		add "$library"
	done
done
find "$work" -exec touch -h -d @0 {} +
mkdir -p "$(dirname "$out")"
{
	cat "$initramfs"
	(cd "$work" && find . -mindepth 1 | LC_ALL=C sort | cpio -o -H newc --quiet --reproducible --owner=0:0)
} >"$out.tmp.$$"
mv "$out.tmp.$$" "$out"
