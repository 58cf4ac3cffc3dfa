/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Console device (virtio 1.3, 5.3): one function whose ports are consoles (hvcN in the guest) or
 * named channels (/dev/virtio-ports/NAME), each with a console of the host at its far end.
 */
#pragma once

#include "device/console.h"
#include "virtio/virtio.h"

/* Port 0 among them, with two queues each and two for control (5.3.2). */
#define VIRTIO_CONSOLE_PORTS_MAX 15
#define VIRTIO_CONSOLE_NAME_MAX  63

struct virtio_console_port {
	struct console *console; /* outlives the device */
	const char *name;        /* copied; NULL: a console */
};

/*
 * The first console is port 0, which drivers without MULTIPORT know; without one there is no port
 * 0, as a driver would take it for a console. At most VIRTIO_CONSOLE_PORTS_MAX ids. The transport
 * takes the device over. [main]
 */
struct err *must_check virtio_console_create(
	const struct virtio_console_port *ports, unsigned int n, struct virtio_dev **ret_dev);
