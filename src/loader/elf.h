/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF64 little-endian x86-64 executables: the program headers that matter, checked. System V ABI,
 * gABI 4.
 */
#pragma once

#include "base/err.h"

#define ELF_SEGMENTS_MAX 16
#define ELF_HEADERS_MAX  64 /* program headers of any type */
#define ELF_MAGIC        0x464c457fu
#define ELF_HEADER_SIZE  64
#define ELF_PHDR_SIZE    56

struct elf_segment {
	uint64_t offset; /* in the file */
	uint64_t paddr, vaddr;
	uint64_t filesz, memsz;
};

struct elf_image {
	uint64_t entry;
	unsigned int n; /* PT_LOAD with memsz > 0, ascending by paddr, not overlapping */
	struct elf_segment segments[ELF_SEGMENTS_MAX];
	uint64_t base, end; /* of the segments' physical addresses */
	uint64_t file_end;  /* end of what the headers describe: segments and section headers */
	uint32_t pvh_entry; /* of the note; 0: none */
};

/* Reads len bytes at off of the file or image; 0 or -errno. */
struct elf_source {
	int (*read)(const struct elf_source *source, uint64_t off, void *buf, size_t len);
	uint64_t size;
};

/* Inspects an image: every offset and size is inside it, addresses do not wrap or overlap. [any] */
struct err *must_check elf_inspect(const struct elf_source *source, struct elf_image *ret_image);
