/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reset control register at port 0xcf9 (Intel ICH10, 13.7.5): bit 1 chooses a hard reset, a 0
 * to 1 change of bit 2 makes it happen, bit 3 is a full power cycle.
 *
 * Port 0xcf9 lies inside PCI's address register, which takes only 32-bit accesses. The owner of
 * that register (PCI, or the board of a machine without it) passes byte accesses to `region`.
 */
#pragma once

#include "device/device.h"
#include "device/machine_events.h"
#include "mem/bus.h"

struct reset_control;

struct err *must_check reset_control_create(
	struct machine_events *events, struct reset_control **ret_control);
/* For the machine's list; device_free() frees the object. */
struct device *reset_control_device(struct reset_control *control);
/* One byte, not on any bus yet. */
struct io_region *reset_control_region(struct reset_control *control);
