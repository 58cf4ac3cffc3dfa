/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk whose size changes under a driver: who is told and when, whoever has the disk at the time.
 */
#include "ring.h"

#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/thread.h"
#include "block/image.h"
#include "block/layers.h"
#include "virtio/dev/blk_internal.h"

#define SIZE   MIB(1)
#define HEADER 0x20000
#define STATUS 0x21000
#define DATA   0x30000

struct resize {
	struct bench bench;
	struct virtio_dev *dev;
	struct block_dev *faulty;
	struct thread thread;
	int fd;
	_Atomic unsigned int changes;
	struct err *err; /* of the caller's thread */
	uint64_t bytes;
	struct thread caller;
};

static struct resize *t;

static void on_changed(struct virtio_transport *transport)
{
	atomic_fetch_add(&t->changes, 1);
}

static int setup(void **state)
{
	struct virtio_blk_options options = {.name = "disk"};
	struct block_raw_options raw = {0};
	struct block_image *image;
	char path[64];

	t = calloc(1, sizeof(*t));
	t->fd = memfd_create("disk", MFD_CLOEXEC);
	assert_int_equal(ftruncate(t->fd, (off_t)SIZE), 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", t->fd);
	raw.path = path;
	assert_ok(block_raw_open(&raw, &image));
	assert_ok(block_sync_create(image, &options.blocks[0]));
	assert_ok(block_fault_create(options.blocks[0], &options.blocks[0]));
	t->faulty = options.blocks[0];
	assert_ok(virtio_blk_create(&options, &t->dev));
	return 0;
}

/* The driver activates it; its thread does not run yet. */
static void activate(void)
{
	bench_start(&t->bench, t->dev);
	t->bench.transport.config_changed = on_changed;
}

static void loop_thread(struct thread *thread)
{
	struct resize *r = container_of(thread, struct resize, thread);

	loop_run(r->bench.loop);
}

static void run(void)
{
	t->thread.name = "disk";
	t->thread.run = loop_thread;
	assert_ok(thread_start(&t->thread));
}

static void halt(void)
{
	loop_stop(t->bench.loop);
	thread_join(&t->thread);
}

/* The next driver: messages of the last one's loop have gone with it. */
static void activate_again(void)
{
	t->dev->ops->deactivate(t->dev);
	loop_free(t->bench.loop);
	assert_ok(loop_create(&t->bench.loop));
	t->dev->loop = t->bench.loop;
	t->dev->ops->activate(t->dev);
}

static int teardown(void **state)
{
	if (t->bench.dev)
		bench_end(&t->bench);
	else
		t->dev->ops->free(t->dev);
	close(t->fd);
	free(t);
	return 0;
}

static uint64_t capacity(void)
{
	uint8_t raw[8];

	t->dev->ops->config_read(t->dev, 0, raw, 4);
	t->dev->ops->config_read(t->dev, 4, raw + 4, 4);
	return load_le64(raw) * 512;
}

/* The status of a request; the loop does not run. */
static uint8_t request(uint32_t type, uint64_t off)
{
	const struct piece pieces[] = {
		{HEADER, 16, 0}, {DATA, 512, type ? 0 : RING_WRITE}, {STATUS, 1, RING_WRITE}};

	ram_put(t->bench.ram, HEADER, type, 8);
	ram_put(t->bench.ram, HEADER + 8, off / 512, 8);
	ram_put(t->bench.ram, STATUS, 0xee, 1);
	(void)bench_run(&t->bench, pieces, 3);
	return (uint8_t)ram_get(t->bench.ram, STATUS, 1);
}

static void test_a_driver_is_told(void **state)
{
	activate();
	assert_int_equal(capacity(), SIZE);
	run();
	assert_ok(virtio_blk_resize(t->dev, 2 * SIZE));
	assert_int_equal(t->changes, 1);
	assert_int_equal(capacity(), 2 * SIZE);
	assert_ok(virtio_blk_resize(t->dev, 2 * SIZE));
	assert_ok(virtio_blk_resize(t->dev, 0));
	assert_int_equal(t->changes, 1);
	assert_int_equal(ftruncate(t->fd, (off_t)SIZE / 2), 0);
	virtio_blk_refresh(t->dev);
	while (capacity() != SIZE / 2)
		sched_yield();
	halt();
	assert_int_equal(t->changes, 2);
	assert_int_equal(request(0, SIZE / 2 - 512), 0);
	assert_int_equal(request(1, SIZE / 2), 1);
}

static void test_what_cannot_be_is_one_error_and_changes_nothing(void **state)
{
	activate();
	run();
	assert_err(virtio_blk_resize(t->dev, SIZE + 1), "not a multiple of 512");
	assert_err(virtio_blk_resize(t->dev, SIZE + 1), "Failed to resize the disk disk");
	halt();
	assert_int_equal(capacity(), SIZE);
	assert_int_equal(t->changes, 0);
	assert_int_equal(request(0, SIZE - 512), 0);
}

/* Before there is a driver: it finds the new size. If it had read the old one, it is told. */
static void test_a_driver_that_comes_later_is_told_what_it_missed(void **state)
{
	assert_ok(virtio_blk_resize(t->dev, 2 * SIZE));
	assert_int_equal(ftruncate(t->fd, (off_t)(3 * SIZE)), 0);
	virtio_blk_refresh(t->dev);
	assert_int_equal(capacity(), 3 * SIZE);
	activate();
	run();
	halt();
	assert_int_equal(t->changes, 0);
	t->dev->ops->deactivate(t->dev);
	assert_int_equal(capacity(), 3 * SIZE);
	assert_ok(virtio_blk_resize(t->dev, SIZE));
	t->dev->ops->activate(t->dev);
	run();
	halt();
	assert_int_equal(t->changes, 1);
	assert_int_equal(capacity(), SIZE);
}

static void test_a_pause_holds_the_news_back(void **state)
{
	activate();
	t->dev->ops->pause(t->dev, 0, true);
	run();
	assert_ok(virtio_blk_resize(t->dev, 2 * SIZE));
	assert_ok(virtio_blk_resize(t->dev, 3 * SIZE));
	halt();
	assert_int_equal(capacity(), 3 * SIZE);
	assert_int_equal(t->changes, 0);
	t->dev->ops->pause(t->dev, 0, false);
	assert_int_equal(t->changes, 1);
	assert_int_equal(request(0, 3 * SIZE - 512), 0);
}

/* A write that the storage holds back while the disk shrinks fails, and extends no file. */
static void test_requests_that_hang_do_not_reach_past_the_new_end(void **state)
{
	const struct block_fault hang = {.ops = 1u << BLOCK_WRITE, .len = SIZE, .hold = true};
	const struct piece pieces[] = {{HEADER, 16, 0}, {DATA, 512, 0}, {STATUS, 1, RING_WRITE}};
	uint16_t head;

	activate();
	block_fault_set(t->faulty, &hang);
	ram_put(t->bench.ram, HEADER, 1, 8);
	ram_put(t->bench.ram, HEADER + 8, SIZE / 512 - 1, 8);
	head = ring_add(&t->bench.ring, pieces, 3);
	t->dev->ops->notify(t->dev, 0);
	assert_int_equal(ring_completed(&t->bench.ring), 0);
	run();
	assert_ok(virtio_blk_resize(t->dev, SIZE / 2));
	halt();
	block_fault_set(t->faulty, NULL);
	block_fault_release(t->faulty);
	assert_int_equal(ring_take(&t->bench.ring, head), 1);
	assert_int_equal(ram_get(t->bench.ram, STATUS, 1), 1);
	assert_int_equal(lseek(t->fd, 0, SEEK_END), SIZE / 2);
}

static void caller_thread(struct thread *thread)
{
	struct resize *r = container_of(thread, struct resize, caller);

	r->err = virtio_blk_resize(r->dev, r->bytes);
}

static bool is_asked(void)
{
	struct virtio_blk *blk = container_of(t->dev, struct virtio_blk, dev);

	auto_lock(&blk->resize.lock);
	return blk->resize.wanted;
}

/* The device's thread has ended and does not come to the message: whoever asked does it. */
static void test_a_reset_while_somebody_waits(void **state)
{
	activate();
	t->bytes = 2 * SIZE;
	t->caller.name = "caller";
	t->caller.run = caller_thread;
	assert_ok(thread_start(&t->caller));
	for (int i = 0; i < 100; i++)
		sched_yield();
	t->dev->ops->deactivate(t->dev);
	thread_join(&t->caller);
	assert_ok(t->err);
	assert_int_equal(capacity(), 2 * SIZE);
	t->dev->ops->activate(t->dev);
}

/* The driver resets and looks no more, so that nobody takes the device down. */
static void test_a_reset_that_the_driver_does_not_wait_for(void **state)
{
	activate();
	virtio_blk_refresh(t->dev); /* the thread does not come to it */
	assert_int_equal(ftruncate(t->fd, (off_t)(3 * SIZE)), 0);
	t->dev->ops->drain(t->dev, 0);
	assert_int_equal(capacity(), 3 * SIZE);
	assert_ok(virtio_blk_resize(t->dev, 2 * SIZE));
	virtio_blk_refresh(t->dev);
	assert_int_equal(capacity(), 2 * SIZE);
	activate_again();
	run();
	assert_ok(virtio_blk_resize(t->dev, SIZE));
	halt();
	assert_int_equal(capacity(), SIZE);
}

static sem_t is_held, let_go;

/* Of a signal that threads of ours do not block. */
static void on_signal(int number)
{
	(void)sem_post(&is_held);
	while (sem_wait(&let_go))
		continue;
}

/* The next driver is there before whoever asked has woken up. */
static void test_a_reset_that_is_faster_than_who_waits(void **state)
{
	const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct sigaction before;

	assert_int_equal(sem_init(&is_held, 0, 0) | sem_init(&let_go, 0, 0), 0);
	assert_int_equal(sigaction(SIGTRAP, &action, &before), 0);
	activate();
	t->bytes = 2 * SIZE;
	t->caller.name = "caller";
	t->caller.run = caller_thread;
	assert_ok(thread_start(&t->caller));
	while (!is_asked())
		sched_yield();
	assert_int_equal(pthread_kill(t->caller.id, SIGTRAP), 0);
	while (sem_wait(&is_held))
		continue;
	activate_again();
	(void)sem_post(&let_go);
	run();
	thread_join(&t->caller);
	halt();
	assert_ok(t->err);
	assert_int_equal(capacity(), 2 * SIZE);
	(void)sigaction(SIGTRAP, &before, NULL);
}

/* ---- Storage that is done with what it began when somebody waits for it ---- */

struct slow {
	struct block_dev base;
	struct block_fifo todo, begun;
	unsigned int n_begun, n_done;
	_Atomic unsigned int resized;
	bool hangs; /* a resize, until it is let go */
	sem_t entered, gate;
};

static struct slow *slow_of(struct block_dev *dev)
{
	return container_of(dev, struct slow, base);
}

static void slow_start(struct block_dev *dev, struct loop *loop)
{
}

static void slow_submit(struct block_dev *dev, struct block_request *r)
{
	block_fifo_add(&slow_of(dev)->todo, r);
}

static void slow_kick(struct block_dev *dev)
{
	struct slow *slow = slow_of(dev);

	while (slow->todo.first && block_may_begin(dev)) {
		block_fifo_add(&slow->begun, block_fifo_take(&slow->todo));
		slow->n_begun++;
	}
}

static void slow_quiesce(struct block_dev *dev)
{
	struct slow *slow = slow_of(dev);
	struct block_request *r;

	while ((r = block_fifo_take(&slow->begun))) {
		slow->n_done++;
		block_done(dev, r, 0);
	}
	block_batch(dev);
}

/* As the contract has it: nothing that was begun is on its way. */
static struct err *slow_resize(struct block_dev *dev, uint64_t size)
{
	struct slow *slow = slow_of(dev);

	assert_null(slow->begun.first);
	if (slow->hangs) {
		sem_post(&slow->entered);
		sem_wait(&slow->gate);
	}
	if (size)
		dev->facts.size = size;
	atomic_fetch_add(&slow->resized, 1);
	return NULL;
}

static void slow_stop(struct block_dev *dev)
{
}

static void slow_free(struct block_dev *dev)
{
	sem_destroy(&slow_of(dev)->entered);
	sem_destroy(&slow_of(dev)->gate);
	free(slow_of(dev));
}

static const struct block_ops slow_ops = {.start = slow_start,
	.submit = slow_submit,
	.kick = slow_kick,
	.quiesce = slow_quiesce,
	.resize = slow_resize,
	.stop = slow_stop,
	.free = slow_free};

/* The device is one with such storage. */
static struct slow *make_slow(void)
{
	struct slow *slow = calloc(1, sizeof(*slow));
	const struct virtio_blk_options options = {.name = "disk", .blocks = {&slow->base}};

	slow->base.ops = &slow_ops;
	slow->base.facts = (struct block_facts){.size = SIZE, .block_size = 512};
	sem_init(&slow->entered, 0, 0);
	sem_init(&slow->gate, 0, 0);
	t->dev->ops->free(t->dev);
	assert_ok(virtio_blk_create(&options, &t->dev));
	return slow;
}

static void start_caller(uint64_t bytes)
{
	t->bytes = bytes;
	t->caller.name = "caller";
	t->caller.run = caller_thread;
	assert_ok(thread_start(&t->caller));
}

/* Storage that does not answer keeps whoever wants to know the new size waiting, and nobody else.
 */
static void test_who_only_asks_does_not_wait_for_the_storage(void **state)
{
	struct slow *slow = make_slow();

	slow->hangs = true;
	activate();
	run();
	start_caller(SIZE / 2);
	sem_wait(&slow->entered);
	for (unsigned int i = 0; i < 10; i++)
		virtio_blk_refresh(t->dev);
	assert_int_equal(capacity(), SIZE);
	sem_post(&slow->gate);
	sem_wait(&slow->entered); /* once for all of them */
	sem_post(&slow->gate);
	thread_join(&t->caller);
	assert_ok(t->err);
	halt();
	assert_int_equal(capacity(), SIZE / 2);
	assert_int_equal(slow->resized, 2);
	assert_int_equal(t->changes, 1);
}

static void activator_thread(struct thread *thread)
{
	t->dev->ops->activate(t->dev);
}

/* A driver that comes while the size of a disk without one changes finds the new one. */
static void test_a_driver_that_comes_while_the_size_changes(void **state)
{
	struct thread activator = {.name = "vcpu", .run = activator_thread};
	struct slow *slow = make_slow();

	activate();
	t->dev->ops->deactivate(t->dev);
	slow->hangs = true;
	start_caller(SIZE / 2);
	sem_wait(&slow->entered);
	assert_ok(thread_start(&activator));
	for (int i = 0; i < 100; i++)
		sched_yield();
	assert_null(slow->base.user);
	sem_post(&slow->gate);
	thread_join(&t->caller);
	thread_join(&activator);
	assert_ok(t->err);
	assert_non_null(slow->base.user);
	assert_int_equal(capacity(), SIZE / 2);
}

/* Requests that come while those before them are waited for are begun with the new size. */
static void test_nothing_begins_while_the_size_changes(void **state)
{
	struct slow *slow = make_slow();
	const struct piece pieces[] = {{HEADER, 16, 0}, {DATA, 512, 0}, {STATUS, 1, RING_WRITE}};

	activate();
	ram_put(t->bench.ram, HEADER, 1, 8);
	ram_put(t->bench.ram, HEADER + 8, SIZE / 512 - 1, 8);
	(void)ring_add(&t->bench.ring, pieces, 3);
	t->dev->ops->notify(t->dev, 0);
	(void)ring_add(&t->bench.ring, pieces, 3);
	assert_int_equal(slow->n_begun, 1);
	run();
	assert_ok(virtio_blk_resize(t->dev, SIZE / 2));
	halt();
	assert_int_equal(slow->resized, 1);
	assert_int_equal(slow->n_begun, 1);
	t->dev->ops->notify(t->dev, 0);
	assert_int_equal(ring_completed(&t->bench.ring), 2);
	assert_int_equal(ram_get(t->bench.ram, STATUS, 1), 1);
}

/* For ThreadSanitizer: two callers, a vCPU that reads, and a device that is reset meanwhile. */
static void test_all_at_once(void **state)
{
	activate();
	t->bytes = 2 * SIZE;
	t->caller.name = "caller";
	t->caller.run = caller_thread;
	for (unsigned int i = 0; i < 50; i++) {
		run();
		assert_ok(thread_start(&t->caller));
		virtio_blk_refresh(t->dev);
		assert_ok(virtio_blk_resize(t->dev, i & 1 ? SIZE : 2 * SIZE));
		assert_in_range(capacity(), SIZE, 2 * SIZE);
		halt();
		activate_again();
		run();
		thread_join(&t->caller);
		assert_ok(t->err);
		halt();
	}
}

#define RESIZE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RESIZE_TEST(test_a_driver_is_told),
		RESIZE_TEST(test_what_cannot_be_is_one_error_and_changes_nothing),
		RESIZE_TEST(test_a_driver_that_comes_later_is_told_what_it_missed),
		RESIZE_TEST(test_a_pause_holds_the_news_back),
		RESIZE_TEST(test_requests_that_hang_do_not_reach_past_the_new_end),
		RESIZE_TEST(test_a_reset_while_somebody_waits),
		RESIZE_TEST(test_a_reset_that_the_driver_does_not_wait_for),
		RESIZE_TEST(test_a_reset_that_is_faster_than_who_waits),
		RESIZE_TEST(test_who_only_asks_does_not_wait_for_the_storage),
		RESIZE_TEST(test_a_driver_that_comes_while_the_size_changes),
		RESIZE_TEST(test_nothing_begins_while_the_size_changes),
		RESIZE_TEST(test_all_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
