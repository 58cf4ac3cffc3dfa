/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console's core: when output is written, the input pump, and life. Runs in the control loop,
 * but for console_input_wanted().
 */
#define LOG_MODULE "console"
#include "device/console_internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/thread.h"
#include "sys/terminal.h"

#define CONSOLE_FLUSH_NS 1000000u /* from the first byte to the write of its batch */
#define CONSOLE_READS    64u      /* of a file in one turn */

/* ---- What the loop waits for ---- */

static bool console_is_shared(const struct console *console)
{
	return console->in.fd >= 0 && console->in.fd == console->out.fd;
}

/*
 * One entry a descriptor: the input's, if it does both. A pipe that was hung up is reported for
 * ever, whatever is asked, so that an input that has to wait leaves the loop; a socket stays, as
 * its hang-up makes room for the next client.
 */
void console_wait(struct console *console)
{
	bool shared = console_is_shared(console);
	uint32_t in = console->input_len || console->in_eof ? 0 : EPOLLIN;
	uint32_t out = console->out_waits && !console->drop_when_full ? EPOLLOUT : 0;

	if (!console->is_attached)
		return;
	if (console->out.loop)
		(void)loop_modify(&console->out, out);
	if (shared && console->in.loop)
		(void)loop_modify(&console->in, in | out);
	else if (!in)
		loop_remove(&console->in);
	else if (console->in.fd >= 0 && !console->in.loop && !console->in_unpollable)
		console->in_eof = loop_add(console->loop, &console->in) != 0;
}

static void console_flush_or_wait(struct console *console)
{
	bool is_polled;

	console->out_waits = !console_flush(console);
	console_wait(console);
	/* Looked at last: the descriptor may have been lost meanwhile. */
	is_polled = console->out.loop ||
		    (console->in.loop && console_is_shared(console) && !console->drop_when_full);
	if (console->out_waits && !is_polled)
		loop_timer_set(console->loop, &console->flush_timer, CONSOLE_FLUSH_NS);
}

static void console_on_writable(struct loop_fd *source, uint32_t events)
{
	struct console *console = container_of(source, struct console, out);

	/* An error without room for output: the reader is gone; write() below would only say the
	 * same. */
	if (events & (EPOLLERR | EPOLLHUP) && console->backend->lost && console_is_empty(console)) {
		console->backend->lost(console);
		return;
	}
	console_flush_or_wait(console);
}

static void console_on_flush_timer(struct loop_timer *timer)
{
	console_flush_or_wait(container_of(timer, struct console, flush_timer));
}

/* The first byte of a batch was queued; the others get a moment to follow. */
static void console_on_flush_msg(struct loop_msg *msg)
{
	struct console *console = container_of(msg, struct console, flush_msg);

	if (!console->flush_timer.loop && !console->out_waits)
		loop_timer_set(console->loop, &console->flush_timer, CONSOLE_FLUSH_NS);
}

/* ---- The other end ---- */

bool console_is_connected(const struct console *console)
{
	return !console->backend->has_clients || console->out.fd >= 0 || console->input_len ||
	       (console->in.fd >= 0 && !console->in_eof);
}

void console_tell_connection(struct console *console)
{
	bool connected = console_is_connected(console);

	if (connected == console->connected)
		return;
	console->connected = connected;
	if (console->peer && console->peer->connected)
		console->peer->connected(console->peer, connected);
	if (!connected && console->backend->left)
		console->backend->left(console);
}

bool console_has_size(const struct console *console)
{
	return console->size_fd >= 0;
}

struct console_size console_size(const struct console *console)
{
	uint32_t size = atomic_load_explicit(&console->size, memory_order_relaxed);

	return (struct console_size){.columns = (uint16_t)size, .rows = (uint16_t)(size >> 16)};
}

void console_update_size(struct console *console)
{
	uint16_t columns;
	uint16_t rows;
	uint32_t size;

	if (console->size_fd < 0 || sys_terminal_get_size(console->size_fd, &columns, &rows))
		return;
	size = columns | (uint32_t)rows << 16;
	if (atomic_exchange_explicit(&console->size, size, memory_order_relaxed) != size &&
		console->peer && console->peer->resized)
		console->peer->resized(console->peer);
}

static void console_on_size_msg(struct loop_msg *msg)
{
	console_update_size(container_of(msg, struct console, size_msg));
}

void console_look_at_size(struct console *console)
{
	if (console_has_size(console))
		loop_post(console->loop, &console->size_msg);
}

/* ---- Input ---- */

/* Hands over what was read; true when all of it is taken. */
static bool console_deliver(struct console *console)
{
	size_t n;

	if (!console->input_len)
		return true;
	n = console->peer
		    ? console->peer->receive(console->peer, console->input, console->input_len)
		    : console->input_len;
	memmove(console->input, console->input + n, console->input_len - n);
	console->input_len -= n;
	return !console->input_len;
}

/* The other end is gone; what waited for it is dropped. */
static void console_lose(struct console *console)
{
	if (console->backend->lost)
		console->backend->lost(console);
	if (console->out_waits)
		console_flush_or_wait(console);
	else
		console_wait(console);
}

/*
 * End of file, or an error. The client of a socket may have closed only its sending side: that it
 * has gone is told by a hang-up, or by write().
 */
static void console_end_input(struct console *console, bool is_error)
{
	console->in_eof = true;
	console->in_unpollable = false;
	if (!console_is_shared(console)) {
		loop_remove(&console->in);
		if (console->in.fd > STDERR_FILENO)
			close(console->in.fd);
		console->in.fd = -1;
	} else if (is_error) {
		console_lose(console);
	}
}

/* One read; false at the end of input or when there is nothing to read now. */
static bool console_read(struct console *console)
{
	ssize_t n;

	if (console->in.fd < 0 || console->in_eof)
		return false;
	n = read(console->in.fd, console->input, sizeof(console->input));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n < 0 && errno == EIO && console->backend->denied && console->backend->denied(console))
		return false;
	if (n <= 0) {
		console_end_input(console, n < 0);
		return false;
	}
	console->input_len = (size_t)n;
	/* Who types at a pty also reads. */
	console->warned = console->warned && !console->drop_when_full;
	if (console->size_fd == console->in.fd)
		console_update_size(console);
	if (console->backend->filter)
		console->input_len =
			console->backend->filter(console, console->input, console->input_len);
	return true;
}

/*
 * Reads on only while the guest takes what was read. `can_read`: read() will not wait; the
 * descriptor may be one that does. A file that does not end, and a guest as fast as we are, leave
 * the loop to others now and then.
 */
static void console_pump(struct console *console, bool can_read)
{
	unsigned int left = CONSOLE_READS;

	while (console_deliver(console) && can_read && console_read(console))
		can_read = console->in_unpollable && --left;
	if (!left && !console->input_len)
		loop_timer_set(console->loop, &console->retry_timer, 0);
	console_wait(console);
	console_tell_connection(console);
}

/* The input, or a descriptor that does both. */
static void console_on_readable(struct loop_fd *source, uint32_t events)
{
	struct console *console = container_of(source, struct console, in);

	if (!console_is_shared(console) || events & EPOLLIN)
		console_pump(console, true);
	else if (events & (EPOLLHUP | EPOLLERR))
		console_lose(console);
	if (events & EPOLLOUT && console->out_waits)
		console_flush_or_wait(console);
}

static void console_on_input_msg(struct loop_msg *msg)
{
	struct console *console = container_of(msg, struct console, input_msg);

	if (console->input_len || console->in_unpollable)
		console_pump(console, console->in_unpollable);
}

static void console_on_file_timer(struct loop_timer *timer)
{
	struct console *console = container_of(timer, struct console, retry_timer);

	console_pump(console, console->in_unpollable);
}

void console_input_wanted(struct console *console)
{
	loop_post(console->loop, &console->input_msg);
}

/* ---- Life ---- */

void console_attach(struct console *console)
{
	console->is_attached = true;
	console->in_eof = false;
	console_empty_log(console);
	if (console->in.fd >= 0 && !console->in.loop) {
		console->in.events = EPOLLIN;
		console->in_unpollable = loop_add(console->loop, &console->in) == -EPERM;
		if (console->in_unpollable) {
			console->retry_timer.fired = console_on_file_timer;
			console_input_wanted(console);
		}
	}
	if (console->out.fd >= 0 && !console_is_shared(console) && !console->out.loop) {
		console->out.events = 0;
		if (loop_add(console->loop, &console->out))
			console->out.loop = NULL; /* files cannot be polled, nor need they be */
	}
	console_wait(console);
}

void console_leave_loop(struct console *console)
{
	loop_remove(&console->in);
	loop_remove(&console->out);
	console->is_attached = false;
	console->in_unpollable = false;
}

void console_detach(struct console *console)
{
	int in = console->in.fd;
	int out = console->out.fd;

	console_leave_loop(console);
	console->in.fd = -1;
	console->out.fd = -1;
	if (in > STDERR_FILENO)
		close(in);
	if (out > STDERR_FILENO && out != in)
		close(out);
}

void console_set_name(
	struct console *console, const char *kind, const struct console_options *options)
{
	(void)snprintf(console->name, sizeof(console->name), "%s%s%s", kind,
		options->label ? " of " : "", options->label ? options->label : "");
}

static struct err *console_open(struct console *console, const struct console_options *options)
{
	static const struct console_backend null_backend = {0};

	switch (options->kind) {
	case CONSOLE_STDIO:
		return console_open_stdio(console, options);
	case CONSOLE_LOG:
		return console_open_log(console, options);
	case CONSOLE_PTY:
		return console_open_pty(console, options);
	case CONSOLE_SOCKET:
		return console_open_socket(console, options);
	case CONSOLE_NULL:
		break;
	}
	console->backend = &null_backend;
	return NULL;
}

struct err *console_create(const struct console_options *options, struct loop *loop,
	struct console_events *events, struct console **ret_console)
{
	struct console *console = new0(struct console);
	struct err *err;

	if (!console)
		return err_new(ENOMEM, "Cannot create a console");
	console->loop = loop;
	console->events = events;
	console->size_fd = -1;
	console->in = (struct loop_fd){.fd = -1, .ready = console_on_readable};
	console->out = (struct loop_fd){.fd = -1, .ready = console_on_writable};
	console->listener.fd = -1;
	console->flush_timer.fired = console_on_flush_timer;
	console->flush_msg.run = console_on_flush_msg;
	console->input_msg.run = console_on_input_msg;
	console->size_msg.run = console_on_size_msg;
	pthread_mutex_init(&console->lock, NULL);
	err = console_open(console, options);
	if (err) {
		console_free(console);
		return err;
	}
	console->connected = console_is_connected(console);
	console_update_size(console);
	*ret_console = console;
	return NULL;
}

void console_set_peer(struct console *console, struct console_peer *peer)
{
	console->peer = peer;
}

static void console_start_msg(struct loop_msg *msg)
{
	struct console *console = container_of(msg, struct console, input_msg);

	console->input_msg.run = console_on_input_msg;
	console_attach(console);
}

void console_start(struct console *console)
{
	console->input_msg.run = console_start_msg;
	loop_post(console->loop, &console->input_msg);
}

void console_free(struct console *console)
{
	if (!console)
		return;
	if (console->backend) {
		console_close(&console, 1);
		if (console->backend->close)
			console->backend->close(console);
	}
	console_detach(console);
	auto_close_cleanup(&console->listener.fd);
	pthread_mutex_destroy(&console->lock);
	free(console->ring);
	free(console->path);
	free(console);
}
