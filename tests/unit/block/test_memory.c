/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is registered with io_uring: how it is cut, and that transfers go by way of it.
 */
#include "device.h"

#include <dirent.h>
#include <errno.h>
#include <liburing.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "block/memory.h"

#define MEMORY MIB(4)

static void test_ranges_are_cut_and_found(void **state)
{
	const struct iovec ranges[] = {{(void *)0x8000000000, GIB(2) + MIB(1)},
		{(void *)0x1000000000, GIB(1)}, {(void *)0x2000, 0}};
	struct iovec parts[3] = {{(void *)0x8000001000, 4096}, {(void *)0x8000000000, 1},
		{(char *)0x8000000000 + GIB(1) - 512, 512}};
	struct block_memory memory;

	assert_int_equal(block_memory_init(&memory, ranges, 3), 0);
	assert_int_equal(memory.n, 4);
	assert_ptr_equal(memory.pieces[0].iov_base, 0x1000000000);
	assert_int_equal(memory.pieces[3].iov_len, MIB(1));
	assert_int_equal(block_memory_find(&memory, parts, 3), 1);
	assert_int_equal(block_memory_find(&memory, parts, 0), -1);
	/* Across the end of a piece, in two of them, before the first, behind the last. */
	parts[2].iov_len++;
	assert_int_equal(block_memory_find(&memory, parts, 3), -1);
	parts[2] = (struct iovec){(char *)0x8000000000 + GIB(1), 512};
	assert_int_equal(block_memory_find(&memory, &parts[2], 1), 2);
	assert_int_equal(block_memory_find(&memory, parts, 3), -1);
	parts[0].iov_base = (void *)0xfffffffff;
	assert_int_equal(block_memory_find(&memory, parts, 1), -1);
	parts[0] = (struct iovec){(char *)0x8000000000 + GIB(2) + MIB(1), 1};
	assert_int_equal(block_memory_find(&memory, parts, 1), -1);
	parts[0] = (struct iovec){(char *)0x8000000000 + GIB(2), SIZE_MAX};
	assert_int_equal(block_memory_find(&memory, parts, 1), -1);
	block_memory_deinit(&memory);
	assert_int_equal(block_memory_init(&memory, NULL, 0), 0);
	assert_int_equal(block_memory_find(&memory, &parts[2], 1), -1);
	block_memory_deinit(&memory);
}

/* ---- The engine ---- */

static void *map_memory(void)
{
	void *memory =
		mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

static void open_with(struct user *u, const struct iovec *memory, unsigned int n)
{
	const struct block_raw_options options = {.path = u->path, .memory = memory, .n_memory = n};
	struct block_image *image;
	struct block_dev *dev;

	assert_ok(block_raw_open(&options, &image));
	assert_ok(block_uring_create(image, "disk", &dev));
	user_start(u, dev);
}

static bool kernel_takes_vectors(void)
{
	struct io_uring_probe *probe = io_uring_get_probe();
	bool takes = probe && io_uring_opcode_supported(probe, BLOCK_MEMORY_OP_READV);

	io_uring_free_probe(probe);
	return takes;
}

/* What the address space says does not matter to what the kernel has pinned. */
static void test_transfers_use_what_is_registered(void **state)
{
	struct user *u = *state;
	uint8_t *memory = map_memory();
	const struct iovec range = {memory, MEMORY};
	struct iovec parts[2] = {{memory + 4096, 512}, {memory + MIB(3), 1024}};
	struct block_request r = {.op = BLOCK_READ, .off = 1024, .len = 1536, .iov = parts, .n = 2};
	uint8_t other[512];

	open_with(u, &range, 1);
	assert_int_equal(mprotect(memory, MEMORY, PROT_NONE), 0);
	assert_int_equal(user_rw(u, BLOCK_READ, memory + 512, 1024, 512), 0);
	assert_int_equal(user_do(u, r), kernel_takes_vectors() ? 0 : -EFAULT);
	assert_int_equal(user_rw(u, BLOCK_READ, memory + MEMORY - 512, 1024, 0), -EFAULT);
	assert_int_equal(user_rw(u, BLOCK_READ, other, 512, 512 * 9), 0);
	assert_int_equal(other[0], 9);
	assert_int_equal(mprotect(memory, MEMORY, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(memory[512], 1);
	assert_int_equal(memory[1535], 2);
	if (kernel_takes_vectors()) {
		assert_int_equal(memory[4096], 2);
		assert_int_equal(memory[MIB(3) + 1023], 4);
	}
	memset(memory, 0x3c, 4096);
	assert_int_equal(user_rw(u, BLOCK_WRITE, memory, 4096, 8192), 0);
	assert_int_equal(user_do(u, (struct block_request){.op = BLOCK_FLUSH}), 0);
	assert_int_equal(user_rw(u, BLOCK_READ, other, 512, 8192 + 3584), 0);
	assert_int_equal(other[511], 0x3c);
	user_end(u);
	assert_int_equal(munmap(memory, MEMORY), 0);
}

/* A machine that is reset has other pages at the same place. */
static void test_memory_is_registered_anew_with_each_start(void **state)
{
	struct user *u = *state;
	uint8_t *memory = map_memory();
	const struct iovec range = {memory, MEMORY};

	open_with(u, &range, 1);
	for (uint8_t round = 1; round < 4; round++) {
		assert_int_equal(user_rw(u, BLOCK_READ, memory, 512, 512ull * round), 0);
		assert_int_equal(memory[0], round);
		block_stop(u->dev);
		assert_int_equal(madvise(memory, MEMORY, MADV_DONTNEED), 0);
		assert_int_equal(memory[0], 0);
		u->submitted = u->done = 0;
		block_start(u->dev, &u->user, u->loop);
	}
	user_end(u);
	assert_int_equal(munmap(memory, MEMORY), 0);
}

/* ---- Where it cannot be ---- */

static struct {
	unsigned int n;
	char text[256];
} lines;

static void keep_line(
	struct log_sink *sink, enum log_level level, const char *module, const char *text)
{
	lines.n++;
	(void)snprintf(lines.text, sizeof(lines.text), "%s", text);
}

static void assert_works_without(struct user *u, const struct iovec *range, const char *why)
{
	struct log_sink sink = {.write = keep_line};
	uint8_t buf[512];
	struct log *log;

	lines.n = 0;
	assert_ok(log_create("warn", &sink, &log));
	log_bind(log);
	open_with(u, range, 1);
	assert_int_equal(lines.n, 1);
	assert_non_null(strstr(lines.text, "disk: the guest's memory cannot be registered"));
	assert_non_null(strstr(lines.text, why));
	assert_int_equal(user_rw(u, BLOCK_READ, buf, 512, 512), 0);
	assert_int_equal(buf[0], 1);
	block_stop(u->dev);
	block_start(u->dev, &u->user, u->loop);
	assert_int_equal(lines.n, 1); /* said once */
	user_end(u);
	log_bind(NULL);
	log_free(log);
}

static void test_memory_that_is_not_there(void **state)
{
	uint8_t *memory = map_memory();
	const struct iovec range = {memory, MEMORY};

	assert_int_equal(munmap(memory + MIB(1), MIB(1)), 0);
	assert_works_without(*state, &range, "Bad address");
	assert_int_equal(munmap(memory, MEMORY), 0);
}

/* With or without the right to lock any amount of memory. */
static void set_may_lock(bool may)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	assert_int_equal(syscall(SYS_capget, &header, data), 0);
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	if (may)
		data[0].effective |= data[0].permitted & (1u << CAP_IPC_LOCK);
	assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

static void test_memory_that_may_not_be_locked(void **state)
{
	uint8_t *memory = map_memory();
	const struct iovec range = {memory, MEMORY};
	struct rlimit old, limit;

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &old), 0);
	limit = (struct rlimit){.rlim_cur = MIN(old.rlim_max, KIB(64)), .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	set_may_lock(false);
	assert_works_without(*state, &range, "RLIMIT_MEMLOCK must allow for all of it");
	set_may_lock(true);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &old), 0);
	assert_int_equal(munmap(memory, MEMORY), 0);
}

#define MEMORY_TEST(name) cmocka_unit_test_setup_teardown(name, user_setup, user_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges_are_cut_and_found),
		MEMORY_TEST(test_transfers_use_what_is_registered),
		MEMORY_TEST(test_memory_is_registered_anew_with_each_start),
		MEMORY_TEST(test_memory_that_is_not_there),
		MEMORY_TEST(test_memory_that_may_not_be_locked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
