/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver that breaks the rules of the memory balloon (virtio 1.3, 5.5), with free page reporting.
 * Whatever it gives away, memory that it did not name keeps its content.
 */
#include "guest_abuse.h"

#define FEATURES       0x3fULL
#define MUST_TELL_HOST 1ULL
#define PAGE           4096u
#define N_PAGES        16u
#define N_NUMBERS      20000u /* more than the device looks at */
#define CONFIG_TARGET  0u
#define CONFIG_ACTUAL  4u
#define CONFIG_HINT    8u
#define CONFIG_POISON  12u
#define GARBAGE        0xa5

enum { INFLATE, DEFLATE, STATS, HINT, REPORTING, N_QUEUES };

static void works(void);
static struct abuse_device device = {
	.n_queues = N_QUEUES, .n_abused = N_QUEUES, .features = FEATURES, .works = works};

static uint8_t pages[N_PAGES][PAGE] __attribute__((aligned(PAGE)));
static uint32_t numbers[N_NUMBERS];

static uint32_t number_of(const void *page)
{
	return (uint32_t)((uint64_t)page / PAGE);
}

static bool is_filled(const uint8_t *page, uint8_t with)
{
	const volatile uint64_t *words = (const volatile uint64_t *)page;

	for (unsigned int i = 0; i < PAGE / sizeof(words[0]); i++)
		if (words[i] != with * 0x0101010101010101ULL)
			return false;
	return true;
}

static void fill_pages(void)
{
	memset(pages, GARBAGE, sizeof(pages));
}

/* The numbers, as one request; it is used. */
static void send(unsigned int q, unsigned int n)
{
	abuse_submit(&device, q, (uint64_t)numbers, n * 4, 0);
	abuse_expect_used(&device, q, abuse_rings[q].avail.idx);
}

/* Every other page goes, those between stay; a report takes one, statistics come back. */
static void works(void)
{
	static uint8_t statistics[10];

	abuse_begin(&device);
	fill_pages();
	for (unsigned int i = 0; i < N_PAGES; i += 2)
		numbers[i / 2] = number_of(pages[i]);
	send(INFLATE, N_PAGES / 2);
	for (unsigned int i = 0; i < N_PAGES; i++)
		expect(is_filled(pages[i], i % 2 ? GARBAGE : 0));
	send(DEFLATE, N_PAGES / 2);
	abuse_submit(&device, REPORTING, (uint64_t)pages[1], PAGE, VIRTIO_DESC_WRITE);
	abuse_expect_used(&device, REPORTING, 1);
	expect(is_filled(pages[1], 0) && is_filled(pages[3], GARBAGE));
	/* A second buffer of statistics sends the first one back. */
	abuse_submit(&device, STATS, (uint64_t)statistics, sizeof(statistics), 0);
	abuse_submit(&device, STATS, (uint64_t)statistics, sizeof(statistics), 0);
	abuse_expect_used(&device, STATS, 1);
}

/* Nothing of that is RAM. */
static void pages_that_are_not_there(void)
{
	unsigned int n = 0;

	for (; n < VIRTIO_N_NOWHERE; n++)
		numbers[n] = (uint32_t)(virtio_nowhere[n] / PAGE);
	numbers[n++] = 0xffffffff;
	numbers[n++] = 0x80000000;
	numbers[n++] = 0xfffff;
	abuse_begin(&device);
	fill_pages();
	for (unsigned int q = INFLATE; q <= DEFLATE; q++)
		for (unsigned int i = 0; i < 20; i++)
			send(q, n);
	for (unsigned int i = 0; i < N_PAGES; i++)
		expect(is_filled(pages[i], GARBAGE));
	works();
}

/* The same page again and again, in and out in any order, and never in. */
static void pages_again(void)
{
	abuse_begin(&device);
	fill_pages();
	for (unsigned int i = 0; i < 1000; i++)
		numbers[i] = number_of(pages[abuse_random() % 4]);
	for (unsigned int i = 0; i < 20; i++)
		send(i % 3 ? DEFLATE : INFLATE, 1000);
	for (unsigned int i = 4; i < N_PAGES; i++)
		expect(is_filled(pages[i], GARBAGE));
	works();
}

/* Numbers in odd pieces: those that are cut off, or beyond what is looked at, are none. */
static void odd_lengths(void)
{
	for (unsigned int len = 0; len < 8; len++) {
		abuse_begin(&device);
		fill_pages();
		numbers[0] = number_of(pages[0]);
		numbers[1] = number_of(pages[1]);
		abuse_submit(&device, INFLATE, (uint64_t)numbers, len, 0);
		abuse_expect_used(&device, INFLATE, 1);
		expect(is_filled(pages[0], len < 4 ? GARBAGE : 0));
		expect(is_filled(pages[1], GARBAGE));
		/* To be written by the device: not a number at all. */
		abuse_submit(&device, INFLATE, (uint64_t)&numbers[1], 4, VIRTIO_DESC_WRITE);
		abuse_expect_used(&device, INFLATE, 2);
		expect(is_filled(pages[1], GARBAGE));
	}
	abuse_begin(&device);
	fill_pages();
	for (unsigned int i = 0; i < N_NUMBERS; i++)
		numbers[i] = number_of(pages[0]);
	numbers[N_NUMBERS - 1] = number_of(pages[1]);
	send(INFLATE, N_NUMBERS);
	expect(is_filled(pages[1], GARBAGE));
	send(DEFLATE, N_NUMBERS);
	works();
}

/* The rings themselves, while they are in use: they are empty then, and what the device says of
 * that is its own affair. */
static void the_rings_are_given_away(void)
{
	for (unsigned int i = 0; i < 20; i++) {
		unsigned int n = 0;

		abuse_begin(&device);
		for (uint64_t at = (uint64_t)abuse_rings & ~(uint64_t)(PAGE - 1);
			at < (uint64_t)abuse_rings + sizeof(abuse_rings); at += PAGE)
			numbers[n++] = (uint32_t)(at / PAGE);
		abuse_submit(&device, i & 1 ? DEFLATE : INFLATE, (uint64_t)numbers, n * 4, 0);
		abuse_pass_time(&device);
		abuse_submit(&device, INFLATE, (uint64_t)numbers, n * 4, 0);
		abuse_submit(&device, STATS, (uint64_t)numbers, 10, 0);
		abuse_pass_time(&device);
	}
	works();
}

/* Parts of pages, none, and such that the device is only to read: they keep what they have. */
static void bad_reports(void)
{
	static const struct {
		uint32_t offset, len;
		uint16_t flags;
	} reports[] = {
		{0, 0, VIRTIO_DESC_WRITE},
		{0, 1, VIRTIO_DESC_WRITE},
		{0, PAGE - 1, VIRTIO_DESC_WRITE},
		{1, PAGE, VIRTIO_DESC_WRITE},
		{PAGE - 1, PAGE, VIRTIO_DESC_WRITE},
		{0, PAGE, 0},
		{0, 4 * PAGE, 0},
	};

	abuse_begin(&device);
	fill_pages();
	for (unsigned int i = 0; i < sizeof(reports) / sizeof(reports[0]); i++) {
		abuse_submit(&device, REPORTING, (uint64_t)pages[0] + reports[i].offset,
			reports[i].len, reports[i].flags);
		abuse_expect_used(&device, REPORTING, (uint16_t)(i + 1));
		for (unsigned int n = 0; n < N_PAGES; n++)
			expect(is_filled(pages[n], GARBAGE));
	}
	works();
}

/* With a poison in its configuration, free pages keep it. */
static void poison(void)
{
	abuse_begin(&device);
	fill_pages();
	mmio_write32(device.virtio.config + CONFIG_POISON, 0xa5a5a5a5);
	abuse_submit(&device, REPORTING, (uint64_t)pages, sizeof(pages), VIRTIO_DESC_WRITE);
	abuse_expect_used(&device, REPORTING, 1);
	for (unsigned int i = 0; i < N_PAGES; i++)
		expect(is_filled(pages[i], GARBAGE));
	works();
}

/* Hints that nobody asked for, with ids of any kind. */
static void hints(void)
{
	static const uint32_t ids[] = {0, 1, 2, 0x7fffffff, 0xffffffff};

	abuse_begin(&device);
	fill_pages();
	for (unsigned int i = 0; i < 60; i++) {
		numbers[0] = ids[i % 5];
		abuse_submit(&device, HINT, i % 3 ? (uint64_t)numbers : (uint64_t)pages,
			i % 3 ? 4 : sizeof(pages), i % 3 ? 0 : VIRTIO_DESC_WRITE);
		abuse_expect_used(&device, HINT, (uint16_t)(i + 1));
	}
	for (unsigned int i = 0; i < N_PAGES; i++)
		expect(is_filled(pages[i], GARBAGE));
	works();
}

/* One buffer stays with the device, the others come back, whatever they hold. */
static void statistics(void)
{
	static const uint32_t lengths[] = {0, 1, 9, 10, 11, 640, 650, sizeof(numbers)};

	for (unsigned int i = 0; i < N_NUMBERS; i++)
		numbers[i] = abuse_random();
	abuse_begin(&device);
	for (unsigned int i = 0; i < 100; i++) {
		abuse_submit(&device, STATS, (uint64_t)numbers, lengths[i % 8], 0);
		abuse_expect_used(&device, STATS, (uint16_t)i);
	}
	works();
}

static void configuration(void)
{
	abuse_begin(&device);
	for (unsigned int offset = 0; offset < 20; offset++) {
		uint64_t at = device.virtio.config + offset;

		mmio_write8(at, GARBAGE);
		mmio_write16(at, 0xffff);
		mmio_write32(at, 0x80000000);
		mmio_write64(at, 0xfffffffffffffff1);
		(void)mmio_read8(at);
		(void)mmio_read16(at + 1);
		(void)mmio_read64(at);
	}
	expect(mmio_read32(device.virtio.config + CONFIG_TARGET) == 0);
	expect(mmio_read32(device.virtio.config + CONFIG_HINT) == 0);
	mmio_write32(device.virtio.config + CONFIG_ACTUAL, 0xffffffff);
	expect(mmio_read32(device.virtio.config + CONFIG_ACTUAL) == 0xffffffff);
	virtio_reset(&device.virtio);
	expect(mmio_read32(device.virtio.config + CONFIG_ACTUAL) == 0);
	works();
}

/* A driver that takes pages back without a word. */
static void other_drivers(void)
{
	device.features = FEATURES & ~MUST_TELL_HOST;
	works();
	device.features = FEATURES;
	works();
}

void guest_main(void)
{
	static void (*const cases[])(void) = {pages_that_are_not_there, pages_again, odd_lengths,
		the_rings_are_given_away, bad_reports, poison, hints, statistics, configuration,
		other_drivers};

	if (!virtio_find(5, &device.virtio))
		fail("no balloon");
	abuse_run(&device, "balloon", cases, sizeof(cases) / sizeof(cases[0]));
	pass();
}
