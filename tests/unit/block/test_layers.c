/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers over an engine on a real file, and what block_open() makes of options.
 */
#include "device.h"

#include <errno.h>

#include "block/open.h"

static void test_shares_of_a_disk_are_one_disk_with_one_limit(void **state)
{
	struct user *u = *state;
	struct block_options options = {.name = "disk", .path = u->path, .limits = {.iops = 200}};
	static uint8_t buf[512];
	struct block_dev *devs[3];
	uint64_t start;

	for (int api = 0; api < 2; api++) {
		options.api = (enum block_api)api;
		assert_ok(block_open(&options, 3, devs));
		start = loop_now_ns();
		for (unsigned int i = 0; i < 3; i++) {
			user_start(u, devs[i]);
			assert_int_equal(user_rw(u, BLOCK_READ, buf, 512, 512ull * i), 0);
			assert_int_equal(buf[0], api ? 0x50 + i : i);
			memset(buf, (int)(0x50 + i), sizeof(buf));
			assert_int_equal(user_rw(u, BLOCK_WRITE, buf, 512, 512ull * i), 0);
			/* What the last one has used up of a tenth of a second is not there any
			 * more. */
			for (unsigned int k = 0; k < 18; k++)
				assert_int_equal(user_rw(u, BLOCK_READ, buf, 512, 0), 0);
			assert_int_equal(buf[0], 0x50);
			user_end(u); /* the others' image stays */
		}
		assert_true(loop_now_ns() - start >= 190000000); /* 60, but 20 at once */
	}
}

static struct block_dev *open_disk(struct user *u, struct block_options options)
{
	struct block_dev *dev;

	options.name = "disk";
	options.path = u->path;
	assert_ok(block_open(&options, 1, &dev));
	return dev;
}

static void test_a_readonly_disk_refuses_what_changes_it(void **state)
{
	struct user *u = *state;
	uint8_t buf[512] = {0};

	for (int api = 0; api < 2; api++) {
		user_start(u, open_disk(u, (struct block_options){
						   .readonly = true, .api = (enum block_api)api}));
		assert_true(u->dev->facts.readonly);
		assert_int_equal(user_rw(u, BLOCK_WRITE, buf, 512, 512), -EROFS);
		assert_int_equal(
			user_do(u, (struct block_request){.op = BLOCK_DISCARD, .len = 4096}),
			-EROFS);
		assert_int_equal(
			user_do(u, (struct block_request){.op = BLOCK_WRITE_ZEROES, .len = 4096}),
			-EROFS);
		assert_int_equal(user_do(u, (struct block_request){.op = BLOCK_FLUSH}), 0);
		assert_int_equal(user_rw(u, BLOCK_READ, buf, 512, 512), 0);
		assert_int_equal(buf[0], 1);
		user_end(u);
	}
}

static void test_options_that_cannot_be_are_errors(void **state)
{
	struct block_options options = {.name = "disk", .path = "/nonexistent/disk"};
	struct block_dev *dev = NULL;

	assert_err(block_open(&options, 1, &dev), "No such file");
	options.path = "/dev/null";
	options.readonly = true;
	options.limits.iops = 1;
	assert_err(block_open(&options, 1, &dev), "neither a file nor a block device");
	assert_null(dev);
}

/* Milliseconds that n reads of len bytes take. */
static uint64_t time_reads(struct user *u, unsigned int n, size_t len)
{
	static uint8_t buf[65536];
	static struct block_request r[256];
	static struct iovec iov[256];
	uint64_t start = loop_now_ns();

	u->submitted = u->done = 0;
	for (unsigned int i = 0; i < n; i++) {
		iov[i] = (struct iovec){buf, len};
		r[i] = (struct block_request){.op = BLOCK_READ, .len = len, .iov = &iov[i], .n = 1};
		user_submit(u, &r[i]);
	}
	user_run(u);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(r[i].result, 0);
	return (loop_now_ns() - start) / 1000000;
}

static void test_rates_are_kept_but_for_a_burst(void **state)
{
	struct user *u = *state;

	user_start(u, open_disk(u, (struct block_options){.limits = {.iops = 200}}));
	assert_true(time_reads(u, 80, 512) >= 290); /* a tenth of a second's worth at once */
	user_end(u);
	user_start(u, open_disk(u, (struct block_options){.limits = {.bw = 1 << 20}}));
	assert_true(
		time_reads(u, 6, 65536) >= 210); /* the sixth when five are paid, but for 100 ms */
	user_end(u);
	/* A request larger than the burst passes, and the next one waits for it. */
	user_start(u, open_disk(u, (struct block_options){.limits = {.bw = 1 << 18}}));
	assert_true(time_reads(u, 2, 65536) >= 148);
	user_end(u);
	user_start(u, open_disk(u, (struct block_options){
					   .limits = {.iops = UINT64_MAX, .bw = UINT64_MAX}}));
	(void)time_reads(u, 200, 512);
}

/* Zeros may have to be written; what is given up never is. */
static void test_zeros_are_bytes_and_discards_are_none(void **state)
{
	static const enum block_op ops[] = {BLOCK_WRITE_ZEROES, BLOCK_DISCARD};
	struct user *u = *state;

	for (unsigned int i = 0; i < 2; i++) {
		struct block_request r = {.op = ops[i], .len = 65536};
		uint64_t start;

		user_start(u, open_disk(u, (struct block_options){.limits = {.bw = 1 << 18}}));
		start = loop_now_ns();
		for (unsigned int k = 0; k < 2; k++)
			assert_int_equal(user_do(u, r), 0);
		if (i == 0)
			assert_true(loop_now_ns() - start >= 148000000);
		else
			assert_true(loop_now_ns() - start < 148000000);
		user_end(u);
	}
}

static void test_what_is_throttled_waits_for_the_end_of_a_pause_and_goes_with_a_stop(void **state)
{
	struct user *u = *state;
	struct block_request r[2] = {{.op = BLOCK_FLUSH}, {.op = BLOCK_FLUSH}};

	user_start(u, open_disk(u, (struct block_options){.limits = {.iops = 4}}));
	user_submit(u, &r[0]);
	user_submit(u, &r[1]);
	block_kick(u->dev);
	u->yield = true;
	block_quiesce(u->dev); /* does not wait for the throttle */
	assert_true(u->done <= 1);
	u->yield = false;
	user_run(u);
	assert_int_equal(u->done, 2);
	u->submitted = u->done = 0;
	user_submit(u, &r[0]);
	user_submit(u, &r[1]);
	block_kick(u->dev);
	user_end(u);
	assert_int_equal(u->done, 0);
}

static void test_faults_hit_what_they_say(void **state)
{
	struct user *u = *state;
	struct block_fault fault = {
		.ops = 1u << BLOCK_WRITE, .off = 4096, .len = 4096, .skip = 1, .error = -EIO};
	struct block_dev *dev;
	uint8_t buf[1024] = {0};

	assert_ok(block_fault_create(open_disk(u, (struct block_options){0}), &dev));
	user_start(u, dev);
	assert_int_equal(user_rw(u, BLOCK_WRITE, buf, 512, 4096), 0);
	block_fault_set(dev, &fault);
	assert_int_equal(user_rw(u, BLOCK_WRITE, buf, 512, 4096), 0); /* skipped */
	assert_int_equal(user_rw(u, BLOCK_WRITE, buf, 1024, 3584), -EIO);
	assert_int_equal(user_rw(u, BLOCK_WRITE, buf, 512, 3584), 0);
	assert_int_equal(user_rw(u, BLOCK_READ, buf, 512, 4096), 0);
	fault = (struct block_fault){.ops = 1u << BLOCK_FLUSH, .error = -ENOSPC};
	block_fault_set(dev, &fault);
	assert_int_equal(user_do(u, (struct block_request){.op = BLOCK_FLUSH}), -ENOSPC);
	block_fault_set(dev, NULL);
	assert_int_equal(user_do(u, (struct block_request){.op = BLOCK_FLUSH}), 0);
}

static void test_what_hangs_comes_when_it_is_released(void **state)
{
	struct user *u = *state;
	struct block_fault fault = {.ops = 1u << BLOCK_FLUSH, .hold = true};
	struct block_request r = {.op = BLOCK_FLUSH};
	struct block_dev *dev;

	assert_ok(block_fault_create(open_disk(u, (struct block_options){0}), &dev));
	user_start(u, dev);
	block_fault_set(dev, &fault);
	user_submit(u, &r);
	block_kick(dev);
	assert_int_equal(u->done, 0);
	block_fault_release(dev);
	user_run(u);
	assert_int_equal(r.result, 0);
}

#define LAYER_TEST(name) cmocka_unit_test_setup_teardown(name, user_setup, user_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LAYER_TEST(test_a_readonly_disk_refuses_what_changes_it),
		LAYER_TEST(test_options_that_cannot_be_are_errors),
		LAYER_TEST(test_shares_of_a_disk_are_one_disk_with_one_limit),
		LAYER_TEST(test_rates_are_kept_but_for_a_burst),
		LAYER_TEST(test_zeros_are_bytes_and_discards_are_none),
		LAYER_TEST(
			test_what_is_throttled_waits_for_the_end_of_a_pause_and_goes_with_a_stop),
		LAYER_TEST(test_faults_hit_what_they_say),
		LAYER_TEST(test_what_hangs_comes_when_it_is_released),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
