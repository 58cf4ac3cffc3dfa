/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flushes that fail, on a host that tells of what it lost once: whoever asks again is told again.
 */
#include "device.h"

#include <errno.h>
#include <sys/syscall.h>

#include "block/open.h"

static _Atomic int error;          /* of the next fdatasync(); then there is none */
static _Atomic unsigned int syncs; /* that were made */

/* Instead of the C library's. */
int fdatasync(int fd)
{
	int now = atomic_exchange(&error, 0);

	atomic_fetch_add(&syncs, 1);
	if (!now)
		return (int)syscall(SYS_fdatasync, fd);
	errno = now;
	return -1;
}

static int flush(struct user *u)
{
	return user_do(u, (struct block_request){.op = BLOCK_FLUSH});
}

static int write_at(struct user *u, uint64_t off, bool fua)
{
	static uint8_t data[512];
	struct iovec iov = {data, sizeof(data)};

	memset(data, 0x5a, sizeof(data));
	return user_do(u, (struct block_request){.op = BLOCK_WRITE,
				  .fua = fua,
				  .off = off,
				  .len = 512,
				  .iov = &iov,
				  .n = 1});
}

static void open_disk(
	const struct user *u, struct block_options options, struct block_dev **ret_devs)
{
	atomic_store(&error, 0);
	atomic_store(&syncs, 0);
	options.name = "disk";
	options.path = u->path;
	assert_ok(block_open(&options, 2, ret_devs));
}

/* Whatever has to be stable fails, the rest goes on. */
static void expect_failure(struct user *u, int expected)
{
	uint8_t data[512];

	assert_int_equal(flush(u), expected);
	assert_int_equal(write_at(u, 0, true), expected);
	assert_int_equal(
		user_do(u,
			(struct block_request){
				.op = BLOCK_WRITE_ZEROES, .fua = true, .off = 4096, .len = 512}),
		expected);
	assert_int_equal(write_at(u, 1024, false), 0);
	assert_int_equal(user_rw(u, BLOCK_READ, data, 512, 1024), 0);
	assert_int_equal(data[0], 0x5a);
}

static void test_a_failed_flush_is_the_answer_to_all_others(void **state)
{
	static const int errors[] = {EIO, ENOSPC};
	struct user *u = *state;

	for (int api = 0; api < 2; api++) {
		struct block_dev *devs[2];

		open_disk(u, (struct block_options){.api = (enum block_api)api}, devs);
		user_start(u, devs[0]);
		assert_int_equal(write_at(u, 512, false), 0);
		assert_int_equal(flush(u), 0);
		atomic_store(&error, errors[api]);
		assert_int_equal(flush(u), -errors[api]);
		expect_failure(u, -errors[api]);
		user_end(u);
		/* Another thread's, of the same file. */
		user_start(u, devs[1]);
		expect_failure(u, -errors[api]);
		user_end(u);
		assert_int_equal(syncs, 2);
		/* Opened anew. */
		open_disk(u, (struct block_options){.api = (enum block_api)api}, devs);
		block_free(devs[1]);
		user_start(u, devs[0]);
		assert_int_equal(flush(u), 0);
		user_end(u);
	}
}

/* A stable write that fails has consumed what the host had to say of earlier ones. */
static void test_a_stable_write_that_fails_is_a_flush_that_failed(void **state)
{
	struct user *u = *state;

	for (int api = 0; api < 2; api++) {
		struct block_dev *devs[2];

		open_disk(u, (struct block_options){.api = (enum block_api)api}, devs);
		block_free(devs[1]);
		user_start(u, devs[0]);
		assert_int_equal(write_at(u, 512, false), 0);
		atomic_store(&error, EIO);
		assert_int_equal(write_at(u, 1024, true), -EIO);
		expect_failure(u, -EIO);
		user_end(u);
	}
}

#define FLUSH_TEST(name) cmocka_unit_test_setup_teardown(name, user_setup, user_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FLUSH_TEST(test_a_failed_flush_is_the_answer_to_all_others),
		FLUSH_TEST(test_a_stable_write_that_fails_is_a_flush_that_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
