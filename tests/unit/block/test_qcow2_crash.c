/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts under qcow2 images. Random requests go to the code under test, over a file that
 * records what reaches it. Then the power is cut at every point of that record, and of what was not
 * flushed any part is lost, whole writes or single sectors. Whatever is left, no count may be below
 * use, all that was flushed must be there, and every sector must hold what the guest wrote to it at
 * some time since. A reader of its own judges, and now and then qemu-img, and the code under test
 * goes on with what is left. Without qemu-img, which makes the images, these tests are skipped.
 */
#include "qcow2_judge.h"
#include "recorder.h"
#include "shell.h"

#include <unistd.h>

#define SECTOR     512u
#define GUEST_MAX  (16u << 20)
#define OPS_MAX    400u
#define SECTORS    (GUEST_MAX / SECTOR)
#define WRITE_MAX  64u /* sectors */
#define FIRST_DATA 1u  /* the tag of what was on the disk at first; 0: zeros */

enum guest_kind { GUEST_WRITE, GUEST_ZEROS, GUEST_DISCARD, GUEST_FLUSH, GUEST_GROW };

struct guest_op {
	enum guest_kind kind;
	bool fua;
	bool failed;             /* nothing is known of how much was done */
	uint32_t sector, n;      /* sectors; of growth, n is the new number */
	unsigned int begin, end; /* in the record of the file */
};

struct crash {
	char dir[48], image[80], plain[80];
	struct recorder file;
	struct recorder base; /* a backing image, if has_base */
	bool has_base;
	bool grows; /* the disk, now and then */
	int nth;    /* write that fails */
	struct block_image *q;
	uint32_t sectors;
	struct guest_op ops[OPS_MAX];
	unsigned int n;
	uint64_t seed;
	unsigned int cuts, judged;     /* cuts tried; by qemu-img */
	uint32_t tag;                  /* of the first recorded request; they count up */
	uint32_t first[SECTORS];       /* tag of each sector before the recorded requests */
	uint64_t first_entry[SECTORS]; /* of sectors in compressed clusters; 0: others */

	/* One of the cuts is where the next round begins. */
	unsigned int chosen;
	uint8_t *left;
	uint64_t left_size; /* 0: not there yet */
};

/* ---- Sectors with tags ---- */

static uint32_t any(struct crash *t, uint32_t n)
{
	t->seed = t->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(t->seed >> 33) % n;
}

static void tag_sector(uint8_t *data, uint32_t tag, uint32_t sector)
{
	uint64_t word = tag ? (uint64_t)tag << 32 | sector : 0;

	for (unsigned int i = 0; i < SECTOR; i += 8)
		memcpy(data + i, &word, 8);
}

/* The tag of a whole sector of its own place; -1: it is something else. */
static int64_t tag_of(const uint8_t *data, uint32_t sector)
{
	uint64_t word;

	memcpy(&word, data, 8);
	if (memcmp(data, data + 8, SECTOR - 8) || (word && (uint32_t)word != sector))
		return -1;
	return (int64_t)(word >> 32);
}

/* ---- Requests of the guest ---- */

static int grow_image(struct crash *t, uint64_t size)
{
	struct err *err = t->q->ops->resize(t->q, size);
	int code = err_code(err);

	err_free(err);
	t->sectors = (uint32_t)(t->q->facts.size / SECTOR);
	return -code;
}

static void run_op(struct crash *t, struct guest_op *op, uint32_t tag)
{
	static uint8_t data[WRITE_MAX * SECTOR];
	struct iovec iov = {data, (size_t)op->n * SECTOR};
	uint64_t off = (uint64_t)op->sector * SECTOR;
	const struct block_image_ops *ops = t->q->ops;
	int ret = 0;

	op->begin = t->file.n;
	switch (op->kind) {
	case GUEST_WRITE:
		for (uint32_t i = 0; i < op->n; i++)
			tag_sector(data + (size_t)i * SECTOR, tag, op->sector + i);
		ret = ops->pwritev(t->q, &iov, 1, off, op->fua);
		break;
	case GUEST_ZEROS:
		ret = ops->write_zeroes(t->q, off, iov.iov_len, op->fua);
		break;
	case GUEST_DISCARD:
		ret = ops->discard(t->q, off, iov.iov_len);
		break;
	case GUEST_FLUSH:
		ret = ops->flush(t->q);
		break;
	case GUEST_GROW:
		ret = grow_image(t, (uint64_t)op->n * SECTOR);
		break;
	}
	op->failed = ret;
	assert_true(!ret || t->file.fails || (op->kind == GUEST_DISCARD && ret == -EOPNOTSUPP));
	op->end = t->file.n;
}

static struct guest_op any_op(struct crash *t)
{
	static const enum guest_kind kinds[] = {GUEST_WRITE, GUEST_WRITE, GUEST_WRITE, GUEST_WRITE,
		GUEST_ZEROS, GUEST_DISCARD, GUEST_DISCARD, GUEST_FLUSH};
	struct guest_op op = {.kind = kinds[any(t, 8)], .fua = !any(t, 8)};
	if (t->grows && !any(t, 16))
		return (struct guest_op){
			.kind = GUEST_GROW, .n = MIN(t->sectors + 1 + any(t, 5000), SECTORS)};
	/* Half of them in a small part of the disk, where they meet. */
	uint32_t room = any(t, 2) ? MIN(t->sectors, 128u) : t->sectors;

	op.sector = any(t, room);
	op.n = 1 + any(t, any(t, 2) ? 8 : WRITE_MAX);
	op.n = MIN(op.n, t->sectors - op.sector);
	if (op.kind == GUEST_FLUSH)
		op.n = 0;
	return op;
}

/* ---- What a sector may hold ---- */

/* The tag that a request leaves in a sector, or -1: none. */
static int64_t tag_after(const struct crash *t, unsigned int i, uint32_t sector)
{
	const struct guest_op *op = &t->ops[i];

	if (op->kind == GUEST_GROW || sector < op->sector || sector - op->sector >= op->n)
		return -1;
	return op->kind == GUEST_WRITE ? (int64_t)(t->tag + i) : 0;
}

/*
 * Is this one of the tags that a sector may have, when the requests before `stable` were flushed
 * and those before `begun` had begun? What is discarded may be zeros, or what it was.
 */
static bool tag_allowed(const struct crash *t, uint32_t sector, int64_t tag, unsigned int stable,
	unsigned int begun)
{
	for (unsigned int i = begun; i-- > 0;) {
		int64_t after = tag_after(t, i, sector);

		if (after == tag)
			return true;
		if (after >= 0 && i < stable && t->ops[i].kind != GUEST_DISCARD &&
			!t->ops[i].failed)
			return false;
	}
	return tag == (int64_t)t->first[sector];
}

/* Requests that were surely flushed when the file had seen `seen` operations. */
static unsigned int stable_at(const struct crash *t, unsigned int seen)
{
	for (unsigned int i = t->n; i-- > 0;) {
		const struct guest_op *op = &t->ops[i];

		if (op->end <= seen && !op->failed &&
			(op->kind == GUEST_FLUSH || (op->kind == GUEST_WRITE && op->fua)))
			return i + 1;
	}
	return 0;
}

static unsigned int begun_at(const struct crash *t, unsigned int seen)
{
	unsigned int i = 0;

	while (i < t->n && t->ops[i].begin <= seen)
		i++;
	return i;
}

/* ---- The judgement ---- */

static int64_t tag_on_disk(const struct crash *t, const struct judge *j, uint32_t sector)
{
	uint64_t off = (uint64_t)sector * SECTOR;
	uint64_t at = 0;

	if (off >= load_be64(j->file + 24))
		return 0;
	switch (judge_find(j, off, &at)) {
	case JUDGE_NONE:
		return t->has_base ? tag_of(t->base.file + off, sector) : 0;
	case JUDGE_ZEROS:
		return 0;
	case JUDGE_DATA:
		return tag_of(j->file + at, sector);
	case JUDGE_PACKED:
		return at == t->first_entry[sector] ? (int64_t)FIRST_DATA : -1;
	}
	return -1;
}

static void check_cut(struct crash *t, unsigned int seen, const char *how)
{
	unsigned int stable = stable_at(t, seen);
	unsigned int begun = begun_at(t, seen);
	struct judge j;

	t->cuts++;
	if (!judge_image(&j, t->file.disk, t->file.disk_size)) {
		recorder_save_disk(&t->file, "/tmp/alioth-crash.qcow2");
		fail_msg("cut after %u operations (%s): %s", seen, how, j.wrong);
	}
	for (unsigned int i = 0; i < t->n && t->ops[i].end <= seen; i++) {
		if (t->ops[i].kind == GUEST_GROW && !t->ops[i].failed &&
			load_be64(t->file.disk + 24) < (uint64_t)t->ops[i].n * SECTOR)
			fail_msg("cut after %u operations (%s): the disk has not grown", seen, how);
	}
	for (uint32_t s = 0; s < t->sectors; s++) {
		int64_t tag = tag_on_disk(t, &j, s);

		if (tag < 0 || !tag_allowed(t, s, tag, stable, begun))
			fail_msg("cut after %u operations (%s): sector %u holds %lld; requests "
				 "before %u were flushed, and before %u begun",
				seen, how, s, (long long)tag, stable, begun);
	}
}

/* qemu-img finds no error either; 3: clusters that nobody uses. */
static void ask_qemu(struct crash *t)
{
	char command[256];
	int status;

	recorder_save_disk(&t->file, t->image);
	(void)snprintf(command, sizeof(command), "qemu-img check -q -f qcow2 -U %s >/dev/null 2>&1",
		t->image);
	status = system(command); /* NOLINT: a path of our own */
	if (status && status != 3 << 8)
		fail_msg("qemu-img check: %d", status);
	t->judged++;
}

static bool lucky(void *arg)
{
	struct crash *t = arg;

	return any(t, 2);
}

/* Any part of the operations up to `seen`, by whole operations or by sectors. */
static void try_part(struct crash *t, unsigned int seen)
{
	bool torn = any(t, 2);

	recorder_begin_cut(&t->file);
	for (unsigned int i = t->file.stable; i < seen; i++) {
		if (torn)
			recorder_apply(&t->file, i, lucky, t);
		else if (any(t, 2))
			recorder_apply(&t->file, i, NULL, NULL);
	}
	check_cut(t, seen, torn ? "torn" : "a part");
	if (!any(t, 500))
		ask_qemu(t);
	if (seen == t->chosen && !t->left_size) {
		memcpy(t->left, t->file.disk, RECORDER_MAX);
		t->left_size = t->file.disk_size;
	}
	recorder_end_cut(&t->file);
}

/* All but one of the operations up to `seen`, or only one of them. */
static void try_odd_ones(struct crash *t, unsigned int seen)
{
	for (unsigned int odd = t->file.stable; odd < seen; odd++) {
		recorder_begin_cut(&t->file);
		for (unsigned int i = t->file.stable; i < seen; i++) {
			if (i != odd)
				recorder_apply(&t->file, i, NULL, NULL);
		}
		check_cut(t, seen, "all but one");
		recorder_end_cut(&t->file);
		recorder_begin_cut(&t->file);
		recorder_apply(&t->file, odd, NULL, NULL);
		check_cut(t, seen, "one");
		recorder_end_cut(&t->file);
	}
}

/* Every prefix of the operations between two flushes, and `parts` random parts of each. */
static void cut_between(struct crash *t, unsigned int end, unsigned int parts)
{
	for (unsigned int seen = t->file.stable; seen <= end; seen++) {
		recorder_begin_cut(&t->file);
		for (unsigned int i = t->file.stable; i < seen; i++)
			recorder_apply(&t->file, i, NULL, NULL);
		check_cut(t, seen, "all");
		recorder_end_cut(&t->file);
		for (unsigned int i = 0; i < parts; i++)
			try_part(t, seen);
	}
	if (parts && end - t->file.stable < 40)
		try_odd_ones(t, end);
}

static void cut_everywhere(struct crash *t, unsigned int parts)
{
	for (unsigned int i = 0; i <= t->file.n; i++) {
		if (i < t->file.n && !t->file.ops[i].flush)
			continue;
		cut_between(t, i, parts);
		recorder_commit(&t->file, i < t->file.n ? i + 1 : i);
	}
}

/* ---- Images ---- */

/* The power is gone: what the code does at its end reaches nothing. */
static void forget_image(struct crash *t)
{
	t->q->facts.readonly = true;
	block_image_free(t->q);
	t->q = NULL;
}

static int setup(void **state)
{
	struct crash *t = calloc(1, sizeof(*t));

	(void)snprintf(t->dir, sizeof(t->dir), "%s/alioth-crash-XXXXXX",
		access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	assert_non_null(mkdtemp(t->dir));
	(void)snprintf(t->image, sizeof(t->image), "%s/image", t->dir);
	(void)snprintf(t->plain, sizeof(t->plain), "%s/plain", t->dir);
	recorder_init(&t->file);
	t->left = malloc(RECORDER_MAX);
	assert_non_null(t->left);
	t->seed = 7;
	t->tag = FIRST_DATA + 1;
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct crash *t = *state;

	if (t->q)
		forget_image(t);
	recorder_deinit(&t->file);
	free(t->left);
	if (t->has_base)
		recorder_deinit(&t->base);
	(void)sh("rm -rf %s", t->dir);
	free(t);
	return 0;
}

static bool have_qemu_img(void)
{
	return !sh("qemu-img --version >/dev/null 2>&1");
}

static void create_image(struct crash *t, const char *options, unsigned int size)
{
	assert_int_equal(sh("qemu-img create -q -f qcow2 -o %s %s %u", options, t->image, size), 0);
	recorder_load(&t->file, t->image);
}

static void open_image(struct crash *t)
{
	t->file.raw.image.facts.size = t->file.size;
	assert_ok(block_qcow2_open(
		"image", &t->file.raw.image, t->has_base ? &t->base.raw.image : NULL, &t->q));
	t->sectors = (uint32_t)(t->q->facts.size / SECTOR);
	assert_true(t->sectors <= SECTORS);
}

/* The plain file that images are made from: every sector but those of each fourth piece of 4 KiB.
 */
static void write_plain(struct crash *t, uint64_t size)
{
	FILE *f = fopen(t->plain, "w");
	uint8_t sector[SECTOR];

	assert_non_null(f);
	for (uint32_t s = 0; s < size / SECTOR; s++) {
		tag_sector(sector, FIRST_DATA, s);
		assert_int_equal(fwrite(sector, 1, SECTOR, f), SECTOR);
	}
	assert_int_equal(fclose(f), 0);
}

/* What the disk holds now is what it held at first. */
static void begin_record(struct crash *t)
{
	struct judge j;
	uint64_t at;

	recorder_settle(&t->file);
	t->tag += t->n;
	t->n = 0;
	t->left_size = 0;
	if (!judge_image(&j, t->file.disk, t->file.disk_size))
		fail_msg("at first: %s", j.wrong);
	memset(t->first, 0, sizeof(t->first));
	for (uint32_t s = 0; s < t->sectors; s++) {
		enum judge_kind kind = judge_find(&j, (uint64_t)s * SECTOR, &at);
		int64_t tag;

		if (kind == JUDGE_PACKED && !t->first_entry[s])
			t->first_entry[s] = at;
		tag = tag_on_disk(t, &j, s);
		assert_true(tag >= 0);
		t->first[s] = (uint32_t)tag;
	}
}

static void record(struct crash *t, unsigned int n)
{
	assert_true(n <= OPS_MAX);
	while (t->n < n) {
		t->ops[t->n] = any_op(t);
		run_op(t, &t->ops[t->n], t->tag + t->n);
		t->n++;
	}
}

/* What the record of requests leaves after cuts; the code under test goes on with one of them. */
static void cut_and_go_on(struct crash *t, unsigned int parts)
{
	t->chosen = any(t, t->file.n);
	cut_everywhere(t, parts);
	forget_image(t);
	assert_true(t->left_size);
	memcpy(t->file.file, t->left, RECORDER_MAX);
	t->file.size = t->left_size;
	open_image(t);
}

static void play(struct crash *t, unsigned int rounds, unsigned int n, unsigned int parts)
{
	open_image(t);
	while (rounds--) {
		begin_record(t);
		record(t, n);
		cut_and_go_on(t, parts);
	}
	forget_image(t);
}

/* ---- Tests ---- */

#define DISK (128u << 10)

static void test_new_images(void **state)
{
	static const char *const options[] = {"cluster_size=512", "cluster_size=512,compat=0.10",
		"cluster_size=1024", "cluster_size=4096", "cluster_size=65536",
		"cluster_size=4096,preallocation=metadata", "cluster_size=512,lazy_refcounts=on"};
	struct crash *t = *state;

	if (!have_qemu_img())
		skip();
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		create_image(t, options[i], DISK);
		play(t, 3, 50, 2);
	}
	assert_true(t->cuts > 10000 && t->judged > 10);
}

static void test_compressed_images(void **state)
{
	struct crash *t = *state;

	if (!have_qemu_img())
		skip();
	write_plain(t, DISK);
	for (unsigned int bits = 12; bits <= 16; bits += 4) {
		memset(t->first_entry, 0, sizeof(t->first_entry));
		assert_int_equal(
			sh("qemu-img convert -q -c -f raw -O qcow2 -o cluster_size=%u %s %s",
				1u << bits, t->plain, t->image),
			0);
		recorder_load(&t->file, t->image);
		play(t, 3, 50, 2);
	}
}

static void test_images_with_snapshots(void **state)
{
	struct crash *t = *state;

	if (!have_qemu_img())
		skip();
	write_plain(t, DISK);
	for (unsigned int bits = 9; bits <= 12; bits += 3) {
		assert_int_equal(sh("qemu-img convert -q -f raw -O qcow2 -o cluster_size=%u %s %s "
				    "&& qemu-img snapshot -c one %s && qemu-img snapshot -c two %s",
					 1u << bits, t->plain, t->image, t->image, t->image),
			0);
		recorder_load(&t->file, t->image);
		play(t, 3, 50, 2);
	}
}

static void test_images_over_a_backing_one(void **state)
{
	struct crash *t = *state;

	if (!have_qemu_img())
		skip();
	write_plain(t, DISK);
	recorder_init(&t->base);
	t->has_base = true;
	recorder_load(&t->base, t->plain);
	t->base.raw.image.facts.size = DISK;
	for (unsigned int bits = 9; bits <= 12; bits += 3) {
		assert_int_equal(
			sh("qemu-img create -q -f qcow2 -b %s -F raw -o cluster_size=%u %s",
				t->plain, 1u << bits, t->image),
			0);
		recorder_load(&t->file, t->image);
		play(t, 3, 50, 2);
	}
}

/* The image as it is has no mistake. */
static void check_settled(struct crash *t)
{
	struct judge j;

	if (!judge_image(&j, t->file.disk, t->file.disk_size))
		fail_msg("%s", j.wrong);
}

/* Whatever failed, the guest can read. */
static void read_all(struct crash *t)
{
	static uint8_t data[SECTOR];
	struct iovec iov = {data, sizeof(data)};

	for (uint32_t s = 0; s < t->sectors; s++)
		assert_int_equal(t->q->ops->preadv(t->q, &iov, 1, (uint64_t)s * SECTOR), 0);
}

/* Rounds with faults, on images of several kinds; how many requests failed. */
static unsigned int play_with_faults(
	struct crash *t, int (*fails)(void *arg, bool flush), unsigned int rounds)
{
	unsigned int failed = 0;

	write_plain(t, DISK);
	t->file.arg = t;
	for (unsigned int round = 0; round < rounds; round++) {
		assert_int_equal(
			sh("qemu-img convert -q -f raw -O qcow2 %s -o cluster_size=%u %s %s && "
			   "qemu-img snapshot -c one %s",
				round & 1 ? "-c" : "", round & 2 ? 512 : 4096, t->plain, t->image,
				t->image),
			0);
		memset(t->first_entry, 0, sizeof(t->first_entry));
		recorder_load(&t->file, t->image);
		open_image(t);
		begin_record(t);
		t->file.fails = fails;
		record(t, 100);
		t->file.fails = NULL;
		for (unsigned int i = 0; i < t->n; i++)
			failed += t->ops[i].failed;
		read_all(t);
		cut_and_go_on(t, t->grows ? 1 : 2);
		forget_image(t);
	}
	return failed;
}

static int full_at_times(void *arg, bool flush)
{
	return !flush && !any(arg, 30) ? -ENOSPC : 0;
}

/* Writes fail now and then: the guest is told, what was flushed stays, and all goes on. */
static void test_storage_that_is_full_at_times(void **state)
{
	struct crash *t = *state;
	unsigned int failed;

	if (!have_qemu_img())
		skip();
	failed = play_with_faults(t, full_at_times, 8);
	assert_in_range(failed, 50, 400);
}

static int writes_fail(void *arg, bool flush)
{
	return !flush && !any(arg, 100) ? -EIO : 0;
}

/* Writes fail, but the storage has them: the old table must not be used where the file names the
 * new one. */
static void test_storage_that_fails_late(void **state)
{
	struct crash *t = *state;

	if (!have_qemu_img())
		skip();
	t->grows = true;
	t->file.late = true;
	assert_true(play_with_faults(t, writes_fail, 4) > 30);
}

static int nth_write_fails(void *arg, bool flush)
{
	struct crash *t = arg;

	return !flush && !t->nth-- ? -EIO : 0;
}

/* Each write of a growth in turn, that of the header among them. */
static void test_a_growth_that_fails_late(void **state)
{
	struct crash *t = *state;

	if (!have_qemu_img())
		skip();
	t->file.arg = t;
	t->file.late = true;
	for (int n = 0; n < 6; n++) {
		static const struct guest_op ops[] = {{.kind = GUEST_GROW, .n = 8 * DISK / SECTOR},
			{.kind = GUEST_WRITE, .sector = 3, .n = 1},
			{.kind = GUEST_WRITE, .sector = DISK / SECTOR - 1, .n = 1, .fua = true}};

		create_image(t, "cluster_size=512", DISK);
		open_image(t);
		begin_record(t);
		t->nth = n;
		t->file.fails = nth_write_fails;
		for (; t->n < ARRAY_SIZE(ops); t->n++) {
			t->ops[t->n] = ops[t->n];
			run_op(t, &t->ops[t->n], t->tag + t->n);
		}
		t->file.fails = NULL;
		cut_everywhere(t, 1);
		forget_image(t);
	}
}

static int flush_fails(void *arg, bool flush)
{
	return flush && !any(arg, 40) ? -EIO : 0;
}

/* A flush fails, and some of what it was for is gone: no later one says that all is well, and no
 * cluster is used again that the tables may still name. */
static void test_storage_that_loses_what_it_could_not_flush(void **state)
{
	struct crash *t = *state;

	if (!have_qemu_img())
		skip();
	t->grows = true;
	t->file.drops = lucky;
	assert_true(play_with_faults(t, flush_fails, 4) > 30);
}

/* The table of counts of clusters of 512 bytes covers 8 MiB of the file: it grows while the power
 * is cut. */
static void test_a_table_of_counts_that_grows(void **state)
{
	struct crash *t = *state;
	uint32_t sector = 0;

	if (!have_qemu_img())
		skip();
	create_image(t, "cluster_size=512", GUEST_MAX);
	open_image(t);
	while (t->file.size < (8u << 20) - 8 * SECTOR) {
		struct guest_op op = {.kind = GUEST_WRITE, .sector = sector, .n = 4};

		run_op(t, &op, FIRST_DATA);
		sector += 4;
	}
	assert_int_equal(t->q->ops->flush(t->q), 0);
	begin_record(t);
	for (; t->n < 3; t->n++, sector += 6) {
		t->ops[t->n] = (struct guest_op){
			.kind = GUEST_WRITE, .sector = sector, .n = 6, .fua = t->n == 2};
		run_op(t, &t->ops[t->n], t->tag + t->n);
	}
	assert_int_not_equal(load_be64(t->file.disk + 48), load_be64(t->file.file + 48));
	cut_and_go_on(t, 1);
	forget_image(t);
}

/* The table of L1 entries is moved when it becomes too small, which is often with small clusters.
 */
static void test_disks_that_grow(void **state)
{
	static const char *const options[] = {"cluster_size=512", "cluster_size=512,compat=0.10",
		"cluster_size=1024", "cluster_size=4096"};
	struct crash *t = *state;

	if (!have_qemu_img())
		skip();
	t->grows = true;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		uint64_t l1_at;

		create_image(t, options[i], DISK);
		l1_at = load_be64(t->file.file + 40);
		play(t, 3, 40, 1);
		assert_true(load_be64(t->file.file + 24) > DISK);
		assert_int_not_equal(load_be64(t->file.file + 40), l1_at);
	}
	assert_true(t->cuts > 3000);
}

/* A block device is all there, and has nothing behind its end. */
static void test_a_disk_on_a_device_grows(void **state)
{
	struct crash *t = *state;
	uint64_t l1_at;

	if (!have_qemu_img())
		skip();
	create_image(t, "cluster_size=512", DISK);
	t->file.size = MIB(2);
	recorder_settle(&t->file);
	l1_at = load_be64(t->file.file + 40);
	t->file.raw.is_device = true;
	open_image(t);
	begin_record(t);
	record(t, 20);
	assert_int_equal(grow_image(t, 8 * DISK), 0);
	assert_int_not_equal(load_be64(t->file.file + 40), l1_at);
	assert_int_equal(t->file.size, MIB(2));
	record(t, 40);
	recorder_settle(&t->file);
	check_settled(t);
}

/* Programs that keep something in step with the content (bitmaps) must see that it changed. */
static void test_autoclear_bits_go_before_anything_is_written(void **state)
{
	struct crash *t = *state;
	struct guest_op op = {.kind = GUEST_WRITE, .n = 1};

	if (!have_qemu_img())
		skip();
	create_image(t, "compat=1.1", DISK);
	store_be64(t->file.file + 88, 1);
	recorder_settle(&t->file);
	open_image(t);
	run_op(t, &op, FIRST_DATA);
	assert_true(t->file.n > 2);
	assert_int_equal(load_be64(t->file.file + 88), 0);
	assert_int_equal(t->file.ops[0].at, 88);
	assert_true(t->file.ops[1].flush);
}

#define CRASH_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CRASH_TEST(test_new_images),
		CRASH_TEST(test_compressed_images),
		CRASH_TEST(test_images_with_snapshots),
		CRASH_TEST(test_images_over_a_backing_one),
		CRASH_TEST(test_storage_that_is_full_at_times),
		CRASH_TEST(test_storage_that_fails_late),
		CRASH_TEST(test_a_growth_that_fails_late),
		CRASH_TEST(test_storage_that_loses_what_it_could_not_flush),
		CRASH_TEST(test_a_table_of_counts_that_grows),
		CRASH_TEST(test_disks_that_grow),
		CRASH_TEST(test_a_disk_on_a_device_grows),
		CRASH_TEST(test_autoclear_bits_go_before_anything_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
