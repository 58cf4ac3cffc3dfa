/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting passt, with programs of the test's own in its place, and connecting to a socket.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "net/passt.h"

static struct {
	char dir[64];
	char program[96], out[96], socket[96];
} f;

static int setup(void **state)
{
	strncpy(f.dir, "/tmp/alioth-passt-XXXXXX", sizeof(f.dir));
	assert_non_null(mkdtemp(f.dir));
	(void)snprintf(f.program, sizeof(f.program), "%s/program", f.dir);
	(void)snprintf(f.out, sizeof(f.out), "%s/out", f.dir);
	(void)snprintf(f.socket, sizeof(f.socket), "%s/socket", f.dir);
	return 0;
}

static int teardown(void **state)
{
	unlink(f.program);
	unlink(f.out);
	unlink(f.socket);
	return rmdir(f.dir);
}

/* A shell script in passt's place. */
static void write_program(const char *script)
{
	auto_close int fd = open(f.program, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

	dprintf(fd, "#!/bin/sh\n%s\n", script);
}

static struct net_backend *open_ok(const struct net_passt_options *options)
{
	struct net_backend *backend = NULL;

	assert_ok(net_passt_open(options, &backend));
	return backend;
}

static void refuse(const struct net_passt_options *options, const char *part)
{
	struct net_backend *backend;
	struct err *err = net_passt_open(options, &backend);
	auto_free char *text = NULL;

	assert_non_null(err);
	text = err_format(err);
	if (!strstr(text, part))
		fail_msg("%s", text);
	err_free(err);
}

/* Sends a frame and waits for one; its size, with the header, or the error. */
static ssize_t exchange(struct net_backend *backend, size_t len)
{
	uint8_t packet[2048] = {0};
	struct iovec out[2] = {{packet, NET_HEADER}, {packet + NET_HEADER, len}};
	struct iovec in = {packet, sizeof(packet)};
	int ret = net_backend_send(backend, 0, out, 2);
	ssize_t got = -EAGAIN;

	if (!ret)
		ret = net_backend_flush(backend, 0);
	while (!ret && got == -EAGAIN) {
		struct pollfd fd = {.fd = backend->fds[0], .events = POLLIN};

		assert_int_equal(poll(&fd, 1, 30000), 1);
		got = net_backend_receive(backend, 0, &in, 1);
	}
	return ret ? ret : got;
}

/* ---- Starting ---- */

/* Gives back what it gets, in the background, until there is no more. */
#define ECHO_FOR_EVER "cat <&3 >&3 2>/dev/null &"

static void test_a_program_that_goes_into_the_background_is_ready(void **state)
{
	const struct net_passt_options options = {.path = f.program};
	struct net_backend *backend;

	write_program(ECHO_FOR_EVER);
	backend = open_ok(&options);
	assert_string_equal(backend->name, "passt");
	assert_int_equal(backend->n_queues, 1);
	assert_int_equal(backend->offloads, 0);
	assert_false(backend->is_interface || backend->can_reconnect || backend->has_address);
	assert_int_equal(exchange(backend, 100), NET_HEADER + 100);
	net_backend_free(backend);
}

static void test_its_arguments(void **state)
{
	const struct net_passt_options options = {.path = f.program,
		.tcp = "2222:22,80",
		.udp = "53",
		.mtu = 1400,
		.args = "  -4 --no-ndp   -D none "};
	static const char want[] = "--quiet\n--fd\n3\n--mtu\n1400\n--tcp-ports\n2222:22,80\n"
				   "--udp-ports\n53\n-4\n--no-ndp\n-D\nnone\n";
	char got[512] = {0};
	char script[320];
	auto_close int fd = -1;

	(void)snprintf(script, sizeof(script),
		"printf '%%s\\n' \"$@\" >%s; ls -l /proc/self/fd | grep -c socket: >>%s\n" ECHO_FOR_EVER,
		f.out, f.out);
	write_program(script);
	net_backend_free(open_ok(&options));
	fd = open(f.out, O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, got, sizeof(got) - 1) > 0);
	assert_memory_equal(got, want, strlen(want));
	/* Not our end as well. */
	assert_string_equal(got + strlen(want), "1\n");
}

static void test_it_has_no_other_descriptors(void **state)
{
	const struct net_passt_options options = {.path = f.program};
	auto_close int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	/* Survives an exec, as one of the parent's does (fd=200). */
	auto_close int theirs = fcntl(null, F_DUPFD, 200);
	char script[256];
	char got[512] = {0};
	auto_close int out = -1;

	assert_true(theirs >= 200);
	(void)snprintf(script, sizeof(script), "ls /proc/self/fd >%s\n" ECHO_FOR_EVER, f.out);
	write_program(script);
	net_backend_free(open_ok(&options));
	out = open(f.out, O_RDONLY | O_CLOEXEC);
	assert_true(read(out, got, sizeof(got) - 1) > 0);
	assert_non_null(strstr(got, "3\n"));
	(void)snprintf(script, sizeof(script), "%d\n", theirs);
	assert_null(strstr(got, script));
}

static void test_too_many_arguments_are_refused(void **state)
{
	char args[2 * 100 + 1] = {0};
	const struct net_passt_options options = {.path = "/bin/true", .args = args};

	for (unsigned int i = 0; i < 100; i++)
		memcpy(args + 2 * i, "x ", 2);
	refuse(&options, "Too many arguments");
}

static void test_what_it_says_is_in_the_error(void **state)
{
	const struct net_passt_options options = {.path = f.program};

	write_program("echo 'Failed to send 31 bytes to syslog' >&2; echo 'No such port' >&2;"
		      "echo Usage: >&2; echo more >&2; exit 1");
	refuse(&options, "/program\" does not start: No such port,");
	/* However much it is. */
	write_program("yes 'a line of some length' >&2; exit 1");
	refuse(&options, "a line of some length; a line");
	write_program("kill -9 $$");
	refuse(&options, "does not start: it was ended by signal 9");
	write_program("exit 3");
	refuse(&options, "does not start: it ended with status 3");
	write_program("exit 0");
	refuse(&options, "does not start: it ended, and nothing stayed in the background");
}

static void test_a_program_that_is_not_there(void **state)
{
	struct net_passt_options options = {.path = f.program};

	refuse(&options, "No such file");
	options.path = f.dir;
	refuse(&options, "Cannot run");
}

static void test_it_is_started_again(void **state)
{
	const struct net_passt_options options = {.path = f.program, .reconnect = true};
	struct net_backend *backend;
	int ret;

	/* One frame, and it is gone. */
	write_program("head -c 104 <&3 >&3 2>/dev/null &");
	backend = open_ok(&options);
	assert_true(backend->can_reconnect);
	assert_int_equal(exchange(backend, 100), NET_HEADER + 100);
	assert_int_equal(exchange(backend, 100), -ENODEV);

	write_program("exit 1");
	while ((ret = net_backend_reconnect(backend)) == -EAGAIN)
		usleep(1000);
	assert_int_equal(ret, -ECONNREFUSED);
	assert_int_equal(exchange(backend, 5000), -ENODEV);

	write_program(ECHO_FOR_EVER);
	while ((ret = net_backend_reconnect(backend)) == -EAGAIN)
		usleep(1000);
	assert_int_equal(ret, 0);
	assert_int_equal(exchange(backend, 100), NET_HEADER + 100);

	/* One that is just being started ends with us. */
	write_program("exec sleep 1000");
	assert_int_equal(net_backend_reconnect(backend), -EAGAIN);
	assert_int_equal(net_backend_reconnect(backend), -EAGAIN);
	net_backend_free(backend);
}

/* ---- Connecting ---- */

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void test_a_socket_is_connected_to_and_again(void **state)
{
	const struct net_passt_options options = {.socket = f.socket, .reconnect = true};
	struct net_backend *backend;
	int listener = listen_at(f.socket);
	uint8_t data[64] = {0};
	int peer;

	backend = open_ok(&options);
	peer = accept(listener, NULL, NULL);
	store_be32(data, 60);
	assert_int_equal(send(peer, data, 64, 0), 64);
	assert_int_equal(exchange(backend, 70), NET_HEADER + 60);
	close(peer);
	close(listener);
	assert_int_equal(exchange(backend, 70), -ENODEV);
	assert_int_equal(net_backend_reconnect(backend), -ECONNREFUSED);
	unlink(f.socket);
	assert_int_equal(net_backend_reconnect(backend), -ENOENT);
	listener = listen_at(f.socket);
	assert_int_equal(net_backend_reconnect(backend), 0);
	peer = accept(listener, NULL, NULL);
	assert_int_equal(send(peer, data, 64, 0), 64);
	assert_int_equal(exchange(backend, 70), NET_HEADER + 60);
	close(peer);
	close(listener);
	net_backend_free(backend);
}

static void test_sockets_that_cannot_be_connected_to(void **state)
{
	struct net_passt_options options = {.socket = f.socket};
	char path[200];

	refuse(&options, "No such file");
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	options.socket = path;
	refuse(&options, "too long");
}

static void test_a_crowded_socket_does_not_block(void **state)
{
	const struct net_passt_options options = {.socket = f.socket};
	struct net_backend *backends[4];
	struct err *err = NULL;
	int listener = listen_at(f.socket);
	unsigned int n = 0;

	while (!err && n < ARRAY_SIZE(backends)) {
		err = net_passt_open(&options, &backends[n]);
		n += !err;
	}
	assert_int_equal(err_code(err), EBUSY);
	err_free(err);
	while (n)
		net_backend_free(backends[--n]);
	close(listener);
}

#define PASST_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PASST_TEST(test_a_program_that_goes_into_the_background_is_ready),
		PASST_TEST(test_its_arguments),
		PASST_TEST(test_it_has_no_other_descriptors),
		PASST_TEST(test_too_many_arguments_are_refused),
		PASST_TEST(test_what_it_says_is_in_the_error),
		PASST_TEST(test_a_program_that_is_not_there),
		PASST_TEST(test_it_is_started_again),
		PASST_TEST(test_a_socket_is_connected_to_and_again),
		PASST_TEST(test_sockets_that_cannot_be_connected_to),
		PASST_TEST(test_a_crowded_socket_does_not_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
