/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The port where firmware that was built for debugging writes its messages (QEMU's isa-debugcon):
 * lines of the log, at level debug.
 */
#pragma once

#include "device/device.h"
#include "mem/bus.h"

/* Free with device_free(). [main] */
struct err *must_check debug_port_create(
	struct bus *pio, uint16_t port, struct device **ret_device);
