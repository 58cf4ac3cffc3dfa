/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NOR flash: commands, and the way to the file.
 */
#define LOG_MODULE "flash"
#include "device/flash.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/overflow.h"
#include "base/thread.h"
#include "event/loop.h"

#define CMD_PROGRAM          0x10
#define CMD_PROGRAM_2        0x40
#define CMD_ERASE            0x20
#define CMD_CONFIRM          0xd0
#define CMD_CLEAR_STATUS     0x50
#define CMD_LOCK             0x60 /* and unlock, which is what the confirmation means */
#define CMD_LOCK_BLOCK       0x01
#define CMD_READ_STATUS      0x70
#define CMD_READ_ID          0x90
#define CMD_READ_CFI         0x98
#define CMD_READ_ARRAY       0xff

#define STATUS_READY         0x80u
#define STATUS_ERASE_ERROR   0x20u
#define STATUS_PROGRAM_ERROR 0x10u
#define STATUS_BAD_SEQUENCE  (STATUS_ERASE_ERROR | STATUS_PROGRAM_ERROR)

#define FLASH_SHOW_AFTER     256       /* reads in array mode */
#define FLASH_SYNC_NS        100000000 /* after the last write to the file */

enum flash_mode { FLASH_ARRAY, FLASH_STATUS, FLASH_ID, FLASH_CFI };

struct flash {
	struct device device;
	struct io_region region;
	struct flash_options options;
	struct loop_msg written;
	struct loop_timer timer; /* control thread only */
	pthread_mutex_t lock;    /* all below; lock order 40 */
	enum flash_mode mode;
	uint8_t command; /* that waits for its second cycle; 0: none */
	uint8_t status;
	bool shown;         /* the guest reads it as memory */
	unsigned int reads; /* in array mode since the last write */
	bool dirty;         /* the file has more than is durable */
	struct log_limit limit;
};

/* ---- The guest's view ---- */

static void flash_show_locked(struct flash *flash, bool shown)
{
	if (flash->shown != shown)
		flash->shown = flash->options.memory->ops->show(flash->options.memory, shown);
	flash->reads = 0;
}

static void flash_enter_locked(struct flash *flash, enum flash_mode mode)
{
	flash->mode = mode;
	flash->command = 0;
	flash->reads = 0;
	if (mode != FLASH_ARRAY)
		flash_show_locked(flash, false);
}

/* JESD68.01, 2.2: one kind of block, bytes, no buffer. */
static uint8_t flash_cfi(const struct flash *flash, uint64_t off)
{
	uint64_t blocks = flash->options.size / FLASH_BLOCK_SIZE - 1;
	const uint8_t table[0x40] = {
		[0x10] = 'Q',
		[0x11] = 'R',
		[0x12] = 'Y',
		[0x13] = 0x01, /* Intel, standard */
		[0x15] = 0x31, /* where the vendor's table is */
		[0x1b] = 0x45, /* volts */
		[0x1c] = 0x55,
		[0x1f] = 0x07, /* typical times, as powers of two */
		[0x21] = 0x0a,
		[0x23] = 0x04, /* how much longer they may be */
		[0x25] = 0x04,
		[0x27] = (uint8_t)ceil_log2(flash->options.size),
		[0x2c] = 0x01,
		[0x2d] = (uint8_t)blocks,
		[0x2e] = (uint8_t)(blocks >> 8),
		[0x2f] = (uint8_t)(FLASH_BLOCK_SIZE / 256),
		[0x30] = (uint8_t)(FLASH_BLOCK_SIZE / 256 >> 8),
		[0x31] = 'P',
		[0x32] = 'R',
		[0x33] = 'I',
		[0x34] = '1',
		[0x35] = '0',
	};

	return off < sizeof(table) ? table[off] : 0;
}

static uint8_t flash_id(uint64_t off)
{
	static const uint8_t id[] = {0x89, 0x18, 0}; /* Intel; device; not locked */

	return off % 256 < sizeof(id) ? id[off % 256] : 0;
}

static uint64_t flash_read(struct io_region *region, uint64_t off, unsigned int size)
{
	struct flash *flash = container_of(region, struct flash, region);

	auto_lock(&flash->lock);
	switch (flash->mode) {
	case FLASH_ARRAY:
		if (++flash->reads >= FLASH_SHOW_AFTER && !flash->command)
			flash_show_locked(flash, true);
		return load_le(flash->options.data + off, size);
	case FLASH_STATUS:
		return flash->status;
	case FLASH_ID:
		return flash_id(off);
	case FLASH_CFI:
		return flash_cfi(flash, off);
	}
	return 0;
}

/* ---- The file ---- */

/* [control] */
static void flash_sync(struct flash *flash)
{
	bool dirty;

	loop_timer_cancel(&flash->timer);
	with_lock (&flash->lock) {
		dirty = flash->dirty;
		flash->dirty = false;
	}
	if (dirty && fdatasync(flash->options.fd))
		log_warn("The firmware's variables may not be on the disk: %s", strerror(errno));
}

static void flash_on_timer(struct loop_timer *timer)
{
	flash_sync(container_of(timer, struct flash, timer));
}

static void flash_on_written(struct loop_msg *msg)
{
	struct flash *flash = container_of(msg, struct flash, written);

	loop_timer_set(flash->options.loop, &flash->timer, FLASH_SYNC_NS);
}

/* Content at off; false if the file would not have it. */
static bool flash_store_locked(struct flash *flash, uint64_t off, const uint8_t *data, size_t len)
{
	int ret = fd_pwrite_full(flash->options.fd, data, len, off);

	if (ret) {
		log_guest(&flash->limit, "The firmware's variables cannot be written: %s",
			strerror(-ret));
		return false;
	}
	memcpy(flash->options.data + off, data, len);
	if (!flash->dirty)
		loop_post(flash->options.loop, &flash->written);
	flash->dirty = true;
	return true;
}

/* ---- Commands ---- */

/* Programming makes zeros of ones, never ones of zeros. */
static uint8_t flash_program_locked(
	struct flash *flash, uint64_t off, unsigned int size, uint64_t value)
{
	uint8_t data[8];

	store_le(data, value, size);
	for (unsigned int i = 0; i < size; i++)
		data[i] &= flash->options.data[off + i];
	return flash_store_locked(flash, off, data, size) ? 0 : STATUS_PROGRAM_ERROR;
}

static uint8_t flash_erase_locked(struct flash *flash, uint64_t off)
{
	uint8_t ones[FLASH_BLOCK_SIZE];

	memset(ones, 0xff, sizeof(ones));
	return flash_store_locked(flash, align_down(off, FLASH_BLOCK_SIZE), ones, sizeof(ones))
		       ? 0
		       : STATUS_ERASE_ERROR;
}

/* The second cycle of a command: its data or its confirmation. */
static void flash_finish_locked(
	struct flash *flash, uint64_t off, unsigned int size, uint64_t value)
{
	uint8_t error = STATUS_BAD_SEQUENCE;

	switch (flash->command) {
	case CMD_PROGRAM:
	case CMD_PROGRAM_2:
		error = flash_program_locked(flash, off, size, value);
		break;
	case CMD_ERASE:
		if ((uint8_t)value == CMD_CONFIRM)
			error = flash_erase_locked(flash, off);
		break;
	case CMD_LOCK: /* blocks are never locked */
		if ((uint8_t)value == CMD_CONFIRM || (uint8_t)value == CMD_LOCK_BLOCK)
			error = 0;
		break;
	default:
		break;
	}
	flash->status |= (uint8_t)(STATUS_READY | error);
	flash_enter_locked(flash, FLASH_STATUS);
}

static void flash_begin_locked(struct flash *flash, uint8_t command)
{
	switch (command) {
	case CMD_PROGRAM:
	case CMD_PROGRAM_2:
	case CMD_ERASE:
	case CMD_LOCK:
		flash->command = command;
		break;
	case CMD_CLEAR_STATUS:
		/* Not even ready: what UEFI firmware knows a flash by, as QEMU has it so. */
		flash->status = 0;
		flash_enter_locked(flash, FLASH_ARRAY);
		break;
	case CMD_READ_STATUS:
		flash_enter_locked(flash, FLASH_STATUS);
		break;
	case CMD_READ_ID:
		flash_enter_locked(flash, FLASH_ID);
		break;
	case CMD_READ_CFI:
		flash_enter_locked(flash, FLASH_CFI);
		break;
	default: /* CMD_READ_ARRAY, and what is no command */
		flash_enter_locked(flash, FLASH_ARRAY);
		break;
	}
}

static void flash_write(struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct flash *flash = container_of(region, struct flash, region);

	auto_lock(&flash->lock);
	flash->reads = 0;
	if (flash->command)
		flash_finish_locked(flash, off, size, value);
	else
		flash_begin_locked(flash, (uint8_t)value);
}

/* ---- Device ---- */

static void flash_power_on_locked(struct flash *flash)
{
	flash_enter_locked(flash, FLASH_ARRAY);
	flash->status = STATUS_READY;
	flash_show_locked(flash, true);
}

static void flash_reset(struct device *device)
{
	struct flash *flash = container_of(device, struct flash, device);

	flash_sync(flash);
	auto_lock(&flash->lock);
	flash_power_on_locked(flash);
}

static void flash_quiesce(struct device *device)
{
	flash_sync(container_of(device, struct flash, device));
}

static void flash_free(struct device *device)
{
	struct flash *flash = container_of(device, struct flash, device);

	flash_sync(flash);
	flash_show_locked(flash, false);
	bus_remove(flash->options.mmio, &flash->region);
	pthread_mutex_destroy(&flash->lock);
	free(flash);
}

static const struct device_ops flash_device_ops = {
	.reset = flash_reset, .quiesce = flash_quiesce, .free = flash_free};
static const struct io_ops flash_io_ops = {.read = flash_read, .write = flash_write};

struct err *flash_create(const struct flash_options *options, struct device **ret_device)
{
	struct flash *flash = new0(struct flash);
	struct err *err;

	if (!flash)
		return err_new(ENOMEM, "Failed to create the flash");
	flash->device = (struct device){.ops = &flash_device_ops, .name = "flash"};
	flash->region = (struct io_region){
		.ops = &flash_io_ops, .name = flash->device.name, .size = options->size};
	flash->options = *options;
	flash->written.run = flash_on_written;
	flash->timer.fired = flash_on_timer;
	pthread_mutex_init(&flash->lock, NULL);
	err = bus_add_at(options->mmio, &flash->region, options->base);
	if (err) {
		flash_free(&flash->device);
		return err_wrap(err, "Failed to create the flash");
	}
	with_lock (&flash->lock)
		flash_power_on_locked(flash);
	*ret_device = &flash->device;
	return NULL;
}
