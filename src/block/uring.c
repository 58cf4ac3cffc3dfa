/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine of io_uring, for raw images.
 *
 * Theory of operation. A device has one ring while it is started; the image's descriptors are
 * registered with it. A kick makes entries of what was submitted and enters the kernel once; what
 * the kernel finished at once (the page cache had it) is reaped at once, the rest when the ring
 * becomes readable in the loop. No more requests are in flight than the ring has entries, so
 * completions are never dropped. A short transfer goes on where it stopped, and what direct I/O
 * refuses goes through the page cache, as in raw.c. Requests that io_uring does not have (block
 * devices' discards) are carried out by the image's own calls.
 */
#define LOG_MODULE "block"
#include <errno.h>
#include <liburing.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/alloc.h"
#include "base/log.h"
#include "block/block_internal.h"

#define URING_ENTRIES  256u
#define URING_LEN_MAX  (1u << 30) /* of one entry; the rest follows as after a short transfer */
#define URING_RETRY_NS 1000000u   /* when the kernel has no memory for a submission */
#define URING_NAME_MAX 64u

enum { URING_FILE_MAIN, URING_FILE_BUFFERED };

struct block_uring {
	struct block_dev base;
	struct block_raw *raw;
	char name[URING_NAME_MAX];
	struct io_uring ring;
	bool up; /* ring is there */
	struct loop *loop;
	struct loop_fd source;
	struct loop_timer retry;
	struct block_fifo todo;
	unsigned int in_flight;
};

static struct block_uring *uring_of(struct block_dev *dev)
{
	return container_of(dev, struct block_uring, base);
}

/* ---- Submission ---- */

static void uring_prepare_transfer(struct io_uring_sqe *sqe, struct block_request *r, int file)
{
	bool write = r->op == BLOCK_WRITE;

	if (r->n == 1) {
		unsigned int len = (unsigned int)MIN(r->iov->iov_len, (size_t)URING_LEN_MAX);

		if (write)
			io_uring_prep_write(sqe, file, r->iov->iov_base, len, r->off);
		else
			io_uring_prep_read(sqe, file, r->iov->iov_base, len, r->off);
	} else {
		unsigned int n = (unsigned int)MIN(r->n, IOV_MAX);

		if (write)
			io_uring_prep_writev(sqe, file, r->iov, n, r->off);
		else
			io_uring_prep_readv(sqe, file, r->iov, n, r->off);
	}
	if (write && r->fua)
		sqe->rw_flags = RWF_DSYNC;
}

static void uring_prepare(struct io_uring_sqe *sqe, struct block_request *r)
{
	int file = r->buffered ? URING_FILE_BUFFERED : URING_FILE_MAIN;

	if (r->op == BLOCK_FLUSH || r->syncing)
		io_uring_prep_fsync(sqe, URING_FILE_MAIN, IORING_FSYNC_DATASYNC);
	else if (r->op == BLOCK_DISCARD || r->op == BLOCK_WRITE_ZEROES)
		io_uring_prep_fallocate(sqe, URING_FILE_MAIN, block_raw_fallocate_mode(r),
			(off_t)r->off, (off_t)r->len);
	else
		uring_prepare_transfer(sqe, r, file);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data(sqe, r);
}

static bool uring_has_op(const struct block_uring *u, const struct block_request *r)
{
	return !u->raw->is_device || (r->op != BLOCK_DISCARD && r->op != BLOCK_WRITE_ZEROES);
}

static void uring_fill(struct block_uring *u)
{
	while (u->in_flight < URING_ENTRIES && u->todo.first && block_may_begin(&u->base)) {
		struct block_request *r;
		struct io_uring_sqe *sqe;

		if (!block_fits(&u->base, u->todo.first)) {
			block_done(&u->base, block_fifo_take(&u->todo), -EIO);
			continue;
		}
		if (!uring_has_op(u, u->todo.first)) {
			r = block_fifo_take(&u->todo);
			block_done(&u->base, r, block_image_run(&u->raw->image, r));
			continue;
		}
		sqe = io_uring_get_sqe(&u->ring);
		if (!sqe)
			return;
		r = block_fifo_take(&u->todo);
		uring_prepare(sqe, r);
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

/* ---- Completion ---- */

/* What the kernel says of a request: true if it goes on. */
static bool uring_goes_on(struct block_uring *u, struct block_request *r, int res)
{
	int first;

	if (res == -EINTR)
		return true;
	if (res == -EINVAL && u->raw->buffered >= 0 && !r->buffered) {
		r->buffered = true;
		return true;
	}
	if (res < 0 || r->syncing)
		return false;
	if (r->op == BLOCK_READ || r->op == BLOCK_WRITE) {
		first = block_iov_advance(r->iov, r->n, (size_t)res);
		r->iov += first;
		r->n -= first;
		r->off += (uint64_t)res;
		r->len -= (uint64_t)res;
		return r->n && res;
	}
	r->syncing = r->fua && r->op == BLOCK_WRITE_ZEROES;
	return r->syncing;
}

static int uring_result(struct block_uring *u, struct block_request *r, int res)
{
	if (res >= 0)
		return (r->op == BLOCK_READ || r->op == BLOCK_WRITE) && r->n ? -EIO : 0;
	/* The file system cannot, and zeros are written; or io_uring would not wait. */
	if ((res == -EOPNOTSUPP && r->op == BLOCK_WRITE_ZEROES && !r->syncing) || res == -EAGAIN)
		return block_image_run(&u->raw->image, r);
	return res;
}

/* Takes what the kernel is done with; true if there was anything. */
static bool uring_reap(struct block_uring *u)
{
	struct io_uring_cqe *cqe;
	bool any = false;

	while (u->in_flight && !io_uring_peek_cqe(&u->ring, &cqe)) {
		struct block_request *r = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&u->ring, cqe);
		u->in_flight--;
		any = true;
		if (uring_goes_on(u, r, res))
			block_fifo_add_first(&u->todo, r);
		else
			block_done(&u->base, r, uring_result(u, r, res));
	}
	return any;
}

static void uring_kick(struct block_dev *dev)
{
	struct block_uring *u = uring_of(dev);

	if (!u->up) {
		block_run_list(dev, &u->raw->image, &u->todo);
		return;
	}
	/* What is done at once may leave room for more, which may be done at once. */
	do {
		uring_fill(u);
		uring_enter(u);
	} while (uring_reap(u) && u->todo.first && block_may_begin(dev));
	block_batch(dev);
}

static bool uring_has_done(const struct block_dev *dev)
{
	const struct block_uring *u = container_of_const(dev, struct block_uring, base);

	return u->in_flight && io_uring_cq_ready(&u->ring);
}

static void uring_on_ready(struct loop_fd *source, uint32_t events)
{
	uring_kick(&container_of(source, struct block_uring, source)->base);
}

static void uring_on_retry(struct loop_timer *timer)
{
	uring_kick(&container_of(timer, struct block_uring, retry)->base);
}

/* ---- Life ---- */

static int uring_set_up(struct block_uring *u, struct loop *loop)
{
	const int files[] = {u->raw->fd, u->raw->buffered};
	int ret = io_uring_queue_init(URING_ENTRIES, &u->ring, 0);

	if (ret)
		return ret;
	ret = io_uring_register_files(&u->ring, files, u->raw->buffered < 0 ? 1 : 2);
	u->source =
		(struct loop_fd){.fd = u->ring.ring_fd, .events = EPOLLIN, .ready = uring_on_ready};
	if (!ret)
		ret = loop_add(loop, &u->source);
	if (ret)
		io_uring_queue_exit(&u->ring);
	return ret;
}

static void uring_start(struct block_dev *dev, struct loop *loop)
{
	struct block_uring *u = uring_of(dev);
	int ret;

	u->loop = loop;
	u->retry.fired = uring_on_retry;
	if (u->raw->uring_refused)
		return;
	ret = uring_set_up(u, loop);
	u->up = !ret;
	u->raw->uring_refused = ret;
	if (ret)
		log_warn("%s: io_uring is refused (%s); its requests are carried out one by one",
			u->name, err_strerror(-ret));
}

static void uring_submit(struct block_dev *dev, struct block_request *r)
{
	r->syncing = false;
	r->buffered = false;
	block_fifo_add(&uring_of(dev)->todo, r);
}

/* Until nothing is in flight; no buffer is touched afterwards. */
static void uring_wait(struct block_uring *u)
{
	while (u->up && u->in_flight) {
		int ret = io_uring_submit_and_wait(&u->ring, 1);

		if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY && ret != -ENOMEM)
			return;
		(void)uring_reap(u);
	}
}

static void uring_quiesce(struct block_dev *dev)
{
	struct block_uring *u = uring_of(dev);

	uring_wait(u);
	loop_timer_cancel(&u->retry);
	block_batch(dev);
}

static struct err *uring_resize(struct block_dev *dev, uint64_t size)
{
	return block_image_resize(&uring_of(dev)->raw->image, size, dev);
}

static void uring_stop(struct block_dev *dev)
{
	struct block_uring *u = uring_of(dev);

	if (u->up) {
		uring_wait(u);
		loop_timer_cancel(&u->retry);
		loop_remove(&u->source);
		io_uring_queue_exit(&u->ring);
	}
	u->up = false;
	u->in_flight = 0;
	u->todo = (struct block_fifo){0};
}

static void uring_free(struct block_dev *dev)
{
	struct block_uring *u = uring_of(dev);

	block_image_put(&u->raw->image);
	free(u);
}

static const struct block_ops uring_ops = {.start = uring_start,
	.submit = uring_submit,
	.kick = uring_kick,
	.has_done = uring_has_done,
	.quiesce = uring_quiesce,
	.resize = uring_resize,
	.stop = uring_stop,
	.free = uring_free};

struct err *block_uring_create(
	struct block_image *raw, const char *name, struct block_dev **ret_dev)
{
	struct block_uring *u = new0(struct block_uring);

	if (!u)
		return err_new(ENOMEM, "Cannot create a block engine");
	u->base = (struct block_dev){.ops = &uring_ops, .facts = raw->facts};
	u->raw = container_of(raw, struct block_raw, image);
	raw->n_engines++;
	strncpy(u->name, name, sizeof(u->name) - 1);
	*ret_dev = &u->base;
	return NULL;
}
