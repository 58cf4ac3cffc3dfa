#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The small initramfs of the guests in demos, tests and benchmarks: busybox, an init, optionally modules.
# The same inputs give the same bytes.
#   tools/lab/guest_initramfs.sh OUT [KERNEL_FOLDER MODULE...]
# The guest understands on its kernel command line:
#   alioth.run=COMMAND   runs it ('+' stands for a space) and powers off
#   root=DEVICE          mounts DEVICE as the root file system (rootflags=OPTIONS) and runs its /sbin/init; also alioth.root=DEVICE
# and gives a shell otherwise.
set -eu
# shellcheck source=tools/lab/common.sh
. "$(dirname "$0")/common.sh"
out=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work/proc" "$work/sys" "$work/dev" "$work/mnt" "$work/tmp" "$work/lib/modules"
cp "$(command -v busybox)" "$work/bin/busybox"
for applet in $("$work/bin/busybox" --list); do
	[ "$applet" = busybox ] || ln -s busybox "$work/bin/$applet"
done
cp "$lab_dir/guest_init.sh" "$work/init"
chmod 755 "$work/init" "$work/bin/busybox"
if [ $# -gt 0 ]; then
	kernel=$1
	shift
	"$lab_dir/modules.sh" "$kernel" "$work/lib/modules" "$@"
fi
find "$work" -exec touch -h -d @0 {} +
mkdir -p "$(dirname "$out")"
(cd "$work" && find . | LC_ALL=C sort | cpio -o -H newc --quiet --reproducible --owner=0:0) >"$out.tmp.$$"
[ "$(stat -c %s "$out.tmp.$$")" -gt 500000 ] || lab_fail "the archive came out too small"
mv "$out.tmp.$$" "$out"
