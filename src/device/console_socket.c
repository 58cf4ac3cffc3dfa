/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Console on a listening Unix socket: one client at a time; another may come when it has left, or,
 * if they are to take turns, when the guest has taken all that it sent.
 */
#define LOG_MODULE "console"
#include "device/console_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"

#define SOCKET_RETRY_NS 1000000000u

/* What the client sent before it left is still there for the guest, until another one comes. */
static void socket_lost(struct console *console)
{
	log_info("%s: the client has left", console->name);
	if (console->in_eof)
		console_detach(console);
	console->out.fd = -1;
	if (!console->in_turn)
		(void)loop_modify(&console->listener, EPOLLIN);
	console_tell_connection(console);
}

static void socket_left(struct console *console)
{
	(void)loop_modify(&console->listener, EPOLLIN);
}

static void socket_drop_rest(struct console *console)
{
	uint8_t byte;

	if (console->in.fd >= 0 && recv(console->in.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
		log_guest(&console->limit,
			"%s: input of a client that has left is dropped for the next one",
			console->name);
	console_detach(console);
}

static void socket_close(struct console *console)
{
	loop_remove(&console->listener);
	if (console->listener.fd >= 0) {
		close(console->listener.fd);
		(void)unlink(console->path);
	}
	console->listener.fd = -1;
}

static const struct console_backend socket_backend = {
	.lost = socket_lost, .left = socket_left, .close = socket_close, .has_clients = true};

static void socket_accept_again(struct loop_timer *timer)
{
	struct console *console = container_of(timer, struct console, retry_timer);

	(void)loop_modify(&console->listener, EPOLLIN);
}

/* A client that cannot be taken for want of descriptors stays in the queue, which would be told
 * over and over. */
static void socket_accept_later(struct console *console, int code)
{
	if (code == EAGAIN || code == EINTR || code == ECONNABORTED)
		return;
	log_guest(&console->limit, "%s: cannot accept a client: %s", console->name,
		err_strerror(code));
	(void)loop_modify(&console->listener, 0);
	loop_timer_set(console->loop, &console->retry_timer, SOCKET_RETRY_NS);
}

static void socket_on_client(struct loop_fd *source, uint32_t events)
{
	struct console *console = container_of(source, struct console, listener);
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		socket_accept_later(console, errno);
		return;
	}
	log_info("%s: a client has come", console->name);
	socket_drop_rest(console);
	console_tell_connection(console);
	console->in.fd = fd;
	console->out.fd = fd;
	console_attach(console);
	console_tell_connection(console);
	/* The next client waits in the queue of the listener. */
	(void)loop_modify(&console->listener, 0);
}

/* A socket file that nobody listens on is left over from a process that was killed. */
static void socket_remove_stale(const struct sockaddr_un *addr)
{
	auto_close int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (lstat(addr->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return;
	if (connect(probe, (const struct sockaddr *)addr, sizeof(*addr)) && errno == ECONNREFUSED)
		(void)unlink(addr->sun_path);
}

struct err *console_open_socket(struct console *console, const struct console_options *options)
{
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	console->backend = &socket_backend;
	console_set_name(console, "socket console", options);
	console->path = strdup(options->path);
	console->in_turn = options->in_turn;
	if (fd < 0 || !console->path)
		return err_new(fd < 0 ? errno : ENOMEM, "Cannot create the console's socket");
	if (!*options->path || strlen(options->path) >= sizeof(addr.sun_path))
		return err_new(*options->path ? ENAMETOOLONG : ENOENT,
			"Cannot listen on the console socket \"%s\"", options->path);
	memcpy(addr.sun_path, options->path, strlen(options->path));
	socket_remove_stale(&addr);
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 8))
		return err_new(errno, "Cannot listen on the console socket \"%s\"", options->path);
	console->retry_timer.fired = socket_accept_again;
	console->listener =
		(struct loop_fd){.fd = steal_fd(&fd), .events = EPOLLIN, .ready = socket_on_client};
	if (loop_add(console->loop, &console->listener))
		return err_new(errno, "Cannot wait for clients of the console socket \"%s\"",
			options->path);
	return NULL;
}
