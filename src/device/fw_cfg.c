/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fw_cfg: the ports. The items are in fw_cfg_items.c. Numbers of the DMA interface are big-endian.
 */
#define LOG_MODULE "fw_cfg"
#include "device/fw_cfg.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "device/fw_cfg_internal.h"

#define FW_CFG_DATA_OFF      1
#define FW_CFG_SELECTOR_SIZE 2
#define FW_CFG_DMA_OFF       4
#define FW_CFG_DMA_SIZE      8

#define FW_CFG_WRITE_CHANNEL 0x4000u /* a bit of the selector that means nothing any more */

#define FW_CFG_DMA_ERROR     0x01u
#define FW_CFG_DMA_READ      0x02u
#define FW_CFG_DMA_SKIP      0x04u
#define FW_CFG_DMA_SELECT    0x08u /* the key in the upper 16 bits */
#define FW_CFG_DMA_WRITE     0x10u

/* What the guest's DMA address points to. */
struct fw_cfg_dma {
	be32 control;
	be32 length;
	be64 address;
};
static_assert(sizeof(struct fw_cfg_dma) == 16, "ABI");

static void fw_cfg_select_locked(struct fw_cfg *fw, uint16_t key)
{
	fw->item = fw_cfg_find(fw, (uint16_t)(key & ~FW_CFG_WRITE_CHANNEL));
	fw->offset = 0;
	fw->window_len = 0;
}

/* Bytes of the selected item from the current place on. */
static uint64_t fw_cfg_left_locked(const struct fw_cfg *fw)
{
	return fw->item ? fw->item->size - fw->offset : 0;
}

/* ---- Selector and data ---- */

/* The window holds the item's bytes from where the guest is; zeros if the file cannot be read. */
static void fw_cfg_fill_window_locked(struct fw_cfg *fw)
{
	size_t len = MIN(fw_cfg_left_locked(fw), (uint64_t)sizeof(fw->window));
	int ret = fw_cfg_item_read(fw->item, fw->offset, fw->window, len);

	if (ret < 0) {
		fw_cfg_warn_unreadable(fw, fw->item, ret);
		memset(fw->window, 0, len);
	}
	fw->window_at = fw->offset;
	fw->window_len = len;
}

static uint8_t fw_cfg_next_byte_locked(struct fw_cfg *fw)
{
	if (!fw_cfg_left_locked(fw))
		return 0;
	if (fw->offset - fw->window_at >= fw->window_len)
		fw_cfg_fill_window_locked(fw);
	return fw->window[fw->offset++ - fw->window_at];
}

static uint64_t fw_cfg_read(struct io_region *region, uint64_t off, unsigned int size)
{
	struct fw_cfg *fw = container_of(region, struct fw_cfg, selector);

	if (off != FW_CFG_DATA_OFF)
		return 0;
	auto_lock(&fw->lock);
	return fw_cfg_next_byte_locked(fw);
}

static void fw_cfg_write(struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct fw_cfg *fw = container_of(region, struct fw_cfg, selector);

	if (off || size != FW_CFG_SELECTOR_SIZE)
		return;
	auto_lock(&fw->lock);
	fw_cfg_select_locked(fw, (uint16_t)value);
}

/* ---- DMA ---- */

/* The item into RAM; what is behind its end reads as zeros. */
static bool fw_cfg_dma_read_locked(struct fw_cfg *fw, uint64_t gpa, uint64_t len)
{
	uint64_t n = MIN(len, fw_cfg_left_locked(fw));
	int ret = 0;

	if (len - n > FW_CFG_FILL_MAX || !ram_contains(fw->ram, gpa, len))
		return false;
	if (n)
		ret = fw_cfg_item_to_ram(fw->item, fw->offset, fw->ram, gpa, n);
	if (ret < 0) {
		fw_cfg_warn_unreadable(fw, fw->item, ret);
		return false;
	}
	fw->offset += n;
	return !ram_fill(fw->ram, gpa + n, 0, len - n);
}

static bool fw_cfg_dma_run_locked(struct fw_cfg *fw, const struct fw_cfg_dma *dma)
{
	uint32_t control = be32_get(dma->control);
	uint32_t len = be32_get(dma->length);

	if (control & FW_CFG_DMA_SELECT)
		fw_cfg_select_locked(fw, (uint16_t)(control >> 16));
	if (control & FW_CFG_DMA_READ)
		return fw_cfg_dma_read_locked(fw, be64_get(dma->address), len);
	if (control & FW_CFG_DMA_WRITE)
		return !len; /* nothing is writable */
	if (control & FW_CFG_DMA_SKIP)
		fw->offset += MIN((uint64_t)len, fw_cfg_left_locked(fw));
	return true;
}

static void fw_cfg_dma_locked(struct fw_cfg *fw, uint64_t gpa)
{
	struct fw_cfg_dma dma;
	be32 result = {0};
	bool ok = !ram_read(fw->ram, gpa, &dma, sizeof(dma)) && fw_cfg_dma_run_locked(fw, &dma);

	if (!ok) {
		result = be32_make(FW_CFG_DMA_ERROR);
		log_guest(&fw->limit, "fw_cfg: the transfer described at %#llx failed",
			(unsigned long long)gpa);
	}
	if (ram_write(fw->ram, gpa, &result, sizeof(result)))
		log_guest(&fw->limit, "fw_cfg: no transfer is described at %#llx",
			(unsigned long long)gpa);
}

static uint64_t fw_cfg_read_dma(struct io_region *region, uint64_t off, unsigned int size)
{
	static const uint8_t signature[FW_CFG_DMA_SIZE] = "QEMU CFG";

	return load_le(signature + off, size);
}

/* The upper half of the address, then the lower half, which starts the transfer; or both at once.
 */
static void fw_cfg_write_dma(
	struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct fw_cfg *fw = container_of(region, struct fw_cfg, dma);
	uint32_t half = be32toh((uint32_t)value);

	auto_lock(&fw->lock);
	if (size == 8) {
		fw_cfg_dma_locked(fw, be64toh(value));
	} else if (size == 4 && off == 0) {
		fw->dma_high = half;
	} else if (size == 4 && off == 4) {
		uint64_t gpa = (uint64_t)fw->dma_high << 32 | half;

		fw->dma_high = 0;
		fw_cfg_dma_locked(fw, gpa);
	}
}

/* ---- Device ---- */

static void fw_cfg_reset(struct device *device)
{
	struct fw_cfg *fw = container_of(device, struct fw_cfg, device);

	auto_lock(&fw->lock);
	fw_cfg_select_locked(fw, FW_CFG_SIGNATURE);
	fw->dma_high = 0;
}

static void fw_cfg_free(struct device *device)
{
	struct fw_cfg *fw = container_of(device, struct fw_cfg, device);

	bus_remove(fw->pio, &fw->selector);
	bus_remove(fw->pio, &fw->dma);
	fw_cfg_free_items(fw);
	pthread_mutex_destroy(&fw->lock);
	free(fw);
}

static const struct device_ops fw_cfg_device_ops = {.reset = fw_cfg_reset, .free = fw_cfg_free};
static const struct io_ops fw_cfg_selector_ops = {.read = fw_cfg_read, .write = fw_cfg_write};
static const struct io_ops fw_cfg_dma_ops = {.read = fw_cfg_read_dma, .write = fw_cfg_write_dma};

static struct err *fw_cfg_init(struct fw_cfg *fw, uint16_t port)
{
	struct err *err = fw_cfg_init_items(fw);

	fw->selector = (struct io_region){
		.ops = &fw_cfg_selector_ops, .name = "fw-cfg", .size = FW_CFG_SELECTOR_SIZE};
	fw->dma = (struct io_region){
		.ops = &fw_cfg_dma_ops, .name = "fw-cfg-dma", .size = FW_CFG_DMA_SIZE};
	if (!err)
		err = bus_add_at(fw->pio, &fw->selector, port);
	if (!err)
		err = bus_add_at(fw->pio, &fw->dma, (uint64_t)port + FW_CFG_DMA_OFF);
	return err;
}

struct err *fw_cfg_create(const struct fw_cfg_options *options, struct fw_cfg **ret_fw)
{
	struct fw_cfg *fw = new0(struct fw_cfg);
	struct err *err;

	if (!fw)
		return err_new(ENOMEM, "Failed to create fw_cfg");
	fw->device = (struct device){.ops = &fw_cfg_device_ops, .name = "fw-cfg"};
	fw->pio = options->pio;
	fw->ram = options->ram;
	pthread_mutex_init(&fw->lock, NULL);
	err = fw_cfg_init(fw, options->port);
	if (err) {
		fw_cfg_free(&fw->device);
		return err_wrap(err, "Failed to create fw_cfg");
	}
	*ret_fw = fw;
	return NULL;
}

struct device *fw_cfg_device(struct fw_cfg *fw)
{
	return &fw->device;
}
