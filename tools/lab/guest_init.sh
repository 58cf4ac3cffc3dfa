#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# /init of the guests; see guest_initramfs.sh for what it understands.
export PATH=/bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev 2>/dev/null
for module in /lib/modules/*.ko; do
	[ -e "$module" ] && insmod "$module"
done
# With no other console than one whose driver has come just now.
case $(cat /proc/cmdline) in
*console=ttyS0*) ;;
*console=hvc0*)
	until (: <>/dev/hvc0) 2>/dev/null; do sleep 0.1; done
	exec <>/dev/hvc0 >&0 2>&0
	;;
esac
echo "alioth guest ready"
run=
root=
rootflags=
for word in $(cat /proc/cmdline); do
	case $word in
	alioth.run=*) run=${word#alioth.run=} ;;
	alioth.root=* | root=*) root=${word#*root=} ;;
	rootflags=*) rootflags=${word#rootflags=} ;;
	esac
done
if [ -n "$root" ]; then
	mount ${rootflags:+-o "$rootflags"} "$root" /mnt && exec switch_root /mnt /sbin/init
	echo "cannot mount $root"
	poweroff -f
fi
if [ -n "$run" ]; then
	eval "$(echo "$run" | tr '+' ' ')"
	poweroff -f
fi
echo "Type poweroff -f to leave."
while :; do
	setsid cttyhack sh
done
