/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console's output: the ring that a vCPU fills and the loop empties, and writes that never
 * wait. console_write() is for any thread, everything else for the loop's.
 */
#define LOG_MODULE "console"
#include "device/console_internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/thread.h"

#define CONSOLE_WRITE_MAX 4096u
/* To a descriptor that may block: what a terminal that polls writable takes without. */
#define CONSOLE_BLOCKING_MAX 256u
/* A reader who takes nothing for so long is not there. */
#define CONSOLE_PATIENCE_NS 1000000000u

size_t console_write(struct console *console, const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint32_t used;
	size_t n;

	auto_lock(&console->lock);
	if (!console->ring)
		console->ring = malloc(CONSOLE_RING_SIZE);
	if (!console->ring)
		return len; /* out of memory: dropped */
	used = console->tail - console->head;
	n = MIN(len, (size_t)(CONSOLE_RING_SIZE - used));
	for (size_t done = 0; done < n;) {
		size_t at = console->tail % CONSOLE_RING_SIZE;
		size_t now = MIN(n - done, CONSOLE_RING_SIZE - at);

		memcpy(console->ring + at, bytes + done, now);
		console->tail += (uint32_t)now;
		done += now;
	}
	if (n < len)
		console->refused = true;
	if (!used && n)
		loop_post(console->loop, &console->flush_msg);
	return n;
}

bool console_has_output(struct console *console)
{
	auto_lock(&console->lock);
	return console->ring;
}

bool console_put(struct console *console, uint8_t byte)
{
	return console_write(console, &byte, 1) == 1;
}

/* The first stretch of queued bytes that lies in one piece, copied out. */
static size_t console_peek(struct console *console, uint8_t *buf, size_t max)
{
	size_t n;

	auto_lock(&console->lock);
	n = MIN((size_t)(console->tail - console->head), max);
	n = MIN(n, (size_t)(CONSOLE_RING_SIZE - console->head % CONSOLE_RING_SIZE));
	if (n)
		memcpy(buf, console->ring + console->head % CONSOLE_RING_SIZE, n);
	return n;
}

/* Forgets n bytes; true if the peer waits for room. */
static bool console_advance(struct console *console, size_t n)
{
	bool refused;

	auto_lock(&console->lock);
	console->head += (uint32_t)n;
	refused = console->refused;
	console->refused = false;
	return refused;
}

void console_warn_once(struct console *console, int code)
{
	if (!console->warned)
		log_guest(&console->limit, "%s: output is dropped: %s", console->name,
			err_strerror(code));
	console->warned = true;
}

void console_empty_log(struct console *console)
{
	if (console->out_stale && console->out.fd >= 0 && ftruncate(console->out.fd, 0))
		console_warn_once(console, errno);
	console->out_stale = false;
}

/* write() that does not wait, whatever the descriptor's mode. */
static ssize_t console_write_now(struct console *console, const uint8_t *buf, size_t len)
{
	struct pollfd pfd = {.fd = console->out.fd, .events = POLLOUT};
	ssize_t n;

	if (!console->out_blocks)
		return write(console->out.fd, buf, len);
	n = send(console->out.fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n >= 0 || errno != ENOTSOCK)
		return n;
	if (poll(&pfd, 1, 0) == 1)
		return write(console->out.fd, buf, MIN(len, CONSOLE_BLOCKING_MAX));
	errno = EAGAIN;
	return -1;
}

/*
 * Has somebody read? Any byte tells, but of a pty: that one takes some by itself now and then, if
 * less than a ring.
 */
static void console_was_written(struct console *console, size_t n)
{
	console->full_ns = 0;
	console->taken += n;
	if (console->taken > (console->drop_when_full ? CONSOLE_RING_SIZE : 0))
		console->warned = false;
}

/* There is no room: is it worth while to wait for it? */
static bool console_may_wait(struct console *console)
{
	uint64_t now;

	if (!console->drop_when_full)
		return true;
	if (console->warned)
		return false;
	now = loop_now_ns();
	if (!console->full_ns)
		console->full_ns = now;
	return now - console->full_ns < CONSOLE_PATIENCE_NS;
}

/*
 * Writes one piece. > 0: so many bytes are done with, written or dropped; 0: the descriptor is
 * full, wait for it.
 */
static size_t console_write_piece(struct console *console, const uint8_t *buf, size_t len)
{
	ssize_t n;
	int code;

	if (console->out.fd < 0) {
		if (console->backend->lost)
			console_warn_once(console, ENOTCONN);
		return len;
	}
	console_empty_log(console);
	do
		n = console_write_now(console, buf, len);
	while (n < 0 && errno == EINTR);
	if (n >= 0) {
		console_was_written(console, (size_t)n);
		return n ? (size_t)n : len;
	}
	code = errno;
	if (code == EAGAIN && console_may_wait(console))
		return 0;
	console->taken = 0;
	console_warn_once(console, code);
	/* A full disk may have space again; everything else is for good. */
	if (code != EAGAIN && code != ENOSPC && code != EDQUOT && console->backend->lost)
		console->backend->lost(console);
	return len;
}

bool console_flush(struct console *console)
{
	uint8_t buf[CONSOLE_WRITE_MAX];
	size_t total = 0;
	size_t len;

	while ((len = console_peek(console, buf, sizeof(buf)))) {
		size_t n = total < CONSOLE_RING_SIZE ? console_write_piece(console, buf, len) : 0;

		if (!n)
			return false;
		total += n;
		if (console_advance(console, n) && console->peer)
			console->peer->writable(console->peer);
	}
	return true;
}

bool console_is_empty(struct console *console)
{
	auto_lock(&console->lock);
	return console->tail == console->head;
}

void console_drop(struct console *console)
{
	auto_lock(&console->lock);
	console->head = console->tail;
}
