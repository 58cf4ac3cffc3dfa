/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages on their way in and out of the balloon (virtio 1.3, 5.5.6), and reports of free pages
 * ("Free Page Reporting").
 *
 * What the driver gives up is sorted, so that neighbours go back to the host with one call. What is
 * not RAM, and what is given up twice, does nothing. Memory in huge pages goes back when all pages
 * of one are in the balloon, which takes a driver that tells us before it takes one out again
 * (MUST_TELL_HOST); from any other only whole huge pages are taken, that come in one request.
 */
#include "virtio/dev/balloon_internal.h"

#include <sys/mman.h>

#include "base/thread.h"

#define BALLOON_BATCH       256u   /* page numbers that are sorted together: Linux sends so many */
#define BALLOON_REQUEST_MAX 16384u /* page numbers of a request that are looked at */

struct balloon_run {
	uint64_t first, count; /* pages */
};

/* ---- Page numbers ---- */

/* Shell's sort: no recursion, no memory, quick on what is nearly sorted either way. */
static void balloon_sort(uint32_t *pfns, size_t n)
{
	for (size_t gap = n / 2; gap; gap /= 2) {
		for (size_t i = gap; i < n; i++) {
			uint32_t pfn = pfns[i];
			size_t at = i;

			for (; at >= gap && pfns[at - gap] > pfn; at -= gap)
				pfns[at] = pfns[at - gap];
			pfns[at] = pfn;
		}
	}
}

/* The next batch of a chain's numbers, in order; 0: no more. */
static size_t balloon_read_pfns(const struct virtq_chain *chain, uint64_t *off, uint32_t *pfns)
{
	uint8_t raw[BALLOON_BATCH * 4];
	size_t n = virtio_iov_read(chain->iov, chain->n_readable, *off, raw, sizeof(raw)) / 4;

	if (*off >= 4ull * BALLOON_REQUEST_MAX)
		return 0;
	ram_copied();
	*off += 4 * n;
	for (size_t i = 0; i < n; i++)
		pfns[i] = load_le32(raw + 4 * i);
	balloon_sort(pfns, n);
	return n;
}

/* Neighbours at the start of sorted numbers, as one run; how many numbers that is. */
static size_t balloon_take_run(const uint32_t *pfns, size_t n, struct balloon_run *ret_run)
{
	size_t i = 1;

	*ret_run = (struct balloon_run){.first = pfns[0], .count = 1};
	for (; i < n && pfns[i] <= ret_run->first + ret_run->count; i++)
		ret_run->count = pfns[i] - ret_run->first + 1;
	return i;
}

/* Hands each run of a chain's numbers to `work`; false if there were too many. */
static bool balloon_each_run(struct virtio_balloon *balloon, const struct virtq_chain *chain,
	void (*work)(struct virtio_balloon *balloon, const struct balloon_run *run))
{
	uint32_t pfns[BALLOON_BATCH];
	uint64_t off = 0;
	size_t n;

	while ((n = balloon_read_pfns(chain, &off, pfns))) {
		struct balloon_run run;

		for (size_t at = 0; at < n;) {
			at += balloon_take_run(pfns + at, n - at, &run);
			work(balloon, &run);
		}
	}
	return off < 4ull * BALLOON_REQUEST_MAX;
}

static void balloon_returned(struct virtio_balloon *balloon, uint64_t bytes)
{
	auto_lock(&balloon->lock);
	balloon->info.returned += bytes;
}

static void balloon_discard(struct virtio_balloon *balloon, uint64_t first, uint64_t count)
{
	balloon_returned(balloon, ram_discard(balloon->dev.ram, first * VIRTIO_BALLOON_PAGE,
					  count * VIRTIO_BALLOON_PAGE));
}

/* ---- Huge pages ---- */

static uint64_t balloon_unit_pages(const struct virtio_balloon *balloon)
{
	return ram_discard_unit(balloon->dev.ram) / VIRTIO_BALLOON_PAGE;
}

void balloon_forget(struct virtio_balloon *balloon)
{
	if (balloon->held.bits)
		(void)munmap(balloon->held.bits, balloon->held.size);
	balloon->held = (struct balloon_held){0};
}

/* Pages up to the end of RAM; files may lie anywhere above. */
static uint64_t balloon_ram_pages(const struct virtio_balloon *balloon)
{
	const struct ram_region *regions;
	size_t n = ram_regions(balloon->dev.ram, &regions);

	while (n && regions[n - 1].is_file)
		n--;
	return n ? (regions[n - 1].gpa + regions[n - 1].size) / VIRTIO_BALLOON_PAGE : 0;
}

static bool balloon_start_held(struct virtio_balloon *balloon)
{
	struct balloon_held *held = &balloon->held;
	uint64_t unit = balloon_unit_pages(balloon);
	uint64_t bits;
	void *area;

	if (held->bits)
		return true;
	held->pages = align_up(balloon_ram_pages(balloon), MAX(unit, (uint64_t)64));
	bits = held->pages / 8;
	held->size = bits + held->pages / unit * sizeof(held->counts[0]);
	area = mmap(NULL, held->size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return false;
	held->bits = area;
	held->counts = (uint32_t *)(void *)((uint8_t *)area + bits);
	return true;
}

/* Changes a page's bit; true if it was the other way before. */
static bool balloon_change(struct balloon_held *held, uint64_t pfn, bool in)
{
	uint64_t bit = 1ull << pfn % 64;

	if (pfn >= held->pages || !!(held->bits[pfn / 64] & bit) == in)
		return false;
	held->bits[pfn / 64] ^= bit;
	return true;
}

static void balloon_hold_run(struct virtio_balloon *balloon, const struct balloon_run *run)
{
	uint64_t unit = balloon_unit_pages(balloon);

	for (uint64_t pfn = run->first; pfn < run->first + run->count; pfn++) {
		uint64_t whole = pfn / unit;

		if (balloon_change(&balloon->held, pfn, true) &&
			++balloon->held.counts[whole] == unit)
			balloon_discard(balloon, whole * unit, unit);
	}
}

static void balloon_let_run_go(struct virtio_balloon *balloon, const struct balloon_run *run)
{
	uint64_t unit = balloon_unit_pages(balloon);

	for (uint64_t pfn = run->first; pfn < run->first + run->count; pfn++) {
		if (balloon_change(&balloon->held, pfn, false))
			balloon->held.counts[pfn / unit]--;
	}
}

/* ---- Requests ---- */

static void balloon_take_in(struct virtio_balloon *balloon, const struct balloon_run *run)
{
	if (balloon_unit_pages(balloon) > 1 && balloon->dev.negotiated & BALLOON_F_MUST_TELL_HOST &&
		balloon_start_held(balloon))
		balloon_hold_run(balloon, run);
	else
		balloon_discard(balloon, run->first, run->count);
}

uint32_t balloon_inflate(struct virtio_dev *dev, struct virtq_chain *chain)
{
	/* What is too much stays where it is: the driver does not use it, and we could have. */
	(void)balloon_each_run(balloon_of(dev), chain, balloon_take_in);
	return 0;
}

uint32_t balloon_deflate(struct virtio_dev *dev, struct virtq_chain *chain)
{
	struct virtio_balloon *balloon = balloon_of(dev);

	/* Pages that the driver takes out are there when it touches them. Those of which we did not
	 * look at must not count as given up. */
	if (balloon->held.bits && !balloon_each_run(balloon, chain, balloon_let_run_go))
		balloon_forget(balloon);
	return 0;
}

/* The driver's free pages hold a value that it counts on ("Page Poison"): zeros are none. */
static bool balloon_is_poisoned(struct virtio_balloon *balloon)
{
	auto_lock(&balloon->lock);
	return balloon->dev.negotiated & BALLOON_F_PAGE_POISON && balloon->poison;
}

/*
 * Free pages, which the driver leaves alone until it has the chain back. The length that it gets
 * are the bytes from the start on that are zeros now.
 */
uint32_t balloon_report(struct virtio_dev *dev, struct virtq_chain *chain)
{
	struct virtio_balloon *balloon = balloon_of(dev);
	const struct iovec *pages = chain->iov + chain->n_readable;
	uint64_t zeros = 0;
	bool all = true;

	if (balloon_is_poisoned(balloon))
		return 0;
	for (unsigned int i = 0; i < chain->n_writable; i++) {
		uint64_t bytes = ram_discard_iov(dev->ram, &pages[i]);

		balloon_returned(balloon, bytes);
		all = all && bytes == pages[i].iov_len;
		zeros += all ? bytes : 0;
	}
	return zeros < VIRTIO_KEPT ? (uint32_t)zeros : 0;
}
