/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images and devices whose size changes: what grows, what is refused, and what becomes of requests
 * past the new end.
 */
#include "device.h"

#include <errno.h>
#include <stdio.h>

#include "block/layers.h"
#include "shell.h"

static uint64_t file_size(const struct user *u)
{
	struct stat st;

	assert_int_equal(stat(u->path, &st), 0);
	return (uint64_t)st.st_size;
}

static struct block_image *open_raw(const struct user *u, bool readonly)
{
	const struct block_raw_options options = {.path = u->path, .readonly = readonly};
	struct block_image *image;

	assert_ok(block_raw_open(&options, &image));
	return image;
}

/* Engine, and each layer over it. */
static void start(struct user *u, bool uring, uint64_t bw)
{
	struct block_throttle_options limits = {.bw = bw};
	struct block_image *image = open_raw(u, false);
	struct block_dev *dev;

	if (uring)
		assert_ok(block_uring_create(image, "test", &dev));
	else
		assert_ok(block_sync_create(image, &dev));
	assert_ok(block_fault_create(dev, &dev));
	if (bw)
		assert_ok(block_throttle_create(dev, &limits, &dev));
	user_start(u, dev);
}

static void test_a_file_grows_and_shrinks(void **state)
{
	struct user *u = *state;
	uint8_t data[1024];

	for (int uring = 0; uring < 2; uring++) {
		start(u, uring, 0);
		assert_ok(block_resize(u->dev, 2 * SIZE));
		assert_int_equal(u->dev->facts.size, 2 * SIZE);
		assert_int_equal(file_size(u), 2 * SIZE);
		assert_int_equal(user_rw(u, BLOCK_WRITE, data, 512, 2 * SIZE - 512), 0);
		assert_int_equal(user_rw(u, BLOCK_READ, data, 1024, SIZE - 512), 0);
		assert_int_equal(data[0], (SECTORS - 1) & 0xff);
		assert_int_equal(data[512], 0);
		assert_ok(block_resize(u->dev, SIZE));
		assert_int_equal(user_rw(u, BLOCK_READ, data, 512, SIZE - 512), 0);
		assert_int_equal(user_rw(u, BLOCK_READ, data, 1024, SIZE - 512), -EIO);
		assert_int_equal(user_rw(u, BLOCK_WRITE, data, 512, SIZE), -EIO);
		assert_int_equal(file_size(u), SIZE);
		assert_int_equal(user_do(u, (struct block_request){.op = BLOCK_FLUSH}), 0);
		user_end(u);
	}
}

static void test_what_others_changed_is_seen_when_asked_for(void **state)
{
	struct user *u = *state;
	uint8_t data[512];

	start(u, true, 0);
	assert_int_equal(truncate(u->path, 2 * SIZE), 0);
	assert_int_equal(u->dev->facts.size, SIZE);
	assert_ok(block_resize(u->dev, 0));
	assert_int_equal(u->dev->facts.size, 2 * SIZE);
	assert_int_equal(user_rw(u, BLOCK_READ, data, 512, 2 * SIZE - 512), 0);
	/* Sizes that no disk has: it stays as it was. */
	assert_int_equal(truncate(u->path, SIZE + 100), 0);
	assert_err(block_resize(u->dev, 0), "is not one or more sectors");
	assert_int_equal(truncate(u->path, 0), 0);
	assert_err(block_resize(u->dev, 0), "is not one or more sectors");
	assert_int_equal(u->dev->facts.size, 2 * SIZE);
	assert_int_equal(user_rw(u, BLOCK_READ, data, 512, 0), -EIO);
}

static void test_bad_sizes_and_readers_are_refused(void **state)
{
	struct user *u = *state;
	struct block_image *image;

	start(u, false, 0);
	assert_err(block_resize(u->dev, SIZE + 1), "not a multiple of 512");
	assert_err(block_resize(u->dev, 0xfffffffffffffe00), "not a multiple of 512");
	assert_err(block_resize(u->dev, 0x7ffffffffffffe00), "Cannot make the image");
	assert_int_equal(u->dev->facts.size, SIZE);
	user_end(u);
	image = open_raw(u, true);
	assert_err(image->ops->resize(image, 2 * SIZE), "only read");
	assert_int_equal(truncate(u->path, 2 * SIZE), 0);
	assert_ok(image->ops->resize(image, 0));
	assert_int_equal(image->facts.size, 2 * SIZE);
	block_image_free(image);
}

/* Writes that were submitted before the disk shrank, and begin after it, do not extend it again. */
static void test_requests_that_wait_do_not_reach_past_the_new_end(void **state)
{
	struct user *u = *state;
	static uint8_t data[SIZE / 2];

	for (int uring = 0; uring < 2; uring++) {
		struct iovec iov[] = {{data, sizeof(data)}, {data, 512}, {data, 512}};
		struct block_request r[] = {
			{.op = BLOCK_WRITE, .len = sizeof(data), .iov = &iov[0], .n = 1},
			{.op = BLOCK_WRITE, .off = SIZE - 512, .len = 512, .iov = &iov[1], .n = 1},
			{.op = BLOCK_WRITE, .off = 512, .len = 512, .iov = &iov[2], .n = 1},
			{.op = BLOCK_DISCARD, .off = SIZE - 4096, .len = 4096}};

		start(u, uring, 2 * SIZE);
		for (unsigned int i = 0; i < ARRAY_SIZE(r); i++)
			user_submit(u, &r[i]);
		block_kick(u->dev);
		assert_int_equal(r[1].result, 12345);
		assert_ok(block_resize(u->dev, SIZE - 4096));
		user_run(u);
		assert_int_equal(r[0].result, 0);
		assert_int_equal(r[1].result, -EIO);
		assert_int_equal(r[2].result, 0);
		assert_int_equal(r[3].result, -EIO);
		assert_int_equal(file_size(u), SIZE - 4096);
		assert_ok(block_resize(u->dev, SIZE));
		user_end(u);
	}
}

/* ---- qcow2 ---- */

static bool have_qemu_img(void)
{
	return !sh("qemu-img --version >/dev/null 2>&1");
}

static struct block_image *open_qcow2(const struct user *u, struct block_image *backing)
{
	const struct block_raw_options options = {.path = u->path, .any_size = true};
	struct block_image *raw, *image;

	assert_ok(block_raw_open(&options, &raw));
	assert_ok(block_qcow2_open(u->path, raw, backing, &image));
	return image;
}

static void test_qcow2_grows_as_qemu_sees_it(void **state)
{
	static const char *const options[] = {"cluster_size=512", "cluster_size=4096,compat=0.10",
		"cluster_size=65536", "cluster_size=2M"};
	struct user *u = *state;
	uint8_t data[512] = "the end";
	struct iovec iov = {data, sizeof(data)};

	if (!have_qemu_img())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		struct block_image *image;
		uint64_t size = MIB(1);

		assert_int_equal(
			sh("qemu-img create -q -f qcow2 -o %s %s 1M", options[i], u->path), 0);
		image = open_qcow2(u, NULL);
		while (size < MIB(4)) {
			size += MIB(1) + 512;
			assert_ok(image->ops->resize(image, size));
			assert_int_equal(image->facts.size, size);
			assert_int_equal(image->ops->pwritev(image, &iov, 1, size - 512, false), 0);
		}
		if (i) {
			size = GIB(3);
			assert_ok(image->ops->resize(image, size));
			assert_int_equal(image->ops->pwritev(image, &iov, 1, size - 512, false), 0);
		}
		block_image_free(image);
		assert_int_equal(sh("qemu-img check -q -f qcow2 %s", u->path), 0);
		assert_int_equal(sh("qemu-img info -f qcow2 %s | grep -q '(%llu bytes)'", u->path,
					 (unsigned long long)size),
			0);
		image = open_qcow2(u, NULL);
		memset(data, 0, sizeof(data));
		assert_int_equal(image->ops->preadv(image, &iov, 1, image->facts.size - 512), 0);
		assert_string_equal((char *)data, "the end");
		block_image_free(image);
	}
}

static void test_qcow2_refuses_what_it_cannot(void **state)
{
	struct user *u = *state;
	struct block_image *image;
	char base[80];

	if (!have_qemu_img())
		skip();
	assert_int_equal(sh("qemu-img create -q -f qcow2 -o cluster_size=512 %s 1M", u->path), 0);
	image = open_qcow2(u, NULL);
	assert_err(image->ops->resize(image, MIB(1) - 512), "cannot be made smaller");
	assert_err(image->ops->resize(image, MIB(1) + 1), "not a multiple of 512");
	assert_err(image->ops->resize(image, 1ull << 50), "are too many");
	assert_ok(image->ops->resize(image, 0));
	assert_ok(image->ops->resize(image, MIB(1)));
	assert_int_equal(image->facts.size, MIB(1));
	block_image_free(image);
	/* What could not be opened again. */
	assert_int_equal(sh("qemu-img create -q -f qcow2 -o cluster_size=2M %s 1M", u->path), 0);
	image = open_qcow2(u, NULL);
	assert_err(image->ops->resize(image, (1ull << 56) + 512), "are too many");
	assert_ok(image->ops->resize(image, 1ull << 56));
	block_image_free(image);
	image = open_qcow2(u, NULL);
	assert_int_equal(image->facts.size, 1ull << 56);
	block_image_free(image);
	assert_int_equal(sh("qemu-img create -q -f qcow2 -o compat=0.10 %s 1M && "
			    "qemu-img snapshot -c one %s",
				 u->path, u->path),
		0);
	image = open_qcow2(u, NULL);
	assert_err(image->ops->resize(image, MIB(2)), "with snapshots");
	block_image_free(image);
	(void)snprintf(base, sizeof(base), "%s.base", u->path);
	assert_int_equal(sh("truncate -s 2M %s && qemu-img create -q -f qcow2 -b %s -F raw %s 1M",
				 base, base, u->path),
		0);
	{
		const struct block_raw_options options = {.path = base, .readonly = true};
		struct block_image *backing;

		assert_ok(block_raw_open(&options, &backing));
		image = open_qcow2(u, backing);
	}
	assert_err(image->ops->resize(image, MIB(3)), "backing image is larger");
	block_image_free(image);
	(void)unlink(base);
}

#define RESIZE_TEST(name) cmocka_unit_test_setup_teardown(name, user_setup, user_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RESIZE_TEST(test_a_file_grows_and_shrinks),
		RESIZE_TEST(test_what_others_changed_is_seen_when_asked_for),
		RESIZE_TEST(test_bad_sizes_and_readers_are_refused),
		RESIZE_TEST(test_requests_that_wait_do_not_reach_past_the_new_end),
		RESIZE_TEST(test_qcow2_grows_as_qemu_sees_it),
		RESIZE_TEST(test_qcow2_refuses_what_it_cannot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
