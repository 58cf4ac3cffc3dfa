/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct I/O between a disk and a mapped file: the disk's buffers are the file's pages.
 *
 *     mapped_io DISK FILE BYTES
 *
 * Reads BYTES of the disk into FILE, which must be that long, and writes them to the disk behind
 * what was read.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void *map(const char *path, size_t len)
{
	int fd = open(path, O_RDWR);
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd < 0 || at == MAP_FAILED) {
		perror(path);
		exit(1);
	}
	return at;
}

int main(int argc, char **argv)
{
	size_t len = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
	int disk = len ? open(argv[1], O_RDWR | O_DIRECT) : -1;
	void *at = len ? map(argv[2], len) : NULL;

	if (disk < 0 || pread(disk, at, len, 0) != (ssize_t)len ||
		pwrite(disk, at, len, (off_t)len) != (ssize_t)len || msync(at, len, MS_SYNC)) {
		perror("mapped_io");
		return 1;
	}
	puts("mapped_io: done");
	return 0;
}
