/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A packed queue against a driver by hand: descriptors come and go around the ring with the wrap
 * counters, and every broken rule of virtio 1.3, 2.8, breaks the queue and nothing else.
 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/endian.h"
#include "virtio/queue/virtq.h"

#define SIZE     8
#define RAM_SIZE 0x10000
#define DESC     0x1000
#define DRIVER   0x2000
#define DEVICE   0x3000
#define TABLE    0x4000 /* of indirect descriptors */
#define BUFFERS  0x8000

#define NEXT     0x0001
#define WRITE    0x0002
#define INDIRECT 0x0004
#define AVAIL    0x0080
#define USED     0x8000

struct driver {
	struct ram *ram;
	struct virtq q;
	struct virtq_chain chain;
};

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags; /* without AVAIL and USED */
	uint16_t id;
};

static void put_raw(struct driver *d, uint64_t table, unsigned int i, const struct desc *desc,
	unsigned int flags)
{
	uint8_t raw[16];

	store_le64(raw, desc->addr);
	store_le32(raw + 8, desc->len);
	store_le16(raw + 12, desc->id);
	store_le16(raw + 14, (uint16_t)flags);
	assert_int_equal(ram_write(d->ram, table + 16ull * i, raw, sizeof(raw)), 0);
}

/* Makes one descriptor available in lap 0, 1, ...: the first one's counter is 1 (2.8.1). */
static void offer(struct driver *d, unsigned int lap, unsigned int place, const struct desc *desc)
{
	put_raw(d, DESC, place, desc, desc->flags | (lap % 2 ? USED : AVAIL));
}

static void offer_all(struct driver *d, const struct desc *all, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		offer(d, 0, i, &all[i]);
}

static void assert_used(struct driver *d, unsigned int lap, unsigned int place, uint16_t id,
	uint32_t len, unsigned int flags)
{
	uint8_t raw[16];

	assert_int_equal(ram_read(d->ram, DESC + 16ull * place, raw, sizeof(raw)), 0);
	assert_int_equal(load_le32(raw + 8), len);
	assert_int_equal(load_le16(raw + 12), id);
	assert_int_equal(load_le16(raw + 14), flags | (lap % 2 ? 0 : AVAIL | USED));
}

static void start_with(struct driver *d, struct virtq_layout layout)
{
	static const struct ram_options anon = {.backend = RAM_ANON};

	layout.size = SIZE;
	layout.desc = DESC;
	layout.driver = DRIVER;
	layout.device = DEVICE;
	layout.packed = true;
	*d = (struct driver){0};
	assert_ok(ram_create(&anon, &d->ram));
	assert_ok(ram_add(d->ram, 0, RAM_SIZE / 2, "low"));
	assert_ok(ram_add(d->ram, RAM_SIZE / 2, RAM_SIZE / 2, "high"));
	assert_int_equal(virtq_init(&d->q, d->ram, &layout), 0);
}

static void start(struct driver *d, bool indirect)
{
	start_with(d, (struct virtq_layout){.indirect = indirect});
}

static void end(struct driver *d)
{
	virtq_deinit(&d->q);
	ram_free(d->ram);
}

/* The chain at the queue's position breaks the queue, which stays broken, and the ring is as the
 * driver left it. Ends the driver. */
static void assert_broken(struct driver *d)
{
	static const struct desc good = {.addr = BUFFERS, .len = 1};
	uint8_t before[16 * SIZE], after[16 * SIZE];

	assert_int_equal(virtq_pop(&d->q, &d->chain), -EINVAL);
	for (unsigned int i = 0; i < SIZE; i++)
		offer(d, 0, i, &good);
	assert_int_equal(ram_read(d->ram, DESC, before, sizeof(before)), 0);
	assert_int_equal(virtq_pop(&d->q, &d->chain), -EINVAL);
	assert_false(virtq_has_chain(&d->q));
	assert_false(virtq_publish(&d->q));
	assert_false(virtq_enable_notify(&d->q));
	assert_int_equal(ram_read(d->ram, DESC, after, sizeof(after)), 0);
	assert_memory_equal(before, after, sizeof(before));
	end(d);
}

/* ---- Around the ring ---- */

static void test_each_lap_turns_the_flags_over(void **state)
{
	struct driver d;

	start(&d, false);
	for (uint32_t i = 0; i < 100 * SIZE; i++) {
		/* The id is the driver's business: any, and here one for all. */
		struct desc desc = {BUFFERS + i, 7, WRITE, i % 3 ? UINT16_MAX : SIZE};

		assert_int_equal(virtq_pop(&d.q, &d.chain), 0);
		offer(&d, i / SIZE, i % SIZE, &desc);
		assert_int_equal(virtq_pop(&d.q, &d.chain), 1);
		assert_true(d.chain.head < SIZE);
		assert_int_equal(d.chain.n_readable, 0);
		assert_int_equal(d.chain.n_writable, 1);
		virtq_push(&d.q, d.chain.head, i);
		assert_true(virtq_publish(&d.q));
		/* 2.8.4: WRITE tells the driver that there is a length. */
		assert_used(&d, i / SIZE, i % SIZE, desc.id, i, i ? WRITE : 0);
	}
	end(&d);
}

/* The flags that are not those of an available descriptor, in either lap. */
static void test_only_an_available_descriptor_is_taken(void **state)
{
	static const struct {
		unsigned int lap, flags;
		bool available;
	} all[] = {
		{0, 0, false},
		{0, AVAIL, true},
		{0, USED, false},
		{0, AVAIL | USED, false},
		{1, 0, false},
		{1, AVAIL, false},
		{1, USED, true},
		{1, AVAIL | USED, false},
	};
	const struct desc desc = {BUFFERS, 1, 0, 5};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct driver d;

		start(&d, false);
		for (unsigned int n = 0; n < all[i].lap * SIZE; n++) {
			offer(&d, 0, n, &desc);
			assert_int_equal(virtq_pop(&d.q, &d.chain), 1);
			virtq_push(&d.q, d.chain.head, 0);
		}
		assert_int_equal(virtq_publish(&d.q), all[i].lap);
		put_raw(&d, DESC, 0, &desc, all[i].flags);
		assert_int_equal(virtq_has_chain(&d.q), all[i].available);
		assert_int_equal(virtq_enable_notify(&d.q), all[i].available);
		assert_int_equal(virtq_pop(&d.q, &d.chain), all[i].available);
		end(&d);
	}
}

static void test_a_chain_goes_on_at_the_rings_begin(void **state)
{
	const struct desc single = {BUFFERS, 1, 0, 9};
	const struct desc chain[] = {{BUFFERS, 16, NEXT, 100}, {BUFFERS, 4, NEXT | WRITE, 101},
		{BUFFERS, 8, WRITE, 102}};
	struct driver d;

	start(&d, false);
	for (unsigned int i = 0; i < SIZE - 2; i++) {
		offer(&d, 0, i, &single);
		assert_int_equal(virtq_pop(&d.q, &d.chain), 1);
		virtq_push(&d.q, d.chain.head, 0);
	}
	assert_true(virtq_publish(&d.q));
	offer(&d, 0, SIZE - 2, &chain[0]);
	offer(&d, 0, SIZE - 1, &chain[1]);
	offer(&d, 1, 0, &chain[2]);
	offer(&d, 1, 1, &single);
	assert_int_equal(virtq_pop(&d.q, &d.chain), 1);
	assert_int_equal(d.chain.n_readable, 1);
	assert_int_equal(d.chain.n_writable, 2);
	virtq_push(&d.q, d.chain.head, 12);
	assert_int_equal(virtq_pop(&d.q, &d.chain), 1);
	virtq_push(&d.q, d.chain.head, 0);
	assert_int_equal(virtq_pop(&d.q, &d.chain), 0);
	assert_true(virtq_publish(&d.q));
	/* The last one's id (2.8.6), where the chain began; the next behind its end. */
	assert_used(&d, 0, SIZE - 2, 102, 12, WRITE);
	assert_used(&d, 1, 1, 9, 0, 0);
	end(&d);
}

static void test_a_batch_shows_with_its_first_descriptor(void **state)
{
	const struct desc desc = {BUFFERS, 1, 0, 3};
	uint16_t slots[SIZE];
	uint8_t raw[16];
	struct driver d;

	start(&d, false);
	for (unsigned int i = 0; i < SIZE; i++) {
		offer(&d, 0, i, &desc);
		assert_int_equal(virtq_pop(&d.q, &d.chain), 1);
		slots[i] = d.chain.head;
		for (unsigned int k = 0; k < i; k++)
			assert_int_not_equal(slots[k], slots[i]);
	}
	assert_int_equal(virtq_pop(&d.q, &d.chain), 0);
	for (unsigned int i = 0; i < SIZE; i++)
		virtq_push(&d.q, slots[i], i);
	assert_int_equal(ram_read(d.ram, DESC, raw, sizeof(raw)), 0);
	assert_int_equal(load_le16(raw + 14), AVAIL);
	assert_true(virtq_publish(&d.q));
	for (unsigned int i = 0; i < SIZE; i++)
		assert_used(&d, 0, i, 3, i, i ? WRITE : 0);
	assert_false(virtq_publish(&d.q)); /* nothing new */
	end(&d);
}

/* ---- Broken rules ---- */

static void test_a_ring_without_an_end_breaks_the_queue(void **state)
{
	for (uint32_t len = 0; len < 2; len++) {
		const struct desc desc = {BUFFERS, len, NEXT, 0};
		struct driver d;

		start(&d, false);
		for (unsigned int i = 0; i < SIZE; i++)
			offer(&d, 0, i, &desc);
		assert_broken(&d);
	}
}

/* Descriptors that the device has and the driver made available again. */
static void test_more_than_the_ring_holds_breaks_the_queue(void **state)
{
	const struct desc single = {BUFFERS, 1, 0, 0}, first = {BUFFERS, 1, NEXT, 0};

	for (unsigned int n = 1; n <= SIZE; n++) { /* singles, then a chain one too long */
		struct driver d;

		start(&d, false);
		for (unsigned int i = 0; i < n; i++) {
			offer(&d, 0, i, &single);
			assert_int_equal(virtq_pop(&d.q, &d.chain), 1);
		}
		for (unsigned int i = n; i < SIZE; i++)
			offer(&d, 0, i, &first);
		offer(&d, 1, 0, &single);
		assert_broken(&d);
	}
}

static void test_bad_chains_break_the_queue(void **state)
{
	static const struct desc bad[][2] = {
		{{RAM_SIZE, 1, 0, 0}}, {{RAM_SIZE - 1, 2, WRITE, 0}}, {{BUFFERS, UINT32_MAX, 0, 0}},
		{{UINT64_MAX, 1, WRITE, 0}}, {{UINT64_MAX - 1, 4, 0, 0}},
		{{BUFFERS, 1, NEXT, 0}, {RAM_SIZE, 1, 0, 0}},
		{{BUFFERS, 1, NEXT | WRITE, 0}, {BUFFERS, 1, 0, 0}}, /* 2.8.17 */
		{{TABLE, 16, INDIRECT, 0}},                          /* not negotiated */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct driver d;

		start(&d, false);
		offer_all(&d, bad[i], 2);
		assert_broken(&d);
	}
}

static void test_bad_indirect_descriptors_break_the_queue(void **state)
{
	static const struct desc bad[][2] = {
		{{TABLE, 0, INDIRECT, 0}},
		{{TABLE, 15, INDIRECT, 0}},
		{{TABLE, 17, INDIRECT, 0}},
		{{TABLE, 16 * (SIZE + 1), INDIRECT, 0}},
		{{TABLE, UINT32_MAX & ~15u, INDIRECT, 0}},
		{{RAM_SIZE - 16, 32, INDIRECT, 0}},
		{{UINT64_MAX - 15, 16, INDIRECT, 0}},
		/* 2.8.19: in no list of direct ones, neither first nor last. */
		{{TABLE, 16, INDIRECT | NEXT, 0}, {BUFFERS, 1, 0, 0}},
		{{BUFFERS, 1, NEXT, 0}, {TABLE, 16, INDIRECT, 0}},
	};
	static const struct desc good = {BUFFERS, 1, 0, 0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct driver d;

		start(&d, true);
		put_raw(&d, TABLE, 0, &good, 0);
		offer_all(&d, bad[i], 2);
		assert_broken(&d);
	}
}

static void test_bad_tables_break_the_queue(void **state)
{
	static const struct desc indirect = {TABLE, 32, INDIRECT, 0};
	static const struct desc bad[][2] = {
		{{TABLE, 16, INDIRECT, 0}, {BUFFERS, 1, 0, 0}}, /* nested */
		{{BUFFERS, 1, 0, 0}, {TABLE, 32, INDIRECT, 0}},
		{{BUFFERS, 1, WRITE, 0}, {BUFFERS, 1, 0, 0}},
		{{BUFFERS, 1, 0, 0}, {RAM_SIZE, 1, 0, 0}},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct driver d;

		start(&d, true);
		put_raw(&d, TABLE, 0, &bad[i][0], bad[i][0].flags);
		put_raw(&d, TABLE, 1, &bad[i][1], bad[i][1].flags);
		offer(&d, 0, 0, &indirect);
		assert_broken(&d);
	}
}

/* 2.8.7: of a table's descriptors only WRITE counts, and all of them are the buffer's. */
static void test_an_indirect_table_may_be_as_long_as_the_queue(void **state)
{
	const struct desc indirect = {TABLE, 16 * SIZE, INDIRECT, 77};
	struct driver d;

	start(&d, true);
	for (unsigned int i = 0; i < SIZE; i++) {
		struct desc desc = {BUFFERS + i, 1, 0, 1};

		put_raw(&d, TABLE, i, &desc, i < SIZE - 1 ? i % 2 ? NEXT | AVAIL : USED : WRITE);
	}
	offer(&d, 0, 0, &indirect);
	assert_int_equal(virtq_pop(&d.q, &d.chain), 1);
	assert_int_equal(d.chain.n_readable, SIZE - 1);
	assert_int_equal(d.chain.n_writable, 1);
	virtq_push(&d.q, d.chain.head, 1);
	assert_true(virtq_publish(&d.q));
	assert_used(&d, 0, 0, 77, 1, WRITE);
	end(&d);
}

/* ---- Event suppression: 2.8.14 ---- */

static void put_event(struct driver *d, uint16_t position, uint16_t flags)
{
	uint8_t raw[4];

	store_le16(raw, position);
	store_le16(raw + 2, flags);
	assert_int_equal(ram_write(d->ram, DRIVER, raw, sizeof(raw)), 0);
}

/* n descriptors from `from` on, the ring's laps counted, in one batch; was an interrupt wanted? */
static bool serve(struct driver *d, unsigned int from, unsigned int n)
{
	const struct desc desc = {BUFFERS, 1, 0, 0};

	for (unsigned int i = from; i < from + n; i++) {
		offer(d, i / SIZE, i % SIZE, &desc);
		assert_int_equal(virtq_pop(&d->q, &d->chain), 1);
		virtq_push(&d->q, d->chain.head, 0);
	}
	return virtq_publish(&d->q);
}

static void test_the_drivers_event_says_which_batch_interrupts(void **state)
{
	/* Batches of 3: 0-2, 3-5, 6-8 (over the wrap), 9-11. The counter is bit 15. */
	static const struct {
		uint16_t position, flags;
		bool interrupts[4];
	} all[] = {
		{0, 0, {true, true, true, true}},
		{0, 1, {false, false, false, false}},
		{0x8000, 2, {true, false, false, false}},
		{0x8004, 2, {false, true, false, false}},
		{0x8007, 2, {false, false, true, false}},
		{0x0000, 2, {false, false, true, false}},
		{0x0001, 2, {false, false, false, true}},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct driver d;

		start_with(&d, (struct virtq_layout){.event_idx = true});
		put_event(&d, all[i].position, all[i].flags);
		for (unsigned int n = 0; n < 4; n++)
			assert_int_equal(serve(&d, 3 * n, 3), all[i].interrupts[n]);
		end(&d);
	}
}

/* Positions outside of the ring and flags that are reserved are some wish, and no harm. */
static void test_events_that_mean_nothing_do_no_harm(void **state)
{
	struct driver d;

	for (uint32_t i = 0; i < 1 << 18; i += 251) {
		start_with(&d, (struct virtq_layout){.event_idx = i & 1});
		put_event(&d, (uint16_t)i, (uint16_t)(i >> 16));
		for (unsigned int n = 0; n < 3; n++)
			(void)serve(&d, 5 * n, 5);
		assert_false(d.q.broken);
		end(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_lap_turns_the_flags_over),
		cmocka_unit_test(test_only_an_available_descriptor_is_taken),
		cmocka_unit_test(test_a_chain_goes_on_at_the_rings_begin),
		cmocka_unit_test(test_a_batch_shows_with_its_first_descriptor),
		cmocka_unit_test(test_a_ring_without_an_end_breaks_the_queue),
		cmocka_unit_test(test_more_than_the_ring_holds_breaks_the_queue),
		cmocka_unit_test(test_bad_chains_break_the_queue),
		cmocka_unit_test(test_bad_indirect_descriptors_break_the_queue),
		cmocka_unit_test(test_bad_tables_break_the_queue),
		cmocka_unit_test(test_an_indirect_table_may_be_as_long_as_the_queue),
		cmocka_unit_test(test_the_drivers_event_says_which_batch_interrupts),
		cmocka_unit_test(test_events_that_mean_nothing_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
