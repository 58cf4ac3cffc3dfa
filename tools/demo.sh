#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `make demo`: a Debian kernel in a virtual machine, to a shell prompt.
#   tools/demo.sh ALIOTH_BINARY
# KERNEL= and INITRAMFS= replace the kernel and the initramfs. DEMO_CMD= runs a command in the guest instead of a shell.
set -eu
alioth=$(cd "$(dirname "$1")" && pwd)/${1##*/}
cd "$(dirname "$0")/.."

kernel=${KERNEL:-}
[ -n "$kernel" ] || kernel=$(tools/lab/fetch.sh debian12-cloud)/boot/vmlinuz
initramfs=${INITRAMFS:-}
if [ -z "$initramfs" ]; then
	initramfs=$(pwd)/build/demo-initramfs
	tools/lab/guest_initramfs.sh "$initramfs"
fi
cmdline="console=ttyS0 quiet"
[ -z "${DEMO_CMD:-}" ] || cmdline="$cmdline alioth.run=$(echo "$DEMO_CMD" | tr ' ' '+')"

set -- "$alioth" boot --kernel "$(readlink -f "$kernel")" --initramfs "$(readlink -f "$initramfs")" --cmdline "$cmdline" \
	--memory size=512M --cpu count=1

# Ctrl-A X is a way to leave, not a failure.
run() {
	status=0
	"$@" || status=$?
	[ $status = 8 ] || exit $status
}

if "$alioth" check >/dev/null 2>&1; then
	echo "KVM works here: the guest runs directly. Leave with Ctrl-A X or poweroff -f." >&2
	run "$@"
	exit
fi
echo "KVM does not run guests here ($("$alioth" check --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["reason"])'))." >&2
echo "The guest runs in an emulated host with real KVM. Leave with Ctrl-A X or poweroff -f." >&2
interactive=--interactive
[ -z "${DEMO_CMD:-}" ] || interactive=
run tools/lab/lab run --timeout 86400 $interactive -- "$@"
