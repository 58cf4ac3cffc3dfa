/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine of io_uring, for raw images.
 *
 * Theory of operation. A device has one ring while it is started; the image's descriptors are
 * registered with it. A kick makes entries of what was submitted and enters the kernel once; what
 * the kernel finished at once (the page cache had it) is reaped at once, the rest when the ring
 * becomes readable in the loop. No more requests are in flight than the ring has entries, so
 * completions are never dropped. A short transfer goes on where it stopped, and what direct I/O
 * refuses goes through the page cache, as in raw.c.
 *
 * The kernel hands what it cannot begin without waiting to threads of its own (io-wq), and the last
 * of those wakes up every five seconds for as long as we live. So none ever gets anything: flushes,
 * discards and zeros, which it cannot begin, go to our own threads (pool.h) straight away, and
 * transfers say RWF_NOWAIT and follow if they are refused. Reads through the page cache need not
 * say it: the kernel goes on with them when their pages have come. What is left are block devices
 * that know no RWF_NOWAIT (some of device mapper) and files on such file systems with direct I/O,
 * which the kernel has many threads for.
 */
#define LOG_MODULE "block"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/alloc.h"
#include "base/log.h"
#include "block/uring_internal.h"

#define URING_CHANGES 4u /* slow ones at a time */

static struct block_uring *uring_of(struct block_dev *dev)
{
	return container_of(dev, struct block_uring, base);
}

/* ---- Completion ---- */

/* What the kernel says of a transfer: true if it goes on. */
static bool uring_goes_on(struct block_uring *u, struct block_request *r, int res)
{
	int first;

	if (res == -EINTR)
		return true;
	if (res == -EINVAL && uring_is_direct(u, r)) {
		r->buffered = true;
		return true;
	}
	if (res < 0)
		return false;
	if (r->op == BLOCK_WRITE && !uring_is_direct(u, r))
		u->skipped = 0;
	first = block_iov_advance(r->iov, r->n, (size_t)res);
	r->iov += first;
	r->n -= first;
	r->off += (uint64_t)res;
	r->len -= (uint64_t)res;
	return r->n && res;
}

static void uring_completed(struct block_uring *u, struct block_request *r, int res)
{
	if (res == -EAGAIN || res == -EOPNOTSUPP)
		uring_refused(u, r);
	else if (uring_goes_on(u, r, res))
		block_fifo_add_first(&u->todo, r);
	else
		block_done(&u->base, r, res >= 0 && r->n ? -EIO : MIN(res, 0));
}

/* Takes what the kernel and the threads are done with; true if there was anything. */
static bool uring_reap(struct block_uring *u)
{
	struct block_fifo slow = block_pool_take(&u->pool);
	bool any = slow.first;
	struct io_uring_cqe *cqe;
	struct block_request *r;

	while ((r = block_fifo_take(&slow)))
		block_done(&u->base, r, r->result);
	while (u->in_flight && !io_uring_peek_cqe(&u->ring, &cqe)) {
		int res = cqe->res;

		r = io_uring_cqe_get_data(cqe);
		io_uring_cqe_seen(&u->ring, cqe);
		u->in_flight--;
		any = true;
		uring_completed(u, r, res);
	}
	return any;
}

static void uring_kick(struct block_dev *dev)
{
	struct block_uring *u = uring_of(dev);
	bool any;

	if (!u->up) {
		block_run_list(dev, &u->raw->image, &u->todo);
		return;
	}
	/* What is done at once may leave room for more, which may be done at once. */
	do {
		uring_begin(u);
		any = uring_reap(u);
		uring_hand_over(u);
	} while (any && u->todo.first && block_may_begin(dev));
	block_batch(dev);
}

static bool uring_has_done(const struct block_dev *dev)
{
	const struct block_uring *u = container_of_const(dev, struct block_uring, base);

	return (u->in_flight && io_uring_cq_ready(&u->ring)) || block_pool_has_done(&u->pool);
}

static void uring_on_ready(struct loop_fd *source, uint32_t events)
{
	uring_kick(&container_of(source, struct block_uring, source)->base);
}

static void uring_on_retry(struct loop_timer *timer)
{
	uring_kick(&container_of(timer, struct block_uring, retry)->base);
}

static void uring_on_slow(struct block_pool *pool)
{
	uring_kick(&container_of(pool, struct block_uring, pool)->base);
}

/* ---- Life ---- */

/* A byte that is read without waiting, or not: is it known how? */
static bool uring_knows_nowait(const struct block_raw *raw)
{
	uint8_t byte;
	struct iovec iov = {&byte, sizeof(byte)};

	return preadv2(block_raw_first(raw), &iov, 1, 0, RWF_NOWAIT) >= 0 || errno != EOPNOTSUPP;
}

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

/* An option that does not come true costs no more than its line. */
static void uring_register_memory(struct block_uring *u)
{
	struct block_raw *raw = u->raw;
	int ret;

	u->fixed = false;
	if (!raw->memory.n || raw->memory_refused)
		return;
	ret = block_memory_register(&raw->memory, &u->ring, &u->fixed_vectors);
	u->fixed = !ret;
	raw->memory_refused = ret;
	if (ret)
		log_warn(
			"%s: the guest's memory cannot be registered with io_uring (%s%s); the disk works without",
			u->name, err_strerror(-ret),
			ret == -ENOMEM ? "; RLIMIT_MEMLOCK must allow for all of it" : "");
}

static void uring_start(struct block_dev *dev, struct loop *loop)
{
	struct block_uring *u = uring_of(dev);
	int ret;

	u->loop = loop;
	u->retry.fired = uring_on_retry;
	dev->waits = true;
	if (u->raw->uring_refused)
		return;
	block_pool_start(&u->pool, loop);
	u->nowait = uring_knows_nowait(u->raw);
	u->skip = u->skipped = 0;
	ret = uring_set_up(u, loop);
	u->up = !ret;
	dev->waits = ret;
	u->raw->uring_refused = ret;
	if (ret)
		log_warn("%s: io_uring is refused (%s); its requests are carried out one by one",
			u->name, err_strerror(-ret));
	else
		uring_register_memory(u);
}

static void uring_submit(struct block_dev *dev, struct block_request *r)
{
	r->buffered = false;
	block_fifo_add(&uring_of(dev)->todo, r);
}

static void uring_wait_ring(struct block_uring *u)
{
	while (u->in_flight) {
		int ret = io_uring_submit_and_wait(&u->ring, 1);

		if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY && ret != -ENOMEM)
			return;
		(void)uring_reap(u);
	}
}

/* Until nothing is in flight; no buffer is touched afterwards. What the kernel refused and what the
 * threads had not begun is to be done again. */
static void uring_wait(struct block_uring *u)
{
	struct block_request *r;

	if (!u->up)
		return;
	uring_wait_ring(u);
	block_pool_quiesce(&u->pool, &u->slow);
	(void)uring_reap(u);
	while ((r = block_fifo_take(&u->slow)))
		block_fifo_add(&u->todo, r);
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
		block_pool_stop(&u->pool);
		loop_timer_cancel(&u->retry);
		loop_remove(&u->source);
		/* The ring goes later than it is closed; the pages are free at once. */
		if (u->fixed)
			(void)io_uring_unregister_buffers(&u->ring);
		io_uring_queue_exit(&u->ring);
	}
	u->up = false;
	u->in_flight = 0;
	u->todo = (struct block_fifo){0};
}

static void uring_free(struct block_dev *dev)
{
	struct block_uring *u = uring_of(dev);

	block_pool_deinit(&u->pool);
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
	/* A file has a lock for writes through the page cache. */
	block_pool_init(&u->pool, raw, name,
		u->raw->is_device || u->raw->buffered >= 0 ? URING_CHANGES : 1, uring_on_slow);
	*ret_dev = &u->base;
	return NULL;
}
