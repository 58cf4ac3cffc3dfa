/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest addresses to host memory, in maps of up to three regions of up to 256 bytes: one step of it
 * (ram_span(), on which all stands) for regions, addresses and lengths of any 64 bits, the loops
 * over it near address 0. Every region is an object of its own: a pointer that leaves it, by a
 * byte, is an error that CBMC sees.
 */
/* Few regions are enough, and a map of many is slow to prove. */
#include "mem/ram.h"
#undef RAM_REGIONS_MAX
#define RAM_REGIONS_MAX 3
#include "mem/ram.c"

#define PROOF(condition, name) __CPROVER_assert(condition, name)
#define GIVEN(condition)       __CPROVER_assume(condition)
#define REGIONS                3
#define REGION_SIZE            256u
#define PIECES                 3

uint8_t nondet_u8(void);
uint16_t nondet_u16(void);
uint64_t nondet_u64(void);

struct err *err_new_at(const char *file, int line, int code, const char *fmt, ...)
{
	static char error; /* nobody looks into it */

	return (struct err *)(void *)&error;
}

static uint8_t host[REGIONS][REGION_SIZE];
static struct ram_map any_map;
static struct ram any_ram;

/* A map as ram_add() makes it, but that pages have one byte: alignment is not what matters here.
 * Near: two of up to 7 bytes in the first 38, which makes proofs of loops possible. */
static void make_ram(bool near)
{
	uint64_t end = 0;

	for (size_t i = 0; i < REGIONS; i++) {
		struct ram_region region = {.hva = host[i], .fd = -1};

		region.gpa = near ? nondet_u8() & 31 : nondet_u64();
		region.size = near ? nondet_u8() & 7 : nondet_u64();
		GIVEN(region.gpa >= end && region.size && region.size <= REGION_SIZE);
		GIVEN(region.gpa + region.size > region.gpa);
		end = region.gpa + region.size;
		any_map.regions[i] = region;
	}
	any_map.n = near ? 2 : nondet_u8();
	GIVEN(any_map.n <= REGIONS);
	any_ram.map = &any_map;
}

/* Written otherwise than the code: how far RAM goes without a gap from gpa on. */
static uint64_t reach(uint64_t gpa)
{
	for (size_t i = 0; i < any_map.n; i++) {
		const struct ram_region *r = &any_map.regions[i];

		if (r->gpa <= gpa && gpa - r->gpa < r->size)
			gpa = r->gpa + r->size;
	}
	return gpa;
}

static bool is_ram(uint64_t gpa, uint64_t len)
{
	return !len || (gpa + len > gpa && reach(gpa) >= gpa + len);
}

/* Is a host address what a guest address means, and len bytes in the same region? */
static bool means(const uint8_t *hva, uint64_t gpa, uint64_t len)
{
	for (size_t i = 0; i < any_map.n; i++) {
		const struct ram_region *r = &any_map.regions[i];

		if (r->gpa <= gpa && gpa - r->gpa < r->size)
			return hva == r->hva + (gpa - r->gpa) && len <= r->size - (gpa - r->gpa);
	}
	return false;
}

void prove_ram_span(void)
{
	uint64_t gpa = nondet_u64(), len = nondet_u64(), n = 0;
	const uint8_t *p;

	make_ram(false);
	p = ram_span(&any_map, gpa, len, &n);
	PROOF(!p == (reach(gpa) == gpa), "an address has host memory exactly if it is in a region");
	PROOF(!p || means(p, gpa, n), "the memory is that of the address, inside its region");
	PROOF(!p || n <= len, "no more than was asked for");
	PROOF(!p || n || !len, "a step goes on");
	PROOF(!p || n == len || !means(p, gpa, n + 1), "and as far as the region does");
}

void prove_ram_add(void)
{
	uint64_t gpa = nondet_u64(), size = nondet_u64();
	uint64_t other = nondet_u64();
	bool fine;

	make_ram(false);
	fine = !ram_check_new(&any_map, gpa, size);
	PROOF(!fine || (size && gpa + size > gpa), "a region has bytes and does not wrap around");
	PROOF(!fine || !((gpa | size) % RAM_PAGE_SIZE), "a region has whole pages");
	GIVEN(other >= gpa && other - gpa < size);
	PROOF(!fine || reach(other) == other, "no byte of a new region is RAM already");
}

void prove_ram_contains(void)
{
	uint64_t gpa = nondet_u8() & 63, len = nondet_u8() & 31;

	make_ram(true);
	PROOF(ram_contains(&any_ram, gpa, len) == is_ram(gpa, len),
		"a range is RAM exactly if it is without a gap");
}

void prove_ram_contains_wrapped(void)
{
	uint64_t gpa = nondet_u64(), len = nondet_u64();

	make_ram(false);
	GIVEN(gpa + len < gpa);
	PROOF(!ram_contains(&any_ram, gpa, len), "a range that wraps around is not RAM");
}

void prove_ram_iov(void)
{
	uint64_t gpa = nondet_u8() & 63, len = nondet_u8() & 31;
	uint64_t at = gpa, total = 0;
	struct iovec iov[PIECES];
	int max = nondet_u8() & 3;
	int n;

	make_ram(true);
	n = ram_iov(&any_ram, gpa, len, iov, max);
	PROOF(n >= 0 || n == -EFAULT || n == -ENOBUFS, "pieces, or one of two errors");
	PROOF(n <= max, "no more pieces than there is room for");
	PROOF(n < 0 || is_ram(gpa, len), "only RAM has pieces");
	PROOF(n != -EFAULT || !is_ram(gpa, len), "RAM is never refused");
	for (int i = 0; i < n; i++) {
		PROOF(iov[i].iov_len && means(iov[i].iov_base, at, iov[i].iov_len),
			"a piece is the host memory of its addresses, inside one region");
		at += iov[i].iov_len;
		total += iov[i].iov_len;
	}
	PROOF(n < 0 || total == len, "the pieces are as long as the range");
}

void prove_ram_window(void)
{
	uint64_t gpa = nondet_u64(), len = nondet_u64();
	uint64_t align = nondet_u64();
	struct ram_window window;
	int ret;

	make_ram(false);
	GIVEN(is_pow2(align));
	ret = ram_window_init(&any_ram, gpa, len, align, &window);
	PROOF(ret == 0 || ret == -EFAULT, "a window is there or not");
	PROOF(ret || window.len == len, "a window is as long as was asked for");
	PROOF(ret || means(window.hva, gpa, len), "a window lies inside one region");
	PROOF(ret || !(gpa % align), "a window is aligned");
}

/* Copies of up to 4 bytes. */
void prove_ram_copies(void)
{
	uint64_t gpa = nondet_u8() & 63;
	uint8_t data[4];
	size_t len = nondet_u8() & 3;

	make_ram(true);
	PROOF(!ram_read(&any_ram, gpa, data, len) == is_ram(gpa, len), "exactly RAM can be read");
	PROOF(!ram_write(&any_ram, gpa, data, len) == is_ram(gpa, len),
		"exactly RAM can be written");
	PROOF(!ram_fill(&any_ram, gpa, 0, len) == is_ram(gpa, len), "exactly RAM can be filled");
}
