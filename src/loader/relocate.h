/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relocations that the kernel build appends to a vmlinux for KASLR (Linux,
 * arch/x86/tools/relocs.c), read backwards from the end:
 *
 *     0, 64-bit addresses ..., [0, inverse 32-bit addresses ...,] 0, 32-bit addresses ...
 *
 * Each entry is the low half of a link-time virtual address at which a value has to be moved.
 * Linux 6.15 dropped the inverse list; the number of zeros tells.
 */
#pragma once

#include "base/err.h"

/* A kernel image in memory, as linked: byte 0 is the one at link_vaddr. */
struct relocate_image {
	uint8_t *data;
	uint64_t size;
	uint64_t link_vaddr; /* virtual address of byte 0 */
};

/* Little-endian 32-bit words; `n` of them. */
struct relocate_table {
	const uint8_t *words;
	uint64_t n;
};

/* true if the table has two or three lists and every address lies inside the image. [any] */
bool must_check relocate_check(
	const struct relocate_table *table, const struct relocate_image *image);
/* Moves the image by `delta` bytes in virtual memory; the table was checked. [any] */
void relocate_apply(
	const struct relocate_table *table, const struct relocate_image *image, uint64_t delta);
