#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: Apache-2.0
# For guests: looks at every device, and starts the kernel anew in place of the running one, under I/O, as often as kexec.left= on the
# kernel's command line says.
#   kexec_rounds.sh KERNEL_DISK INITRAMFS_DISK
# /dev/vda and /dev/pmem0 have a first MiB that never changes, the rest is written all the time; hwrng, eth0, a virtio console, its ports
# named agent and noise, a balloon of 4 MiB and a watchdog must be there.
export PATH=/bin
. devices.sh
left=$(sed 's/.*kexec\.left=\([0-9]*\).*/\1/' /proc/cmdline)
line=$(sed "s/kexec\.left=[0-9]*/kexec.left=$((left - 1))/" /proc/cmdline)
ifconfig eth0 10.77.0.2 up
# The host has packets of its own that wait for the guest's address, and drops some.
ping -c 3 -W 10 10.77.0.1 | grep -q "bytes from" && reached=yes
watchdog -T 60 -t 5 /dev/watchdog
within_time port_says agent "kexec $left" && within_time console_says "kexec $left" && said=yes
within_time has_inflated 1024 && given=yes
within_time pmem_syncs 256 && synced=yes
echo "kexec $left: $(head -c 1048576 /dev/vda | md5sum | cut -d' ' -f1) $(head -c 1048576 /dev/pmem0 | md5sum | cut -d' ' -f1)" \
	"random:$(head -c 32 /dev/hwrng | wc -c) reached:$reached said:$said given:$given synced:$synced"
[ "$left" != 0 ] || poweroff -f
yes "noise of a kernel that is about to go" >"$(find_port noise)" &
while :; do
	dd if=/dev/zero of=/dev/pmem0 bs=64k seek=16 count=16 conv=notrunc,fsync 2>/dev/null
done &
dd if=/dev/zero of=/dev/vda bs=64k seek=16 oflag=direct 2>/dev/null &
while :; do
	dd if=/dev/vda of=/dev/null bs=64k iflag=direct 2>/dev/null
done &
cat "$1" >/tmp/kernel
cat "$2" >/tmp/initramfs
kexec_self /tmp/kernel /tmp/initramfs "$line"
