/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console on standard input and output (pipes, sockets, files, a terminal), and on a
 * pseudo-terminal of its own. The process's descriptors 0 and 1 are replaced while a test runs.
 */
#include "console_fixture.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

static int saved[2];

/* Descriptors 0 and 1, which become these; -1: closed. */
static void redirect(int in, int out)
{
	const int fds[2] = {in, out};

	for (int i = 0; i < 2; i++) {
		if (fds[i] < 0)
			close(i);
		else
			assert_int_equal(dup2(fds[i], i), i);
	}
}

static int setup(void **state)
{
	(void)fflush(stdout);
	for (int i = 0; i < 2; i++)
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 50);
	return host_setup(state);
}

static int teardown(void **state)
{
	host_close(*state);
	redirect(saved[0], saved[1]);
	close(saved[0]);
	close(saved[1]);
	return host_teardown(state);
}

struct pipes {
	int in[2], out[2];
};

static struct pipes open_pipes(void)
{
	struct pipes p;

	assert_int_equal(pipe2(p.in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(p.out, O_CLOEXEC), 0);
	assert_int_equal(fcntl(p.out[0], F_SETFL, O_NONBLOCK), 0);
	redirect(p.in[0], p.out[1]);
	close(p.in[0]);
	close(p.out[1]);
	return p;
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void assert_hears(int fd, const char *text)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	char buf[256] = {0};
	size_t n = 0;

	/* The kernel carries the bytes of terminals by a thread of its own. */
	while (n < strlen(text) && poll(&pfd, 1, 20000) == 1)
		n += drain(fd, buf + n, sizeof(buf) - 1 - n);
	assert_int_equal(n, strlen(text));
	assert_string_equal(buf, text);
}

static bool got_five(struct host *h)
{
	return h->got_len == 5;
}

static bool got_ten(struct host *h)
{
	return h->got_len == 10;
}

static void test_pipes_carry_all_bytes(void **state)
{
	struct host *h = *state;
	struct pipes p = open_pipes();

	assert_ok(host_open(h, CONSOLE_STDIO, NULL));
	say(p.in[1], "a\001x\003b"); /* the escape key is one of terminals only */
	run_until(h, got_five);
	assert_got(h, "a\001x\003b");
	assert_int_equal(h->quits, 0);
	put(h, "out");
	run_for_a_moment(h);
	assert_hears(p.out[0], "out");
	/* Modes of the shared descriptors are not ours to change. */
	assert_false(fcntl(0, F_GETFL) & O_NONBLOCK);
	assert_false(fcntl(1, F_GETFL) & O_NONBLOCK);
	close(p.in[1]);
	close(p.out[0]);
}

/* `printf ... | alioth`, and a guest that does not read yet. */
static void test_input_that_ends_before_the_guest_reads_is_kept_without_spinning(void **state)
{
	struct host *h = *state;
	struct pipes p = open_pipes();

	h->limit = 2;
	assert_ok(host_open(h, CONSOLE_STDIO, NULL));
	say(p.in[1], "hello");
	run_for_a_moment(h);
	say(p.in[1], "world");
	close(p.in[1]);
	run_for_a_moment(h);
	assert_in_range(h->receives, 1, 3);
	h->limit = 10;
	console_input_wanted(h->console);
	run_until(h, got_ten);
	assert_got(h, "helloworld");
	h->receives = 0;
	run_for_a_moment(h);
	assert_int_equal(h->receives, 0);
	close(p.out[0]);
}

static void test_a_closed_reader_drops_output_and_keeps_input(void **state)
{
	struct host *h = *state;
	struct pipes p = open_pipes();

	assert_ok(host_open(h, CONSOLE_STDIO, NULL));
	close(p.out[0]);
	put(h, "nobody hears");
	run_for_a_moment(h);
	put(h, "nobody hears");
	run_for_a_moment(h);
	assert_int_equal(h->lines, 1);
	say(p.in[1], "input");
	run_until(h, got_five);
	close(p.in[1]);
}

static void test_closed_descriptors_are_no_reason_to_fail(void **state)
{
	struct host *h = *state;

	redirect(-1, -1);
	assert_ok(host_open(h, CONSOLE_STDIO, NULL));
	put(h, "nobody hears");
	run_for_a_moment(h);
	assert_int_equal(h->lines, 1);
}

/* A guest that is as fast as the host. */
static size_t receive_all(struct console_peer *peer, const uint8_t *data, size_t len)
{
	struct host *h = container_of(peer, struct host, peer);
	size_t n = MIN(len, h->limit);

	h->limit -= n;
	h->receives++;
	return n;
}

static void test_a_file_without_end_leaves_turns_to_others(void **state)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct host *h = *state;

	redirect(fd, saved[1]);
	close(fd);
	h->peer.receive = receive_all;
	h->limit = 1u << 30;
	assert_ok(host_open(h, CONSOLE_STDIO, NULL));
	run_for_a_moment(h);
	assert_true(h->receives > 100);
	assert_int_not_equal(h->limit, 0);
}

static void test_a_file_is_read_and_written_at_its_position(void **state)
{
	struct host *h = *state;
	int fd = open(h->path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	char text[32] = {0};

	say(fd, "0123456789");
	assert_int_equal(lseek(fd, 5, SEEK_SET), 5);
	redirect(fd, fd);
	h->limit = 3;
	assert_ok(host_open(h, CONSOLE_STDIO, NULL));
	run_for_a_moment(h);
	h->limit = 5;
	console_input_wanted(h->console);
	run_until(h, got_five);
	assert_got(h, "56789");
	put(h, "end");
	run_for_a_moment(h);
	assert_int_equal(pread(fd, text, sizeof(text), 0), 13);
	assert_string_equal(text, "0123456789end");
	close(fd);
}

/* A socket cannot be opened again, so that it stays blocking: the loop must not. */
static void test_a_blocking_socket_blocks_nobody(void **state)
{
	static char text[1 << 20];
	struct host *h = *state;
	size_t sent = 0, got = 0;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	redirect(pair[0], pair[0]);
	close(pair[0]);
	assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
	h->limit = 2;
	assert_ok(host_open(h, CONSOLE_STDIO, NULL));
	say(pair[1], "hello");
	run_for_a_moment(h);
	h->limit = 5;
	console_input_wanted(h->console);
	run_until(h, got_five);
	for (size_t n = 1; n; sent += n) {
		n = put_all(h, SIZE_MAX);
		run_for_a_moment(h);
	}
	for (unsigned int i = 0; i < 100 && got < sent; i++) {
		got += drain(pair[1], text + got, sizeof(text) - got);
		run_for_a_moment(h);
	}
	assert_int_equal(got, sent);
	close(pair[1]);
}

static int open_terminal(int *ret_master)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char name[64];
	int slave;

	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
	slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	assert_int_equal(fcntl(master, F_SETFL, O_NONBLOCK), 0);
	*ret_master = master;
	return slave;
}

static bool got_six(struct host *h)
{
	return h->got_len == 6;
}

static bool has_quit(struct host *h)
{
	return h->quits == 1;
}

static void test_a_terminal_has_an_escape_key_and_is_restored(void **state)
{
	struct host *h = *state;
	struct termios before, now;
	char help[256] = {0};
	struct pollfd pfd = {.events = POLLIN};
	int master, slave;

	slave = open_terminal(&master);
	pfd.fd = master;
	assert_int_equal(tcgetattr(slave, &before), 0);
	redirect(slave, slave);
	assert_ok(host_open(h, CONSOLE_STDIO, NULL));
	assert_int_equal(tcgetattr(slave, &now), 0);
	assert_false(now.c_lflag & (ICANON | ECHO | ISIG));
	assert_true(now.c_oflag & OPOST);
	say(master, "a\003\001");
	run_for_a_moment(h);
	say(master, "\001b\001?cd"); /* the key twice: once for the guest */
	run_until(h, got_six);
	run_for_a_moment(h);
	assert_got(h, "a\003\001bcd");
	for (size_t n = 0; !strstr(help, "to the guest") && poll(&pfd, 1, 20000) == 1;)
		n += drain(master, help + n, sizeof(help) - 1 - n);
	assert_non_null(strstr(help, "Ctrl-A X"));
	say(master, "\001x");
	run_until(h, has_quit);
	host_close(h);
	assert_int_equal(tcgetattr(slave, &now), 0);
	assert_int_equal(now.c_lflag, before.c_lflag);
	assert_int_equal(now.c_iflag, before.c_iflag);
	close(slave);
	close(master);
}

static void test_a_terminal_is_restored_by_a_handler_of_a_fatal_signal(void **state)
{
	struct host *h = *state;
	struct termios before, now;
	int master, slave;

	slave = open_terminal(&master);
	assert_int_equal(tcgetattr(slave, &before), 0);
	redirect(slave, slave);
	assert_ok(host_open(h, CONSOLE_STDIO, NULL));
	console_restore_terminal(h->console);
	assert_int_equal(tcgetattr(slave, &now), 0);
	assert_int_equal(now.c_lflag, before.c_lflag);
	close(slave);
	close(master);
}

static void set_size(int fd, uint16_t columns, uint16_t rows)
{
	const struct winsize size = {.ws_col = columns, .ws_row = rows};

	assert_int_equal(ioctl(fd, TIOCSWINSZ, &size), 0);
}

static void assert_size(struct host *h, uint16_t columns, uint16_t rows)
{
	struct console_size size = console_size(h->console);

	assert_int_equal(size.columns, columns);
	assert_int_equal(size.rows, rows);
}

static void test_a_terminals_size_is_known_and_followed(void **state)
{
	struct host *h = *state;
	int master;
	int slave = open_terminal(&master);

	set_size(master, 97, 31);
	redirect(slave, slave);
	assert_ok(host_open(h, CONSOLE_STDIO, NULL));
	assert_true(console_has_size(h->console));
	assert_size(h, 97, 31);
	set_size(master, 132, 50);
	console_look_at_size(h->console);
	console_look_at_size(h->console);
	run_for_a_moment(h);
	assert_size(h, 132, 50);
	console_look_at_size(h->console);
	run_for_a_moment(h);
	assert_int_equal(h->resizes, 1);
	close(slave);
	close(master);
}

static void test_pipes_have_no_size(void **state)
{
	struct host *h = *state;
	struct pipes p = open_pipes();

	assert_ok(host_open(h, CONSOLE_STDIO, NULL));
	assert_false(console_has_size(h->console));
	console_look_at_size(h->console);
	run_for_a_moment(h);
	assert_int_equal(h->resizes, 0);
	assert_size(h, 0, 0);
	close(p.in[1]);
	close(p.out[0]);
}

static bool is_named(struct host *h)
{
	return h->lines == 1 && !strncmp(h->line, "The console is /dev/pts/", 24);
}

static void test_a_pty_carries_both_ways_and_outlives_its_users(void **state)
{
	struct host *h = *state;

	assert_ok(host_open(h, CONSOLE_PTY, NULL));
	run_until(h, is_named);
	for (unsigned int i = 1; i <= 2; i++) {
		int user = open(strchr(h->line, '/'), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

		assert_true(user >= 0);
		say(user, "a\003b\rc");
		h->got_len = 0;
		run_until(h, got_five);
		assert_got(h, "a\003b\rc");
		put(h, "x\ny");
		run_for_a_moment(h);
		assert_hears(user, "x\ny"); /* raw, without echo */
		close(user);
		run_for_a_moment(h);
	}
	assert_int_equal(h->lines, 1);
}

static void test_a_ptys_size_is_its_users(void **state)
{
	struct host *h = *state;
	int user;

	assert_ok(host_open(h, CONSOLE_PTY, NULL));
	run_until(h, is_named);
	user = open(strchr(h->line, '/'), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	assert_true(console_has_size(h->console));
	set_size(user, 80, 25);
	say(user, "hello");
	run_until(h, got_five);
	assert_size(h, 80, 25);
	assert_int_equal(h->resizes, 1);
	close(user);
}

static bool has_two_lines(struct host *h)
{
	return h->lines == 2;
}

/* Also one who comes late, and types something. */
static void test_a_pty_with_a_slow_reader_loses_nothing(void **state)
{
	struct host *h = *state;
	char text[4096];
	size_t sent = 0;
	size_t heard = 0;
	size_t n;
	int user;

	assert_ok(host_open(h, CONSOLE_PTY, NULL));
	run_until(h, is_named);
	user = open(strchr(h->line, '/'), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	(void)put_all(h, SIZE_MAX);
	run_until(h, has_two_lines);
	run_for_a_moment(h);
	while (drain(user, text, sizeof(text)))
		run_for_a_moment(h);
	say(user, "hello");
	run_until(h, got_five);
	while (heard < 100000) {
		while (sent < 100000 && console_put(h->console, (uint8_t)('a' + sent % 26)))
			sent++;
		run_for_a_moment(h);
		n = drain(user, text, sizeof(text));
		for (size_t i = 0; i < n; i++)
			assert_int_equal(text[i], 'a' + heard++ % 26);
	}
	assert_int_equal(h->lines, 2);
	close(user);
}

static void test_a_pty_without_reader_drops_output_with_one_line(void **state)
{
	struct host *h = *state;

	assert_ok(host_open(h, CONSOLE_PTY, NULL));
	run_until(h, is_named);
	(void)put_all(h, SIZE_MAX);
	run_until(h, has_two_lines); /* there might be one for a while */
	for (unsigned int i = 0; i < 10; i++) {
		assert_true(put_all(h, 20000) == 20000);
		run_for_a_moment(h);
	}
	assert_int_equal(h->lines, 2);
	assert_non_null(strstr(h->line, "pty console: output is dropped"));
	(void)put_all(h, SIZE_MAX);
	run_for_a_moment(h);
	assert_true(
		put_all(h, 20000) == 20000); /* a full ring does not wait for a reader, either */
}

#define STDIO_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STDIO_TEST(test_pipes_carry_all_bytes),
		STDIO_TEST(test_input_that_ends_before_the_guest_reads_is_kept_without_spinning),
		STDIO_TEST(test_a_closed_reader_drops_output_and_keeps_input),
		STDIO_TEST(test_closed_descriptors_are_no_reason_to_fail),
		STDIO_TEST(test_a_file_is_read_and_written_at_its_position),
		STDIO_TEST(test_a_file_without_end_leaves_turns_to_others),
		STDIO_TEST(test_a_blocking_socket_blocks_nobody),
		STDIO_TEST(test_a_terminal_has_an_escape_key_and_is_restored),
		STDIO_TEST(test_a_terminal_is_restored_by_a_handler_of_a_fatal_signal),
		STDIO_TEST(test_a_terminals_size_is_known_and_followed),
		STDIO_TEST(test_pipes_have_no_size),
		STDIO_TEST(test_a_ptys_size_is_its_users),
		STDIO_TEST(test_a_pty_carries_both_ways_and_outlives_its_users),
		STDIO_TEST(test_a_pty_with_a_slow_reader_loses_nothing),
		STDIO_TEST(test_a_pty_without_reader_drops_output_with_one_line),
	};

	signal(SIGPIPE, SIG_IGN); /* as the program does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
