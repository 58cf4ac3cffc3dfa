/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which file system a partition has, from its first bytes. [any]
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As many bytes are enough. */
#define FS_IDENTITY_BYTES 2048

struct fs_identity {
	const char *type;    /* as mount(2) calls it: static */
	const char *options; /* for mounting it without writing to it, also where it was not
				unmounted, is damaged, or there is a copy of it: static */
	char uuid[40];       /* as blkid and GRUB write it */
};

/* false: none of those that a boot loader's configuration is found in (ext2 to ext4, FAT, XFS). */
bool fs_identify(const uint8_t *data, size_t len, struct fs_identity *ret_identity);
