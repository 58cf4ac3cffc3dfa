/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A split queue against a driver by hand: what it sends comes back in order, and every broken rule
 * of virtio 1.3, 2.7, breaks the queue and nothing else. Packed ones: test_virtq_packed.c, both
 * against a model of a driver: test_virtq_model.c.
 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/endian.h"
#include "virtio/queue/virtq.h"

#define SIZE     8
#define RAM_SIZE 0x10000
#define HIGH     (RAM_SIZE / 2) /* of two regions */
#define DESC     0x1000
#define AVAIL    0x2000
#define USED     0x3000
#define TABLE    0x4000 /* of indirect descriptors */
#define BUFFERS  0x8000

#define NEXT     1
#define WRITE    2
#define INDIRECT 4

struct driver {
	struct ram *ram;
	struct virtq q;
	struct virtq_chain chain;
	uint16_t avail; /* free-running */
};

static void put16(struct driver *d, uint64_t gpa, uint16_t value)
{
	uint8_t raw[2];

	store_le16(raw, value);
	assert_int_equal(ram_write(d->ram, gpa, raw, sizeof(raw)), 0);
}

static uint16_t get16(struct driver *d, uint64_t gpa)
{
	uint8_t raw[2];

	assert_int_equal(ram_read(d->ram, gpa, raw, sizeof(raw)), 0);
	return load_le16(raw);
}

static uint32_t get32(struct driver *d, uint64_t gpa)
{
	uint8_t raw[4];

	assert_int_equal(ram_read(d->ram, gpa, raw, sizeof(raw)), 0);
	return load_le32(raw);
}

static void put_desc(struct driver *d, uint64_t table, unsigned int i, uint64_t addr, uint32_t len,
	uint16_t flags, uint16_t next)
{
	uint8_t raw[16];

	store_le64(raw, addr);
	store_le32(raw + 8, len);
	store_le16(raw + 12, flags);
	store_le16(raw + 14, next);
	assert_int_equal(ram_write(d->ram, table + 16ull * i, raw, sizeof(raw)), 0);
}

/* Makes one chain available, without a look at the device's wish. */
static void offer(struct driver *d, uint16_t head)
{
	put16(d, AVAIL + 4 + 2u * (d->avail % SIZE), head);
	put16(d, AVAIL + 2, ++d->avail);
}

static struct virtq_layout layout_of(bool event_idx, bool indirect)
{
	return (struct virtq_layout){.size = SIZE,
		.desc = DESC,
		.driver = AVAIL,
		.device = USED,
		.event_idx = event_idx,
		.indirect = indirect};
}

static void start(struct driver *d, bool event_idx, bool indirect)
{
	static const struct ram_options anon = {.backend = RAM_ANON};
	struct virtq_layout layout = layout_of(event_idx, indirect);

	*d = (struct driver){0};
	assert_ok(ram_create(&anon, &d->ram));
	assert_ok(ram_add(d->ram, 0, HIGH, "low"));
	assert_ok(ram_add(d->ram, HIGH, RAM_SIZE - HIGH, "high"));
	assert_int_equal(virtq_init(&d->q, d->ram, &layout), 0);
}

static void end(struct driver *d)
{
	virtq_deinit(&d->q);
	ram_free(d->ram);
}

/* The chain at `head` breaks the queue, which stays broken and shows no used element. Ends the
 * driver. */
static void assert_broken(struct driver *d, uint16_t head)
{
	offer(d, head);
	assert_int_equal(virtq_pop(&d->q, &d->chain), -EINVAL);
	put_desc(d, DESC, 0, BUFFERS, 1, 0, 0);
	offer(d, 0);
	assert_int_equal(virtq_pop(&d->q, &d->chain), -EINVAL);
	assert_false(virtq_publish(&d->q));
	assert_false(virtq_enable_notify(&d->q));
	assert_int_equal(get16(d, USED + 2), 0);
	end(d);
}

static void test_requests_come_back_in_order_over_the_wrap(void **state)
{
	struct driver d;

	start(&d, false, false);
	for (uint32_t i = 0; i < 70000; i++) {
		uint16_t head = (uint16_t)(i * 3 % SIZE);
		uint64_t elem = USED + 4 + 8ull * (i % SIZE);

		put_desc(&d, DESC, head, BUFFERS + i % 100, 7, WRITE, 0);
		assert_int_equal(virtq_pop(&d.q, &d.chain), 0);
		offer(&d, head);
		assert_int_equal(virtq_pop(&d.q, &d.chain), 1);
		assert_true(d.chain.head < SIZE);
		assert_int_equal(d.chain.n_readable, 0);
		assert_int_equal(d.chain.n_writable, 1);
		assert_int_equal(d.chain.iov[0].iov_len, 7);
		virtq_push(&d.q, d.chain.head, i);
		assert_int_equal(get16(&d, USED + 2), (uint16_t)i);
		assert_true(virtq_publish(&d.q));
		assert_int_equal(get16(&d, USED + 2), (uint16_t)(i + 1));
		assert_int_equal(get32(&d, elem), head);
		assert_int_equal(get32(&d, elem + 4), i);
	}
	end(&d);
}

static void test_a_full_ring_is_taken_and_published_at_once(void **state)
{
	struct driver d;

	start(&d, false, false);
	for (uint16_t i = 0; i < SIZE; i++) {
		put_desc(&d, DESC, i, BUFFERS, 1, 0, 0);
		offer(&d, i);
	}
	for (uint16_t i = 0; i < SIZE; i++) {
		assert_int_equal(virtq_pop(&d.q, &d.chain), 1);
		virtq_push(&d.q, d.chain.head, 0);
	}
	assert_int_equal(virtq_pop(&d.q, &d.chain), 0);
	assert_int_equal(get16(&d, USED + 2), 0);
	assert_true(virtq_publish(&d.q));
	assert_int_equal(get16(&d, USED + 2), SIZE);
	assert_false(virtq_publish(&d.q)); /* nothing new */
	end(&d);
}

static void test_a_chain_is_split_into_pieces_by_direction(void **state)
{
	struct driver d;

	start(&d, false, false);
	put_desc(&d, DESC, 5, BUFFERS, 16, NEXT, 2);
	/* Across two regions: two pieces. */
	put_desc(&d, DESC, 2, HIGH - 4, 12, NEXT | WRITE, 7);
	put_desc(&d, DESC, 7, BUFFERS + 64, 1, WRITE, 0);
	offer(&d, 5);
	assert_int_equal(virtq_pop(&d.q, &d.chain), 1);
	assert_int_equal(d.chain.n_readable, 1);
	assert_int_equal(d.chain.n_writable, 3);
	assert_int_equal(d.chain.iov[0].iov_len, 16);
	assert_int_equal(d.chain.iov[1].iov_len, 4);
	assert_int_equal(d.chain.iov[2].iov_len, 8);
	assert_int_equal(d.chain.iov[3].iov_len, 1);
	end(&d);
}

static void test_rings_lie_aligned_in_one_piece_of_ram(void **state)
{
	static const struct {
		uint16_t size;
		uint64_t desc, avail, used;
		int ret;
	} all[] = {
		{0, DESC, AVAIL, USED, -EINVAL},
		{3, DESC, AVAIL, USED, -EINVAL},
		{VIRTQ_SIZE_MAX * 2, DESC, AVAIL, USED, -EINVAL},
		{SIZE, DESC + 8, AVAIL, USED, -EFAULT},
		{SIZE, DESC, AVAIL + 1, USED, -EFAULT},
		{SIZE, DESC, AVAIL, USED + 2, -EFAULT},
		{SIZE, RAM_SIZE - 16, AVAIL, USED, -EFAULT},
		{SIZE, DESC, RAM_SIZE - 16, USED, -EFAULT},
		{SIZE, DESC, AVAIL, RAM_SIZE - 64, -EFAULT},
		{SIZE, UINT64_MAX - 15, AVAIL, USED, -EFAULT},
		{SIZE, DESC, UINT64_MAX - 1, USED, -EFAULT},
		{SIZE, DESC, AVAIL, UINT64_MAX - 3, -EFAULT},
		/* Each byte is RAM, but they are in two regions. */
		{SIZE, HIGH - 16, AVAIL, USED, -EFAULT},
		{SIZE, HIGH - 16 * (SIZE - 1), AVAIL, USED, -EFAULT},
		{SIZE, DESC, HIGH - 2, USED, -EFAULT},
		{SIZE, DESC, HIGH - 4 - 2 * SIZE, USED, -EFAULT}, /* all but used_event */
		{SIZE, DESC, AVAIL, HIGH - 4, -EFAULT},
		{SIZE, DESC, AVAIL, HIGH - 4 - 8 * SIZE, -EFAULT}, /* all but avail_event */
		/* One ends where the other region begins. */
		{SIZE, HIGH - 16 * SIZE, HIGH, AVAIL, 0},
		{SIZE, HIGH, HIGH - 6 - 2 * SIZE, USED, 0},
		{SIZE, DESC, AVAIL, HIGH - 8 - 8 * SIZE, 0},
	};
	struct driver d;

	start(&d, false, false);
	virtq_deinit(&d.q);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct virtq_layout layout = {.size = all[i].size,
			.desc = all[i].desc,
			.driver = all[i].avail,
			.device = all[i].used};

		assert_int_equal(virtq_init(&d.q, d.ram, &layout), all[i].ret);
		virtq_deinit(&d.q);
	}
	end(&d);
}

static void test_a_loop_breaks_the_queue(void **state)
{
	struct driver d;

	start(&d, false, false);
	put_desc(&d, DESC, 0, BUFFERS, 1, NEXT, 1);
	put_desc(&d, DESC, 1, BUFFERS, 1, NEXT, 0);
	assert_broken(&d, 0);
}

static void test_a_loop_of_empty_pieces_breaks_the_queue(void **state)
{
	struct driver d;

	start(&d, false, false);
	put_desc(&d, DESC, 3, BUFFERS, 0, NEXT, 3);
	assert_broken(&d, 3);
}

static void test_descriptors_outside_the_table_break_the_queue(void **state)
{
	struct driver d;

	start(&d, false, false);
	assert_broken(&d, SIZE);
	start(&d, false, false);
	assert_broken(&d, UINT16_MAX);
	start(&d, false, false);
	put_desc(&d, DESC, 0, BUFFERS, 1, NEXT, SIZE);
	assert_broken(&d, 0);
}

static void test_pieces_outside_of_ram_break_the_queue(void **state)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
	} bad[] = {{RAM_SIZE, 1}, {RAM_SIZE - 1, 2}, {BUFFERS, UINT32_MAX}, {UINT64_MAX, 1},
		{UINT64_MAX - 1, 4}};
	struct driver d;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		start(&d, false, false);
		put_desc(&d, DESC, 0, bad[i].addr, bad[i].len, WRITE, 0);
		assert_broken(&d, 0);
	}
}

static void test_a_readable_piece_behind_a_writable_one_breaks_the_queue(void **state)
{
	struct driver d;

	start(&d, false, false);
	put_desc(&d, DESC, 0, BUFFERS, 1, NEXT | WRITE, 1);
	put_desc(&d, DESC, 1, BUFFERS, 1, 0, 0);
	assert_broken(&d, 0);
}

static void test_an_index_more_than_a_ring_ahead_breaks_the_queue(void **state)
{
	struct driver d;

	start(&d, false, false);
	d.avail = SIZE;
	assert_broken(&d, 0);
	start(&d, false, false);
	d.avail = UINT16_MAX - 1; /* backwards */
	assert_broken(&d, 0);
}

static void test_an_indirect_table_may_be_as_long_as_the_queue(void **state)
{
	struct driver d;

	start(&d, false, true);
	for (uint16_t i = 0; i < SIZE; i++)
		put_desc(&d, TABLE, i, BUFFERS + i, 1, i < SIZE - 1 ? NEXT : WRITE,
			(uint16_t)(i + 1));
	put_desc(&d, DESC, 4, TABLE, 16 * SIZE, INDIRECT, 0);
	offer(&d, 4);
	assert_int_equal(virtq_pop(&d.q, &d.chain), 1);
	assert_int_equal(d.chain.n_readable, SIZE - 1);
	assert_int_equal(d.chain.n_writable, 1);
	end(&d);
}

/* 2.7.5.3.2 */
static void test_an_indirect_table_may_follow_other_descriptors(void **state)
{
	struct driver d;

	start(&d, false, true);
	put_desc(&d, DESC, 6, BUFFERS, 8, NEXT, 1);
	put_desc(&d, DESC, 1, TABLE, 32, INDIRECT, 0);
	put_desc(&d, TABLE, 0, BUFFERS, 4, NEXT, 1);
	put_desc(&d, TABLE, 1, BUFFERS, 2, WRITE, 0);
	offer(&d, 6);
	assert_int_equal(virtq_pop(&d.q, &d.chain), 1);
	assert_int_equal(d.chain.n_readable, 2);
	assert_int_equal(d.chain.n_writable, 1);
	assert_int_equal(d.chain.iov[1].iov_len, 4);
	end(&d);
}

static void test_bad_indirect_descriptors_break_the_queue(void **state)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags;
	} bad[] = {
		{TABLE, 0, INDIRECT},
		{TABLE, 17, INDIRECT},
		{TABLE, 16 * (SIZE + 1), INDIRECT},
		{TABLE, UINT32_MAX & ~15u, INDIRECT},
		{TABLE, 16, INDIRECT | NEXT},
		{RAM_SIZE - 16, 32, INDIRECT},
		{UINT64_MAX - 15, 16, INDIRECT},
	};
	struct driver d;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		start(&d, false, true);
		put_desc(&d, TABLE, 0, BUFFERS, 1, 0, 0);
		put_desc(&d, DESC, 0, bad[i].addr, bad[i].len, bad[i].flags, 0);
		assert_broken(&d, 0);
	}
	start(&d, false, false); /* not negotiated */
	put_desc(&d, TABLE, 0, BUFFERS, 1, 0, 0);
	put_desc(&d, DESC, 0, TABLE, 16, INDIRECT, 0);
	assert_broken(&d, 0);
}

static void test_indirect_tables_do_not_nest_loop_or_end_early(void **state)
{
	struct driver d;

	start(&d, false, true);
	put_desc(&d, DESC, 0, TABLE, 16, INDIRECT, 0);
	put_desc(&d, TABLE, 0, TABLE, 16, INDIRECT, 0);
	assert_broken(&d, 0);
	start(&d, false, true);
	put_desc(&d, DESC, 0, TABLE, 16, INDIRECT, 0);
	put_desc(&d, TABLE, 0, BUFFERS, 1, NEXT, 0);
	assert_broken(&d, 0);
	start(&d, false, true); /* 1 is a descriptor of the queue, but none of the table */
	put_desc(&d, DESC, 0, TABLE, 16, INDIRECT, 0);
	put_desc(&d, TABLE, 0, BUFFERS, 1, NEXT, 1);
	assert_broken(&d, 0);
}

static void serve(struct driver *d)
{
	offer(d, 0);
	assert_int_equal(virtq_pop(&d->q, &d->chain), 1);
	virtq_push(&d->q, d->chain.head, 0);
}

static void test_flags_suppress_interrupts_and_notifications(void **state)
{
	struct driver d;

	start(&d, false, false);
	put_desc(&d, DESC, 0, BUFFERS, 1, 0, 0);
	put16(&d, AVAIL, 1);
	serve(&d);
	assert_false(virtq_publish(&d.q));
	assert_int_equal(get16(&d, USED + 2), 1);
	put16(&d, AVAIL, 0);
	serve(&d);
	assert_true(virtq_publish(&d.q));

	virtq_disable_notify(&d.q);
	assert_int_equal(get16(&d, USED), 1);
	assert_false(virtq_enable_notify(&d.q));
	assert_int_equal(get16(&d, USED), 0);
	offer(&d, 0);
	assert_true(virtq_enable_notify(&d.q));
	end(&d);
}

static void test_event_index_names_the_request_that_interrupts(void **state)
{
	const uint64_t used_event = AVAIL + 4 + 2 * SIZE, avail_event = USED + 4 + 8 * SIZE;
	struct driver d;

	start(&d, true, false);
	put_desc(&d, DESC, 0, BUFFERS, 1, 0, 0);
	put16(&d, used_event, 2); /* an interrupt when element 2 is there */
	for (unsigned int i = 0; i < 6; i++) {
		serve(&d);
		assert_int_equal(virtq_publish(&d.q), i == 2);
	}
	put16(&d, used_event, 7); /* in the middle of a batch of 6, 7 and 8 */
	for (unsigned int i = 0; i < 3; i++)
		serve(&d);
	assert_true(virtq_publish(&d.q));
	put16(&d, AVAIL, 1); /* the flag means nothing now */
	put16(&d, used_event, 9);
	serve(&d);
	assert_true(virtq_publish(&d.q));

	assert_false(virtq_enable_notify(&d.q));
	assert_int_equal(get16(&d, avail_event), 10);
	assert_int_equal(get16(&d, USED), 0);

	/* 2.7.10: the driver notifies when it passes the event, so not with its next requests. */
	virtq_withdraw_notify(&d.q);
	assert_int_equal(get16(&d, avail_event), 9);
	assert_false(virtq_has_chain(&d.q));
	offer(&d, 0);
	assert_true(virtq_has_chain(&d.q));
	assert_true(virtq_enable_notify(&d.q));
	assert_int_equal(get16(&d, avail_event), 10);
	end(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_come_back_in_order_over_the_wrap),
		cmocka_unit_test(test_a_full_ring_is_taken_and_published_at_once),
		cmocka_unit_test(test_a_chain_is_split_into_pieces_by_direction),
		cmocka_unit_test(test_rings_lie_aligned_in_one_piece_of_ram),
		cmocka_unit_test(test_a_loop_breaks_the_queue),
		cmocka_unit_test(test_a_loop_of_empty_pieces_breaks_the_queue),
		cmocka_unit_test(test_descriptors_outside_the_table_break_the_queue),
		cmocka_unit_test(test_pieces_outside_of_ram_break_the_queue),
		cmocka_unit_test(test_a_readable_piece_behind_a_writable_one_breaks_the_queue),
		cmocka_unit_test(test_an_index_more_than_a_ring_ahead_breaks_the_queue),
		cmocka_unit_test(test_an_indirect_table_may_be_as_long_as_the_queue),
		cmocka_unit_test(test_an_indirect_table_may_follow_other_descriptors),
		cmocka_unit_test(test_bad_indirect_descriptors_break_the_queue),
		cmocka_unit_test(test_indirect_tables_do_not_nest_loop_or_end_early),
		cmocka_unit_test(test_flags_suppress_interrupts_and_notifications),
		cmocka_unit_test(test_event_index_names_the_request_that_interrupts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
