/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both formats against the model of a driver, with every set of the features that change a ring:
 * each buffer comes back once with its length, in order where that was negotiated, and nobody waits
 * for an interrupt or a notification that the other side did not send.
 */
#include "driver.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/thread.h"

#define RAM_SIZE 0x20000
#define RINGS    0x4000
#define BUFFERS  0x10000
#define TOKENS   0x1000 /* addresses tell them apart */

struct model {
	struct ram *ram;
	const uint8_t *buffers;
	struct driver driver;
	struct virtq q;
	struct virtq_chain chain;
	uint32_t seed;
	bool interrupt; /* sent, and not looked at */
	bool notified;
	bool waits;         /* the driver, for an interrupt */
	bool sleeps;        /* the device, for a notification */
	uint64_t popped;    /* since the queue began, as driver.taken is */
	uint64_t completed; /* in all */
	/* Chains that the device has taken: slots, and what it will say of them. */
	uint16_t slots[DRIVER_SIZE_MAX];
	uint32_t written[DRIVER_SIZE_MAX];
	unsigned int n_slots;
};

static uint32_t pick(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % n;
}

/* A queue and its driver, both at their begin. */
static void model_begin(struct model *m, struct driver_features features, uint16_t size)
{
	struct virtq_layout layout;

	driver_init(&m->driver, m->ram, RINGS, size, features);
	layout = driver_layout(&m->driver);
	assert_int_equal(virtq_init(&m->q, m->ram, &layout), 0);
	m->popped = 0;
	m->interrupt = m->notified = m->waits = false;
	m->sleeps = !virtq_enable_notify(&m->q);
}

static void model_start(struct model *m, struct driver_features features, uint16_t size)
{
	static const struct ram_options anon = {.backend = RAM_ANON};
	struct iovec iov;

	*m = (struct model){.seed = size};
	assert_ok(ram_create(&anon, &m->ram));
	assert_ok(ram_add(m->ram, 0, RAM_SIZE, "model"));
	assert_int_equal(ram_iov(m->ram, BUFFERS, 1, &iov, 1), 1);
	m->buffers = iov.iov_base;
	model_begin(m, features, size);
}

static void model_end(struct model *m)
{
	virtq_deinit(&m->q);
	ram_free(m->ram);
}

static uint32_t written_of(uint64_t token)
{
	return (uint32_t)(token % TOKENS % 5);
}

/* ---- The driver's steps ---- */

/* A buffer of 1 to 4 pieces at the token's address; false if the ring is full. */
static bool driver_step_add(struct driver *d, uint32_t *seed)
{
	struct driver_piece pieces[4];
	unsigned int n = MIN(1 + pick(seed, 4), (uint32_t)d->size);
	unsigned int n_readable = pick(seed, n + 1);

	for (unsigned int i = 0; i < n; i++)
		pieces[i] = (struct driver_piece){.addr = BUFFERS + d->added % TOKENS,
			.len = 1 + pick(seed, 9),
			.writable = i >= n_readable};
	return driver_add(d, pieces, n, pick(seed, 2), d->added);
}

static void driver_step_take(struct model *m)
{
	struct driver_done done;

	if (m->waits && !m->interrupt)
		return;
	m->interrupt = false;
	driver_disable_interrupts(&m->driver);
	while (driver_take(&m->driver, &done)) {
		assert_int_equal(done.written, written_of(done.token));
		m->completed++;
	}
	m->waits = !driver_enable_interrupts(&m->driver);
}

/* ---- The device's steps ---- */

static uint32_t device_answer(const struct model *m, const struct virtq_chain *chain)
{
	const uint8_t *base = chain->iov[0].iov_base;

	assert_in_range(chain->n_readable + chain->n_writable, 1, 4);
	return written_of((uint64_t)(base - m->buffers));
}

static void device_step_take(struct model *m)
{
	int ret;

	if (m->sleeps && !m->notified)
		return;
	m->notified = false;
	virtq_disable_notify(&m->q);
	while ((ret = virtq_pop(&m->q, &m->chain)) > 0) {
		assert_true(m->chain.head < m->driver.size);
		for (unsigned int i = 0; i < m->n_slots; i++)
			assert_int_not_equal(m->slots[i], m->chain.head);
		m->slots[m->n_slots] = m->chain.head;
		m->written[m->n_slots++] = device_answer(m, &m->chain);
		m->popped++;
	}
	assert_int_equal(ret, 0);
	m->sleeps = !virtq_enable_notify(&m->q);
}

/* Some of what it has, in any order. */
static void device_step_complete(struct model *m)
{
	for (unsigned int n = pick(&m->seed, m->n_slots + 1); n; n--) {
		unsigned int i = pick(&m->seed, m->n_slots);

		virtq_push(&m->q, m->slots[i], m->written[i]);
		m->n_slots--;
		m->slots[i] = m->slots[m->n_slots];
		m->written[i] = m->written[m->n_slots];
	}
	if (virtq_publish(&m->q))
		m->interrupt = true;
}

static void model_run(struct model *m, unsigned int steps)
{
	while (steps--) {
		switch (pick(&m->seed, 4)) {
		case 0:
			for (unsigned int n = 1 + pick(&m->seed, 6); n; n--)
				(void)driver_step_add(&m->driver, &m->seed);
			if (driver_needs_kick(&m->driver))
				m->notified = true;
			break;
		case 1:
			driver_step_take(m);
			break;
		case 2:
			device_step_take(m);
			break;
		default:
			device_step_complete(m);
			break;
		}
	}
}

/* Nobody is told of anything but by the signals that were sent: all comes to its end. */
static void model_settle(struct model *m)
{
	while (m->n_slots || m->notified || m->interrupt || !m->waits || !m->sleeps) {
		device_step_take(m);
		device_step_complete(m);
		driver_step_take(m);
	}
	assert_int_equal(m->driver.taken, m->driver.added);
	assert_int_equal(m->q.n_flight, 0);
	assert_int_equal(m->q.n_taken, 0);
}

/* A reset of the queue (2.6.1) at any moment: what the device took comes back, nothing else, and
 * both sides begin anew. */
static void model_reset(struct model *m, uint16_t size)
{
	virtq_stop(&m->q);
	assert_false(virtq_has_chain(&m->q));
	assert_int_equal(virtq_pop(&m->q, &m->chain), 0);
	assert_false(virtq_enable_notify(&m->q));
	while (m->n_slots)
		device_step_complete(m);
	assert_int_equal(m->q.n_flight, 0);
	virtq_deinit(&m->q);
	m->waits = false;
	driver_step_take(m);
	assert_int_equal(m->driver.taken, m->popped);
	model_begin(m, m->driver.has, size);
}

/* Calls f with every set of features: alone, in pairs, all. */
static void with_all_features(void (*f)(struct driver_features features))
{
	for (unsigned int bits = 0; bits < 16; bits++)
		f((struct driver_features){.packed = bits & 1,
			.event_idx = bits & 2,
			.indirect = bits & 4,
			.in_order = bits & 8});
}

static void run_by_turns(struct driver_features features)
{
	static const uint16_t sizes[] = {1, 2, 4, 8, 64, 3, 7, 63};

	for (size_t i = 0; i < (features.packed ? 8 : 5); i++) {
		struct model m;

		model_start(&m, features, sizes[i]);
		for (unsigned int n = 0; n < 60; n++) {
			model_run(&m, 500);
			model_settle(&m);
		}
		assert_true(m.completed > 1000);
		model_end(&m);
	}
}

static void test_all_buffers_come_back_whatever_the_turns(void **state)
{
	with_all_features(run_by_turns);
}

static void run_with_resets(struct driver_features features)
{
	static const uint16_t sizes[] = {1, 2, 4, 8, 64, 3, 7, 63};
	struct model m;

	model_start(&m, features, 16);
	for (unsigned int n = 0; n < 400; n++) {
		model_run(&m, pick(&m.seed, 200));
		if (n % 4 == 0)
			model_settle(&m);
		model_reset(&m, sizes[n % (features.packed ? 8 : 5)]);
	}
	assert_true(m.completed > 1000);
	model_end(&m);
}

static void test_a_queue_that_is_reset_at_any_moment_begins_anew(void **state)
{
	with_all_features(run_with_resets);
}

/* Indices of 16 bits wrap. */
static void run_over_the_wrap(struct driver_features features)
{
	struct model m;

	model_start(&m, features, 8);
	while (m.completed < 140000) {
		model_run(&m, 50000);
		model_settle(&m);
	}
	model_end(&m);
}

static void test_indices_wrap(void **state)
{
	with_all_features(run_over_the_wrap);
}

/* ---- Both sides at once ---- */

#define RACE_BUFFERS 20000u

/* How often as many buffers: docs/testing.md. */
static uint64_t race_rounds(void)
{
	const char *text = getenv("ALIOTH_ROUNDS");
	uint64_t rounds = text ? strtoull(text, NULL, 10) : 1;

	assert_in_range(rounds, 1, 1000000);
	return rounds;
}

/* Between two steps: mostly next to nothing, seldom as much as many steps take. */
static void race_delay(uint32_t *seed)
{
	for (uint32_t n = pick(seed, 1u << pick(seed, 10)); n; n--)
		atomic_signal_fence(memory_order_seq_cst);
}

struct race {
	struct model m;
	struct thread thread;
	_Atomic unsigned int kicks, interrupts; /* counted up */
	_Atomic bool end;
};

/* Waits until the counter moves on from *seen; false if that takes too long. */
static bool race_wait(struct race *r, _Atomic unsigned int *counter, unsigned int *seen)
{
	while (atomic_load(counter) == *seen) {
		if (atomic_load(&r->end))
			return false;
		sched_yield();
	}
	*seen = atomic_load(counter);
	return true;
}

static void race_device(struct thread *thread)
{
	struct race *r = container_of(thread, struct race, thread);
	struct model *m = &r->m;
	unsigned int seen = 0;
	uint32_t seed = 2;

	do {
		virtq_disable_notify(&m->q);
		while (virtq_pop(&m->q, &m->chain) > 0) {
			race_delay(&seed);
			virtq_push(&m->q, m->chain.head, device_answer(m, &m->chain));
			if (virtq_publish(&m->q))
				atomic_fetch_add(&r->interrupts, 1);
		}
		race_delay(&seed);
	} while (virtq_enable_notify(&m->q) || race_wait(r, &r->kicks, &seen));
}

static void race_take(struct race *r)
{
	struct driver_done done;

	while (driver_take(&r->m.driver, &done)) {
		assert_int_equal(done.written, written_of(done.token));
		r->m.completed++;
	}
}

static void run_at_once(struct driver_features features)
{
	static struct race r;
	const uint64_t target = RACE_BUFFERS * race_rounds();
	struct driver *d = &r.m.driver;
	unsigned int seen = 0;
	uint32_t seed = 1;

	r = (struct race){.thread = {.name = "device", .run = race_device}};
	model_start(&r.m, features, 16);
	assert_ok(thread_start(&r.thread));
	while (r.m.completed < target) {
		unsigned int n = 1 + pick(&seed, 16);

		while (n-- && d->added < target && driver_step_add(d, &seed))
			race_delay(&seed);
		if (driver_needs_kick(d))
			atomic_fetch_add(&r.kicks, 1);
		driver_disable_interrupts(d);
		race_take(&r);
		race_delay(&seed);
		/* A lost signal on either side hangs here. */
		if (r.m.completed < d->added && !driver_enable_interrupts(d))
			assert_true(race_wait(&r, &r.interrupts, &seen));
	}
	atomic_store(&r.end, true);
	thread_join(&r.thread);
	assert_false(r.m.q.broken);
	model_end(&r.m);
}

static void test_no_signal_is_lost_between_two_threads(void **state)
{
	with_all_features(run_at_once);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_buffers_come_back_whatever_the_turns),
		cmocka_unit_test(test_a_queue_that_is_reset_at_any_moment_begins_anew),
		cmocka_unit_test(test_indices_wrap),
		cmocka_unit_test(test_no_signal_is_lost_between_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
