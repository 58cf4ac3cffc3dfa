/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool of threads over an image whose calls take as long as the test wants.
 */
#include "unit.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "block/pool.h"

struct pool_test {
	struct block_image image;
	struct block_pool pool;
	struct loop *loop;
	sem_t began;    /* a call has begun */
	sem_t gate;     /* and may end */
	bool is_closed; /* is there a gate? */
	_Atomic unsigned int flushes, changing, most_changing, reading, most_reading;
	_Atomic unsigned int stable_writes;
	_Atomic int result, flush_result;
	uint64_t order[16]; /* offsets of changes as they were begun */
	unsigned int n_order;
	unsigned int done, wanted, wakes;
	struct block_fifo told;
};

static struct pool_test *test_of(struct block_image *image)
{
	return container_of(image, struct pool_test, image);
}

static void pass(struct pool_test *t)
{
	sem_post(&t->began);
	while (t->is_closed && sem_wait(&t->gate))
		;
}

static int count(struct pool_test *t, _Atomic unsigned int *now, _Atomic unsigned int *most)
{
	unsigned int n = atomic_fetch_add(now, 1) + 1;

	if (n > atomic_load(most))
		atomic_store(most, n);
	pass(t);
	atomic_fetch_sub(now, 1);
	return atomic_load(&t->result);
}

static int slow_read(struct block_image *image, const struct iovec *iov, int n, uint64_t off)
{
	return count(test_of(image), &test_of(image)->reading, &test_of(image)->most_reading);
}

static int slow_discard(struct block_image *image, uint64_t off, uint64_t len)
{
	struct pool_test *t = test_of(image);

	if (t->pool.lanes[BLOCK_LANE_CHANGE].max == 1)
		t->order[t->n_order++ % ARRAY_SIZE(t->order)] = off;
	return count(t, &t->changing, &t->most_changing);
}

static int slow_write(
	struct block_image *image, const struct iovec *iov, int n, uint64_t off, bool fua)
{
	struct pool_test *t = test_of(image);

	atomic_fetch_add(&t->stable_writes, fua);
	return count(t, &t->changing, &t->most_changing);
}

static int slow_flush(struct block_image *image)
{
	struct pool_test *t = test_of(image);

	atomic_fetch_add(&t->flushes, 1);
	pass(t);
	return atomic_load(&t->flush_result);
}

static const struct block_image_ops slow_ops = {
	.preadv = slow_read, .pwritev = slow_write, .discard = slow_discard, .flush = slow_flush};

static void take(struct pool_test *t)
{
	struct block_fifo list = block_pool_take(&t->pool);
	struct block_request *r;

	while ((r = block_fifo_take(&list))) {
		t->done++;
		block_fifo_add(&t->told, r);
	}
}

static void on_ready(struct block_pool *pool)
{
	struct pool_test *t = container_of(pool, struct pool_test, pool);

	t->wakes++;
	take(t);
	if (t->done >= t->wanted)
		loop_stop(t->loop);
}

static int setup_changes(void **state, unsigned int changes)
{
	struct pool_test *t = calloc(1, sizeof(*t));

	t->image.ops = &slow_ops;
	sem_init(&t->began, 0, 0);
	sem_init(&t->gate, 0, 0);
	assert_ok(loop_create(&t->loop));
	block_pool_init(&t->pool, &t->image, "disk", changes, on_ready);
	block_pool_start(&t->pool, t->loop);
	*state = t;
	return 0;
}

static int setup(void **state)
{
	return setup_changes(state, 1);
}

static int setup_parallel(void **state)
{
	return setup_changes(state, 4);
}

static int teardown(void **state)
{
	struct pool_test *t = *state;

	block_pool_stop(&t->pool);
	block_pool_deinit(&t->pool);
	loop_free(t->loop);
	sem_destroy(&t->gate);
	sem_destroy(&t->began);
	free(t);
	return 0;
}

static void add_all(
	struct pool_test *t, struct block_request *r, unsigned int n, enum block_op op, bool fua)
{
	struct block_fifo list = {0};

	for (unsigned int i = 0; i < n; i++) {
		r[i] = (struct block_request){
			.op = op, .fua = fua, .off = i, .len = 4096, .result = 12345};
		block_fifo_add(&list, &r[i]);
	}
	assert_true(block_pool_add(&t->pool, &list));
}

static void add(struct pool_test *t, struct block_request *r, unsigned int n, enum block_op op)
{
	add_all(t, r, n, op, false);
}

/* Until so many are done. */
static void run(struct pool_test *t, unsigned int wanted)
{
	t->wanted = wanted;
	take(t);
	if (t->done < wanted)
		loop_run(t->loop);
	assert_int_equal(t->done, wanted);
}

static void wait_begun(struct pool_test *t, unsigned int n)
{
	while (n--) {
		while (sem_wait(&t->began))
			;
	}
}

static void open_gate(struct pool_test *t, unsigned int n)
{
	while (n--)
		sem_post(&t->gate);
}

static void test_flushes_that_wait_are_one(void **state)
{
	struct pool_test *t = *state;
	struct block_request first, others[5];

	t->is_closed = true;
	add(t, &first, 1, BLOCK_FLUSH);
	wait_begun(t, 1);
	/* The one that is under way may not cover what was written meanwhile. */
	add(t, others, 5, BLOCK_FLUSH);
	open_gate(t, 1);
	wait_begun(t, 1);
	atomic_store(&t->flush_result, -ENOSPC);
	open_gate(t, 1);
	run(t, 6);
	assert_int_equal(t->flushes, 2);
	assert_int_equal(first.result, 0);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(others[i].result, -ENOSPC);
}

static void test_changes_wait_for_each_other_but_nothing_else_does(void **state)
{
	struct pool_test *t = *state;
	struct block_request discards[8], reads[8], flush;

	t->is_closed = true;
	add(t, discards, 8, BLOCK_DISCARD);
	wait_begun(t, 1);
	add(t, &flush, 1, BLOCK_FLUSH);
	wait_begun(t, 1);
	add(t, reads, 8, BLOCK_READ);
	wait_begun(t, BLOCK_POOL_THREADS - 2);
	assert_int_equal(t->pool.n_workers, BLOCK_POOL_THREADS);
	open_gate(t, 17);
	run(t, 17);
	assert_int_equal(t->most_changing, 1);
	assert_int_equal(t->most_reading, BLOCK_POOL_THREADS - 2);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(t->order[i], i);
}

static void test_changes_beside_each_other_where_they_may(void **state)
{
	struct pool_test *t = *state;
	struct block_request writes[8];

	t->is_closed = true;
	add(t, writes, 8, BLOCK_WRITE);
	wait_begun(t, 4);
	open_gate(t, 8);
	run(t, 8);
	assert_int_equal(t->most_changing, 4);
	assert_int_equal(t->pool.n_workers, 4);
}

static void test_writes_are_told_together(void **state)
{
	struct pool_test *t = *state;
	struct block_request discard, writes[40];

	t->is_closed = true;
	add(t, &discard, 1, BLOCK_DISCARD);
	wait_begun(t, 1);
	add(t, writes, 40, BLOCK_WRITE);
	open_gate(t, 41);
	run(t, 41);
	assert_true(t->wakes <= 4);
	assert_int_equal(t->most_changing, 1);
	assert_int_equal(t->flushes, 0);
	for (unsigned int i = 0; i < 40; i++)
		assert_int_equal(writes[i].result, 0);
}

static void test_writes_are_made_stable_together(void **state)
{
	struct pool_test *t = *state;
	struct block_request discard, stable[10], others[6];

	t->is_closed = true;
	add(t, &discard, 1, BLOCK_DISCARD);
	wait_begun(t, 1);
	add_all(t, stable, 10, BLOCK_WRITE, true);
	add(t, others, 6, BLOCK_WRITE);
	atomic_store(&t->flush_result, -EIO);
	open_gate(t, 18);
	run(t, 17);
	assert_int_equal(t->flushes, 1);
	assert_int_equal(t->stable_writes, 0);
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(stable[i].result, -EIO);
		assert_true(stable[i].fua);
	}
	for (unsigned int i = 0; i < 6; i++)
		assert_int_equal(others[i].result, 0);
	/* One alone is a stable write. */
	add_all(t, stable, 1, BLOCK_WRITE, true);
	open_gate(t, 1);
	run(t, 18);
	assert_int_equal(stable[0].result, 0);
	assert_int_equal(t->stable_writes, 1);
}

static void test_threads_are_as_many_as_are_needed(void **state)
{
	struct pool_test *t = *state;
	struct block_request r;

	for (unsigned int i = 1; i <= 20; i++) {
		add(t, &r, 1, i % 2 ? BLOCK_FLUSH : BLOCK_WRITE);
		run(t, i);
		assert_int_equal(r.result, 0);
	}
	assert_in_range(t->pool.n_workers, 1, 2);
}

/* Where there is but one thread, a guest that flushes all the time keeps nothing else waiting. */
static void test_one_thread_serves_all_in_turn(void **state)
{
	struct pool_test *t = *state;
	struct block_request flushes[4], discards[2], reads[2];

	t->is_closed = true;
	t->pool.max_workers = 1;
	add(t, &flushes[0], 1, BLOCK_FLUSH);
	wait_begun(t, 1);
	add(t, discards, 2, BLOCK_DISCARD);
	add(t, reads, 2, BLOCK_READ);
	for (unsigned int i = 1; i < 4; i++) {
		add(t, &flushes[i], 1, BLOCK_FLUSH);
		open_gate(t, 1);
		wait_begun(t, 1);
		assert_int_equal(t->changing, i == 1);
		assert_int_equal(t->reading, i == 2);
		assert_int_equal(t->flushes, i == 3 ? 2 : 1);
	}
	open_gate(t, 3);
	run(t, 8);
	assert_int_equal(t->flushes, 2);
	assert_int_equal(t->pool.n_workers, 1);
}

/* When somebody has taken what has not begun. */
static void *open_later(void *arg)
{
	struct pool_test *t = arg;
	bool taken = false;

	while (!taken) {
		with_lock (&t->pool.lock)
			taken = !t->pool.lanes[BLOCK_LANE_CHANGE].n;
		sched_yield();
	}
	open_gate(t, 2);
	return NULL;
}

static void test_quiesce_waits_for_what_has_begun_and_gives_the_rest_back(void **state)
{
	struct pool_test *t = *state;
	struct block_fifo left = {0};
	struct block_request discards[3], flush;
	pthread_t opener;

	t->is_closed = true;
	add(t, discards, 3, BLOCK_DISCARD);
	add(t, &flush, 1, BLOCK_FLUSH);
	wait_begun(t, 2);
	assert_int_equal(pthread_create(&opener, NULL, open_later, t), 0);
	block_pool_quiesce(&t->pool, &left);
	assert_int_equal(pthread_join(opener, NULL), 0);
	take(t);
	assert_int_equal(t->done, 2);
	assert_int_equal(t->n_order, 1);
	assert_ptr_equal(block_fifo_take(&left), &discards[1]);
	assert_ptr_equal(block_fifo_take(&left), &discards[2]);
	assert_null(block_fifo_take(&left));
	assert_int_equal(discards[1].result, 12345);
	t->is_closed = false;
	add(t, discards, 2, BLOCK_DISCARD);
	run(t, 4);
}

static void test_a_stop_forgets_and_ends_the_threads(void **state)
{
	struct pool_test *t = *state;
	struct block_request r[8];

	for (unsigned int round = 0; round < 20; round++) {
		add(t, r, 8, round % 2 ? BLOCK_READ : BLOCK_WRITE);
		block_pool_stop(&t->pool);
		assert_int_equal(t->pool.n_workers, 0);
		assert_false(block_pool_has_done(&t->pool));
		block_pool_start(&t->pool, t->loop);
	}
	t->done = 0;
	add(t, r, 8, BLOCK_FLUSH);
	run(t, 8);
}

static unsigned int log_lines;

static void count_line(
	struct log_sink *sink, enum log_level level, const char *module, const char *text)
{
	log_lines++;
}

static void test_where_there_can_be_no_thread_requests_stay(void **state)
{
	struct pool_test *t = *state;
	struct log_sink sink = {.write = count_line};
	struct block_request r = {.op = BLOCK_FLUSH};
	struct block_fifo list = {&r, &r};
	struct rlimit old, limit;
	struct log *log;
	unsigned int lines;

	assert_ok(log_create("warn", &sink, &log));
	log_bind(log);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	limit = (struct rlimit){.rlim_cur = 0, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_false(block_pool_add(&t->pool, &list));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_ptr_equal(list.first, &r);
	lines = log_lines;
	assert_true(lines);
	assert_false(block_pool_add(&t->pool, &list)); /* until it is started anew */
	assert_int_equal(log_lines, lines);
	block_pool_stop(&t->pool);
	block_pool_start(&t->pool, t->loop);
	assert_true(block_pool_add(&t->pool, &list));
	run(t, 1);
	log_bind(NULL);
	log_free(log);
}

#define POOL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		POOL_TEST(test_flushes_that_wait_are_one),
		POOL_TEST(test_changes_wait_for_each_other_but_nothing_else_does),
		cmocka_unit_test_setup_teardown(
			test_changes_beside_each_other_where_they_may, setup_parallel, teardown),
		POOL_TEST(test_writes_are_told_together),
		POOL_TEST(test_writes_are_made_stable_together),
		POOL_TEST(test_threads_are_as_many_as_are_needed),
		POOL_TEST(test_one_thread_serves_all_in_turn),
		POOL_TEST(test_quiesce_waits_for_what_has_begun_and_gives_the_rest_back),
		POOL_TEST(test_a_stop_forgets_and_ends_the_threads),
		POOL_TEST(test_where_there_can_be_no_thread_requests_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
