#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: Apache-2.0
# For guests: unbinds and binds the driver of every virtio device, then the transport's of its PCI function, many times, and that of the
# watchdog; after each the device must do something. The balloon is to ask for 4 MiB, a port is named agent.
#   rebind_rounds.sh ROUNDS
export PATH=/bin
. devices.sh
failures=0
pages=1024 # that the balloon has taken

# Devices whose use is not known here need only come back.
works() {
	case $1 in
	virtio_blk) dd if=/dev/vda of=/dev/null bs=64k count=4 iflag=direct 2>/dev/null ;;
	virtio_rng) [ "$(head -c 16 /dev/hwrng | wc -c)" = 16 ] ;;
	virtio_net) ifconfig eth0 10.77.0.2 up && ping -c 1 -W 10 10.77.0.1 >/dev/null ;;
	virtio_pmem) within_time pmem_syncs $((256 + n % 256)) ;;
	virtio_balloon)
		pages=$((pages + 1024))
		within_time has_inflated "$pages"
		;;
	virtio_console) within_time port_says agent "$2 $n" && within_time console_says "$2 $n" ;;
	i6300*) within_time watchdog_works ;;
	esac
}

# DRIVER FOLDER DEVICE
rounds() {
	n=0
	while [ $n -lt "$rounds" ]; do
		n=$((n + 1))
		echo "$3" >"$2/unbind" && echo "$3" >"$2/bind" && works "$1" "${2##*/}" && continue
		failures=$((failures + 1))
		echo "$1, $3: round $n failed"
		dmesg | tail -n 5
	done
	echo "$1 by ${2##*/}: $n rounds"
}

rounds=$1
for device in /sys/bus/virtio/devices/*; do
	driver=$(basename "$(readlink -f "$device/driver")")
	function=$(basename "$(dirname "$(readlink -f "$device")")")
	rounds "$driver" "/sys/bus/virtio/drivers/$driver" "$(basename "$device")"
	rounds "$driver" /sys/bus/pci/drivers/virtio-pci "$function"
done
for device in /sys/bus/pci/drivers/i6300*/0000:*; do
	rounds i6300esb "${device%/*}" "${device##*/}"
done
echo "rebind rounds: $failures failures, $(dmesg | grep -v ommand.line | grep -c -e I.O.error -e needs.reset) complaints"
