/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both engines on a real file: the same requests with the same results, whoever moves the bytes.
 */
#include "device.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/log.h"

enum engine { SYNC, URING };

struct engine_test {
	struct user u;
	enum engine engine;
};

static void open_engine(struct engine_test *t, bool readonly, bool direct)
{
	const struct block_raw_options options = {
		.path = t->u.path, .readonly = readonly, .direct = direct};
	struct block_image *image;
	struct block_dev *dev;

	assert_ok(block_raw_open(&options, &image));
	assert_ok(t->engine == SYNC ? block_sync_create(image, &dev)
				    : block_uring_create(image, "disk", &dev));
	user_start(&t->u, dev);
}

static int setup(void **state, enum engine engine)
{
	struct engine_test *t = calloc(1, sizeof(*t));

	t->engine = engine;
	user_make_image(&t->u);
	open_engine(t, false, false);
	*state = t;
	return 0;
}

static int setup_sync(void **state)
{
	return setup(state, SYNC);
}

static int setup_uring(void **state)
{
	return setup(state, URING);
}

static int teardown(void **state)
{
	struct engine_test *t = *state;

	user_end(&t->u);
	(void)unlink(t->u.path);
	free(t);
	return 0;
}

static void test_many_requests_in_one_batch(void **state)
{
	struct engine_test *t = *state;
	static uint8_t buf[600][1024];
	static struct block_request r[600];
	static struct iovec iov[600][3];

	for (unsigned int i = 0; i < 600; i++) {
		iov[i][0] = (struct iovec){buf[i], 100};
		iov[i][1] = (struct iovec){buf[i] + 100, 0};
		iov[i][2] = (struct iovec){buf[i] + 100, 924};
		r[i] = (struct block_request){
			.op = BLOCK_READ, .off = i * 1024ull, .len = 1024, .iov = iov[i], .n = 3};
		user_submit(&t->u, &r[i]);
	}
	assert_int_equal(t->u.done, 0); /* not before the kick */
	user_run(&t->u);
	assert_int_equal(t->u.done, 600);
	assert_true(t->u.batches < 100);
	for (unsigned int i = 0; i < 600; i++) {
		assert_int_equal(r[i].result, 0);
		assert_int_equal(buf[i][0], (uint8_t)(2 * i));
		assert_int_equal(buf[i][1023], (uint8_t)(2 * i + 1));
	}
}

static void test_writes_flushes_and_stable_writes(void **state)
{
	struct engine_test *t = *state;
	uint8_t out[1024];
	uint8_t in[1024];
	struct iovec iov = {out, sizeof(out)};

	memset(out, 0xa5, sizeof(out));
	assert_int_equal(user_rw(&t->u, BLOCK_WRITE, out, sizeof(out), 512), 0);
	assert_int_equal(user_do(&t->u, (struct block_request){.op = BLOCK_FLUSH}), 0);
	assert_int_equal(user_rw(&t->u, BLOCK_READ, in, sizeof(in), 512), 0);
	assert_memory_equal(in, out, sizeof(in));
	memset(out, 0x5a, sizeof(out));
	assert_int_equal(user_do(&t->u, (struct block_request){.op = BLOCK_WRITE,
						.fua = true,
						.off = 4096,
						.len = 1024,
						.iov = &iov,
						.n = 1}),
		0);
	assert_int_equal(user_rw(&t->u, BLOCK_READ, in, sizeof(in), 4096), 0);
	assert_memory_equal(in, out, sizeof(in));
}

static void test_discards_return_space_and_zeros_are_zeros(void **state)
{
	struct engine_test *t = *state;
	struct block_request r = {.op = BLOCK_DISCARD, .off = 65536, .len = 524288};
	uint64_t before = user_blocks(&t->u);
	uint8_t in[2048];

	assert_int_equal(user_do(&t->u, r), 0);
	assert_true(user_blocks(&t->u) <= before - 524288);
	for (int unmap = 0; unmap < 2; unmap++) {
		r = (struct block_request){.op = BLOCK_WRITE_ZEROES,
			.fua = true,
			.unmap = unmap,
			.off = 512 + 1024ull * (unsigned int)unmap,
			.len = 1024};
		assert_int_equal(user_do(&t->u, r), 0);
	}
	assert_int_equal(user_rw(&t->u, BLOCK_READ, in, 2048, 512), 0);
	for (size_t i = 0; i < sizeof(in); i++)
		assert_int_equal(in[i], 0);
	assert_int_equal(user_rw(&t->u, BLOCK_READ, in, 512, 2560), 0);
	assert_int_equal(in[0], 5);
}

static void test_a_file_that_shrank_and_one_that_may_not_grow_are_errors(void **state)
{
	struct engine_test *t = *state;
	struct rlimit old, limit;
	uint8_t buf[1024] = {0};

	assert_int_equal(truncate(t->u.path, 512 * 10 + 100), 0);
	assert_int_equal(user_rw(&t->u, BLOCK_READ, buf, 1024, 512 * 9), -EIO);
	assert_int_equal(user_rw(&t->u, BLOCK_READ, buf, 1024, 512 * 100), -EIO);
	assert_int_equal(user_rw(&t->u, BLOCK_READ, buf, 1024, 512 * 8), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = (struct rlimit){.rlim_cur = 512 * 20 + 512, .rlim_max = old.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	/* The first half fits: the rest is the error, and the request failed. */
	assert_int_equal(user_rw(&t->u, BLOCK_WRITE, buf, 1024, 512 * 20), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(user_rw(&t->u, BLOCK_WRITE, buf, 1024, 512 * 20), 0);
}

static void test_errors_are_those_of_one_request(void **state)
{
	struct engine_test *t = *state;
	uint8_t buf[512];
	struct iovec iov[2] = {{buf, 512}, {(void *)8, 512}};
	struct block_request r[2] = {{.op = BLOCK_READ, .len = 512, .iov = &iov[0], .n = 1},
		{.op = BLOCK_READ, .len = 512, .iov = &iov[1], .n = 1}};

	user_submit(&t->u, &r[0]);
	user_submit(&t->u, &r[1]);
	user_run(&t->u);
	assert_int_equal(r[0].result, 0);
	assert_int_equal(r[1].result, -EFAULT);
	user_end(&t->u);
	open_engine(t, true, false);
	assert_int_equal(user_rw(&t->u, BLOCK_WRITE, buf, 512, 0), -EBADF);
	assert_int_equal(user_rw(&t->u, BLOCK_READ, buf, 512, 0), 0);
}

static void test_direct_io_takes_buffers_of_any_alignment(void **state)
{
	struct engine_test *t = *state;
	static _Alignas(4096) uint8_t buf[16384];
	int fd = open(t->u.path, O_RDONLY | O_DIRECT);

	if (fd < 0)
		skip();
	close(fd);
	user_end(&t->u);
	open_engine(t, false, true);
	for (unsigned int at = 0; at < 4; at++) {
		memset(buf, 0xc0 + (int)at, sizeof(buf));
		assert_int_equal(user_rw(&t->u, BLOCK_WRITE, buf + at, 8192, at * 16384ull), 0);
		assert_int_equal(
			user_rw(&t->u, BLOCK_WRITE, buf + at, 512, at * 16384ull + 512), 0);
		memset(buf, 0, sizeof(buf));
		assert_int_equal(user_rw(&t->u, BLOCK_READ, buf + at, 8192, at * 16384ull), 0);
		assert_int_equal(buf[at], 0xc0 + at);
		assert_int_equal(buf[at + 8191], 0xc0 + at);
		assert_int_equal(buf[at + 8192], 0);
	}
	assert_int_equal(user_do(&t->u, (struct block_request){.op = BLOCK_FLUSH}), 0);
}

static void test_what_is_held_back_begins_with_the_next_kick(void **state)
{
	struct engine_test *t = *state;
	uint8_t buf[512];
	struct iovec iov = {buf, 512};
	struct block_request r = {.op = BLOCK_READ, .off = 512, .len = 512, .iov = &iov, .n = 1};

	t->u.yield = true;
	user_submit(&t->u, &r);
	block_kick(t->u.dev);
	block_quiesce(t->u.dev);
	assert_int_equal(t->u.done, 0);
	t->u.yield = false;
	user_run(&t->u);
	assert_int_equal(r.result, 0);
	assert_int_equal(buf[0], 1);
}

static void test_a_stop_forgets_and_a_start_begins_anew(void **state)
{
	struct engine_test *t = *state;
	static uint8_t buf[64][4096];
	static struct iovec iov[64];
	static struct block_request r[64];

	for (unsigned int round = 0; round < 20; round++) {
		t->u.submitted = t->u.done = 0;
		for (unsigned int i = 0; i < 64; i++) {
			iov[i] = (struct iovec){buf[i], 4096};
			r[i] = (struct block_request){.op = BLOCK_WRITE,
				.fua = true,
				.off = i * 4096ull,
				.len = 4096,
				.iov = &iov[i],
				.n = 1};
			user_submit(&t->u, &r[i]);
		}
		if (round % 2)
			block_kick(t->u.dev);
		t->u.done = 0;
		block_stop(t->u.dev);
		assert_int_equal(t->u.done, 0); /* nobody was told */
		block_start(t->u.dev, &t->u.user, t->u.loop);
	}
	t->u.submitted = t->u.done = 0;
	assert_int_equal(user_rw(&t->u, BLOCK_READ, buf[0], 512, 1024000), 0);
	assert_int_equal(buf[0][0], 2000 % 256);
}

/* Writes, and other requests that take long. */
static void submit_mixture(struct user *u, struct block_request *r, unsigned int n)
{
	static uint8_t buf[4096];
	static struct iovec iov[64];

	assert_true(n <= 64);
	memset(buf, 0x77, sizeof(buf));
	for (unsigned int i = 0; i < n; i++) {
		static const enum block_op ops[] = {
			BLOCK_WRITE, BLOCK_FLUSH, BLOCK_WRITE, BLOCK_DISCARD, BLOCK_WRITE_ZEROES};

		iov[i] = (struct iovec){buf, sizeof(buf)};
		r[i] = (struct block_request){.op = ops[i % ARRAY_SIZE(ops)],
			.fua = i % 2,
			.off = i * 4096ull,
			.len = 4096,
			.iov = &iov[i],
			.n = 1};
		if (r[i].op == BLOCK_FLUSH)
			r[i].off = r[i].len = 0;
		user_submit(u, &r[i]);
	}
}

static void test_quiesce_waits_for_what_was_begun_and_begins_nothing(void **state)
{
	struct engine_test *t = *state;
	static struct block_request r[64];

	for (unsigned int round = 0; round < 10; round++) {
		unsigned int done = 0;

		t->u.submitted = t->u.done = 0;
		submit_mixture(&t->u, r, 64);
		block_kick(t->u.dev);
		block_quiesce(t->u.dev);
		for (unsigned int i = 0; i < 64; i++)
			done += r[i].result == 0;
		assert_int_equal(done, t->u.done);
		block_quiesce(t->u.dev);
		assert_int_equal(done, t->u.done);
		user_run(&t->u);
		for (unsigned int i = 0; i < 64; i++)
			assert_int_equal(r[i].result, 0);
	}
}

static void test_a_stop_at_any_time_with_slow_requests(void **state)
{
	struct engine_test *t = *state;
	static struct block_request r[64];

	for (unsigned int n = 1; n <= 64; n += 3) {
		submit_mixture(&t->u, r, n);
		block_kick(t->u.dev);
		t->u.done = 0;
		block_stop(t->u.dev);
		assert_int_equal(t->u.done, 0);
		t->u.submitted = 0;
		block_start(t->u.dev, &t->u.user, t->u.loop);
	}
	assert_int_equal(user_do(&t->u, (struct block_request){.op = BLOCK_FLUSH}), 0);
}

/* Threads of this process with such a name. */
static unsigned int count_threads(const char *prefix)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned int n = 0;

	assert_non_null(tasks);
	for (struct dirent *entry = readdir(tasks); entry; entry = readdir(tasks)) {
		char path[300];
		char name[32] = {0};
		FILE *f;

		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		n += fgets(name, sizeof(name), f) && !strncmp(name, prefix, strlen(prefix));
		assert_int_equal(fclose(f), 0);
	}
	closedir(tasks);
	return n;
}

/* The last of those never sleeps for more than five seconds. */
static void test_the_kernel_needs_no_thread_of_its_own(void **state)
{
	struct engine_test *t = *state;
	static struct block_request r[64];
	uint8_t buf[512];

	assert_int_equal(user_rw(&t->u, BLOCK_READ, buf, 512, 512), 0);
	assert_int_equal(count_threads("disk-io"), 0);
	submit_mixture(&t->u, r, 64);
	user_run(&t->u);
	assert_in_range(count_threads("disk-io"), 1, 2);
	assert_int_equal(count_threads("iou-wrk"), 0);
	block_stop(t->u.dev);
	assert_int_equal(count_threads("disk-io"), 0);
	block_start(t->u.dev, &t->u.user, t->u.loop);
	assert_int_equal(user_do(&t->u, (struct block_request){.op = BLOCK_FLUSH}), 0);
	assert_int_equal(count_threads("disk-io"), 1);
}

/* File systems that do not are the kernel's to wait for, with direct I/O. */
static bool knows_nowait(const char *path)
{
	int fd = open(path, O_RDONLY);
	uint8_t byte;
	struct iovec iov = {&byte, 1};
	bool knows = preadv2(fd, &iov, 1, 0, RWF_NOWAIT) >= 0 || errno != EOPNOTSUPP;

	close(fd);
	return knows;
}

/* Writes into holes wait for the file system. */
static void test_sparse_files_through_direct_io(void **state)
{
	struct engine_test *t = *state;
	static _Alignas(4096) uint8_t buf[64][4096];
	static struct iovec iov[64];
	static struct block_request r[64];
	int fd = open(t->u.path, O_RDONLY | O_DIRECT);

	if (fd < 0)
		skip();
	close(fd);
	user_end(&t->u);
	assert_int_equal(truncate(t->u.path, 0), 0);
	assert_int_equal(truncate(t->u.path, SIZE), 0);
	open_engine(t, false, true);
	for (unsigned int i = 0; i < 64; i++) {
		memset(buf[i], (int)i, 4096);
		iov[i] = (struct iovec){buf[i], 4096};
		r[i] = (struct block_request){
			.op = BLOCK_WRITE, .off = i * 8192ull, .len = 4096, .iov = &iov[i], .n = 1};
		user_submit(&t->u, &r[i]);
	}
	user_run(&t->u);
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(r[i].result, 0);
	memset(buf, 0xff, sizeof(buf));
	for (unsigned int i = 0; i < 64; i++) {
		assert_int_equal(user_rw(&t->u, BLOCK_READ, buf[0], 4096, i * 8192ull), 0);
		assert_int_equal(buf[0][0], i);
		assert_int_equal(buf[0][4095], i);
	}
	if (knows_nowait(t->u.path))
		assert_int_equal(count_threads("iou-wrk"), 0);
}

/* What the host uses is refused, and what a VM writes the host cannot use: a mount opens it so. */
static void check_claim(struct engine_test *t)
{
	const struct block_raw_options options = {.path = t->u.path};
	struct block_image *image = NULL;
	int fd = open(t->u.path, O_RDONLY | O_EXCL | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_err(block_raw_open(&options, &image), "in use by the host");
	close(fd);
	open_engine(t, false, t->engine == URING);
	assert_int_equal(open(t->u.path, O_RDONLY | O_EXCL | O_CLOEXEC), -1);
	assert_int_equal(errno, EBUSY);
}

/* A loop device over the image; needs root. */
static void test_block_devices(void **state)
{
	struct engine_test *t = *state;
	char image[sizeof(t->u.path)];
	char command[160];
	uint8_t in[1024];
	FILE *out;

	user_end(&t->u);
	memcpy(image, t->u.path, sizeof(image));
	(void)snprintf(command, sizeof(command), "losetup -f --show %s 2>/dev/null", image);
	out = popen(command, "r"); /* NOLINT: a path of our own */
	if (!out || !fgets(t->u.path, sizeof(t->u.path), out)) {
		if (out)
			pclose(out);
		memcpy(t->u.path, image, sizeof(image));
		skip();
	}
	pclose(out);
	t->u.path[strcspn(t->u.path, "\n")] = '\0';
	check_claim(t);
	assert_int_equal(t->u.dev->facts.size, SIZE);
	memset(in, 0x5c, sizeof(in));
	assert_int_equal(user_rw(&t->u, BLOCK_WRITE, in, 1024, 4096), 0);
	assert_int_equal(user_do(&t->u, (struct block_request){.op = BLOCK_WRITE_ZEROES,
						.fua = true,
						.off = 4096 + 512,
						.len = 65536}),
		0);
	assert_int_equal(
		user_do(&t->u,
			(struct block_request){.op = BLOCK_DISCARD, .off = 131072, .len = 524288}),
		0);
	assert_int_equal(user_do(&t->u, (struct block_request){.op = BLOCK_FLUSH}), 0);
	assert_int_equal(user_rw(&t->u, BLOCK_READ, in, 1024, 4096), 0);
	assert_int_equal(in[511], 0x5c);
	assert_int_equal(in[512] | in[1023], 0);
	assert_int_equal(user_rw(&t->u, BLOCK_READ, in, 512, 131072 - 512), 0);
	assert_int_equal(in[0], 255);
	assert_int_equal(user_rw(&t->u, BLOCK_READ, in, 1024, SIZE - 512), -EIO);
	user_end(&t->u);
	(void)snprintf(command, sizeof(command), "losetup -d %s", t->u.path);
	assert_int_equal(system(command), 0); /* NOLINT */
	memcpy(t->u.path, image, sizeof(image));
	assert_true(user_blocks(&t->u) <= SIZE - 524288);
}

/* ---- Large requests ---- */

#define LARGE MIB(130)

/* The image becomes a file of holes, with its offset at every MiB, in the host's page cache. */
static uint8_t *make_large(struct engine_test *t)
{
	int fd = open(t->u.path, O_RDWR);
	uint8_t *data = malloc(LARGE);

	assert_non_null(data);
	user_end(&t->u);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(ftruncate(fd, (off_t)LARGE), 0);
	for (uint64_t at = 0; at < LARGE; at += MIB(1))
		assert_int_equal(pwrite(fd, &at, sizeof(at), (off_t)at), sizeof(at));
	for (uint64_t at = 0; at < LARGE; at += MIB(1))
		assert_int_equal(pread(fd, data, MIB(1), (off_t)at), MIB(1));
	close(fd);
	open_engine(t, false, false);
	return data;
}

static void test_large_requests_are_whole(void **state)
{
	struct engine_test *t = *state;
	uint8_t *data = make_large(t);
	struct iovec iov[] = {{data, 0}, {data, MIB(70)}, {data + MIB(70), 0},
		{data + MIB(70), MIB(1)}, {data + MIB(71), LARGE - MIB(71)}};
	struct iovec one = {data, LARGE};
	struct block_request r = {.op = BLOCK_READ, .len = LARGE, .iov = iov, .n = ARRAY_SIZE(iov)};

	memset(data, 0xff, LARGE);
	assert_int_equal(user_do(&t->u, r), 0);
	for (uint64_t at = 0; at < LARGE; at += MIB(1)) {
		assert_memory_equal(data + at, &at, sizeof(at));
		assert_int_equal(data[at + 4096], 0);
		data[at] ^= 0x55;
	}
	r = (struct block_request){.op = BLOCK_WRITE, .len = LARGE, .iov = &one, .n = 1};
	assert_int_equal(user_do(&t->u, r), 0);
	assert_int_equal(user_rw(&t->u, BLOCK_READ, data, 512, MIB(129)), 0);
	assert_int_equal(data[0], 0x55);
	free(data);
}

static void pause_when_done(struct block_user *user, struct block_request *r)
{
	struct user *u = container_of(user, struct user, user);

	u->done++;
	atomic_store(&u->yield, true);
}

/* A pause that comes meanwhile waits for one of them, not for all. */
static void test_large_requests_give_way_to_a_pause(void **state)
{
	struct engine_test *t = *state;
	uint8_t *data = make_large(t);
	struct block_request r[4];
	struct iovec iov[4];

	t->u.user.done = pause_when_done;
	for (unsigned int i = 0; i < 4; i++) {
		iov[i] = (struct iovec){data, MIB(64)};
		r[i] = (struct block_request){
			.op = BLOCK_READ, .len = MIB(64), .iov = &iov[i], .n = 1};
		user_submit(&t->u, &r[i]);
	}
	block_kick(t->u.dev);
	block_quiesce(t->u.dev);
	assert_true(t->u.done <= 1);
	t->u.user.done = user_done;
	atomic_store(&t->u.yield, false);
	user_run(&t->u);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(r[i].result, 0);
	free(data);
}

/* ---- io_uring only ---- */

static unsigned int log_lines;

static void count_line(
	struct log_sink *sink, enum log_level level, const char *module, const char *text)
{
	assert_non_null(strstr(text, "io_uring is refused (Too many open files)"));
	log_lines++;
}

static void test_where_io_uring_is_refused_requests_are_served_all_the_same(void **state)
{
	struct engine_test *t = *state;
	struct log_sink sink = {.write = count_line};
	struct rlimit old, limit;
	struct log *log;
	uint8_t buf[512];

	assert_ok(log_create("warn", &sink, &log));
	log_bind(log);
	block_stop(t->u.dev);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	limit = (struct rlimit){.rlim_cur = 0, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	block_start(t->u.dev, &t->u.user, t->u.loop);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(log_lines, 1);
	assert_int_equal(user_rw(&t->u, BLOCK_READ, buf, 512, 512), 0);
	assert_int_equal(buf[0], 1);
	block_stop(t->u.dev);
	block_start(t->u.dev, &t->u.user, t->u.loop);
	assert_int_equal(log_lines, 1); /* said once */
	assert_int_equal(user_rw(&t->u, BLOCK_READ, buf, 512, 1024), 0);
	log_bind(NULL);
	log_free(log);
}

#define SYNC_TEST(name)  cmocka_unit_test_setup_teardown(name, setup_sync, teardown)
#define URING_TEST(name) cmocka_unit_test_setup_teardown(name, setup_uring, teardown)
#define BOTH(name)       SYNC_TEST(name), URING_TEST(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_many_requests_in_one_batch),
		BOTH(test_writes_flushes_and_stable_writes),
		BOTH(test_discards_return_space_and_zeros_are_zeros),
		BOTH(test_a_file_that_shrank_and_one_that_may_not_grow_are_errors),
		BOTH(test_errors_are_those_of_one_request),
		BOTH(test_direct_io_takes_buffers_of_any_alignment),
		BOTH(test_what_is_held_back_begins_with_the_next_kick),
		BOTH(test_a_stop_forgets_and_a_start_begins_anew),
		BOTH(test_quiesce_waits_for_what_was_begun_and_begins_nothing),
		BOTH(test_a_stop_at_any_time_with_slow_requests),
		BOTH(test_sparse_files_through_direct_io),
		URING_TEST(test_the_kernel_needs_no_thread_of_its_own),
		BOTH(test_block_devices),
		BOTH(test_large_requests_are_whole),
		BOTH(test_large_requests_give_way_to_a_pause),
		URING_TEST(test_where_io_uring_is_refused_requests_are_served_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
