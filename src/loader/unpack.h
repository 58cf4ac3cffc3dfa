/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What unpacking and the cache of unpacked kernels share.
 */
#pragma once

#include "loader/loader_internal.h"

/* Where and how a kernel is unpacked. Sizes in bytes. */
struct unpack_plan {
	uint64_t base; /* physical address of the image */
	uint64_t pref; /* link-time physical address */
	uint64_t align;
	uint64_t image_size; /* with .bss and what the kernel wants behind it */
	bool kaslr;
};

/* An unpacked payload in memory, as an ELF source. */
struct unpack_ram {
	struct elf_source source;
	uint8_t *data;
};

/* Uniform in 0 .. n - 1; 0 if there is no randomness to be had. */
uint64_t unpack_random_below(uint64_t n);
/* Bytes by which the image moves in virtual memory: a multiple of the alignment, 0 without KASLR or
 * room. */
uint64_t unpack_choose_virtual(const struct unpack_plan *plan);
/* The physical base for an image of `size` bytes; 0: no room. */
uint64_t unpack_choose_physical(const struct loader_state *state, uint64_t size);
