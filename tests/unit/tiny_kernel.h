/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel of a few bytes: an ELF file in memory, entered in 64-bit mode, that the loader takes as
 * any other. For tests that need a whole VM but not much of a guest.
 */
#pragma once

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/endian.h"
#include "base/fd.h"
#include "unit.h"

#define TINY_KERNEL_BASE 0x100000u
#define TINY_KERNEL_PAGE 4096u

struct tiny_kernel {
	int fd;
	char path[32];
};

static inline void tiny_kernel_create(struct tiny_kernel *kernel, const void *code, size_t len)
{
	uint8_t image[2 * TINY_KERNEL_PAGE] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
	uint8_t *phdr = image + 64;

	assert_true(len <= TINY_KERNEL_PAGE);
	store_le16(image + 16, 2);    /* executable */
	store_le16(image + 18, 0x3e); /* x86-64 */
	store_le32(image + 20, 1);
	store_le64(image + 24, TINY_KERNEL_BASE); /* entry */
	store_le64(image + 32, 64);               /* program headers */
	store_le16(image + 52, 64);
	store_le16(image + 54, 56);
	store_le16(image + 56, 1);
	store_le32(phdr, 1);     /* PT_LOAD */
	store_le32(phdr + 4, 7); /* rwx */
	store_le64(phdr + 8, TINY_KERNEL_PAGE);
	store_le64(phdr + 16, TINY_KERNEL_BASE);
	store_le64(phdr + 24, TINY_KERNEL_BASE);
	store_le64(phdr + 32, TINY_KERNEL_PAGE);
	store_le64(phdr + 40, TINY_KERNEL_PAGE);
	store_le64(phdr + 48, TINY_KERNEL_PAGE);
	memcpy(image + TINY_KERNEL_PAGE, code, len);
	kernel->fd = memfd_create("tiny-kernel", MFD_CLOEXEC);
	assert_true(kernel->fd >= 0);
	assert_int_equal(fd_write_full(kernel->fd, image, sizeof(image)), 0);
	(void)snprintf(kernel->path, sizeof(kernel->path), "/proc/self/fd/%d", kernel->fd);
}

static inline void tiny_kernel_free(struct tiny_kernel *kernel)
{
	close(kernel->fd);
}
