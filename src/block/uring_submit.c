/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The io_uring engine: which way a request goes, and its entry in the ring.
 */
#include "block/uring_internal.h"

#include <errno.h>
#include <limits.h>
#include <sys/uio.h>

/* Bytes of one entry (the rest follows as after a short transfer), and of all that are made before
 * the user is asked again whether it wants that. */
#define URING_LEN_MAX  (64u << 20)
#define URING_RETRY_NS 1000000u /* when the kernel has no memory for a submission */
#define URING_SKIP_MAX 63u      /* writes that are not tried after one that was refused */

/* ---- Which way a request goes ---- */

/* Would it make the kernel wait? */
static bool uring_waits(struct block_uring *u, const struct block_request *r)
{
	if (r->op != BLOCK_READ && r->op != BLOCK_WRITE)
		return true;
	if (uring_is_direct(u, r))
		return false;
	/* A write and a flush (raw.c). */
	if (r->fua)
		return true;
	if (!u->nowait)
		return !u->raw->is_device;
	if (r->op == BLOCK_READ || !u->skip)
		return false;
	u->skip--;
	return true;
}

static int uring_flags(const struct block_uring *u, const struct block_request *r)
{
	bool write = r->op == BLOCK_WRITE;

	return (write && r->fua ? RWF_DSYNC : 0) |
	       (u->nowait && (write || uring_is_direct(u, r)) ? RWF_NOWAIT : 0);
}

void uring_refused(struct block_uring *u, struct block_request *r)
{
	if (r->op == BLOCK_WRITE && !uring_is_direct(u, r))
		u->skip = u->skipped = MIN(2 * u->skipped + 1, URING_SKIP_MAX);
	block_fifo_add(&u->slow, r);
}

/* ---- Submission ---- */

/* The pieces of the next entry: as many as it may have, or a part of one; their bytes. */
static int uring_part(struct block_request *r, uint64_t *ret_len)
{
	uint64_t len;
	int n = 1;

	/* A transfer of nothing would look like the end of the file. */
	for (; r->n > 1 && !r->iov->iov_len; r->n--)
		r->iov++;
	len = r->iov->iov_len;
	while (n < MIN(r->n, IOV_MAX) && len + r->iov[n].iov_len <= URING_LEN_MAX)
		len += r->iov[n++].iov_len;
	*ret_len = MIN(len, (uint64_t)URING_LEN_MAX);
	return n;
}

/* The same by way of registered memory, if all of its n pieces are in one piece of that. */
static void uring_prepare_fixed(
	const struct block_uring *u, struct io_uring_sqe *sqe, const struct block_request *r, int n)
{
	bool write = r->op == BLOCK_WRITE;
	int piece = -1;

	if (n == 1 || u->fixed_vectors)
		piece = block_memory_find(&u->raw->memory, r->iov, n);
	if (piece < 0)
		return;
	if (n == 1)
		sqe->opcode = write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
	else
		sqe->opcode = write ? BLOCK_MEMORY_OP_WRITEV : BLOCK_MEMORY_OP_READV;
	sqe->buf_index = (uint16_t)piece;
}

/* The bytes of the entry. */
static uint64_t uring_prepare(
	const struct block_uring *u, struct io_uring_sqe *sqe, struct block_request *r)
{
	int file = r->buffered ? URING_FILE_BUFFERED : URING_FILE_MAIN;
	bool write = r->op == BLOCK_WRITE;
	uint64_t bytes;
	int n = uring_part(r, &bytes);
	unsigned int len = (unsigned int)bytes;

	if (n == 1 && write)
		io_uring_prep_write(sqe, file, r->iov->iov_base, len, r->off);
	else if (n == 1)
		io_uring_prep_read(sqe, file, r->iov->iov_base, len, r->off);
	else if (write)
		io_uring_prep_writev(sqe, file, r->iov, (unsigned int)n, r->off);
	else
		io_uring_prep_readv(sqe, file, r->iov, (unsigned int)n, r->off);
	if (u->fixed)
		uring_prepare_fixed(u, sqe, r, n);
	sqe->rw_flags = uring_flags(u, r);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data(sqe, r);
	return bytes;
}

/* What is left comes with the next kick: that of what was begun, if there is none before. */
static void uring_fill(struct block_uring *u)
{
	uint64_t bytes = 0;

	while (u->in_flight < URING_ENTRIES && u->todo.first && bytes < URING_LEN_MAX &&
		block_may_begin(&u->base)) {
		struct io_uring_sqe *sqe;

		if (!block_fits(&u->base, u->todo.first)) {
			block_done(&u->base, block_fifo_take(&u->todo), -EIO);
			continue;
		}
		if (uring_waits(u, u->todo.first)) {
			block_fifo_add(&u->slow, block_fifo_take(&u->todo));
			continue;
		}
		sqe = io_uring_get_sqe(&u->ring);
		if (!sqe)
			return;
		bytes += uring_prepare(u, sqe, block_fifo_take(&u->todo));
		u->in_flight++;
	}
}

/* Entries that the kernel has no memory for stay in the ring, and are tried again. */
static void uring_enter(struct block_uring *u)
{
	while (io_uring_sq_ready(&u->ring)) {
		int ret = io_uring_submit(&u->ring);

		if (ret == -EINTR || ret > 0)
			continue;
		loop_timer_set(u->loop, &u->retry, URING_RETRY_NS);
		return;
	}
}

void uring_hand_over(struct block_uring *u)
{
	struct block_request *r;

	if (block_pool_add(&u->pool, &u->slow))
		return;
	/* Without threads we wait ourselves. */
	while ((r = block_fifo_take(&u->slow)))
		block_done(&u->base, r, block_image_run(&u->raw->image, r));
}

void uring_begin(struct block_uring *u)
{
	uring_fill(u);
	uring_hand_over(u);
	uring_enter(u);
}
