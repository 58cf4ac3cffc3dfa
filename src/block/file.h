/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and block devices of the host that hold a guest's data: one virtual machine writes, or many
 * read.
 */
#pragma once

#include "base/err.h"

/*
 * Opens and locks (flock: exclusively, or shared if readonly); `flags` are further ones of open(2).
 * A block device that the host uses is refused to a writer, but with O_CREAT; one that is locked
 * for a moment, as by udev, it waits for, two seconds at most. Never waits for a FIFO's other end.
 * The lock is the open file's: it ends when the last descriptor and mapping of it are gone. [main]
 */
struct err *must_check block_file_open(const char *path, bool readonly, int flags, int *ret_fd);

#define BLOCK_PMEM_ALIGN MIB(2)

struct block_pmem_options {
	const char *path;
	uint64_t size; /* bytes; 0: the file's. A file that is not there or shorter is made so */
	bool readonly;
};

/*
 * A file or block device that will be mapped as persistent memory, locked like a disk's: its size,
 * a multiple of BLOCK_PMEM_ALIGN. [main]
 */
struct err *must_check block_pmem_open(
	const struct block_pmem_options *options, int *ret_fd, uint64_t *ret_size);
