/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fw_cfg: what the machine tells its firmware, and what the user passes to the guest by name (QEMU,
 * docs/specs/fw_cfg.rst). The x86 form: selector and data ports, and a DMA port.
 *
 * Items are added before the guest runs and never change; no item is writable. Content is copied
 * bytes, or a file that stays where it is: a kernel or an initramfs takes no memory here. Reading a
 * file is the one thing for which a vCPU waits for the host's disk, as firmware has nothing else to
 * do meanwhile; the wait is bounded by the item's size.
 *
 * Limits. At most FW_CFG_FILES_MAX named items. A DMA transfer that goes on for more than
 * FW_CFG_FILL_MAX bytes after the item's end fails, as all that it would do is to fill the guest's
 * memory with zeros.
 */
#pragma once

#include "device/device.h"
#include "mem/bus.h"
#include "mem/ram.h"

#define FW_CFG_PORTS_SIZE 12 /* selector and data, 2 unused, DMA address */
#define FW_CFG_NAME_MAX   55
#define FW_CFG_FILES_MAX  256
#define FW_CFG_FILL_MAX   MIB(1)

/* Selector keys of the items without a name. */
enum fw_cfg_key {
	FW_CFG_SIGNATURE = 0x00,
	FW_CFG_ID = 0x01,
	FW_CFG_RAM_SIZE = 0x03,
	FW_CFG_NOGRAPHIC = 0x04,
	FW_CFG_NB_CPUS = 0x05,
	FW_CFG_KERNEL_SIZE = 0x08,
	FW_CFG_INITRD_SIZE = 0x0b,
	FW_CFG_BOOT_MENU = 0x0e,
	FW_CFG_MAX_CPUS = 0x0f,
	FW_CFG_KERNEL_DATA = 0x11,
	FW_CFG_INITRD_DATA = 0x12,
	FW_CFG_CMDLINE_SIZE = 0x14,
	FW_CFG_CMDLINE_DATA = 0x15,
	FW_CFG_SETUP_SIZE = 0x17,
	FW_CFG_SETUP_DATA = 0x18,
	FW_CFG_FILE_DIR = 0x19,
	FW_CFG_FILE_FIRST = 0x20,
};

struct fw_cfg_options {
	struct bus *pio;
	struct ram *ram;
	uint16_t port; /* of the selector: FW_CFG_PORTS_SIZE ports */
};

/* What an item holds: `data`, or if that is NULL, `size` bytes of `fd` from `offset`. Data is
 * copied, and the descriptor duplicated, by whoever takes it. */
struct fw_cfg_content {
	const void *data;
	int fd;
	uint64_t offset;
	uint64_t size;
};

struct fw_cfg;

/* With signature, feature bits and an empty directory. [main] */
struct err *must_check fw_cfg_create(const struct fw_cfg_options *options, struct fw_cfg **ret_fw);
struct device *fw_cfg_device(struct fw_cfg *fw);

/* One item. An error if there is one of that key or name, for a name that is empty or too long, and
 * for a file above 4 GiB, whose size has no place in the directory. Before the guest runs. [main]
 */
struct err *must_check fw_cfg_add(
	struct fw_cfg *fw, enum fw_cfg_key key, const struct fw_cfg_content *content);
struct err *must_check fw_cfg_add_file(
	struct fw_cfg *fw, const char *name, const struct fw_cfg_content *content);
/* A number of `size` (1 .. 8) bytes, little-endian. [main] */
struct err *must_check fw_cfg_add_int(
	struct fw_cfg *fw, enum fw_cfg_key key, uint64_t value, unsigned int size);
