#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# /init of the emulated host: loads KVM, enters the outer machine's own file system, runs the job, leaves its status.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
for module in /lib/modules/*.ko; do
	insmod "$module" 2>/dev/null
done
share() {
	mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "$2"
}
mkdir -p /host
share host /host cache=loose,ro || echo "LAB: cannot mount the outer file system"
mount -t tmpfs none /host/run
mkdir -p /dev/shm /dev/pts /dev/hugepages
mount -t tmpfs none /dev/shm
mount -t devpts none /dev/pts
mount -t hugetlbfs none /dev/hugepages
mount --rbind /dev /host/dev
mount -t proc none /host/proc
mount -t sysfs none /host/sys
mount -t tracefs none /host/sys/kernel/tracing
share job /host/mnt rw || echo "LAB: cannot mount the job"
ifconfig lo up
export TMPDIR=/dev/shm PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=linux
stty raw -echo </dev/hvc0
if [ -e /host/mnt/interactive ]; then
	busybox setsid busybox cttyhack busybox chroot /host /bin/sh /mnt/run </dev/hvc0 >/dev/hvc0 2>&1
	echo $? >/host/mnt/status
else
	{ busybox chroot /host /bin/sh /mnt/run </dev/null 2>&1; echo $? >/host/mnt/status; } | busybox cat >/dev/hvc0
fi
busybox stty sane </dev/hvc0
busybox sync
echo o >/proc/sysrq-trigger
busybox sleep 60
