/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much of a keyboard controller as a reset through it takes: command 0xfe pulses the processor's
 * reset line
 * (`reboot=k`). No keyboard and no mouse are attached; a driver that probes is answered at
 * once and finds nothing.
 */
#pragma once

#include "device/device.h"
#include "device/machine_events.h"
#include "mem/bus.h"

/*
 * Ports 0x60 and 0x64. One that is `hidden` only resets: both ports read as if nobody was there, as
 * firmware would wait many seconds for a keyboard. Free with device_free(). [main]
 */
struct err *must_check i8042_create(
	struct bus *pio, struct machine_events *events, bool hidden, struct device **ret_device);
