/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole reads and writes on file descriptors, opening regular files that hostile users name, and
 * eventfds. All functions retry EINTR and return 0 or -errno where not said otherwise. [any]
 */
#pragma once

#include <sys/types.h>

#include "base/err.h"
#include "base/macros.h"

/* Exactly len bytes, or -errno; -ENODATA at an early end of file. */
int must_check fd_read_full(int fd, void *buf, size_t len);
int must_check fd_pread_full(int fd, void *buf, size_t len, uint64_t off);
int must_check fd_write_full(int fd, const void *buf, size_t len);
int must_check fd_pwrite_full(int fd, const void *buf, size_t len, uint64_t off);

/*
 * Opens a regular file for reading without ever blocking (a FIFO or a device is refused), and gives
 * its size. `what` names it in errors ("kernel"). The caller closes *ret_fd.
 */
struct err *must_check fd_open_regular(
	const char *path, const char *what, int *ret_fd, uint64_t *ret_size);

/*
 * Locks an open file, shared or for this descriptor alone, without waiting (flock: also against
 * other descriptors of this process). `path` names it in the error.
 */
struct err *must_check fd_lock(int fd, bool shared, const char *path);

int must_check fd_set_nonblock(int fd, bool on);

/* A non-blocking, close-on-exec eventfd, or -errno. */
int must_check fd_eventfd(void);
void fd_eventfd_signal(int fd);
/* Empties it; the value it had, 0 if it was empty. */
uint64_t fd_eventfd_drain(int fd);
