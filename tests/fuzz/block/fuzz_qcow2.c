/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile qcow2 images: the input is the start of the file, but for its first four bytes, which
 * choose the requests. Whatever it says, requests end, with an error or without.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "block/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define QCOW2_FUZZ_FILE 0x50000

static struct block_image *qcow2_open(const uint8_t *data, size_t size)
{
	struct block_raw_options options = {.any_size = true};
	struct block_image *file = NULL;
	struct block_image *image = NULL;
	struct err *err;
	char path[64];
	int fd = memfd_create("image", MFD_CLOEXEC);

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	options.path = path;
	if (ftruncate(fd, QCOW2_FUZZ_FILE) || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	err = block_raw_open(&options, &file);
	close(fd);
	if (err)
		abort();
	err = block_qcow2_open(path, file, NULL, &image);
	if (err)
		block_image_free(file);
	err_free(err);
	return image;
}

/* Near either end of the disk, or of the first clusters. */
static void qcow2_requests(struct block_image *q, uint8_t choice)
{
	static uint8_t buf[8192];
	struct iovec iov[2] = {{buf, 512}, {buf + 512, sizeof(buf) - 512}};
	uint64_t len = MIN((uint64_t)sizeof(buf), q->facts.size);
	uint64_t off = choice & 1 ? q->facts.size - len : (uint64_t)(choice >> 4) * 4096;
	int ret = 0;

	if (off > q->facts.size - len)
		off = 0;
	iov[0].iov_len = MIN(len, 512ull);
	iov[1].iov_len = len - iov[0].iov_len;
	switch (choice >> 1 & 7) {
	case 0:
	case 1:
		ret |= q->ops->pwritev(q, iov, 2, off, choice & 2);
		break;
	case 2:
		ret |= q->ops->write_zeroes(q, off, len, choice & 16);
		break;
	case 3:
		ret |= q->ops->discard(q, off, len);
		break;
	case 4:
		ret |= q->ops->flush(q);
		break;
	case 5:
		err_free(q->ops->resize(q, q->facts.size + (512ull << (choice >> 4) * 3)));
		break;
	default:
		ret |= q->ops->preadv(q, iov, 2, off);
		break;
	}
	if (ret > 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct block_image *q;

	if (size < 4 || size > QCOW2_FUZZ_FILE)
		return 0;
	q = qcow2_open(data + 4, size - 4);
	for (int i = 0; q && i < 8; i++)
		qcow2_requests(q, (uint8_t)(data[i / 2] ^ (i & 1 ? 0x5b : 0)));
	block_image_free(q);
	return 0;
}
