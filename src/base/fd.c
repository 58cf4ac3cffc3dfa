/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File descriptor helpers.
 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

int fd_read_full(int fd, void *buf, size_t len)
{
	char *p = buf;

	while (len) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -ENODATA;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_pread_full(int fd, void *buf, size_t len, uint64_t off)
{
	char *p = buf;

	while (len) {
		ssize_t n = pread(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -ENODATA;
		p += n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

int fd_write_full(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_pwrite_full(int fd, const void *buf, size_t len, uint64_t off)
{
	const char *p = buf;

	while (len) {
		ssize_t n = pwrite(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

static const char *fd_kind(mode_t mode)
{
	if (S_ISDIR(mode))
		return "a directory";
	if (S_ISFIFO(mode))
		return "a FIFO";
	if (S_ISSOCK(mode))
		return "a socket";
	return "a device";
}

struct err *fd_open_regular(const char *path, const char *what, int *ret_fd, uint64_t *ret_size)
{
	/* O_NONBLOCK: opening a FIFO without a writer would wait for ever. */
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return err_new(errno, "Cannot open the %s \"%s\"", what, path);
	if (fstat(fd, &st))
		return err_new(errno, "Cannot read the size of the %s \"%s\"", what, path);
	if (!S_ISREG(st.st_mode))
		return err_new(0, "The %s \"%s\" is %s, not a regular file", what, path,
			fd_kind(st.st_mode));
	*ret_size = (uint64_t)st.st_size;
	*ret_fd = steal_fd(&fd);
	return NULL;
}

struct err *fd_lock(int fd, bool shared, const char *path)
{
	if (!flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB))
		return NULL;
	if (errno != EWOULDBLOCK)
		return err_new(errno, "Cannot lock \"%s\"", path);
	return err_new(0,
		"\"%s\" is in use by another virtual machine, or by another device of this one",
		path);
}

int fd_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) ? -errno : 0;
}

int fd_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void fd_eventfd_signal(int fd)
{
	uint64_t one = 1;

	/* EAGAIN means that the counter is full, hence already signalled. */
	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

uint64_t fd_eventfd_drain(int fd)
{
	uint64_t value = 0;
	ssize_t n;

	do
		n = read(fd, &value, sizeof(value));
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(value) ? value : 0;
}
