/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The x86 Linux boot protocol (Documentation/arch/x86/boot.rst, zero-page.rst): the setup header of
 * a bzImage and the boot_params page, as offsets into bytes.
 */
#pragma once

#include "loader/loader.h"

/* Offsets in boot_params, and in a bzImage's first sectors. */
#define LINUX_ACPI_RSDP        0x070
#define LINUX_EXT_RAMDISK      0x0c0
#define LINUX_EXT_RAMDISK_SIZE 0x0c4
#define LINUX_EXT_CMDLINE      0x0c8
#define LINUX_E820_ENTRIES     0x1e8
#define LINUX_SETUP_SECTS      0x1f1
#define LINUX_SYSSIZE          0x1f4
#define LINUX_BOOT_FLAG        0x1fe
#define LINUX_JUMP             0x201 /* the header ends at 0x202 + this byte */
#define LINUX_MAGIC            0x202
#define LINUX_VERSION          0x206
#define LINUX_TYPE_OF_LOADER   0x210
#define LINUX_LOADFLAGS        0x211
#define LINUX_RAMDISK          0x218
#define LINUX_RAMDISK_SIZE     0x21c
#define LINUX_CMDLINE          0x228
#define LINUX_INITRD_MAX       0x22c
#define LINUX_ALIGNMENT        0x230
#define LINUX_RELOCATABLE      0x234
#define LINUX_XLOADFLAGS       0x236
#define LINUX_CMDLINE_SIZE     0x238
#define LINUX_PAYLOAD_OFFSET   0x248
#define LINUX_PAYLOAD_LENGTH   0x24c
#define LINUX_PREF_ADDRESS     0x258
#define LINUX_INIT_SIZE        0x260
#define LINUX_E820_TABLE       0x2d0
#define LINUX_E820_MAX         128
#define LINUX_PARAMS_SIZE      0x1000

#define LINUX_LOADED_HIGH      0x01
#define LINUX_KASLR_FLAG       0x02

/* The facts of a bzImage's setup header. */
struct linux_setup {
	uint8_t header[0x290]; /* file offset 0 on; boot_params takes 0x1f1 .. header_end */
	unsigned int header_end;
	uint64_t code_offset; /* in the file: the protected-mode part */
	uint64_t code_size;
	uint64_t payload_offset; /* in the file; 0: unknown */
	uint64_t payload_size;
	uint64_t pref_address;
	uint64_t init_size;
	uint64_t alignment;
	uint64_t initrd_max;
	uint32_t cmdline_max; /* bytes, without the terminator */
	bool relocatable;
};

/* Reads and checks the header of an open bzImage. [main] */
struct err *must_check linux_setup_read(int fd, uint64_t size, struct linux_setup *ret_setup);
/* What a vmlinux without a setup header gets. */
void linux_setup_default(struct linux_setup *ret_setup);

struct linux_params {
	const struct linux_setup *setup;
	const struct loader_layout *layout;
	uint64_t initrd, initrd_size;
	bool kaslr;
};

/* Writes boot_params. [main] */
struct err *must_check linux_params_write(const struct linux_params *params);
