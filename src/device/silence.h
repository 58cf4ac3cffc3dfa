/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells of firmware that does not speak. Builds that need what the machine does not have, such as
 * OVMF's for Secure Boot, which want system management mode, loop for ever without a word: after a
 * while a warning says so. It counts from the start of the loop, once, and changes nothing.
 */
#pragma once

#include "device/console.h"
#include "device/device.h"

struct silence_options {
	struct loop *loop;
	struct console *console; /* where a byte is a word; outlives the device */
	const char *path;        /* of the firmware; outlives the device */
	unsigned int patience_ms;
};

/* Free with device_free(), when the loop does not run. [main] */
struct err *must_check silence_create(
	const struct silence_options *options, struct device **ret_device);
