/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the ports and the items of fw_cfg.
 */
#pragma once

#include "base/log.h"
#include "base/thread.h"
#include "device/fw_cfg.h"

struct fw_cfg_item {
	uint16_t key;
	uint8_t *data; /* owned; NULL: fd */
	int fd;        /* owned, or -1 */
	uint64_t fd_offset;
	uint64_t size;
};

struct fw_cfg {
	struct device device;
	struct io_region selector, dma;
	struct bus *pio;
	struct ram *ram;
	struct fw_cfg_item *items; /* in order of addition; constant once the guest runs */
	size_t n_items;
	struct fw_cfg_item dir; /* of the named ones */
	size_t n_files;
	pthread_mutex_t lock;           /* all below; lock order 40 */
	const struct fw_cfg_item *item; /* selected; NULL: none */
	uint64_t offset;                /* 0 .. item's size */
	uint32_t dma_high;
	uint8_t window[1024]; /* the item's bytes around offset, for the data port */
	uint64_t window_at;
	size_t window_len;
	struct log_limit limit;
};

/* fw_cfg_items.c */
struct err *must_check fw_cfg_init_items(struct fw_cfg *fw);
void fw_cfg_free_items(struct fw_cfg *fw);
/* NULL: no such item. */
const struct fw_cfg_item *fw_cfg_find(const struct fw_cfg *fw, uint16_t key);
/* Bytes of an item, inside its size; 0 or -errno. */
int must_check fw_cfg_item_read(
	const struct fw_cfg_item *item, uint64_t off, void *dst, size_t len);
int must_check fw_cfg_item_to_ram(const struct fw_cfg_item *item, uint64_t off,
	const struct ram *ram, uint64_t gpa, size_t len);
/* One warning for a file that cannot be read, with its name; `error` is negative. */
void fw_cfg_warn_unreadable(struct fw_cfg *fw, const struct fw_cfg_item *item, int error);
