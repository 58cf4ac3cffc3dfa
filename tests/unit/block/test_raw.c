/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw images: what is accepted, locks, and transfers of every shape.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "block/image.h"

#define SIZE (300 * 512)

struct files {
	char dir[64];
	char path[96]; /* an image of SIZE bytes: every sector filled with its number */
	struct block_image *dev;
};

static struct err *raw_open(const char *path, bool readonly, struct block_image **ret_image)
{
	const struct block_raw_options options = {.path = path, .readonly = readonly};

	return block_raw_open(&options, ret_image);
}

static int preadv_at(struct block_image *image, const struct iovec *iov, int n, uint64_t off)
{
	return image->ops->preadv(image, iov, n, off);
}

static int pwritev_at(struct block_image *image, const struct iovec *iov, int n, uint64_t off)
{
	return image->ops->pwritev(image, iov, n, off, off & 1024);
}

static int setup(void **state)
{
	struct files *f = calloc(1, sizeof(*f));
	FILE *image;

	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/alioth-raw-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/image", f->dir);
	image = fopen(f->path, "w");
	for (unsigned int i = 0; i < SIZE; i++)
		assert_int_equal(fputc((int)(i / 512 % 256), image), (int)(i / 512 % 256));
	assert_int_equal(fclose(image), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct files *f = *state;

	block_image_free(f->dev);
	(void)unlink(f->path);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

static void resize(struct files *f, off_t size)
{
	assert_int_equal(truncate(f->path, size), 0);
}

static void test_sizes(void **state)
{
	static const off_t bad[] = {0, 1, 511, 513, SIZE - 1};
	struct files *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		resize(f, bad[i]);
		assert_err(raw_open(f->path, i % 2, &f->dev), "is not one or more sectors");
		assert_null(f->dev);
	}
	resize(f, 512);
	assert_ok(raw_open(f->path, false, &f->dev));
	assert_int_equal(f->dev->facts.size, 512);
	assert_int_equal(f->dev->facts.block_size, 512);
	assert_false(f->dev->facts.readonly);
	block_image_free(f->dev);
	resize(f, 1ll << 40); /* sparse */
	assert_ok(raw_open(f->path, true, &f->dev));
	assert_int_equal(f->dev->facts.size, 1ull << 40);
	assert_true(f->dev->facts.readonly);
}

static void test_what_is_no_image_is_a_clear_error_and_does_not_hang(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct files *f = *state;
	int fd;

	(void)unlink(f->path);
	for (int readonly = 0; readonly <= 1; readonly++) {
		assert_err(raw_open(f->path, readonly, &f->dev), "No such file");
		assert_err(raw_open("", readonly, &f->dev), "No such file");
		assert_err(raw_open("/dev/null", readonly, &f->dev),
			"neither a file nor a block device");
		assert_int_equal(mkfifo(f->path, 0600), 0);
		assert_err(
			raw_open(f->path, readonly, &f->dev), "neither a file nor a block device");
		(void)unlink(f->path);
	}
	assert_err(raw_open(f->dir, false, &f->dev), "Is a directory");
	assert_err(raw_open(f->dir, true, &f->dev), "neither a file nor a block device");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", f->path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_err(raw_open(f->path, false, &f->dev), "Cannot open");
	close(fd);
}

static void test_an_image_has_one_writer_or_many_readers(void **state)
{
	struct files *f = *state;
	struct block_image *other = NULL;
	struct block_image *third = NULL;

	assert_ok(raw_open(f->path, false, &f->dev));
	assert_err(raw_open(f->path, false, &other), "in use by another virtual machine");
	assert_err(raw_open(f->path, true, &other), "in use by another virtual machine");
	block_image_free(f->dev);
	f->dev = NULL;
	assert_ok(raw_open(f->path, true, &f->dev));
	assert_ok(raw_open(f->path, true, &other));
	assert_err(raw_open(f->path, false, &third), "in use by another virtual machine");
	block_image_free(other);
	block_image_free(f->dev);
	f->dev = NULL;
	assert_ok(raw_open(f->path, false, &f->dev));
}

/* n pieces of `len` bytes at an offset, one byte apart in memory. */
static unsigned int split(struct iovec *iov, uint8_t *buf, unsigned int n, size_t len)
{
	for (unsigned int i = 0; i < n; i++)
		iov[i] = (struct iovec){buf + i * (len + 1), len};
	return n;
}

static void test_pieces_of_any_number_and_length(void **state)
{
	static uint8_t buf[2 * SIZE];
	struct files *f = *state;
	struct iovec iov[513];

	assert_ok(raw_open(f->path, false, &f->dev));
	for (unsigned int n = 1; n <= 300; n += 13) {
		memset(buf, 0xee, sizeof(buf));
		(void)split(iov, buf, n, 512);
		assert_int_equal(preadv_at(f->dev, iov, (int)n, 0), 0);
		for (unsigned int i = 0; i < n; i++) {
			assert_int_equal(buf[i * 513], (uint8_t)i);
			assert_int_equal(buf[i * 513 + 511], (uint8_t)i);
			assert_int_equal(buf[i * 513 + 512], 0xee);
		}
	}
	/* More pieces than the kernel takes at once, some of them empty. */
	(void)split(iov, buf, 512, 1);
	iov[512] = (struct iovec){buf, 0};
	for (unsigned int i = 0; i < 512; i++)
		buf[i * 2] = (uint8_t)(0x80 + i);
	iov[100].iov_len = 0;
	assert_int_equal(pwritev_at(f->dev, iov, 513, 512), 0);
	memset(buf, 0, sizeof(buf));
	iov[0] = (struct iovec){buf, 1024};
	assert_int_equal(preadv_at(f->dev, iov, 1, 512), 0);
	for (unsigned int i = 0; i < 511; i++)
		assert_int_equal(buf[i], (uint8_t)(0x80 + i + (i >= 100)));
	assert_int_equal(buf[511], 1); /* as it was */
	assert_int_equal(preadv_at(f->dev, iov, 0, 0), 0);
	assert_int_equal(f->dev->ops->flush(f->dev), 0);
}

static void test_an_image_that_shrinks_is_an_error_and_grows_by_writing(void **state)
{
	struct files *f = *state;
	uint8_t buf[1024];
	struct iovec iov[2] = {{buf, 512}, {buf + 512, 512}};

	assert_ok(raw_open(f->path, false, &f->dev));
	resize(f, 4 * 512 + 100);
	assert_int_equal(preadv_at(f->dev, iov, 2, 3 * 512), -EIO);
	assert_int_equal(preadv_at(f->dev, iov, 1, 200 * 512), -EIO);
	assert_int_equal(preadv_at(f->dev, iov, 2, 2 * 512), 0);
	assert_int_equal(buf[512], 3);
	assert_int_equal(pwritev_at(f->dev, iov, 2, 200 * 512), 0);
	assert_int_equal(preadv_at(f->dev, iov, 2, 199 * 512), 0);
	assert_int_equal(buf[0], 0);
	assert_int_equal(buf[512], 2);
}

static void test_errors_of_the_kernel_are_returned(void **state)
{
	struct files *f = *state;
	struct rlimit old;
	struct rlimit limit;
	uint8_t buf[512] = {0};
	const struct iovec iov = {buf, sizeof(buf)};
	const struct iovec wild = {(void *)8, 512};

	assert_ok(raw_open(f->path, false, &f->dev));
	assert_int_equal(preadv_at(f->dev, &wild, 1, 0), -EFAULT);
	assert_int_equal(pwritev_at(f->dev, &wild, 1, 0), -EFAULT);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = (struct rlimit){.rlim_cur = 512, .rlim_max = old.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(pwritev_at(f->dev, &iov, 1, 512), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(pwritev_at(f->dev, &iov, 1, 512), 0);
	block_image_free(f->dev);
	f->dev = NULL;
	assert_ok(raw_open(f->path, true, &f->dev));
	assert_int_equal(pwritev_at(f->dev, &iov, 1, 0), -EBADF);
	assert_int_equal(f->dev->ops->flush(f->dev), 0);
}

#define RAW_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RAW_TEST(test_sizes),
		RAW_TEST(test_what_is_no_image_is_a_clear_error_and_does_not_hang),
		RAW_TEST(test_an_image_has_one_writer_or_many_readers),
		RAW_TEST(test_pieces_of_any_number_and_length),
		RAW_TEST(test_an_image_that_shrinks_is_an_error_and_grows_by_writing),
		RAW_TEST(test_errors_of_the_kernel_are_returned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
