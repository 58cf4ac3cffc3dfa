/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of persistent memory: sizes, what is made and what is never changed, locks.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/file.h"
#include "block/image.h"

static char path[64];

static int setup(void **state)
{
	int fd;

	(void)snprintf(path, sizeof(path), "/tmp/alioth-file-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)MIB(4)), 0);
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	(void)unlink(path);
	return 0;
}

static struct err *open_pmem(uint64_t size, bool readonly, int *ret_fd, uint64_t *ret_size)
{
	const struct block_pmem_options options = {
		.path = path, .size = size, .readonly = readonly};

	return block_pmem_open(&options, ret_fd, ret_size);
}

static void expect_size(uint64_t wanted, uint64_t expected)
{
	uint64_t size = 0;
	int fd = -1;

	assert_ok(open_pmem(wanted, false, &fd, &size));
	assert_int_equal(size, expected);
	close(fd);
}

static uint64_t file_size(void)
{
	struct stat st;

	return stat(path, &st) ? UINT64_MAX : (uint64_t)st.st_size;
}

static void test_the_size_is_the_files_or_what_is_asked_for(void **state)
{
	expect_size(0, MIB(4));
	expect_size(MIB(4), MIB(4));
	expect_size(MIB(6), MIB(6));
	assert_int_equal(file_size(), MIB(6));
	assert_int_equal(unlink(path), 0);
	expect_size(MIB(2), MIB(2));
}

static void test_nothing_is_cut_and_readers_change_nothing(void **state)
{
	uint64_t size;
	int fd;

	assert_err(open_pmem(MIB(2), false, &fd, &size), "has 4194304 bytes, not 2097152 as size=");
	assert_err(open_pmem(MIB(6), true, &fd, &size), "has 4194304 bytes, not 6291456 as size=");
	assert_int_equal(file_size(), MIB(4));
	assert_int_equal(unlink(path), 0);
	assert_err(open_pmem(MIB(2), true, &fd, &size), "Cannot open");
	assert_err(open_pmem(0, false, &fd, &size), "Cannot open");
	assert_int_equal(file_size(), UINT64_MAX);
}

/* More than any file system's largest file. */
static void test_a_start_that_fails_leaves_no_new_file(void **state)
{
	uint64_t huge = (uint64_t)INT64_MAX - (INT64_MAX % (int64_t)MIB(2));
	char target[80];
	uint64_t size;
	int fd;

	assert_err(open_pmem(huge, false, &fd, &size), "Cannot extend");
	assert_int_equal(file_size(), MIB(4));
	assert_int_equal(unlink(path), 0);
	assert_err(open_pmem(huge, false, &fd, &size), "Cannot extend");
	assert_int_equal(file_size(), UINT64_MAX);
	/* The target of a link is made too. */
	(void)snprintf(target, sizeof(target), "%s.target", path);
	assert_int_equal(symlink(target, path), 0);
	expect_size(MIB(2), MIB(2));
	assert_int_equal(unlink(target), 0);
}

static void test_other_sizes_and_kinds_are_one_error(void **state)
{
	uint64_t size;
	int fd;

	assert_int_equal(truncate(path, (off_t)MIB(4) - 4096), 0);
	assert_err(open_pmem(0, false, &fd, &size), "not a multiple of 2 MiB");
	assert_int_equal(truncate(path, 0), 0);
	assert_err(open_pmem(0, false, &fd, &size), "not a multiple of 2 MiB");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_err(open_pmem(0, false, &fd, &size), "is neither a file nor a block device");
}

static void test_one_writes_or_many_read_also_as_disks(void **state)
{
	const struct block_raw_options disk = {.path = path, .readonly = true};
	struct block_image *image;
	uint64_t size;
	int first, second;

	assert_ok(open_pmem(0, false, &first, &size));
	assert_err(open_pmem(0, false, &second, &size), "in use by another virtual machine");
	assert_err(open_pmem(0, true, &second, &size), "in use by another virtual machine");
	assert_err(block_raw_open(&disk, &image), "in use by another virtual machine");
	close(first);
	assert_ok(open_pmem(0, true, &first, &size));
	assert_ok(open_pmem(0, true, &second, &size));
	assert_ok(block_raw_open(&disk, &image));
	block_image_free(image);
	close(first);
	close(second);
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILE_TEST(test_the_size_is_the_files_or_what_is_asked_for),
		FILE_TEST(test_nothing_is_cut_and_readers_change_nothing),
		FILE_TEST(test_a_start_that_fails_leaves_no_new_file),
		FILE_TEST(test_other_sizes_and_kinds_are_one_error),
		FILE_TEST(test_one_writes_or_many_read_also_as_disks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
