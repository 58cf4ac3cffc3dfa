/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console on a socket: clients that come, stay silent, half-close, vanish, and their followers.
 */
#include "console_fixture.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/un.h>

static int dial(struct host *h)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", h->path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void assert_hears(int fd, const char *text)
{
	char buf[64] = {0};

	assert_int_equal(drain(fd, buf, sizeof(buf) - 1), strlen(text));
	assert_string_equal(buf, text);
}

static bool got_two(struct host *h)
{
	return h->got_len == 2;
}

static bool got_four(struct host *h)
{
	return h->got_len == 4;
}

static bool warned(struct host *h)
{
	return h->lines > 0;
}

static void test_one_client_after_the_other(void **state)
{
	struct host *h = *state;
	int first, second;

	assert_ok(host_open(h, CONSOLE_SOCKET, h->path));
	first = dial(h);
	second = dial(h); /* waits */
	say(first, "hi");
	say(second, "yo");
	run_until(h, got_two);
	put(h, "one");
	run_for_a_moment(h);
	assert_hears(first, "one");
	assert_hears(second, "");
	close(first);
	run_until(h, got_four);
	assert_got(h, "hiyo");
	put(h, "two");
	run_for_a_moment(h);
	assert_hears(second, "two");
	assert_int_equal(h->lines, 0);
	host_close(h);
	assert_int_equal(access(h->path, F_OK), -1);
	assert_int_equal(read(second, h->got, 1), 0);
	close(second);
}

static bool got_all(struct host *h)
{
	return h->got_len == 3000;
}

static bool left_twice(struct host *h)
{
	return !strcmp(h->connections, "cdcd");
}

static void test_the_peer_learns_of_clients_and_of_their_end_behind_all_they_sent(void **state)
{
	struct host *h = *state;
	char text[3001] = {0};
	int fd;

	memset(text, 'x', 3000);
	assert_ok(host_open(h, CONSOLE_SOCKET, h->path));
	assert_false(console_is_connected(h->console));
	fd = dial(h);
	run_for_a_moment(h);
	assert_true(console_is_connected(h->console));
	assert_string_equal(h->connections, "c");
	close(fd);
	run_for_a_moment(h);
	assert_string_equal(h->connections, "cd");
	/* The guest does not read yet. */
	h->limit = 10;
	fd = dial(h);
	say(fd, text);
	close(fd);
	run_for_a_moment(h);
	assert_string_equal(h->connections, "cdc");
	h->limit = sizeof(h->got);
	console_input_wanted(h->console);
	run_until(h, got_all);
	run_until(h, left_twice);
}

static void test_a_half_closed_client_is_still_there(void **state)
{
	struct host *h = *state;
	int fd;

	assert_ok(host_open(h, CONSOLE_SOCKET, h->path));
	fd = dial(h);
	say(fd, "hi");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	run_until(h, got_two);
	run_for_a_moment(h);
	assert_string_equal(h->connections, "c");
	close(fd);
	run_for_a_moment(h);
	assert_string_equal(h->connections, "cd");
}

static void test_output_without_client_is_dropped_with_one_line(void **state)
{
	struct host *h = *state;
	int client;

	assert_ok(host_open(h, CONSOLE_SOCKET, h->path));
	put(h, "nobody");
	run_until(h, warned);
	put(h, "nobody");
	run_for_a_moment(h);
	assert_int_equal(h->lines, 1);
	assert_non_null(strstr(h->line, "socket console: output is dropped"));
	client = dial(h);
	run_for_a_moment(h);
	put(h, "somebody");
	run_for_a_moment(h);
	assert_hears(client, "somebody");
	close(client);
}

/* As `printf ... | socat - UNIX-CONNECT:...` does. */
static void test_a_client_that_has_said_all_still_hears(void **state)
{
	struct host *h = *state;
	int client;

	assert_ok(host_open(h, CONSOLE_SOCKET, h->path));
	client = dial(h);
	say(client, "hi");
	assert_int_equal(shutdown(client, SHUT_WR), 0);
	run_until(h, got_two);
	run_for_a_moment(h);
	put(h, "answer");
	run_for_a_moment(h);
	assert_hears(client, "answer");
	close(client);
	run_for_a_moment(h);
	client = dial(h); /* its follower */
	say(client, "yo");
	run_until(h, got_four);
	close(client);
}

/* Else it would hold the place for ever, and the loop would spin on its hang-up. */
static void test_a_client_that_goes_while_the_guest_does_not_read_makes_room(void **state)
{
	struct host *h = *state;
	int client;

	h->limit = 1;
	assert_ok(host_open(h, CONSOLE_SOCKET, h->path));
	client = dial(h);
	say(client, "abc");
	run_for_a_moment(h);
	close(client);
	run_for_a_moment(h);
	assert_in_range(h->receives, 1, 5);
	client = dial(h);
	run_for_a_moment(h);
	put(h, "next");
	run_for_a_moment(h);
	assert_hears(client, "next");
	say(client, "d");
	h->limit = 4;
	console_input_wanted(h->console);
	run_until(h, got_four);
	assert_got(h, "abcd");
	close(client);
}

static bool got_more(struct host *h)
{
	h->limit = MIN(h->got_len + 16, sizeof(h->got)); /* a FIFO's worth */
	console_input_wanted(h->console);
	return h->got_len == 3000;
}

/* As `socat -u FILE UNIX-CONNECT:...` does. */
static void test_what_a_client_sent_before_it_left_arrives(void **state)
{
	struct host *h = *state;
	char text[3001];
	int client;

	for (unsigned int i = 0; i < 3000; i++)
		text[i] = (char)('a' + i % 26);
	text[3000] = 0;
	h->limit = 1;
	assert_ok(host_open(h, CONSOLE_SOCKET, h->path));
	client = dial(h);
	say(client, text);
	close(client);
	run_for_a_moment(h);
	put(h, "echo");
	run_until(h, got_more);
	assert_memory_equal(h->got, text, 3000);
	assert_int_equal(h->lines, 1); /* of the output */
	client = dial(h);
	say(client, text);
	h->limit = 3001;
	run_for_a_moment(h);
	close(client);
	run_for_a_moment(h);
	h->lines = 0;
	client = dial(h);
	run_for_a_moment(h);
	assert_int_equal(h->lines, 1);
	assert_non_null(strstr(h->line, "dropped for the next one"));
	close(client);
}

static size_t fill(struct host *h)
{
	size_t total = 0;

	for (size_t n = 1; n; total += n) {
		n = put_all(h, SIZE_MAX);
		run_for_a_moment(h);
	}
	return total;
}

static void test_a_silent_client_makes_the_guest_wait_and_loses_nothing(void **state)
{
	static char text[1 << 20];
	struct host *h = *state;
	size_t sent, got = 0;
	int client;

	assert_ok(host_open(h, CONSOLE_SOCKET, h->path));
	client = dial(h);
	run_for_a_moment(h);
	sent = fill(h);
	for (unsigned int i = 0; i < 100 && got < sent; i++) {
		got += drain(client, text + got, sizeof(text) - got);
		run_for_a_moment(h);
	}
	assert_int_equal(got, sent);
	assert_int_equal(h->lines, 0);
	close(client);
}

static void test_a_client_that_vanishes_frees_a_guest_that_waits(void **state)
{
	struct host *h = *state;
	int client;

	assert_ok(host_open(h, CONSOLE_SOCKET, h->path));
	client = dial(h);
	run_for_a_moment(h);
	(void)fill(h);
	assert_false(console_put(h->console, 'x'));
	h->writables = 0;
	close(client);
	run_for_a_moment(h);
	assert_int_equal(h->writables, 1);
	assert_int_equal(h->lines, 1);
	assert_int_equal(put_all(h, 1000), 1000);
}

/* All but the last of the clients have stopped to read; that one gets everything. */
static void test_clients_that_do_not_read_share_one_second_at_the_end(void **state)
{
	enum { N = 6 };
	static char text[1 << 20];
	struct host *h = *state;
	struct console *consoles[N];
	size_t sent = 0;
	int clients[N];
	uint64_t before;

	for (unsigned int i = 0; i < N; i++) {
		(void)snprintf(h->path, sizeof(h->path), "%s/%u", h->dir, i);
		assert_ok(host_open(h, CONSOLE_SOCKET, h->path));
		clients[i] = dial(h);
		run_for_a_moment(h);
		sent = fill(h);
		console_set_peer(h->console, NULL); /* the device is gone by now */
		consoles[i] = h->console;
	}
	sent -= drain(clients[N - 1], text, sizeof(text));
	before = loop_now_ns();
	console_close(consoles, N);
	assert_in_range(loop_now_ns() - before, 500000000u, 1000000000u * (N - 2));
	assert_int_equal(h->lines, N - 1);
	assert_int_equal(drain(clients[N - 1], text, sizeof(text)), sent);
	for (unsigned int i = 0; i < N; i++) {
		console_free(consoles[i]);
		close(clients[i]);
	}
	h->console = NULL;
}

static void test_a_left_over_socket_is_replaced_and_nothing_else(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct host *h = *state;
	struct console *other;
	struct console_options options = {.kind = CONSOLE_SOCKET};
	int fd;

	options.path = h->path;
	fd = open(h->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_err(host_open(h, CONSOLE_SOCKET, h->path), "Address already in use");
	assert_int_equal(access(h->path, F_OK), 0);
	(void)unlink(h->path);

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", h->path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd); /* killed: the file stays */
	assert_ok(host_open(h, CONSOLE_SOCKET, h->path));
	assert_err(console_create(&options, h->loop, &h->events, &other), "Address already in use");
	assert_int_equal(access(h->path, F_OK), 0);
}

/* Else the loop would spin until there are descriptors again. */
static void test_a_client_that_cannot_be_accepted_is_tried_again(void **state)
{
	struct host *h = *state;
	struct rlimit old;
	struct rlimit limit;
	int client;

	assert_ok(host_open(h, CONSOLE_SOCKET, h->path));
	client = dial(h);
	say(client, "hi");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	limit = (struct rlimit){.rlim_cur = (rlim_t)client + 1, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	run_for_a_moment(h);
	assert_int_equal(h->lines, 1);
	assert_non_null(strstr(h->line, "cannot accept a client: Too many open files"));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	run_until(h, got_two);
	assert_int_equal(h->lines, 1);
	close(client);
}

static void test_bad_paths_are_clear_errors(void **state)
{
	struct host *h = *state;
	char path[200];

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	assert_err(host_open(h, CONSOLE_SOCKET, path), "File name too long");
	assert_err(host_open(h, CONSOLE_SOCKET, ""), "Cannot listen on the console socket \"\"");
	assert_err(host_open(h, CONSOLE_SOCKET, "/nonexistent/socket"), "No such file");
}

#define SOCKET_TEST(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SOCKET_TEST(test_one_client_after_the_other),
		SOCKET_TEST(test_the_peer_learns_of_clients_and_of_their_end_behind_all_they_sent),
		SOCKET_TEST(test_a_half_closed_client_is_still_there),
		SOCKET_TEST(test_output_without_client_is_dropped_with_one_line),
		SOCKET_TEST(test_a_client_that_has_said_all_still_hears),
		SOCKET_TEST(test_a_client_that_goes_while_the_guest_does_not_read_makes_room),
		SOCKET_TEST(test_what_a_client_sent_before_it_left_arrives),
		SOCKET_TEST(test_a_silent_client_makes_the_guest_wait_and_loses_nothing),
		SOCKET_TEST(test_a_client_that_vanishes_frees_a_guest_that_waits),
		SOCKET_TEST(test_clients_that_do_not_read_share_one_second_at_the_end),
		SOCKET_TEST(test_a_left_over_socket_is_replaced_and_nothing_else),
		SOCKET_TEST(test_a_client_that_cannot_be_accepted_is_tried_again),
		SOCKET_TEST(test_bad_paths_are_clear_errors),
	};

	signal(SIGPIPE, SIG_IGN); /* as the program does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
