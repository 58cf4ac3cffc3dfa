/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registered memory: cut into pieces, and looked up.
 */
#include "block/memory.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/overflow.h"

#define MEMORY_PIECE_MAX GIB(1)

static int memory_compare(const void *a, const void *b)
{
	uintptr_t left = (uintptr_t)((const struct iovec *)a)->iov_base;
	uintptr_t right = (uintptr_t)((const struct iovec *)b)->iov_base;

	return (left > right) - (left < right);
}

static void memory_cut(struct block_memory *memory, const struct iovec *range)
{
	for (size_t done = 0; done < range->iov_len;) {
		struct iovec *piece = &memory->pieces[memory->n++];

		piece->iov_base = (char *)range->iov_base + done;
		piece->iov_len = MIN(range->iov_len - done, MEMORY_PIECE_MAX);
		done += piece->iov_len;
	}
}

int block_memory_init(struct block_memory *memory, const struct iovec *ranges, unsigned int n)
{
	size_t pieces = 0;

	*memory = (struct block_memory){0};
	if (!n)
		return 0;
	for (unsigned int i = 0; i < n; i++)
		pieces += ranges[i].iov_len / MEMORY_PIECE_MAX + 1;
	memory->pieces = new0_array(struct iovec, pieces);
	if (!memory->pieces)
		return -ENOMEM;
	for (unsigned int i = 0; i < n; i++)
		memory_cut(memory, &ranges[i]);
	qsort(memory->pieces, memory->n, sizeof(struct iovec), memory_compare);
	return 0;
}

void block_memory_deinit(struct block_memory *memory)
{
	free(memory->pieces);
	*memory = (struct block_memory){0};
}

int block_memory_register(
	const struct block_memory *memory, struct io_uring *ring, bool *ret_vectors)
{
	int ret = io_uring_register_buffers(ring, memory->pieces, memory->n);
	struct io_uring_probe *probe;

	if (ret)
		return ret;
	probe = io_uring_get_probe_ring(ring);
	*ret_vectors = probe && io_uring_opcode_supported(probe, BLOCK_MEMORY_OP_WRITEV);
	io_uring_free_probe(probe);
	return 0;
}

static bool memory_has(const struct iovec *piece, const struct iovec *part)
{
	uintptr_t base = (uintptr_t)piece->iov_base;
	uintptr_t at = (uintptr_t)part->iov_base;

	return at >= base && range_fits(at - base, part->iov_len, piece->iov_len);
}

int block_memory_find(const struct block_memory *memory, const struct iovec *parts, int n)
{
	unsigned int low = 0;
	unsigned int high = memory->n;

	if (!n)
		return -1;
	/* The last that does not begin behind the first part. */
	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if ((uintptr_t)memory->pieces[middle].iov_base <= (uintptr_t)parts->iov_base)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return -1;
	for (int i = 0; i < n; i++) {
		if (!memory_has(&memory->pieces[low - 1], &parts[i]))
			return -1;
	}
	return (int)low - 1;
}
