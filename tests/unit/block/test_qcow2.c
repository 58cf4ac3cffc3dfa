/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2 images of every kind that qemu-img makes, under random requests, against a plain buffer;
 * qemu-img check and compare are the judges. Without qemu-img these tests are skipped.
 */
#include "device.h"

#include <errno.h>

#include "base/endian.h"
#include "shell.h"

#define DISK (4u << 20)

struct images {
	char dir[48];
	char image[80], base[80], plain[80];
	uint8_t *model; /* DISK bytes */
	struct block_image *q;
	uint64_t seed;
};

static int setup(void **state)
{
	struct images *t = calloc(1, sizeof(*t));

	/* In memory, where there is room: a flush costs nothing there. */
	(void)snprintf(t->dir, sizeof(t->dir), "%s/alioth-qcow2-XXXXXX",
		access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	assert_non_null(mkdtemp(t->dir));
	(void)snprintf(t->image, sizeof(t->image), "%s/image", t->dir);
	(void)snprintf(t->base, sizeof(t->base), "%s/base", t->dir);
	(void)snprintf(t->plain, sizeof(t->plain), "%s/plain", t->dir);
	t->model = calloc(1, DISK);
	t->seed = 42;
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct images *t = *state;

	block_image_free(t->q);
	(void)sh("rm -rf %s", t->dir);
	free(t->model);
	free(t);
	return 0;
}

static bool have_qemu_img(void)
{
	return !sh("qemu-img --version >/dev/null 2>&1");
}

static uint32_t any(struct images *t, uint32_t n)
{
	t->seed = t->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(t->seed >> 33) % n;
}

static struct err *open_file(const char *path, bool readonly, bool raw, struct block_image *backing,
	struct block_image **ret_image)
{
	const struct block_raw_options options = {
		.path = path, .readonly = readonly, .any_size = !raw};
	struct block_image *file;
	struct err *err = block_raw_open(&options, &file);

	if (err || raw) {
		*ret_image = file;
		return err;
	}
	err = block_qcow2_open(path, file, backing, ret_image);
	if (err)
		block_image_free(file);
	return err;
}

static void open_image(struct images *t)
{
	assert_ok(open_file(t->image, false, false, NULL, &t->q));
	assert_int_equal(t->q->facts.size, DISK);
}

static void close_image(struct images *t)
{
	block_image_free(t->q);
	t->q = NULL;
}

/* Data in runs, so that it compresses, some of it zeros. */
static void fill(struct images *t, uint8_t *data, size_t len)
{
	uint8_t c = any(t, 3) ? (uint8_t)any(t, 256) : 0;

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(c ? c + i / 512 : 0);
}

/* The model as a raw file: the data of images that qemu-img converts. */
static void save_model(struct images *t, const char *path)
{
	FILE *f = fopen(path, "w");

	assert_int_equal(fwrite(t->model, 1, DISK, f), DISK);
	assert_int_equal(fclose(f), 0);
}

static void step(struct images *t)
{
	static uint8_t buf[300 * 1024];
	uint32_t sector = any(t, DISK / 512);
	uint32_t n = 1 + any(t, any(t, 4) ? 16 : 512);
	struct iovec iov[3];
	uint64_t off, len;
	bool unmap;

	n = MIN(n, DISK / 512 - sector);
	off = sector * 512ull;
	len = n * 512ull;
	iov[0] = (struct iovec){buf, len / 3};
	iov[1] = (struct iovec){buf + len / 3, 0};
	iov[2] = (struct iovec){buf + len / 3, len - len / 3};
	switch (any(t, 8)) {
	case 0:
	case 1:
	case 2:
		fill(t, buf, len);
		assert_int_equal(t->q->ops->pwritev(t->q, iov, 3, off, !any(t, 8)), 0);
		memcpy(t->model + off, buf, len);
		break;
	case 3:
		unmap = any(t, 2);
		assert_int_equal(t->q->ops->write_zeroes(t->q, off, len, unmap), 0);
		memset(t->model + off, 0, len);
		break;
	case 4:
		assert_int_equal(t->q->ops->flush(t->q), 0);
		break;
	default:
		assert_int_equal(t->q->ops->preadv(t->q, iov, 3, off), 0);
		assert_memory_equal(buf, t->model + off, len);
		break;
	}
}

static void judge(struct images *t)
{
	close_image(t);
	save_model(t, t->plain);
	assert_int_equal(sh("qemu-img check -q -f qcow2 %s", t->image), 0);
	assert_int_equal(sh("qemu-img compare -q -f qcow2 -F raw %s %s", t->image, t->plain), 0);
}

static void play(struct images *t)
{
	for (unsigned int round = 0; round < 3; round++) {
		open_image(t);
		for (unsigned int i = 0; i < 150; i++)
			step(t);
		judge(t);
	}
}

static void test_new_images_of_all_cluster_sizes_and_versions(void **state)
{
	static const char *const options[] = {"compat=1.1", "compat=0.10", "cluster_size=512",
		"cluster_size=512,compat=0.10", "cluster_size=4096", "cluster_size=2M",
		"lazy_refcounts=on", "preallocation=metadata", "preallocation=full"};

	if (!have_qemu_img())
		skip();
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct images *t = *state;

		memset(t->model, 0, DISK);
		assert_int_equal(
			sh("qemu-img create -q -f qcow2 -o %s %s %u", options[i], t->image, DISK),
			0);
		play(t);
	}
}

/* A table of counts of one cluster of 512 bytes covers 8 MiB. */
static void test_the_table_of_counts_grows(void **state)
{
	struct images *t = *state;
	struct iovec iov;

	if (!have_qemu_img())
		skip();
	free(t->model);
	t->model = calloc(1, 16 << 20);
	assert_int_equal(sh("qemu-img create -q -f qcow2 -o cluster_size=512 %s 32M", t->image), 0);
	assert_ok(open_file(t->image, false, false, NULL, &t->q));
	memset(t->model, 0x33, 16 << 20);
	iov = (struct iovec){t->model, 16 << 20};
	assert_int_equal(t->q->ops->pwritev(t->q, &iov, 1, 1 << 20, true), 0);
	close_image(t);
	assert_int_equal(sh("qemu-img check -q -f qcow2 %s", t->image), 0);
	assert_ok(open_file(t->image, false, false, NULL, &t->q));
	assert_int_equal(t->q->ops->preadv(t->q, &iov, 1, 1 << 20), 0);
	for (unsigned int i = 0; i < 16 << 20; i++)
		assert_true(t->model[i] == 0x33);
}

static void test_compressed_images(void **state)
{
	static const char *const options[] = {
		"compression_type=zlib", "compression_type=zstd", "cluster_size=4096"};
	struct images *t = *state;

	if (!have_qemu_img())
		skip();
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		for (unsigned int at = 0; at < DISK; at += 8192)
			fill(t, t->model + at, 8192);
		save_model(t, t->plain);
		assert_int_equal(sh("qemu-img convert -q -c -f raw -O qcow2 -o %s %s %s",
					 options[i], t->plain, t->image),
			0);
		play(t);
	}
}

static void test_images_with_snapshots_keep_them(void **state)
{
	struct images *t = *state;
	uint8_t *before = malloc(DISK);

	if (!have_qemu_img())
		skip();
	assert_int_equal(
		sh("qemu-img create -q -f qcow2 -o cluster_size=4096 %s %u", t->image, DISK), 0);
	play(t);
	assert_int_equal(sh("qemu-img snapshot -c one %s", t->image), 0);
	memcpy(before, t->model, DISK);
	play(t);
	assert_int_equal(sh("qemu-img snapshot -a one %s", t->image), 0);
	memcpy(t->model, before, DISK);
	free(before);
	judge(t);
	play(t);
}

static void test_discards_free_clusters_for_others(void **state)
{
	struct images *t = *state;
	uint64_t full;
	struct stat st;

	if (!have_qemu_img())
		skip();
	assert_int_equal(sh("qemu-img create -q -f qcow2 %s %u", t->image, DISK), 0);
	open_image(t);
	memset(t->model, 0x55, DISK);
	for (unsigned int round = 0; round < 3; round++) {
		struct iovec iov = {t->model, DISK};

		assert_int_equal(t->q->ops->pwritev(t->q, &iov, 1, 0, true), 0);
		assert_int_equal(stat(t->image, &st), 0);
		if (!round)
			full = (uint64_t)st.st_size;
		assert_int_equal(st.st_size, full);
		assert_int_equal(t->q->ops->discard(t->q, 1000, DISK - 1000), 0);
		assert_int_equal(t->q->ops->flush(t->q), 0);
		assert_int_equal(stat(t->image, &st), 0);
		assert_true((uint64_t)st.st_blocks * 512 < DISK / 2);
	}
	memset(t->model + 65536, 0, DISK - 65536);
	judge(t);
}

static void test_backing_images(void **state)
{
	struct images *t = *state;
	struct block_image *base = NULL;

	if (!have_qemu_img())
		skip();
	for (int raw = 0; raw < 2; raw++) {
		memset(t->model, 0, DISK);
		for (unsigned int at = 0; at < DISK / 2; at += 8192)
			fill(t, t->model + at, 8192);
		save_model(t, t->plain);
		/* The base is shorter. */
		assert_int_equal(truncate(t->plain, DISK / 2 + 512), 0);
		assert_int_equal(sh("qemu-img convert -q -f raw -O %s %s %s", raw ? "raw" : "qcow2",
					 t->plain, t->base),
			0);
		assert_int_equal(sh("qemu-img create -q -f qcow2 -b %s -F %s %s %u", t->base,
					 raw ? "raw" : "qcow2", t->image, DISK),
			0);
		assert_err(open_file(t->image, false, false, NULL, &t->q), "only if it is given");
		for (unsigned int round = 0; round < 2; round++) {
			assert_ok(open_file(t->base, true, raw, NULL, &base));
			assert_ok(open_file(t->image, false, false, base, &t->q));
			for (unsigned int i = 0; i < 150; i++)
				step(t);
			judge(t);
		}
	}
	assert_int_equal(sh("qemu-img create -q -f qcow2 %s %u", t->image, DISK), 0);
	assert_ok(open_file(t->base, true, true, NULL, &base));
	assert_err(open_file(t->image, false, false, base, &t->q), "has no backing file");
	block_image_free(base);
}

/* ---- Images that are wrong ---- */

static void poke(struct images *t, off_t at, const void *data, size_t len)
{
	int fd = open(t->image, O_WRONLY);

	assert_int_equal(pwrite(fd, data, len, at), len);
	close(fd);
}

static void poke32(struct images *t, off_t at, uint32_t value)
{
	uint8_t raw[4];

	store_be32(raw, value);
	poke(t, at, raw, 4);
}

static void poke64(struct images *t, off_t at, uint64_t value)
{
	uint8_t raw[8];

	store_be64(raw, value);
	poke(t, at, raw, 8);
}

static uint64_t peek64(struct images *t, off_t at)
{
	uint8_t raw[8];
	int fd = open(t->image, O_RDONLY);

	assert_int_equal(pread(fd, raw, 8, at), 8);
	close(fd);
	return load_be64(raw);
}

static void make_image(struct images *t)
{
	(void)unlink(t->image);
	assert_int_equal(sh("qemu-img create -q -f qcow2 %s %u", t->image, DISK), 0);
	memset(t->model, 0, DISK);
}

static void test_headers_that_cannot_be_are_refused(void **state)
{
	static const struct {
		off_t at;
		uint32_t value;
		const char *says;
	} bad[] = {
		{0, 0x514649fc, "is not a qcow2 image"},
		{4, 1, "a version other"},
		{4, 4, "a version other"},
		{20, 8, "clusters that are not"},
		{20, 22, "clusters that are not"},
		{20, UINT32_MAX, "clusters that are not"},
		{24, 1, "L1 table of the wrong size"},
		{24, UINT32_MAX, "sectors of 512"},
		{28, 1, "sectors of 512"},
		{32, 1, "is encrypted"},
		{36, 0, "L1 table of the wrong size"},
		{36, UINT32_MAX, "L1 table of the wrong size"},
		{40, UINT32_MAX, "L1 table outside"},
		{44, 0, "L1 table outside"},
		{44, 1, "L1 table outside"},
		{44, 0x10000, "overlap"},
		{48, UINT32_MAX, "reference counts outside"},
		{52, 0, "reference counts outside"},
		{56, 0, "reference counts outside"},
		{56, UINT32_MAX, "reference counts outside"},
		{76, 1, "reference counts are to be repaired"},
		{76, 2, "marked as corrupt"},
		{76, 4, "not supported"},
		{76, 16, "not supported"},
		{72, 1, "not supported"},
		{96, 5, "not of 16 bits"},
		{100, 96, "too short"},
		{76, 8, "compressed in an unknown way"},
		{12, 5, "only if it is given"},
	};
	struct images *t = *state;

	if (!have_qemu_img())
		skip();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_image(t);
		poke32(t, bad[i].at, bad[i].value);
		assert_err(open_file(t->image, false, false, NULL, &t->q), bad[i].says);
	}
	assert_int_equal(truncate(t->image, 0), 0);
	assert_err(open_file(t->image, true, false, NULL, &t->q), "is not a qcow2 image");
}

static void test_corruption_is_marked_and_refused(void **state)
{
	static const uint64_t wrong_l1[] = {
		0x200, 0x10000, 0x30000, 0xfffffff0000, 0x10200, 0x00fffffffffffe00};
	static const uint64_t wrong_l2[] = {0x200, 0x10000, 0x30000, 0x10200};
	struct images *t = *state;
	uint8_t buf[512] = {1};
	struct iovec iov = {buf, 512};
	uint64_t l1, l2;

	if (!have_qemu_img())
		skip();
	for (unsigned int i = 0; i < 10; i++) {
		make_image(t);
		open_image(t);
		assert_int_equal(t->q->ops->pwritev(t->q, &iov, 1, 0, true), 0);
		close_image(t);
		l1 = peek64(t, 40);
		l2 = peek64(t, (off_t)l1) & ~(1ull << 63);
		if (i < 6)
			poke64(t, (off_t)l1, wrong_l1[i] | 1ull << 63);
		else
			poke64(t, (off_t)l2, wrong_l2[i - 6] | 1ull << 63);
		open_image(t);
		assert_int_equal(t->q->ops->preadv(t->q, &iov, 1, 0), -EIO);
		assert_int_equal(t->q->ops->pwritev(t->q, &iov, 1, 0, false), -EIO);
		assert_int_equal(t->q->ops->discard(t->q, 0, DISK), -EIO);
		assert_int_equal(t->q->ops->write_zeroes(t->q, 0, DISK, true), -EIO);
		close_image(t);
		assert_err(open_file(t->image, false, false, NULL, &t->q), "marked as corrupt");
		t->q = NULL;
	}
}

/*
 * An image of clusters of 512 bytes whose first `used` are all in use: one block of counts says so,
 * which all entries of the table name. The file has `n` clusters, mostly holes.
 */
static void make_dense(struct images *t, uint64_t used, uint64_t n)
{
	const uint64_t table_at = 16 << 20;
	const uint64_t block_at = table_at - 512;
	const uint64_t entries = used / 256;
	const uint64_t bytes = align_up((entries + 64) * 8, 512ull);
	uint8_t *table = calloc(1, bytes);
	uint8_t block[512];

	assert_non_null(table);
	(void)unlink(t->image);
	assert_int_equal(
		sh("qemu-img create -q -f qcow2 -o cluster_size=512 %s %u", t->image, DISK), 0);
	assert_int_equal(truncate(t->image, (off_t)(n * 512)), 0);
	for (unsigned int i = 0; i < 256; i++)
		store_be16(block + (size_t)i * 2, 1);
	for (uint64_t i = 0; i < entries; i++)
		store_be64(table + i * 8, block_at);
	poke(t, (off_t)block_at, block, sizeof(block));
	poke(t, (off_t)table_at, table, bytes);
	poke64(t, 48, table_at);
	poke32(t, 56, (uint32_t)(bytes / 512));
	free(table);
}

#define DENSE (65ull << 20) /* clusters */

static void test_a_dense_image_is_not_corrupt_and_grows_at_its_end(void **state)
{
	struct images *t = *state;
	uint8_t buf[512];
	struct iovec iov = {buf, sizeof(buf)};

	if (!have_qemu_img())
		skip();
	make_dense(t, DENSE, DENSE);
	open_image(t);
	memset(buf, 0x44, sizeof(buf));
	assert_int_equal(t->q->ops->pwritev(t->q, &iov, 1, 512, true), 0);
	close_image(t);
	open_image(t);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(t->q->ops->preadv(t->q, &iov, 1, 512), 0);
	assert_int_equal(buf[511], 0x44);
}

/* Nor is one that says the same of clusters that are not there; it is full. */
static void test_an_image_that_has_no_end_of_used_clusters_is_full(void **state)
{
	struct images *t = *state;
	uint8_t buf[512] = {0};
	struct iovec iov = {buf, sizeof(buf)};

	if (!have_qemu_img())
		skip();
	make_dense(t, 2 * DENSE, DENSE);
	open_image(t);
	assert_int_equal(t->q->ops->pwritev(t->q, &iov, 1, 512, true), -ENOSPC);
	assert_int_equal(t->q->ops->preadv(t->q, &iov, 1, 512), 0);
	close_image(t);
	open_image(t);
}

static void test_a_full_host_loses_nothing_and_goes_on(void **state)
{
	struct images *t = *state;
	struct iovec iov = {t->model, DISK};

	if (!have_qemu_img() || geteuid() ||
		sh("mkdir -p %s/m && mount -t tmpfs -o size=2m tmpfs "
		   "%s/m 2>/dev/null",
			t->dir, t->dir))
		skip();
	(void)snprintf(t->image, sizeof(t->image), "%s/m/image", t->dir);
	make_image(t);
	open_image(t);
	memset(t->model, 0x77, DISK);
	assert_int_equal(t->q->ops->pwritev(t->q, &iov, 1, 0, true), -ENOSPC);
	assert_int_equal(t->q->ops->pwritev(t->q, &iov, 1, 0, true), -ENOSPC);
	iov.iov_len = 512 * 1024;
	assert_int_equal(t->q->ops->pwritev(t->q, &iov, 1, 0, true), 0); /* is there */
	close_image(t);
	assert_int_equal(sh("qemu-img check -q -f qcow2 %s", t->image), 0);
	assert_int_equal(sh("mount -o remount,size=16m %s/m", t->dir), 0);
	iov.iov_len = DISK;
	open_image(t);
	assert_int_equal(t->q->ops->pwritev(t->q, &iov, 1, 0, true), 0);
	judge(t);
	(void)sh("umount %s/m", t->dir);
}

#define QCOW2_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		QCOW2_TEST(test_new_images_of_all_cluster_sizes_and_versions),
		QCOW2_TEST(test_the_table_of_counts_grows),
		QCOW2_TEST(test_compressed_images),
		QCOW2_TEST(test_images_with_snapshots_keep_them),
		QCOW2_TEST(test_discards_free_clusters_for_others),
		QCOW2_TEST(test_backing_images),
		QCOW2_TEST(test_headers_that_cannot_be_are_refused),
		QCOW2_TEST(test_corruption_is_marked_and_refused),
		QCOW2_TEST(test_a_dense_image_is_not_corrupt_and_grows_at_its_end),
		QCOW2_TEST(test_an_image_that_has_no_end_of_used_clusters_is_full),
		QCOW2_TEST(test_a_full_host_loses_nothing_and_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
