/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parallel NOR flash, eight bits wide, with Intel's command set (JEDEC JESD68.01; Intel's P30
 * family): where UEFI firmware keeps its variables.
 *
 * Theory of operation. The content is a private mapping of a file, made by the board. Reading it
 * must not cost an exit for each byte, so in array mode the guest has it as read-only memory, and
 * only writes come here. A command that changes what reads return takes that memory away. It comes
 * back not with the return to array mode but after a row of reads: a driver that programs goes to
 * and fro with every byte, and each change of the guest's memory is dear.
 *
 * What is programmed or erased is written to the file at once, before the guest can go on, and made
 * durable a moment later, when the row of writes is over, or when the machine stops. If the file
 * cannot be written the command fails, as a worn flash would.
 */
#pragma once

#include "device/device.h"
#include "mem/bus.h"

struct flash_memory;
struct loop;

#define FLASH_BLOCK_SIZE 4096 /* what an erase clears */

struct flash_memory_ops {
	/* Shows the content to the guest as read-only memory, or takes it away; false: it stays
	 * away. [vcpu] [control] */
	bool (*show)(struct flash_memory *memory, bool shown);
};

struct flash_memory {
	const struct flash_memory_ops *ops;
};

struct flash_options {
	struct bus *mmio;
	uint64_t base;
	uint8_t *data; /* writable, page aligned; outlives the flash */
	uint64_t size; /* a multiple of FLASH_BLOCK_SIZE */
	int fd;        /* the file, open for writing; outlives the flash */
	struct flash_memory *memory;
	struct loop *loop;
};

/* Free with device_free(). [main] */
struct err *must_check flash_create(
	const struct flash_options *options, struct device **ret_device);
