/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory balloon: what goes back to the host, what stays, and what a guest says of itself.
 */
#include "balloon_fixture.h"

#include <errno.h>

#include "base/thread.h"

static const struct ram_options anon = {.backend = RAM_ANON};
static const struct virtio_balloon_options with_all = {.deflate_on_oom = true, .reporting = true};

#define ALL_OWN (F_MUST_TELL | F_STATS | F_OOM | F_HINT | F_POISON | F_REPORT)

static struct balloon_test *start(struct driver_features features)
{
	struct balloon_test *t = bt_create(&anon, &with_all);

	bt_activate(t, features, ALL_OWN);
	return t;
}

static int setup(void **state)
{
	*state = start((struct driver_features){0});
	return 0;
}

static int teardown(void **state)
{
	bt_free(*state);
	return 0;
}

/* ---- What it is ---- */

static void test_options_decide_what_is_offered(void **state)
{
	const struct virtio_balloon_options none = {0};
	struct balloon_test *t = bt_create(&anon, &none);

	assert_int_equal(t->dev->id, 5);
	assert_int_equal(t->dev->n_queues, 4);
	assert_int_equal(t->dev->features & 0xffffff, F_MUST_TELL | F_STATS | F_HINT | F_POISON);
	bt_activate(t, (struct driver_features){0}, 0);
	bt_free(t);
	t = bt_create(&anon, &with_all);
	assert_int_equal(t->dev->n_queues, 5);
	assert_int_equal(t->dev->features & 0xffffff, ALL_OWN);
	bt_activate(t, (struct driver_features){0}, 0);
	bt_free(t);
}

static void test_configuration_is_read_in_parts_and_written_in_whole_fields(void **state)
{
	struct balloon_test *t = *state;
	uint8_t byte;

	virtio_balloon_set_target(t->balloon, 0x1234567);
	assert_int_equal(bt_config(t, 0), 0x1234);
	t->dev->ops->config_read(t->dev, 1, &byte, 1);
	assert_int_equal(byte, 0x12);
	bt_set_config(t, 4, 0x1200);
	assert_int_equal(bt_config(t, 4), 0x1200);
	assert_int_equal(bt_info(t).actual, 0x1200000);
	t->dev->ops->config_write(t->dev, 4, "\xff\xff", 2);
	t->dev->ops->config_write(t->dev, 5, "\xff\xff\xff\xff", 4);
	assert_int_equal(bt_config(t, 4), 0x1200);
	/* The driver's part is not what the device wants. */
	bt_set_config(t, 0, 7);
	bt_set_config(t, 8, 7);
	assert_int_equal(bt_config(t, 0), 0x1234);
	assert_int_equal(bt_config(t, 8), 0);
	bt_set_config(t, 4, UINT32_MAX);
	assert_int_equal(bt_info(t).actual, (uint64_t)UINT32_MAX * PAGE);
}

static void test_a_new_target_is_announced_and_a_pause_puts_that_off(void **state)
{
	struct balloon_test *t = *state;

	virtio_balloon_set_target(t->balloon, MIB(1));
	assert_int_equal(t->changes, 0);
	bt_pump(t);
	assert_int_equal(t->changes, 1);
	t->dev->ops->pause(t->dev, 0, true);
	virtio_balloon_set_target(t->balloon, MIB(2));
	bt_pump(t);
	assert_int_equal(t->changes, 1);
	t->dev->ops->pause(t->dev, 0, false);
	assert_int_equal(t->changes, 2);
	assert_int_equal(bt_info(t).target, MIB(2));
	t->dev->ops->pause(t->dev, 0, true);
	t->dev->ops->pause(t->dev, 0, false);
	assert_int_equal(t->changes, 2);
}

static void test_a_reset_empties_the_balloon_but_keeps_the_target(void **state)
{
	struct balloon_test *t = *state;

	virtio_balloon_set_target(t->balloon, MIB(1));
	bt_set_config(t, 4, 256);
	bt_set_config(t, 12, 0xaaaaaaaa);
	bt_deactivate(t);
	assert_int_equal(bt_config(t, 0), 256);
	assert_int_equal(bt_config(t, 4), 0);
	assert_int_equal(bt_config(t, 12), 0);
	virtio_balloon_set_target(t->balloon, MIB(2));
	bt_activate(t, (struct driver_features){.packed = true}, ALL_OWN);
	virtio_balloon_set_target(t->balloon, MIB(3));
	bt_pump(t);
	assert_int_equal(t->changes, 1);
}

/* ---- In and out ---- */

static void check_inflate(struct driver_features features)
{
	struct balloon_test *t = start(features);
	const uint64_t at = BALLOON_DATA;
	uint32_t pfns[8];

	bt_fill(t, at - PAGE, 34, 0x55);
	/* Backwards, with one twice. */
	for (unsigned int i = 0; i < 8; i++)
		pfns[i] = (uint32_t)(at / PAGE) + 7 - i;
	pfns[3] = pfns[2];
	bt_pages(t, INFLATE, pfns, 8);
	assert_int_equal(bt_present(t, at, 8), 1);
	assert_true(bt_is(t, at + 4ull * PAGE, 1, 0x55));
	assert_int_equal(bt_info(t).returned, 7 * PAGE);
	bt_page_run(t, INFLATE, at + 16ull * PAGE, 16);
	assert_int_equal(bt_present(t, at + 16ull * PAGE, 16), 0);
	assert_true(bt_is(t, at - PAGE, 1, 0x55));
	assert_true(bt_is(t, at + 32ull * PAGE, 1, 0x55));
	assert_int_equal(bt_present(t, at + 8ull * PAGE, 8), 8);
	/* Out again: zeros, and what is written stays. */
	bt_page_run(t, DEFLATE, at + 16ull * PAGE, 16);
	assert_true(bt_is(t, at + 16ull * PAGE, 16, 0));
	bt_fill(t, at + 16ull * PAGE, 16, 0x66);
	bt_page_run(t, INFLATE, at, 1);
	assert_true(bt_is(t, at + 16ull * PAGE, 16, 0x66));
	assert_int_equal(t->resets, 0);
	bt_free(t);
}

static void test_pages_go_to_the_host_and_come_back_on_every_kind_of_ring(void **state)
{
	for (unsigned int i = 0; i < 16; i++)
		check_inflate((struct driver_features){
			.packed = i & 1, .event_idx = i & 2, .indirect = i & 4, .in_order = i & 8});
}

static void test_page_numbers_that_are_no_ram_do_nothing(void **state)
{
	struct balloon_test *t = *state;
	const uint32_t bad[] = {UINT32_MAX, BALLOON_RAM / PAGE, BALLOON_HIGH / PAGE - 1,
		(BALLOON_HIGH + BALLOON_RAM) / PAGE, 0xfee00, 0x80000000};
	/* The last page of each region, with one behind it. */
	const uint32_t edges[] = {BALLOON_RAM / PAGE - 1, BALLOON_RAM / PAGE,
		(BALLOON_HIGH + BALLOON_RAM) / PAGE - 1, (BALLOON_HIGH + BALLOON_RAM) / PAGE};

	bt_pages(t, INFLATE, bad, ARRAY_SIZE(bad));
	bt_pages(t, DEFLATE, bad, ARRAY_SIZE(bad));
	assert_int_equal(bt_info(t).returned, 0);
	bt_fill(t, BALLOON_RAM - PAGE, 1, 1);
	bt_fill(t, BALLOON_HIGH + BALLOON_RAM - PAGE, 1, 1);
	bt_pages(t, INFLATE, edges, ARRAY_SIZE(edges));
	assert_int_equal(bt_info(t).returned, 2 * PAGE);
	assert_int_equal(bt_present(t, BALLOON_HIGH + BALLOON_RAM - PAGE, 1), 0);
	assert_int_equal(t->resets, 0);
}

static void test_a_driver_may_give_up_its_own_ring(void **state)
{
	struct balloon_test *t = *state;
	const uint32_t pfns[] = {BALLOON_RINGS / PAGE, BALLOON_RINGS / PAGE + 1};
	const struct driver_piece piece = {.addr = BALLOON_BUFFER, .len = sizeof(pfns)};

	assert_int_equal(ram_write(t->ram, BALLOON_BUFFER, pfns, sizeof(pfns)), 0);
	assert_true(driver_add(&t->drivers[INFLATE], &piece, 1, false, 1));
	t->dev->ops->notify(t->dev, INFLATE);
	for (unsigned int i = 0; i < 4; i++)
		t->dev->ops->notify(t->dev, INFLATE);
	/* It is the driver that is lost; the other queues work on. */
	bt_page_run(t, DEFLATE, BALLOON_DATA, 4);
}

static void test_requests_of_any_length_are_bounded(void **state)
{
	struct balloon_test *t = *state;
	struct driver_piece pieces[8];
	const struct driver_piece odd = {.addr = BALLOON_DATA, .len = 4 + 3};
	const struct driver_piece empty = {.addr = BALLOON_DATA, .len = 0};
	const struct driver_piece writable = {.addr = BALLOON_DATA, .len = 4096, .writable = true};

	bt_fill(t, BALLOON_DATA, 1, 0x02);
	assert_int_equal(bt_run(t, INFLATE, &odd, 1), 0);
	assert_int_equal(bt_run(t, INFLATE, &empty, 1), 0);
	assert_int_equal(bt_run(t, INFLATE, &writable, 1), 0);
	for (unsigned int i = 0; i < 8; i++)
		pieces[i] = (struct driver_piece){.addr = 0, .len = BALLOON_RAM};
	/* All of memory, eight times over, as page numbers: rings included, mostly page 0. */
	bt_fill(t, 0, 4, 0x01);
	assert_int_equal(bt_run(t, DEFLATE, pieces, 8), 0);
	pieces[0].addr = BALLOON_DATA;
	pieces[0].len = BALLOON_RAM - BALLOON_DATA;
	assert_int_equal(bt_run(t, INFLATE, pieces, 1), 0);
	assert_int_equal(t->resets, 0);
}

/* ---- What the memory is made of ---- */

static void check_backing(const struct ram_options *options)
{
	struct balloon_test *t = bt_create(options, &with_all);
	const struct driver_piece report = {
		.addr = BALLOON_HIGH + MIB(2), .len = MIB(4), .writable = true};

	bt_activate(t, (struct driver_features){.packed = true}, ALL_OWN);
	bt_fill(t, BALLOON_DATA, 512, 0x77);
	bt_page_run(t, INFLATE, BALLOON_DATA, 512);
	assert_int_equal(bt_present(t, BALLOON_DATA, 512), 0);
	bt_fill(t, BALLOON_HIGH, 2048, 0x77);
	assert_int_equal(bt_run(t, REPORT, &report, 1), MIB(4));
	assert_int_equal(bt_present(t, BALLOON_HIGH + MIB(2), 1024), 0);
	assert_true(bt_is(t, BALLOON_HIGH, 512, 0x77));
	assert_true(bt_is(t, BALLOON_HIGH + MIB(6), 512, 0x77));
	assert_true(bt_is(t, BALLOON_DATA, 512, 0));
	assert_int_equal(bt_info(t).returned, MIB(6));
	bt_free(t);
}

static void test_every_backing_gives_pages_back(void **state)
{
	const struct ram_options backings[] = {{.backend = RAM_ANON},
		{.backend = RAM_ANON, .thp = true}, {.backend = RAM_ANON, .prealloc = true},
		{.backend = RAM_ANON, .shared = true}, {.backend = RAM_MEMFD},
		{.backend = RAM_MEMFD, .prealloc = true}};

	for (size_t i = 0; i < ARRAY_SIZE(backings); i++)
		check_backing(&backings[i]);
}

/* Reserved by whoever runs the tests, as the lab does. */
static bool have_huge_pages(void)
{
	unsigned long n = 0;
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");

	if (f && fscanf(f, "%lu", &n) != 1)
		n = 0;
	if (f)
		fclose(f);
	return n >= 16;
}

static void check_huge_pages(const struct ram_options *options)
{
	struct balloon_test *t = bt_create(options, &with_all);
	const struct driver_piece reports[] = {
		{.addr = BALLOON_HIGH + MIB(1), .len = MIB(2), .writable = true},
		{.addr = BALLOON_HIGH + MIB(3), .len = MIB(4), .writable = true},
	};

	bt_activate(t, (struct driver_features){0}, ALL_OWN);
	bt_fill(t, MIB(4), 1024, 0x77);
	/* All but one page of a huge page, in two requests, some of it twice. */
	bt_page_run(t, INFLATE, MIB(4), 256);
	bt_page_run(t, INFLATE, MIB(4) + KIB(512), 383);
	assert_int_equal(bt_info(t).returned, 0);
	assert_true(bt_is(t, MIB(4), 512, 0x77));
	/* One is taken out and comes back; then it is whole. */
	bt_page_run(t, DEFLATE, MIB(4) + 7ull * PAGE, 1);
	bt_page_run(t, INFLATE, MIB(4) + 511ull * PAGE, 1);
	assert_int_equal(bt_info(t).returned, 0);
	assert_true(bt_is(t, MIB(4) + 7ull * PAGE, 1, 0x77));
	bt_page_run(t, INFLATE, MIB(4) + 7ull * PAGE, 1);
	assert_int_equal(bt_info(t).returned, MIB(2));
	assert_true(bt_is(t, MIB(6), 512, 0x77));
	assert_true(bt_is(t, MIB(4), 512, 0));
	/* What is out does not go again with its neighbours. */
	bt_page_run(t, DEFLATE, MIB(4), 2);
	bt_fill(t, MIB(4), 2, 0x11);
	bt_page_run(t, INFLATE, MIB(4) + PAGE, 1);
	bt_page_run(t, INFLATE, MIB(4) + 2ull * PAGE, 510);
	assert_true(bt_is(t, MIB(4), 1, 0x11));
	/* Of reports only the whole huge pages. */
	bt_fill(t, BALLOON_HIGH, 2048, 0x77);
	assert_int_equal(bt_run(t, REPORT, reports, 2), 0);
	assert_int_equal(bt_info(t).returned, MIB(2) + MIB(2));
	assert_true(bt_is(t, BALLOON_HIGH, 1024, 0x77));
	assert_true(bt_is(t, BALLOON_HIGH + MIB(4), 512, 0));
	assert_true(bt_is(t, BALLOON_HIGH + MIB(6), 512, 0x77));
	bt_free(t);
}

static void test_huge_pages_go_when_they_are_whole(void **state)
{
	const struct ram_options private = {.backend = RAM_ANON, .hugetlb = MIB(2)};
	const struct ram_options shared = {.backend = RAM_ANON, .shared = true, .hugetlb = MIB(2)};
	const struct ram_options memfd_huge = {.backend = RAM_MEMFD, .hugetlb = MIB(2)};

	if (!have_huge_pages())
		skip();
	check_huge_pages(&private);
	check_huge_pages(&shared);
	check_huge_pages(&memfd_huge);
}

static void test_a_driver_that_does_not_tell_keeps_parts_of_huge_pages(void **state)
{
	const struct ram_options huge = {.backend = RAM_MEMFD, .hugetlb = MIB(2)};
	struct balloon_test *t;

	if (!have_huge_pages())
		skip();
	t = bt_create(&huge, &with_all);
	bt_activate(t, (struct driver_features){0}, ALL_OWN & ~F_MUST_TELL);
	bt_fill(t, MIB(4), 1024, 0x77);
	bt_page_run(t, INFLATE, MIB(4), 256);
	bt_page_run(t, INFLATE, MIB(5), 256);
	assert_int_equal(bt_info(t).returned, 0);
	assert_true(bt_is(t, MIB(4), 1024, 0x77));
	bt_free(t);
}

/* ---- Reports ---- */

static void test_reports_say_how_much_is_zeros(void **state)
{
	struct balloon_test *t = *state;
	const struct driver_piece pieces[] = {
		{.addr = BALLOON_DATA, .len = 4 * PAGE},
		{.addr = BALLOON_DATA + MIB(1), .len = 4 * PAGE, .writable = true},
		{.addr = BALLOON_DATA + MIB(2), .len = 2 * PAGE + 100, .writable = true},
		{.addr = BALLOON_DATA + MIB(3), .len = 4 * PAGE, .writable = true},
	};

	bt_fill(t, BALLOON_DATA, 4, 1);
	bt_fill(t, BALLOON_DATA + MIB(2), 3, 1);
	assert_int_equal(bt_run(t, REPORT, pieces, 4), 4 * PAGE);
	assert_int_equal(bt_info(t).returned, 10 * PAGE);
	/* What the driver did not offer for writing, and parts of pages, stay. */
	assert_true(bt_is(t, BALLOON_DATA, 4, 1));
	assert_true(bt_is(t, BALLOON_DATA + MIB(2), 2, 0));
	assert_true(bt_is(t, BALLOON_DATA + MIB(2) + 2ull * PAGE, 1, 1));
}

static void check_poison(uint64_t features, uint32_t poison, bool goes)
{
	struct balloon_test *t = bt_create(&anon, &with_all);
	const struct driver_piece piece = {.addr = BALLOON_DATA, .len = 4 * PAGE, .writable = true};

	bt_activate(t, (struct driver_features){0}, features);
	bt_set_config(t, 12, poison);
	bt_fill(t, BALLOON_DATA, 4, 0xaa);
	assert_int_equal(bt_run(t, REPORT, &piece, 1), goes ? 4 * PAGE : 0);
	assert_true(bt_is(t, BALLOON_DATA, 4, goes ? 0 : 0xaa));
	bt_free(t);
}

static void test_poisoned_pages_keep_their_poison(void **state)
{
	check_poison(F_REPORT | F_POISON, 0xaaaaaaaa, false);
	check_poison(F_REPORT | F_POISON, 0, true);
	check_poison(F_REPORT, 0xaaaaaaaa, true);
}

/* ---- Statistics ---- */

static void send_stats(struct balloon_test *t, const uint16_t *tags, unsigned int n, uint64_t base)
{
	const struct driver_piece piece = {.addr = BALLOON_BUFFER, .len = 10 * n};

	for (unsigned int i = 0; i < n; i++) {
		uint8_t raw[10];

		store_le16(raw, tags[i]);
		store_le64(raw + 2, base + i);
		assert_int_equal(ram_write(t->ram, BALLOON_BUFFER + 10ull * i, raw, 10), 0);
	}
	assert_true(driver_add(&t->drivers[STATS], &piece, 1, false, base));
	t->dev->ops->notify(t->dev, STATS);
}

static bool stats_back(struct balloon_test *t, uint64_t token)
{
	struct driver_done done;

	if (!driver_take(&t->drivers[STATS], &done))
		return false;
	assert_int_equal(done.token, token);
	return true;
}

struct asker {
	struct thread thread;
	struct balloon_test *t;
	struct balloon_info info;
	uint64_t bytes;
	int ret;
};

static void ask_stats(struct thread *thread)
{
	struct asker *asker = container_of(thread, struct asker, thread);

	virtio_balloon_get(asker->t->balloon, 20000000000ull, &asker->info);
}

static void check_stats(struct driver_features features)
{
	struct balloon_test *t = start(features);
	struct asker asker = {.thread.run = ask_stats, .thread.name = "asker", .t = t};
	const uint16_t tags[] = {4, 5, 15, 16, 0xffff};

	assert_int_equal(bt_info(t).age_ns, UINT64_MAX);
	send_stats(t, tags, 5, 1000);
	assert_int_equal(bt_info(t).statistics[4], 1000);
	assert_int_equal(bt_info(t).statistics[5], 1001);
	assert_int_equal(bt_info(t).statistics[15], 1002);
	assert_int_equal(bt_info(t).statistics[0], UINT64_MAX);
	assert_false(stats_back(t, 1000));
	assert_ok(thread_start(&asker.thread));
	while (!stats_back(t, 1000))
		bt_pump(t);
	send_stats(t, tags, 1, 2000);
	thread_join(&asker.thread);
	assert_int_equal(asker.info.statistics[4], 2000);
	assert_int_equal(asker.info.statistics[5], UINT64_MAX);
	assert_true(asker.info.age_ns < 20000000000ull);
	bt_free(t);
}

static void test_statistics_come_when_they_are_asked_for(void **state)
{
	for (unsigned int i = 0; i < 16; i++)
		check_stats((struct driver_features){
			.packed = i & 1, .event_idx = i & 2, .indirect = i & 4, .in_order = i & 8});
}

static void test_statistics_that_do_not_come_are_not_waited_for(void **state)
{
	struct balloon_test *t = *state;
	struct balloon_info info;

	/* A driver that has sent nothing. */
	virtio_balloon_get(t->balloon, 1000000, &info);
	assert_int_equal(info.age_ns, UINT64_MAX);
	bt_deactivate(t);
	virtio_balloon_get(t->balloon, UINT64_MAX, &info);
	bt_activate(t, (struct driver_features){0}, 0);
	virtio_balloon_get(t->balloon, UINT64_MAX, &info);
}

static void test_whoever_waits_is_let_go_by_a_reset(void **state)
{
	struct balloon_test *t = *state;
	struct asker asker = {.thread.run = ask_stats, .thread.name = "asker", .t = t};
	const uint16_t tag = 4;

	send_stats(t, &tag, 1, 1);
	assert_ok(thread_start(&asker.thread));
	while (!stats_back(t, 1))
		bt_pump(t);
	bt_deactivate(t);
	thread_join(&asker.thread);
	bt_activate(t, (struct driver_features){0}, ALL_OWN);
}

static void test_a_second_buffer_gives_the_first_one_back(void **state)
{
	struct balloon_test *t = *state;
	const uint16_t tags[200] = {4};

	send_stats(t, tags, 1, 10);
	send_stats(t, tags, 200, 20);
	assert_true(stats_back(t, 10));
	assert_false(stats_back(t, 20));
	/* Only so many are looked at: the other ones have tag 0, the last of them here. */
	assert_int_equal(bt_info(t).statistics[0], 20 + 63);
	assert_int_equal(bt_info(t).statistics[4], 20);
}

static void test_a_reset_of_the_queue_gives_the_buffer_back(void **state)
{
	struct balloon_test *t = *state;
	const uint16_t tag = 4;

	send_stats(t, &tag, 1, 10);
	virtq_stop(&t->dev->queues[STATS]);
	t->dev->ops->queue_reset(t->dev, STATS);
	assert_int_equal(t->dev->queues[STATS].n_flight, 0);
	assert_int_equal(t->drained, 1);
	virtq_deinit(&t->dev->queues[STATS]);
	bt_up(t, STATS, (struct driver_features){.packed = true});
	send_stats(t, &tag, 1, 30);
	assert_int_equal(bt_info(t).statistics[4], 30);
}

/* ---- Hints ---- */

static void ask_hints(struct thread *thread)
{
	struct asker *asker = container_of(thread, struct asker, thread);

	asker->ret = virtio_balloon_hint(asker->t->balloon, 20000000000ull, &asker->bytes);
}

static void send_command(struct balloon_test *t, uint32_t id)
{
	const struct driver_piece piece = {.addr = BALLOON_BUFFER, .len = 4};
	uint8_t raw[4];

	store_le32(raw, id);
	assert_int_equal(ram_write(t->ram, BALLOON_BUFFER, raw, 4), 0);
	assert_int_equal(bt_run(t, HINT, &piece, 1), 0);
}

static void send_hint(struct balloon_test *t, uint64_t gpa, uint32_t len)
{
	const struct driver_piece piece = {.addr = gpa, .len = len, .writable = true};

	assert_int_equal(bt_run(t, HINT, &piece, 1), 0);
}

static void check_hints(struct driver_features features)
{
	struct balloon_test *t = start(features);
	struct asker asker = {.thread.run = ask_hints, .thread.name = "asker", .t = t};
	uint32_t id;

	send_command(t, 0);
	send_hint(t, BALLOON_DATA, MIB(1)); /* unasked */
	assert_ok(thread_start(&asker.thread));
	while (!t->changes)
		bt_pump(t);
	id = bt_config(t, 8);
	assert_true(id > 1);
	bt_fill(t, BALLOON_DATA, 4, 0x44);
	send_command(t, id);
	send_hint(t, BALLOON_DATA, MIB(1));
	send_hint(t, BALLOON_HIGH, MIB(4));
	send_command(t, 0);
	thread_join(&asker.thread);
	assert_int_equal(asker.ret, 0);
	assert_int_equal(asker.bytes, MIB(5));
	/* DONE: the driver frees its pages, which it had all the time. */
	assert_int_equal(bt_config(t, 8), 1);
	assert_int_equal(t->changes, 2);
	assert_true(bt_is(t, BALLOON_DATA, 4, 0x44));
	assert_int_equal(bt_info(t).returned, 0);
	bt_free(t);
}

static void test_hints_are_counted_and_the_pages_stay(void **state)
{
	check_hints((struct driver_features){0});
	check_hints((struct driver_features){.packed = true, .event_idx = true});
	check_hints((struct driver_features){.packed = true, .in_order = true});
}

static void test_a_driver_that_does_not_answer_gets_its_pages_back(void **state)
{
	struct balloon_test *t = *state;
	uint64_t bytes = 0;
	uint32_t old;

	assert_int_equal(virtio_balloon_hint(t->balloon, 1000000, &bytes), -ETIMEDOUT);
	bt_pump(t);
	assert_int_equal(bt_config(t, 8), 1);
	assert_int_equal(virtio_balloon_hint(t->balloon, 0, &bytes), -ETIMEDOUT);
	bt_deactivate(t);
	assert_int_equal(virtio_balloon_hint(t->balloon, UINT64_MAX, &bytes), -ENOTCONN);
	bt_activate(t, (struct driver_features){0}, 0);
	assert_int_equal(virtio_balloon_hint(t->balloon, UINT64_MAX, &bytes), -ENOTCONN);
	bt_deactivate(t);
	bt_activate(t, (struct driver_features){0}, ALL_OWN);
	old = bt_config(t, 8);
	assert_int_equal(old, 0);
}

static void test_a_late_answer_is_not_that_of_the_next_question(void **state)
{
	struct balloon_test *t = *state;
	struct asker asker = {.thread.run = ask_hints, .thread.name = "asker", .t = t};
	uint64_t bytes = 0;

	/* The driver begins with the first id, which is given up; 2 is the first one. */
	assert_int_equal(virtio_balloon_hint(t->balloon, 0, &bytes), -ETIMEDOUT);
	send_command(t, 2);
	send_hint(t, BALLOON_DATA, MIB(1));
	bt_pump(t);
	t->changes = 0;
	assert_ok(thread_start(&asker.thread));
	while (!t->changes)
		bt_pump(t);
	send_command(t, 0);
	assert_int_equal(bt_config(t, 8), 3);
	send_command(t, 3);
	send_hint(t, BALLOON_DATA, MIB(2));
	send_command(t, 0);
	thread_join(&asker.thread);
	assert_int_equal(asker.bytes, MIB(2));
}

#define BALLOON_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_decide_what_is_offered),
		BALLOON_TEST(test_configuration_is_read_in_parts_and_written_in_whole_fields),
		BALLOON_TEST(test_a_new_target_is_announced_and_a_pause_puts_that_off),
		BALLOON_TEST(test_a_reset_empties_the_balloon_but_keeps_the_target),
		cmocka_unit_test(test_pages_go_to_the_host_and_come_back_on_every_kind_of_ring),
		BALLOON_TEST(test_page_numbers_that_are_no_ram_do_nothing),
		BALLOON_TEST(test_a_driver_may_give_up_its_own_ring),
		BALLOON_TEST(test_requests_of_any_length_are_bounded),
		cmocka_unit_test(test_every_backing_gives_pages_back),
		cmocka_unit_test(test_huge_pages_go_when_they_are_whole),
		cmocka_unit_test(test_a_driver_that_does_not_tell_keeps_parts_of_huge_pages),
		BALLOON_TEST(test_reports_say_how_much_is_zeros),
		cmocka_unit_test(test_poisoned_pages_keep_their_poison),
		cmocka_unit_test(test_statistics_come_when_they_are_asked_for),
		BALLOON_TEST(test_statistics_that_do_not_come_are_not_waited_for),
		BALLOON_TEST(test_whoever_waits_is_let_go_by_a_reset),
		BALLOON_TEST(test_a_second_buffer_gives_the_first_one_back),
		BALLOON_TEST(test_a_reset_of_the_queue_gives_the_buffer_back),
		cmocka_unit_test(test_hints_are_counted_and_the_pages_stay),
		BALLOON_TEST(test_a_driver_that_does_not_answer_gets_its_pages_back),
		BALLOON_TEST(test_a_late_answer_is_not_that_of_the_next_question),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
