# shellcheck shell=dash
# SPDX-License-Identifier: Apache-2.0
# For scripts in guests: devices that take their time to come.

# COMMAND...: tried for ten seconds, until it succeeds.
within_time() {
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || return 1
		sleep 0.1
	done
}

# Prints the device file of the virtio port of that name.
find_port() {
	for name in /sys/class/virtio-ports/*/name; do
		[ "$(cat "$name" 2>/dev/null)" = "$1" ] || continue
		port=${name%/name}
		[ -c "/dev/${port##*/}" ] && echo "/dev/${port##*/}" && return
	done
	return 1
}

port_says() {
	port=$(find_port "$1") && echo "$2" >"$port"
}

# The number of the virtio console that there is may be another one when it comes again.
console_says() {
	for console in /dev/hvc*; do
		(: >"$console") 2>/dev/null && echo "$1" >"$console" && return
	done
	return 1
}

# Has the balloon taken so many pages since the kernel started?
has_inflated() {
	[ "$(sed -n 's/^balloon_inflate //p' /proc/vmstat)" -ge "$1" ]
}

# A page there is written, and on the host's storage.
pmem_syncs() {
	[ -b /dev/pmem0 ] && dd if=/dev/zero of=/dev/pmem0 bs=4k count=1 seek="$1" conv=notrunc,fsync 2>/dev/null
}

# It is started, and stopped again by its magic letter.
watchdog_works() {
	[ -c /dev/watchdog0 ] && echo V >/dev/watchdog0
}
