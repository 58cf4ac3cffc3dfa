/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CMOS RAM and real-time clock: the MC146818 of a PC, UTC. Time and what the guest keeps in the RAM
 * outlive a reset, as on a battery; its distance from the host's clock is the guest's to set.
 */
#pragma once

#include "device/device.h"
#include "device/irq.h"
#include "mem/bus.h"

struct loop;

struct cmos_options {
	struct bus *pio; /* ports 0x70 and 0x71 */
	struct irq_line *irq;
	struct loop *loop;   /* alarms and the other interrupts of the clock */
	uint64_t ram_low;    /* bytes of RAM below 4 GiB, from 0 */
	uint64_t ram_high;   /* above */
	unsigned int n_cpus; /* 1 or more */
	/* Nanoseconds since 1970; NULL: the host's clock. [any] */
	int64_t (*clock)(void);
};

/* Free with device_free(). [main] */
struct err *must_check cmos_create(const struct cmos_options *options, struct device **ret_device);
