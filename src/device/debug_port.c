/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firmware's debug port.
 */
#define LOG_MODULE "firmware"
#include "device/debug_port.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/thread.h"

#define DEBUG_PORT_PRESENT  0xe9 /* what a read says */
#define DEBUG_PORT_LINE_MAX 200  /* a longer line goes on in the next one of the log */

struct debug_port {
	struct device device;
	struct io_region region;
	struct bus *pio;
	pthread_mutex_t lock; /* all below; lock order 40 */
	char line[DEBUG_PORT_LINE_MAX + 1];
	size_t len;
};

static uint64_t debug_port_read(struct io_region *region, uint64_t off, unsigned int size)
{
	return DEBUG_PORT_PRESENT;
}

static void debug_port_flush_locked(struct debug_port *port)
{
	if (port->len) {
		port->line[port->len] = 0;
		log_debug("%s", port->line);
	}
	port->len = 0;
}

static void debug_port_write(
	struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct debug_port *port = container_of(region, struct debug_port, region);
	char c = (char)value;

	if (!log_enabled(LOG_DEBUG, LOG_MODULE) || c == '\r')
		return;
	auto_lock(&port->lock);
	if (c == '\n' || port->len == DEBUG_PORT_LINE_MAX)
		debug_port_flush_locked(port);
	if (c != '\n')
		port->line[port->len++] = c;
}

static void debug_port_reset(struct device *device)
{
	struct debug_port *port = container_of(device, struct debug_port, device);

	auto_lock(&port->lock);
	debug_port_flush_locked(port);
}

static void debug_port_free(struct device *device)
{
	struct debug_port *port = container_of(device, struct debug_port, device);

	debug_port_reset(device);
	bus_remove(port->pio, &port->region);
	pthread_mutex_destroy(&port->lock);
	free(port);
}

static const struct device_ops debug_port_device_ops = {
	.reset = debug_port_reset, .free = debug_port_free};
static const struct io_ops debug_port_io_ops = {.read = debug_port_read, .write = debug_port_write};

struct err *debug_port_create(struct bus *pio, uint16_t port, struct device **ret_device)
{
	struct debug_port *debug = new0(struct debug_port);
	struct err *err;

	if (!debug)
		return err_new(ENOMEM, "Failed to create the firmware's debug port");
	debug->device = (struct device){.ops = &debug_port_device_ops, .name = "debug-port"};
	debug->region = (struct io_region){
		.ops = &debug_port_io_ops, .name = debug->device.name, .size = 1};
	debug->pio = pio;
	pthread_mutex_init(&debug->lock, NULL);
	err = bus_add_at(pio, &debug->region, port);
	if (err) {
		debug_port_free(&debug->device);
		return err_wrap(err, "Failed to create the firmware's debug port");
	}
	*ret_device = &debug->device;
	return NULL;
}
