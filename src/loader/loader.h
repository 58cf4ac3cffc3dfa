/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels and initial RAM file systems into guest RAM.
 *
 * Theory of operation. loader_open() opens the files and looks at the kernel's headers: what can be
 * wrong with them is known before a VM exists. loader_load() puts everything into RAM that is all
 * zeros; at a reboot it is called again, on the same open files.
 *
 * A bzImage is a small unpacker around a compressed vmlinux. The loader unpacks that vmlinux on the
 * host, straight into its place in guest RAM, applies the relocations that the kernel build
 * appended to it for a virtual base of the host's choice, and enters it at its 64-bit entry, as the
 * unpacker would have done (Linux, arch/x86/boot/compressed/misc.c and kaslr.c). Whatever is
 * unusual about an image (format, sizes, relocations, room) makes it fall back to the guest's own
 * unpacker, with the reason in the log at debug level.
 *
 * Files are mapped where guest RAM allows (ram_map_file()): one that is written to in place while
 * the guest runs changes what the guest has not touched yet, and one that is truncated ends the
 * guest. Replacing a file by rename, as installers do, is fine.
 *
 * An optional cache directory keeps the unpacked form, so that a later start maps its pages
 * instead.
 */
#pragma once

#include "base/err.h"
#include "mem/ram.h"

struct loader;

enum loader_entry_kind {
	LOADER_LINUX64, /* 64-bit boot protocol: rsi = boot_params */
	LOADER_PVH,     /* 32-bit: ebx = hvm_start_info */
};

struct loader_options {
	const char *kernel;
	const char *what;      /* what errors call the kernel: a literal; NULL: "kernel" */
	bool pvh;              /* enter by the PVH note */
	const char *initramfs; /* NULL: none */
	const char *cmdline;   /* NULL: empty */
	bool unpack;           /* unpack a bzImage on the host */
	const char *cache;     /* directory, or NULL */
};

/* Types as in e820 and hvm_memmap_table_entry. */
enum loader_range_type { LOADER_RANGE_RAM = 1, LOADER_RANGE_RESERVED = 2, LOADER_RANGE_ACPI = 3 };

struct loader_range {
	uint64_t base, size;
	enum loader_range_type type;
};

/* What the board says about the machine. Addresses are physical. */
struct loader_layout {
	struct ram *ram;
	const struct loader_range *ranges; /* the guest's memory map, ascending */
	unsigned int n_ranges;
	uint64_t low_base; /* where kernels may go: [low_base, low_end) is RAM */
	uint64_t low_end;
	uint64_t params_base; /* boot_params or hvm_start_info: params_size bytes */
	uint64_t params_size;
	uint64_t cmdline_base;
	uint64_t cmdline_size; /* room, terminator included */
	uint64_t rsdp;
};

struct loader_entry {
	enum loader_entry_kind kind;
	uint64_t rip;
	uint64_t params;
	uint64_t map_end; /* end of what was loaded */
};

/* Opens and inspects. Strings are copied. [main] */
struct err *must_check loader_open(
	const struct loader_options *options, struct loader **ret_loader);
void loader_free(struct loader *loader);

/* Loads into zeroed RAM. [main] [control] */
struct err *must_check loader_load(
	struct loader *loader, const struct loader_layout *layout, struct loader_entry *ret_entry);
