#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: Apache-2.0
# For guests: rounds of fio with verification on every virtio disk, for a time, with the disks' drivers unbound and bound again under I/O.
#   fio_rounds.sh SECONDS
# In a round the first half of each disk is written at random and verified. Then the second half is written and read, and meanwhile
# the driver goes and comes: what is in flight is lost, and the device is reset under it. The first half must still be what it was.
export PATH=/bin
end=$(($(cut -d. -f1 /proc/uptime) + $1))
round=0
cut=0

halves="--size=50% --ioengine=libaio --direct=1 --iodepth=16 --group_reporting --thread --minimal"

verified() {
	disk=$1
	shift
	# shellcheck disable=SC2086 # options
	fio --name=verified --filename="/dev/$disk" $halves --rw=randwrite --bssplit=512/10:4k/60:12k/10:64k/20 --randseed="$round" \
		--verify=crc32c --verify_fatal=1 "$@" >"/tmp/$disk" 2>&1 && ! grep -q verify: "/tmp/$disk" && return
	echo "$disk, round $round: FAILED: $*"
	cat "/tmp/$disk"
	dmesg | tail -n 20
	poweroff -f
}

noise() {
	# shellcheck disable=SC2086
	fio --name=noise --filename="/dev/$1" --offset=50% $halves --rw=randrw --bs=4k --time_based --runtime=60 >"/tmp/noise.$1" 2>&1 &
}

# The virtio driver on even rounds, the transport's on odd ones.
rebind() {
	if [ $((round % 2)) = 0 ]; then
		driver=/sys/bus/virtio/drivers/virtio_blk
		device=$(basename "$(readlink -f "/sys/block/$1/device")")
	else
		driver=/sys/bus/pci/drivers/virtio-pci
		device=$(basename "$(dirname "$(readlink -f "/sys/block/$1/device")")")
	fi
	echo "$device" >$driver/unbind
	echo "$device" >$driver/bind
}

while [ "$(cut -d. -f1 /proc/uptime)" -lt "$end" ]; do
	round=$((round + 1))
	# A disk may get another name when it comes back.
	for disk in $(cd /sys/block && echo vd*); do
		verified "$disk" &
	done
	wait
	for disk in $(cd /sys/block && echo vd*); do
		noise "$disk"
	done
	sleep 1
	for disk in $(cd /sys/block && echo vd*); do
		rebind "$disk"
	done
	wait
	cut=$((cut + $(cat /tmp/noise.* | grep -c "io_u error")))
	for disk in $(cd /sys/block && echo vd*); do
		verified "$disk" --verify_only
	done
done
echo "fio rounds: $round done, $cut requests cut off"
