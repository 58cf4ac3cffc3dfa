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

interactive=--interactive
[ -z "${DEMO_CMD:-}" ] || interactive=
# shellcheck disable=SC2086 # an option or none
exec tools/on_kvm.sh "$alioth" $interactive -- "$@"
