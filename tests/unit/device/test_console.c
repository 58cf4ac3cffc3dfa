/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console's core, on files: the ring, batches, and output that cannot be delivered.
 */
#include "console_fixture.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/thread.h"

#define RING 32768u

static size_t file_size(struct host *h)
{
	struct stat st = {0};

	(void)stat(h->path, &st);
	return (size_t)st.st_size;
}

static size_t read_file(struct host *h, char *buf, size_t max)
{
	int fd = open(h->path, O_RDONLY | O_CLOEXEC);
	size_t n = drain(fd, buf, max);

	close(fd);
	return n;
}

static bool has_six_bytes(struct host *h)
{
	return file_size(h) == 6;
}

static void test_a_log_gets_what_is_put(void **state)
{
	struct host *h = *state;
	char text[32];

	assert_ok(host_open(h, CONSOLE_LOG, h->path));
	put(h, "hello\n");
	run_until(h, has_six_bytes);
	put(h, "world\n"); /* written when the console is closed, at the latest */
	host_close(h);
	assert_int_equal(read_file(h, text, sizeof(text)), 12);
	assert_memory_equal(text, "hello\nworld\n", 12);
	assert_int_equal(h->lines, 0);
}

static void test_a_log_is_truncated_or_appended_to(void **state)
{
	struct console_options options = {.kind = CONSOLE_LOG};
	struct host *h = *state;
	char text[32];

	options.path = h->path;
	for (unsigned int i = 0; i < 4; i++) {
		options.append = i != 2;
		assert_ok(console_create(&options, h->loop, &h->events, &h->console));
		assert_true(console_put(h->console, (uint8_t)('0' + i)));
		run_for_a_moment(h); /* its message must not outlive it */
		host_close(h);
	}
	assert_int_equal(read_file(h, text, sizeof(text)), 2);
	assert_memory_equal(text, "23", 2);
}

/* A file whose name was mistaken costs nothing before the machine runs, in this process or another;
 * append=on is no exception. */
static void test_a_log_is_one_consoles(void **state)
{
	struct console_options options = {.kind = CONSOLE_LOG};
	struct host *h = *state;
	struct console *second;
	int fd = open(h->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	options.path = h->path;
	assert_int_equal(write(fd, "kept\n", 5), 5);
	assert_int_equal(flock(fd, LOCK_SH), 0);
	assert_err(console_create(&options, h->loop, &h->events, &h->console), "is in use by");
	assert_int_equal(flock(fd, LOCK_UN), 0);
	close(fd);
	assert_ok(console_create(&options, h->loop, &h->events, &h->console));
	for (int i = 0; i < 2; i++) {
		options.append = i;
		assert_err(console_create(&options, h->loop, &h->events, &second), "is in use by");
	}
	host_close(h);
	assert_int_equal(file_size(h), 5);
}

static bool is_empty(struct host *h)
{
	return !file_size(h);
}

static void test_a_log_without_output_is_empty(void **state)
{
	struct host *h = *state;
	int fd = open(h->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, "old", 3), 3);
	close(fd);
	assert_ok(host_open(h, CONSOLE_LOG, h->path));
	assert_int_equal(file_size(h), 3);
	run_until(h, is_empty);
}

static void test_devices_are_shared(void **state)
{
	struct console_options options = {.kind = CONSOLE_LOG, .path = "/dev/null"};
	struct host *h = *state;
	struct console *second;

	assert_ok(console_create(&options, h->loop, &h->events, &h->console));
	assert_ok(console_create(&options, h->loop, &h->events, &second));
	console_free(second);
}

static void test_bad_logs_are_clear_errors(void **state)
{
	struct host *h = *state;

	assert_err(host_open(h, CONSOLE_LOG, h->dir), "Cannot open the console log \"/tmp/");
	assert_err(host_open(h, CONSOLE_LOG, "/nonexistent/log"), "No such file");
	assert_err(host_open(h, CONSOLE_LOG, ""), "No such file");
	assert_int_equal(mkfifo(h->path, 0600), 0);
	assert_err(
		host_open(h, CONSOLE_LOG, h->path), "Cannot open the console log"); /* no reader */
}

static bool is_written(struct host *h)
{
	return file_size(h) == RING;
}

static void test_a_full_ring_refuses_and_tells_when_there_is_room(void **state)
{
	struct host *h = *state;
	static char text[2 * RING];

	assert_ok(host_open(h, CONSOLE_LOG, h->path));
	assert_int_equal(put_all(h, SIZE_MAX), RING);
	assert_false(console_put(h->console, 'x'));
	assert_int_equal(h->writables, 0);
	run_until(h, is_written);
	run_for_a_moment(h);
	assert_int_equal(h->writables, 1); /* once for all refusals */
	assert_int_equal(put_all(h, 100), 100);
	host_close(h);
	assert_int_equal(read_file(h, text, sizeof(text)), RING + 100);
	for (size_t i = 0; i < RING; i++)
		assert_int_equal(text[i], 'a' + i % 26);
}

static bool was_refilled(struct host *h)
{
	return h->writables >= 3;
}

static void refill(struct host *h)
{
	(void)put_all(h, SIZE_MAX);
}

/* Else signals, timers and other devices of the control loop would wait for ever. */
static void test_a_guest_that_writes_as_fast_as_we_do_does_not_hold_the_loop(void **state)
{
	struct host *h = *state;

	assert_ok(host_open(h, CONSOLE_LOG, "/dev/null"));
	h->on_writable = refill;
	refill(h);
	run_until(h, was_refilled);
	h->on_writable = NULL;
}

static bool warned(struct host *h)
{
	return h->lines > 0;
}

static void test_a_full_disk_drops_output_with_one_line(void **state)
{
	struct host *h = *state;

	assert_ok(host_open(h, CONSOLE_LOG, "/dev/full"));
	(void)put_all(h, SIZE_MAX);
	run_until(h, warned);
	assert_string_equal(h->line, "log console: output is dropped: No space left on device");
	for (unsigned int i = 0; i < 5; i++) {
		assert_true(put_all(h, 100) == 100);
		run_for_a_moment(h);
	}
	assert_int_equal(h->lines, 1);
}

/* The guest goes on as fast as its output is dropped. */
static void test_a_reader_that_goes_does_not_stop_a_guest_that_writes_on(void **state)
{
	struct host *h = *state;
	int reader;

	assert_int_equal(mkfifo(h->path, 0600), 0);
	reader = open(h->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_ok(host_open(h, CONSOLE_LOG, h->path));
	h->on_writable = refill;
	for (size_t n = 1; n;) {
		n = put_all(h, SIZE_MAX);
		run_for_a_moment(h);
	}
	h->writables = 0;
	close(reader);
	run_until(h, was_refilled);
	run_for_a_moment(h);
	h->writables = 0;
	run_until(h, was_refilled);
	h->on_writable = NULL;
}

static void test_a_log_whose_reader_goes_is_closed_with_one_line(void **state)
{
	struct host *h = *state;
	int reader;

	assert_int_equal(mkfifo(h->path, 0600), 0);
	reader = open(h->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_ok(host_open(h, CONSOLE_LOG, h->path));
	run_for_a_moment(h);
	close(reader);
	run_for_a_moment(h);
	(void)put_all(h, SIZE_MAX);
	run_until(h, warned);
	(void)put_all(h, SIZE_MAX);
	run_for_a_moment(h);
	assert_int_equal(h->lines, 1);
}

static bool ring_has_room(struct host *h)
{
	return h->writables > 0;
}

static void test_a_slow_reader_makes_the_guest_wait_and_loses_nothing(void **state)
{
	struct host *h = *state;
	static char text[4 * RING];
	size_t total = 0;
	size_t sent = 0;
	int reader;

	assert_int_equal(mkfifo(h->path, 0600), 0);
	reader = open(h->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_ok(host_open(h, CONSOLE_LOG, h->path));
	/* Until both the pipe and the ring are full. */
	for (size_t n = 1; n; sent += n) {
		n = put_all(h, SIZE_MAX);
		run_for_a_moment(h);
	}
	h->writables = 0;
	total = drain(reader, text, sizeof(text));
	run_until(h, ring_has_room);
	host_close(h);
	total += drain(reader, text + total, sizeof(text) - total);
	assert_int_equal(total, sent);
	for (size_t i = 0; i < RING; i++)
		assert_int_equal(text[i], 'a' + i % 26);
	assert_int_equal(h->lines, 0);
	close(reader);
}

static void test_a_reader_that_never_reads_does_not_hold_the_end(void **state)
{
	struct host *h = *state;
	uint64_t before;
	int reader;

	assert_int_equal(mkfifo(h->path, 0600), 0);
	reader = open(h->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_ok(host_open(h, CONSOLE_LOG, h->path));
	for (size_t n = 1; n;) {
		n = put_all(h, SIZE_MAX);
		run_for_a_moment(h);
	}
	console_set_peer(h->console, NULL); /* the device is gone by now */
	before = loop_now_ns();
	host_close(h);
	assert_in_range(loop_now_ns() - before, 500000000u, 10000000000u);
	assert_int_equal(h->lines, 1);
	close(reader);
}

struct writer {
	struct thread thread;
	struct host *host;
	_Atomic bool done;
};

#define WRITER_BYTES 300000u

/* As a vCPU does that polls THRE. */
static void writer_run(struct thread *thread)
{
	struct writer *w = container_of(thread, struct writer, thread);

	for (unsigned int i = 0; i < WRITER_BYTES; i++) {
		while (!console_put(w->host->console, (uint8_t)(i % 251)))
			sched_yield();
	}
	atomic_store(&w->done, true);
}

static bool is_all_written(struct host *h)
{
	return file_size(h) == WRITER_BYTES;
}

static void test_a_vcpu_and_the_loop_lose_nothing_between_them(void **state)
{
	static char text[WRITER_BYTES + 1];
	struct host *h = *state;
	struct writer w = {.thread = {.name = "vcpu0", .run = writer_run}, .host = h};

	assert_ok(host_open(h, CONSOLE_LOG, h->path));
	assert_ok(thread_start(&w.thread));
	run_until(h, is_all_written);
	thread_join(&w.thread);
	assert_true(w.done);
	assert_int_equal(read_file(h, text, sizeof(text)), WRITER_BYTES);
	for (unsigned int i = 0; i < WRITER_BYTES; i++)
		assert_int_equal((uint8_t)text[i], i % 251);
}

static void test_null_drops_everything_without_a_word(void **state)
{
	struct host *h = *state;

	assert_ok(host_open(h, CONSOLE_NULL, NULL));
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(put_all(h, RING), RING);
		run_for_a_moment(h);
	}
	assert_int_equal(h->lines, 0);
}

static void test_many_bytes_at_once_go_as_far_as_there_is_room(void **state)
{
	struct host *h = *state;
	static char text[40000];
	static char back[40000];
	size_t n;
	int fd;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i % 251);
	assert_ok(host_open(h, CONSOLE_LOG, h->path));
	assert_true(console_is_connected(h->console));
	assert_int_equal(console_write(h->console, text, 0), 0);
	/* Off the ring's start, so that it goes around. */
	assert_int_equal(console_write(h->console, text, 1000), 1000);
	run_for_a_moment(h);
	n = console_write(h->console, text + 1000, sizeof(text) - 1000);
	assert_in_range(n, 1, sizeof(text) - 1001);
	assert_int_equal(console_write(h->console, text, 1), 0);
	assert_false(console_put(h->console, 'x'));
	run_for_a_moment(h);
	assert_true(h->writables > 0);
	assert_int_equal(console_write(h->console, text + 1000 + n, sizeof(text) - 1000 - n),
		sizeof(text) - 1000 - n);
	run_for_a_moment(h);
	fd = open(h->path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(drain(fd, back, sizeof(back)), sizeof(text));
	assert_memory_equal(back, text, sizeof(text));
	close(fd);
}

static void test_log_lines_name_a_console_that_has_a_label(void **state)
{
	struct host *h = *state;
	struct console_options options = {
		.kind = CONSOLE_LOG, .path = "/dev/full", .label = "hvc1"};

	assert_ok(console_create(&options, h->loop, &h->events, &h->console));
	console_start(h->console);
	put(h, "x");
	run_for_a_moment(h);
	assert_string_equal(
		h->line, "log console of hvc1: output is dropped: No space left on device");
}

#define CONSOLE_TEST(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONSOLE_TEST(test_a_log_gets_what_is_put),
		CONSOLE_TEST(test_a_log_is_truncated_or_appended_to),
		CONSOLE_TEST(test_a_log_is_one_consoles),
		CONSOLE_TEST(test_a_log_without_output_is_empty),
		CONSOLE_TEST(test_devices_are_shared),
		CONSOLE_TEST(test_bad_logs_are_clear_errors),
		CONSOLE_TEST(test_a_full_ring_refuses_and_tells_when_there_is_room),
		CONSOLE_TEST(test_a_guest_that_writes_as_fast_as_we_do_does_not_hold_the_loop),
		CONSOLE_TEST(test_a_full_disk_drops_output_with_one_line),
		CONSOLE_TEST(test_a_reader_that_goes_does_not_stop_a_guest_that_writes_on),
		CONSOLE_TEST(test_a_log_whose_reader_goes_is_closed_with_one_line),
		CONSOLE_TEST(test_a_slow_reader_makes_the_guest_wait_and_loses_nothing),
		CONSOLE_TEST(test_a_reader_that_never_reads_does_not_hold_the_end),
		CONSOLE_TEST(test_a_vcpu_and_the_loop_lose_nothing_between_them),
		CONSOLE_TEST(test_many_bytes_at_once_go_as_far_as_there_is_room),
		CONSOLE_TEST(test_log_lines_name_a_console_that_has_a_label),
		CONSOLE_TEST(test_null_drops_everything_without_a_word),
	};

	signal(SIGPIPE, SIG_IGN); /* as the program does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
