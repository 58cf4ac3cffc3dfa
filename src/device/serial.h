/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serial port: 16550A with FIFOs (National Semiconductor PC16550D data sheet), its far end a
 * console.
 */
#pragma once

#include "device/console.h"
#include "device/device.h"
#include "device/irq.h"
#include "mem/bus.h"

struct serial;

struct serial_options {
	struct bus *bus; /* port I/O */
	uint64_t base;   /* eight ports */
	struct irq_line *irq;
	struct console *console; /* outlives the port */
};

/* Registers itself on the bus and as the console's peer. [main] */
struct err *must_check serial_create(
	const struct serial_options *options, struct serial **ret_serial);
/* For the machine's list; device_free() frees the port. */
struct device *serial_device(struct serial *serial);
