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
n=0
while read -r dir; do
	mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,access=any" "share$n" "/host$dir" || echo "LAB: cannot mount $dir"
	n=$((n + 1))
done </host/mnt/shares

# In a mount namespace of its own the outer file system is the root, which chroot alone does not make it: user namespaces need that.
enter() {
	busybox unshare -m busybox sh -c 'cd /host && mount -o move . / && exec busybox chroot . "$@"' enter "$@"
}

# A console port, with the size of the outer terminal. (Not cttyhack: it would take the serial port, as that is the active console.)
run_on_terminal() {
	read -r rows columns </host/mnt/interactive
	exec 3<>/dev/hvc0
	busybox stty sane rows "$rows" cols "$columns" <&3
	busybox setsid -c busybox chroot /host /bin/sh /mnt/run <&3 >&3 2>&3
}

# Plain ports: 1 is output, 2 is error unless both go to 1, 3 is input if there is any. The input goes through a pipe, which the
# command knows better than a port, and whose writer nobody waits for.
run_on_ports() {
	if [ -e /dev/vport0p3 ]; then
		busybox mkfifo /dev/shm/.stdin
		busybox cat /dev/vport0p3 >/dev/shm/.stdin &
		exec </dev/shm/.stdin
		busybox rm /dev/shm/.stdin
	else
		exec </dev/null
	fi
	exec 4>/dev/vport0p1 5>&4
	[ ! -e /dev/vport0p2 ] || exec 5>/dev/vport0p2
	enter /bin/sh /mnt/run >&4 2>&5 4>&- 5>&-
}

# A sign of life, for whoever waits outside: a host without timer interrupts waits for ever.
while :; do
	echo >/host/mnt/alive
	busybox sleep 5
done &
if [ -e /host/mnt/interactive ]; then
	run_on_terminal
else
	run_on_ports
fi
# The ports' writes have arrived when they return: the status is the last word.
echo $? >/host/mnt/status
busybox sync
echo o >/proc/sysrq-trigger
busybox sleep 60
