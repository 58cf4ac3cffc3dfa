/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Setup header and boot_params.
 */
#include "loader/linux_params.h"

#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "base/fd.h"

#define LINUX_VERSION_MIN    0x020c /* 2.12: xloadflags, 64-bit entry */
#define LINUX_XLF_KERNEL_64  0x01
#define LINUX_HEADER_MIN     (LINUX_INIT_SIZE + 4)
#define LINUX_LOADER_UNKNOWN 0xff
#define LINUX_MAGIC_VALUE    0x53726448 /* "HdrS" */
#define LINUX_SECTOR         512u
#define LINUX_ADDRESS_MAX    GIB(512)

static struct err *linux_setup_check(const uint8_t *h, uint64_t size, struct linux_setup *setup)
{
	unsigned int sectors = h[LINUX_SETUP_SECTS] ? h[LINUX_SETUP_SECTS] : 4;

	if (load_le16(h + LINUX_VERSION) < LINUX_VERSION_MIN)
		return err_new(ENOEXEC, "The boot protocol %u.%02u is older than 2.12",
			h[LINUX_VERSION + 1], h[LINUX_VERSION]);
	if (!(load_le16(h + LINUX_XLOADFLAGS) & LINUX_XLF_KERNEL_64))
		return err_new(ENOEXEC, "The kernel has no 64-bit entry point");
	setup->header_end = LINUX_MAGIC + h[LINUX_JUMP];
	if (setup->header_end < LINUX_HEADER_MIN || setup->header_end > sizeof(setup->header))
		return err_new(ENOEXEC, "The setup header has a bad length");
	setup->code_offset = (sectors + 1ull) * LINUX_SECTOR;
	if (setup->code_offset + 0x400 > size)
		return err_new(ENOEXEC, "The bzImage is truncated: its setup part says %u sectors",
			sectors);
	setup->code_size = size - setup->code_offset;
	/* syssize counts paragraphs; protocol 2.04 and newer fill in all 32 bits. */
	if (setup->code_size < (uint64_t)load_le32(h + LINUX_SYSSIZE) * 16)
		return err_new(ENOEXEC, "The bzImage is truncated: %llu bytes of %llu",
			(unsigned long long)size,
			(unsigned long long)(setup->code_offset +
					     (uint64_t)load_le32(h + LINUX_SYSSIZE) * 16));
	return NULL;
}

static void linux_setup_payload(const uint8_t *h, struct linux_setup *setup)
{
	uint64_t offset = load_le32(h + LINUX_PAYLOAD_OFFSET);
	uint64_t length = load_le32(h + LINUX_PAYLOAD_LENGTH);

	if (!length || !range_fits(offset, length, setup->code_size))
		return;
	setup->payload_offset = setup->code_offset + offset;
	setup->payload_size = length;
}

struct err *linux_setup_read(int fd, uint64_t size, struct linux_setup *setup)
{
	const uint8_t *h = setup->header;
	struct err *err;
	int ret;

	*setup = (struct linux_setup){0};
	if (size < sizeof(setup->header))
		return err_new(ENOEXEC, "The bzImage is truncated");
	ret = fd_pread_full(fd, setup->header, sizeof(setup->header), 0);
	if (ret)
		return err_new(-ret, "Cannot read the setup header");
	err = linux_setup_check(h, size, setup);
	if (err)
		return err;
	linux_setup_payload(h, setup);
	setup->pref_address = load_le64(h + LINUX_PREF_ADDRESS);
	setup->init_size = load_le32(h + LINUX_INIT_SIZE);
	setup->alignment = load_le32(h + LINUX_ALIGNMENT);
	setup->initrd_max = load_le32(h + LINUX_INITRD_MAX);
	setup->cmdline_max = load_le32(h + LINUX_CMDLINE_SIZE);
	setup->relocatable = h[LINUX_RELOCATABLE];
	if (!is_pow2(setup->alignment) || setup->alignment < 4096 || setup->alignment > GIB(1))
		return err_new(ENOEXEC, "The kernel's alignment, %#llx, is not sane",
			(unsigned long long)setup->alignment);
	if (setup->pref_address % 4096 || setup->pref_address > LINUX_ADDRESS_MAX)
		return err_new(ENOEXEC, "The kernel's load address, %#llx, is not sane",
			(unsigned long long)setup->pref_address);
	/* What the file holds has to fit, whatever the header says. */
	setup->init_size = MAX(setup->init_size, setup->code_size);
	return NULL;
}

void linux_setup_default(struct linux_setup *setup)
{
	*setup = (struct linux_setup){
		.header_end = LINUX_HEADER_MIN,
		.pref_address = MIB(16),
		.alignment = MIB(2),
		.initrd_max = INT32_MAX,
		.cmdline_max = 2047, /* COMMAND_LINE_SIZE of x86, less the terminator */
		.relocatable = true,
	};
	store_le16(setup->header + LINUX_BOOT_FLAG, 0xaa55);
	store_le32(setup->header + LINUX_MAGIC, LINUX_MAGIC_VALUE);
	store_le16(setup->header + LINUX_VERSION, 0x020f);
	store_le16(setup->header + LINUX_XLOADFLAGS, LINUX_XLF_KERNEL_64);
	store_le32(setup->header + LINUX_ALIGNMENT, (uint32_t)setup->alignment);
	store_le32(setup->header + LINUX_CMDLINE_SIZE, setup->cmdline_max);
	store_le32(setup->header + LINUX_INITRD_MAX, (uint32_t)setup->initrd_max);
	setup->header[LINUX_RELOCATABLE] = 1;
}

static struct err *linux_params_e820(uint8_t *page, const struct loader_layout *layout)
{
	if (layout->n_ranges > LINUX_E820_MAX)
		return err_new(ENOSPC, "The memory map has more than %d entries", LINUX_E820_MAX);
	page[LINUX_E820_ENTRIES] = (uint8_t)layout->n_ranges;
	for (unsigned int i = 0; i < layout->n_ranges; i++) {
		uint8_t *entry = page + LINUX_E820_TABLE + (size_t)i * 20;

		store_le64(entry, layout->ranges[i].base);
		store_le64(entry + 8, layout->ranges[i].size);
		store_le32(entry + 16, (uint32_t)layout->ranges[i].type);
	}
	return NULL;
}

struct err *linux_params_write(const struct linux_params *params)
{
	const struct loader_layout *layout = params->layout;
	uint8_t page[LINUX_PARAMS_SIZE] = {0};
	struct err *err;

	memcpy(page + LINUX_SETUP_SECTS, params->setup->header + LINUX_SETUP_SECTS,
		params->setup->header_end - LINUX_SETUP_SECTS);
	page[LINUX_TYPE_OF_LOADER] = LINUX_LOADER_UNKNOWN;
	page[LINUX_LOADFLAGS] =
		(uint8_t)((page[LINUX_LOADFLAGS] & ~LINUX_KASLR_FLAG) | LINUX_LOADED_HIGH |
			  (params->kaslr ? LINUX_KASLR_FLAG : 0));
	store_le32(page + LINUX_CMDLINE, (uint32_t)layout->cmdline_base);
	store_le32(page + LINUX_EXT_CMDLINE, (uint32_t)(layout->cmdline_base >> 32));
	store_le32(page + LINUX_RAMDISK, (uint32_t)params->initrd);
	store_le32(page + LINUX_EXT_RAMDISK, (uint32_t)(params->initrd >> 32));
	store_le32(page + LINUX_RAMDISK_SIZE, (uint32_t)params->initrd_size);
	store_le32(page + LINUX_EXT_RAMDISK_SIZE, (uint32_t)(params->initrd_size >> 32));
	store_le64(page + LINUX_ACPI_RSDP, layout->rsdp);
	err = linux_params_e820(page, layout);
	if (!err && ram_write(layout->ram, layout->params_base, page, sizeof(page)))
		err = err_new(EFAULT, "boot_params do not fit in RAM");
	return err;
}
