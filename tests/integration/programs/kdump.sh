#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: Apache-2.0
# For guests: loads a crash kernel and panics; that kernel keeps what the one before it had to say on a disk, and leaves.
#   kdump.sh KERNEL_DISK INITRAMFS_DISK DUMP_DISK KEXEC_OPTION poweroff|reboot|panic
# On the kernel's command line: crashkernel=SIZE. After a reboot by the crash kernel there is something on DUMP_DISK, which is printed.
export PATH=/bin
if [ -e /proc/vmcore ]; then
	echo "crash kernel: $(nproc) processor, vmcore of $(stat -c %s /proc/vmcore) bytes"
	vmcore-dmesg /proc/vmcore >/tmp/dmesg
	{
		echo kept:
		tail -n 100 /tmp/dmesg
	} >"$3"
	sync
	[ "$5" != panic ] || echo c >/proc/sysrq-trigger
	"$5" -f
fi
if [ "$(head -c 5 "$3")" = kept: ]; then
	echo "kept until now: $(grep -c 'sysrq: Trigger a crash' "$3")"
	poweroff -f
fi
cat "$1" >/tmp/kernel
cat "$2" >/tmp/initramfs
line=$(sed 's/crashkernel=[^ ]*//' /proc/cmdline)
kexec "$4" -p /tmp/kernel --initrd=/tmp/initramfs --append="$line nr_cpus=1 reset_devices"
echo "loaded: $(cat /sys/kernel/kexec_crash_loaded)"
sync
echo c >/proc/sysrq-trigger
