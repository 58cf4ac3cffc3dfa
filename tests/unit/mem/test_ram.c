/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/thread.h"
#include "mem/ram.h"

static const struct ram_options anon = {.backend = RAM_ANON};
static const struct ram_options memfd = {.backend = RAM_MEMFD};

/* 64 KiB at 0, 64 KiB right behind it, and 64 KiB at 1 MiB. */
static struct ram *test_ram(const struct ram_options *options)
{
	struct ram *ram;

	assert_ok(ram_create(options, &ram));
	assert_ok(ram_add(ram, 0x100000, 0x10000, "high"));
	assert_ok(ram_add(ram, 0, 0x10000, "low"));
	assert_ok(ram_add(ram, 0x10000, 0x10000, "next"));
	return ram;
}

static void test_accessors_cross_adjacent_regions(void **state)
{
	struct ram *ram = test_ram(&anon);
	uint8_t out[16];
	struct iovec iov[2];

	assert_int_equal(ram_write(ram, 0xfff8, "0123456789abcdef", 16), 0);
	assert_int_equal(ram_read(ram, 0xfff8, out, 16), 0);
	assert_memory_equal(out, "0123456789abcdef", 16);
	assert_int_equal(ram_iov(ram, 0xfff8, 16, iov, 2), 2);
	assert_int_equal(iov[0].iov_len, 8);
	assert_int_equal(ram_iov(ram, 0xfff8, 16, iov, 1), -ENOBUFS);
	assert_int_equal(ram_iov(ram, 0xfff8, 0, iov, 0), 0);
	ram_free(ram);
}

static void test_hostile_addresses_are_refused(void **state)
{
	struct ram *ram = test_ram(&anon);
	struct ram_window window;
	struct iovec iov[4];
	uint8_t out[8];
	const uint64_t bad[] = {
		0x1fff9, 0x20000, 0xffffc, 0x10fff9, 0x110000, UINT64_MAX, UINT64_MAX - 7};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(ram_read(ram, bad[i], out, 8), -EFAULT);
		assert_int_equal(ram_write(ram, bad[i], out, 8), -EFAULT);
		assert_int_equal(ram_fill(ram, bad[i], 0, 8), -EFAULT);
		assert_int_equal(ram_iov(ram, bad[i], 8, iov, 4), -EFAULT);
		assert_int_equal(ram_window_init(ram, bad[i], 8, 1, &window), -EFAULT);
		assert_false(ram_contains(ram, bad[i], 8));
	}
	assert_int_equal(ram_iov(ram, 0, UINT64_MAX, iov, 4), -EFAULT);
	assert_false(ram_contains(ram, 0x1000, UINT64_MAX));
	ram_free(ram);
}

static void test_window_wants_one_region_and_alignment(void **state)
{
	struct ram *ram = test_ram(&anon);
	struct ram_window window;

	assert_int_equal(ram_window_init(ram, 0xfff8, 16, 1, &window), -EFAULT);
	assert_int_equal(ram_window_init(ram, 0x101, 16, 2, &window), -EFAULT);
	assert_int_equal(ram_window_init(ram, 0x100, 16, 16, &window), 0);
	ram_window_store16(&window, 2, 0x1234, memory_order_release);
	assert_int_equal(ram_window_load16(&window, 2, memory_order_acquire), 0x1234);
	ram_free(ram);
}

static void test_bad_regions_are_refused(void **state)
{
	struct ram *ram = test_ram(&anon);

	assert_err(ram_add(ram, 0x8000, 0x10000, "x"), "overlaps");
	assert_err(ram_add(ram, 0x200000, 0x1001, "x"), "Bad memory range");
	assert_err(ram_add(ram, 0x200000, 0, "x"), "Bad memory range");
	assert_err(ram_add(ram, UINT64_MAX - 0xfff, 0x2000, "x"), "Bad memory range");
	assert_err(ram_add(ram, 0x200000, 1ull << 46, "x"), "more than the host has");
	for (uint64_t i = 0; i < RAM_REGIONS_MAX - 3; i++)
		assert_ok(ram_add(ram, 0x200000 + i * 0x2000, 0x1000, "x"));
	assert_err(ram_add(ram, 0x1000000, 0x1000, "x"), "memory regions");
	ram_free(ram);
}

/* Neither of the two is too large alone. */
static void test_all_memory_together_must_fit_the_host(void **state)
{
	struct sysinfo info;
	struct ram *ram;
	uint64_t most;

	assert_int_equal(sysinfo(&info), 0);
	most = align_down(((uint64_t)info.totalram + info.totalswap) * info.mem_unit, 4096);
	assert_ok(ram_create(&anon, &ram));
	assert_ok(ram_add(ram, 0, most / 2 & ~0xfffull, "low"));
	assert_err(ram_add(ram, 1ull << 45, most, "high"), "more than the host has");
	ram_free(ram);
}

static int test_file(const char *text)
{
	char path[] = "/tmp/test_ram_XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(fd_write_full(fd, text, strlen(text)), 0);
	return fd;
}

static void test_files_are_mapped_or_copied_and_never_written(void **state)
{
	const struct ram_options *const all[] = {&anon, &memfd};
	char text[5001];
	char out[8192];

	memset(text, 'k', 5000);
	text[5000] = '\0';
	for (int i = 0; i < 2; i++) {
		struct ram *ram = test_ram(all[i]);
		int fd = test_file(text);

		assert_int_equal(ram_fill(ram, 0x2000, 0xff, 0x2000), 0);
		assert_int_equal(ram_map_file(ram, 0x2000, fd, 0, 4500), 0);
		assert_int_equal(ram_read(ram, 0x2000, out, sizeof(out)), 0);
		assert_memory_equal(out, text, 4500);
		for (int at = 4500; at < 8192; at++)
			assert_int_equal(out[at], 0);
		assert_int_equal(ram_write(ram, 0x2000, "guest", 5), 0);
		assert_int_equal(fd_pread_full(fd, out, 5, 0), 0);
		assert_memory_equal(out, "kkkkk", 5);
		assert_int_equal(ram_map_file(ram, 0x2000, fd, 4096, 4096), -ENODATA);
		assert_int_equal(ram_map_file(ram, 0x1f000, fd, 0, 5000), -EFAULT);
		assert_ok(ram_reset(ram));
		assert_int_equal(ram_read(ram, 0x2000, out, 4), 0);
		assert_memory_equal(out, "\0\0\0\0", 4);
		close(fd);
		ram_free(ram);
	}
}

static void test_reset_gives_the_pages_back(void **state)
{
	static const struct ram_options all[] = {{.backend = RAM_ANON},
		{.backend = RAM_ANON, .shared = true}, {.backend = RAM_MEMFD},
		{.backend = RAM_ANON, .thp = true}, {.backend = RAM_MEMFD, .prealloc = true}};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct ram *ram = test_ram(&all[i]);
		const struct ram_region *regions;
		unsigned char resident[16];
		uint8_t byte = 0xff;

		assert_int_equal(ram_fill(ram, 0, 0xaa, 0x20000), 0);
		assert_ok(ram_reset(ram));
		assert_int_equal(ram_regions(ram, &regions), 3);
		assert_int_equal(mincore(regions[0].hva, 0x10000, resident), 0);
		for (int page = 0; page < 16; page++)
			assert_int_equal(resident[page] & 1, all[i].prealloc);
		assert_int_equal(ram_read(ram, 0xffff, &byte, 1), 0);
		assert_int_equal(byte, 0);
		ram_free(ram);
	}
}

static unsigned int resident_pages(const struct ram *ram, uint64_t gpa, unsigned int n)
{
	unsigned char map[64];
	struct iovec iov;
	unsigned int found = 0;

	assert_int_equal(ram_iov(ram, gpa, 4096ull * n, &iov, 1), 1);
	assert_int_equal(mincore(iov.iov_base, iov.iov_len, map), 0);
	for (unsigned int i = 0; i < n; i++)
		found += map[i] & 1;
	return found;
}

static void test_whole_pages_are_given_back_and_nothing_else(void **state)
{
	static const struct ram_options all[] = {{.backend = RAM_ANON},
		{.backend = RAM_ANON, .shared = true}, {.backend = RAM_MEMFD},
		{.backend = RAM_ANON, .thp = true}, {.backend = RAM_MEMFD, .prealloc = true}};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct ram *ram = test_ram(&all[i]);
		struct iovec iov;
		uint8_t out[0x3000];

		assert_int_equal(ram_fill(ram, 0, 0xaa, 0x20000), 0);
		/* Parts of pages on either side, and from one region to the next. */
		assert_int_equal(ram_discard(ram, 0xe001, 0x3ffe), 0x2000);
		assert_int_equal(resident_pages(ram, 0xf000, 1), 0);
		assert_int_equal(resident_pages(ram, 0x10000, 1), 0);
		assert_int_equal(ram_read(ram, 0xe000, out, sizeof(out)), 0);
		assert_int_equal(out[0xfff], 0xaa);
		assert_int_equal(out[0x1000], 0);
		/* What is no RAM is passed over. */
		assert_int_equal(ram_discard(ram, 0x1f000, UINT64_MAX), 0x1000 + 0x10000);
		assert_int_equal(ram_discard(ram, 0x20000, 0x1000), 0);
		assert_int_equal(ram_discard(ram, UINT64_MAX, UINT64_MAX), 0);
		assert_int_equal(ram_iov(ram, 0x3000, 0x1800, &iov, 1), 1);
		assert_int_equal(ram_discard_iov(ram, &iov), 0x1000);
		assert_int_equal(resident_pages(ram, 0x3000, 2), 1);
		iov = (struct iovec){.iov_base = out, .iov_len = sizeof(out)};
		assert_int_equal(ram_discard_iov(ram, &iov), 0);
		ram_free(ram);
	}
}

static bool is_byte(const struct ram *ram, uint64_t gpa, uint64_t len, char byte)
{
	char out[4096];

	for (; len; len -= sizeof(out), gpa += sizeof(out)) {
		assert_int_equal(ram_read(ram, gpa, out, sizeof(out)), 0);
		for (size_t i = 0; i < sizeof(out); i++) {
			if (out[i] != byte)
				return false;
		}
	}
	return true;
}

static void test_a_mapped_file_does_not_come_back(void **state)
{
	struct ram *ram;
	char *text = malloc(MIB(1) + 1);
	int fd;

	memset(text, 'k', MIB(1));
	text[MIB(1)] = '\0';
	fd = test_file(text);
	assert_ok(ram_create(&anon, &ram));
	assert_ok(ram_add(ram, 0, MIB(4), "ram"));
	assert_int_equal(ram_fill(ram, 0, 'r', MIB(4)), 0);
	assert_int_equal(ram_map_file(ram, MIB(1), fd, 0, MIB(1)), 0);
	assert_int_equal(ram_map_file(ram, MIB(3), fd, 0, 4096), 0);
	/* The start of one, its end, and over a whole one. */
	assert_int_equal(ram_discard(ram, MIB(1) - 4096, 8192), 8192);
	assert_int_equal(ram_discard(ram, MIB(2) - 4096, 8192), 8192);
	assert_int_equal(ram_discard(ram, MIB(3) - 4096, 3 * 4096), 3 * 4096);
	assert_true(is_byte(ram, MIB(1) - 4096, 8192, 0));
	assert_true(is_byte(ram, MIB(2) - 4096, 8192, 0));
	assert_true(is_byte(ram, MIB(3) - 4096, 3 * 4096, 0));
	assert_true(is_byte(ram, MIB(1) + 4096, MIB(1) - 8192, 'k'));
	/* Every second page of the rest: pieces are limited, and what is not taken stays. */
	for (uint64_t at = MIB(1) + 8192; at < MIB(2) - 8192; at += 8192) {
		uint64_t n = ram_discard(ram, at, 4096);

		assert_true(is_byte(ram, at, 4096, n ? 0 : 'k'));
		assert_true(is_byte(ram, at + 4096, 4096, 'k'));
	}
	assert_int_equal(ram_discard(ram, MIB(1) + 8192, 4096), 4096);
	/* In one go there is room again, and what the guest wrote meanwhile is RAM as any. */
	assert_int_equal(ram_discard(ram, 0, MIB(4)), MIB(4));
	assert_true(is_byte(ram, 0, MIB(4), 0));
	assert_int_equal(ram_fill(ram, MIB(1), 'r', MIB(1)), 0);
	assert_int_equal(ram_discard(ram, MIB(1) + 4096, 4096), 4096);
	assert_int_equal(resident_pages(ram, MIB(1), 3), 2);
	assert_ok(ram_reset(ram));
	close(fd);
	ram_free(ram);
	free(text);
}

/* Locked memory goes too, and is locked again when it is touched. */
static void test_locked_memory_is_given_back(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* their mlock() does nothing */
#endif
	const struct ram_options options = {.backend = RAM_ANON, .lock = true};
	struct ram *ram = test_ram(&options);
	uint64_t bytes = ram_discard(ram, 0x1000, 0x3000);

	/* Kernels before 5.18 do not know how. */
	assert_true(bytes == 0x3000 || bytes == 0);
	assert_int_equal(resident_pages(ram, 0, 5), bytes ? 2 : 5);
	ram_free(ram);
}

/* A file of two pages, the first of 'f'. */
static int test_two_pages(void)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	uint8_t page[4096];

	memset(page, 'f', sizeof(page));
	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(fd_pwrite_full(fd, page, sizeof(page), 0), 0);
	return fd;
}

static void test_files_are_memory_that_a_reset_leaves_alone(void **state)
{
	static const struct ram_options shared = {.backend = RAM_ANON, .shared = true};
	struct ram *ram = test_ram(&shared);
	uint64_t size = ram_size(ram);
	int fd = test_two_pages();
	char out[8];

	assert_ok(ram_add_file(ram, 0x200000, 8192, fd, false));
	assert_err(ram_add_file(ram, 0x201000, 8192, fd, false), "overlaps");
	assert_int_equal(ram_size(ram), size);
	assert_true(ram_contains(ram, 0x200000, 8192));
	assert_int_equal(ram_read(ram, 0x200ffc, out, 8), 0);
	assert_memory_equal(out, "ffff\0\0\0\0", 8);
	assert_int_equal(ram_write(ram, 0x200ffc, "written", 8), 0);
	assert_int_equal(fd_pread_full(fd, out, 8, 0xffc), 0);
	assert_string_equal(out, "written");
	assert_int_equal(ram_discard(ram, 0x200000, 8192), 0);
	assert_ok(ram_reset(ram));
	assert_int_equal(ram_read(ram, 0x200ffc, out, 8), 0);
	assert_string_equal(out, "written");
	ram_free(ram);
	assert_int_equal(fd_pread_full(fd, out, 8, 0xffc), 0);
	assert_string_equal(out, "written");
	close(fd);
}

static void test_discarded_writes_reach_no_file_and_end_with_a_reset(void **state)
{
	struct ram *ram = test_ram(&anon);
	int fd = test_two_pages();
	char path[64];
	char out[8];
	int readonly;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	readonly = open(path, O_RDONLY | O_CLOEXEC);
	assert_err(ram_add_file(ram, 0x200000, 8192, readonly, false), "Cannot map");
	assert_ok(ram_add_file(ram, 0x200000, 8192, readonly, true));
	close(readonly);
	assert_int_equal(ram_write(ram, 0x200000, "written", 8), 0);
	assert_int_equal(ram_read(ram, 0x200000, out, 8), 0);
	assert_string_equal(out, "written");
	assert_int_equal(fd_pread_full(fd, out, 8, 0), 0);
	assert_memory_equal(out, "ffffffff", 8);
	assert_ok(ram_reset(ram));
	assert_int_equal(ram_read(ram, 0x200000, out, 8), 0);
	assert_memory_equal(out, "ffffffff", 8);
	ram_free(ram);
	close(fd);
}

static void test_prealloc_touches_every_page(void **state)
{
	const struct ram_options options = {.backend = RAM_ANON, .prealloc = true};
	struct ram *ram = test_ram(&options);
	const struct ram_region *regions;
	unsigned char resident[16];

	assert_int_equal(ram_regions(ram, &regions), 3);
	assert_int_equal(mincore(regions[2].hva, 0x10000, resident), 0);
	for (int page = 0; page < 16; page++)
		assert_int_equal(resident[page] & 1, 1);
	ram_free(ram);
}

/* As a user without privileges and without a limit to speak of, in a process of its own. */
static void test_the_lock_limit_is_explained(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* their mlock() does nothing */
#endif
	const struct ram_options options = {.backend = RAM_ANON, .lock = true};
	const struct rlimit none = {0};
	pid_t child = fork();
	int status;

	if (!child) {
		struct ram *ram;

		if (setrlimit(RLIMIT_MEMLOCK, &none) || (!getuid() && setuid(65534)))
			_exit(2);
		assert_ok(ram_create(&options, &ram));
		assert_err(ram_add(ram, 0, 0x10000, "x"), "ulimit -l");
		ram_free(ram);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

struct test_reader {
	struct thread thread;
	struct ram *ram;
	_Atomic bool stop;
	bool wrong;
};

static void test_reader_run(struct thread *thread)
{
	struct test_reader *reader = container_of(thread, struct test_reader, thread);
	uint8_t byte;

	while (!reader->stop) {
		reader->wrong |= ram_read(reader->ram, 0x1ffff, &byte, 1) != 0;
		reader->wrong |= ram_read(reader->ram, 0x20000, &byte, 1) != -EFAULT;
		/* Either all of it is there or nothing. */
		(void)ram_contains(reader->ram, 0x200000, 0x100000);
	}
}

static void test_readers_never_miss_what_was_there_while_memory_is_added(void **state)
{
	struct ram *ram = test_ram(&anon);
	struct test_reader reader = {
		.ram = ram, .thread = {.name = "reader", .run = test_reader_run}};

	assert_ok(thread_start(&reader.thread));
	for (uint64_t i = 0; i < 50; i++)
		assert_ok(ram_add(ram, 0x200000 + i * 0x1000, 0x1000, "x"));
	reader.stop = true;
	thread_join(&reader.thread);
	assert_false(reader.wrong);
	ram_free(ram);
}

struct test_listener {
	struct ram_listener base;
	uint64_t bytes;
	bool refuse;
};

static struct err *test_listener_add(struct ram_listener *listener, const struct ram_region *region)
{
	struct test_listener *t = container_of(listener, struct test_listener, base);

	if (t->refuse)
		return err_new(ENOSPC, "no slot");
	t->bytes += region->size;
	return NULL;
}

static void test_listener_remove(struct ram_listener *listener, const struct ram_region *region)
{
	container_of(listener, struct test_listener, base)->bytes -= region->size;
}

static void test_listeners_see_every_region_once(void **state)
{
	struct ram *ram = test_ram(&anon);
	struct test_listener one = {.base = {test_listener_add, test_listener_remove, NULL}};
	struct test_listener two = {.base = {test_listener_add, test_listener_remove, NULL}};

	assert_ok(ram_listen(ram, &one.base));
	assert_ok(ram_listen(ram, &two.base));
	assert_int_equal(one.bytes, 0x30000);
	two.refuse = true;
	assert_err(ram_add(ram, 0x200000, 0x1000, "x"), "no slot");
	assert_int_equal(one.bytes, 0x30000);
	assert_false(ram_contains(ram, 0x200000, 1));
	two.refuse = false;
	assert_ok(ram_add(ram, 0x200000, 0x1000, "x"));
	assert_int_equal(ram_size(ram), 0x31000);
	ram_free(ram);
	assert_int_equal(one.bytes, 0);
	assert_int_equal(two.bytes, 0);
}

static void test_missing_huge_pages_are_explained(void **state)
{
	struct ram_options options = {.backend = RAM_ANON, .hugetlb = GIB(1)};
	struct ram *ram;

	assert_ok(ram_create(&options, &ram));
	assert_err(ram_add(ram, 0, GIB(8), "x"), "nr_hugepages");
	assert_err(ram_add(ram, 0, MIB(1536), "x"), "not a whole number of huge pages");
	ram_free(ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accessors_cross_adjacent_regions),
		cmocka_unit_test(test_hostile_addresses_are_refused),
		cmocka_unit_test(test_window_wants_one_region_and_alignment),
		cmocka_unit_test(test_bad_regions_are_refused),
		cmocka_unit_test(test_files_are_mapped_or_copied_and_never_written),
		cmocka_unit_test(test_listeners_see_every_region_once),
		cmocka_unit_test(test_missing_huge_pages_are_explained),
		cmocka_unit_test(test_all_memory_together_must_fit_the_host),
		cmocka_unit_test(test_reset_gives_the_pages_back),
		cmocka_unit_test(test_whole_pages_are_given_back_and_nothing_else),
		cmocka_unit_test(test_a_mapped_file_does_not_come_back),
		cmocka_unit_test(test_locked_memory_is_given_back),
		cmocka_unit_test(test_files_are_memory_that_a_reset_leaves_alone),
		cmocka_unit_test(test_discarded_writes_reach_no_file_and_end_with_a_reset),
		cmocka_unit_test(test_prealloc_touches_every_page),
		cmocka_unit_test(test_the_lock_limit_is_explained),
		cmocka_unit_test(test_readers_never_miss_what_was_there_while_memory_is_added),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
