/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A console with its loop, a peer that takes so much and no more, and a record of the log. The test
 * is the loop's thread: run_until() serves it until a condition holds.
 */
#pragma once

#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "device/console.h"
#include "event/loop.h"

#define HOST_DEADLINE_NS 20000000000ull
#define HOST_POLL_NS     1000000u

struct host {
	struct loop *loop;
	struct console *console;
	struct console_events events;
	struct console_peer peer;
	char got[8192];
	size_t got_len;
	size_t limit;                       /* of got_len */
	unsigned int receives;              /* calls */
	unsigned int writables, quits;      /* calls */
	unsigned int resizes;               /* calls */
	char connections[16];               /* c: connected, d: disconnected */
	void (*on_writable)(struct host *); /* optional */

	struct log *log;
	struct log_sink sink;
	char line[256]; /* the last one */
	unsigned int lines;

	struct loop_timer timer;
	bool (*until)(struct host *);
	uint64_t deadline;
	unsigned int turns; /* left */
	char dir[64];       /* for files */
	char path[96];
};

static inline size_t host_receive(struct console_peer *peer, const uint8_t *data, size_t len)
{
	struct host *h = container_of(peer, struct host, peer);
	size_t n = len < h->limit - h->got_len ? len : h->limit - h->got_len;

	h->receives++;
	memcpy(h->got + h->got_len, data, n);
	h->got_len += n;
	return n;
}

static inline void host_writable(struct console_peer *peer)
{
	struct host *h = container_of(peer, struct host, peer);

	h->writables++;
	if (h->on_writable)
		h->on_writable(h);
}

static inline void host_connected(struct console_peer *peer, bool connected)
{
	struct host *h = container_of(peer, struct host, peer);
	size_t n = strlen(h->connections);

	assert_true(n < sizeof(h->connections) - 1);
	h->connections[n] = connected ? 'c' : 'd';
}

static inline void host_resized(struct console_peer *peer)
{
	container_of(peer, struct host, peer)->resizes++;
}

static inline void host_quit(struct console_events *events)
{
	container_of(events, struct host, events)->quits++;
}

static inline void host_log(
	struct log_sink *sink, enum log_level level, const char *module, const char *text)
{
	struct host *h = container_of(sink, struct host, sink);

	(void)snprintf(h->line, sizeof(h->line), "%s", text);
	h->lines++;
}

static inline int host_setup(void **state)
{
	struct host *h = calloc(1, sizeof(*h));

	h->sink.write = host_log;
	h->events.quit = host_quit;
	h->peer = (struct console_peer){.receive = host_receive,
		.writable = host_writable,
		.connected = host_connected,
		.resized = host_resized};
	h->limit = sizeof(h->got);
	assert_ok(log_create("warn", &h->sink, &h->log));
	log_bind(h->log);
	assert_ok(loop_create(&h->loop));
	(void)snprintf(h->dir, sizeof(h->dir), "/tmp/alioth-console-XXXXXX");
	assert_non_null(mkdtemp(h->dir));
	(void)snprintf(h->path, sizeof(h->path), "%s/console", h->dir);
	*state = h;
	return 0;
}

static inline void host_close(struct host *h)
{
	console_free(h->console);
	h->console = NULL;
}

static inline int host_teardown(void **state)
{
	struct host *h = *state;

	host_close(h);
	loop_free(h->loop);
	log_bind(NULL);
	log_free(h->log);
	(void)unlink(h->path);
	(void)rmdir(h->dir);
	free(h);
	return 0;
}

static inline struct err *host_open(struct host *h, enum console_kind kind, const char *path)
{
	struct console_options options = {.kind = kind, .path = path};
	struct err *err = console_create(&options, h->loop, &h->events, &h->console);

	if (err)
		return err;
	console_set_peer(h->console, &h->peer);
	console_start(h->console);
	return NULL;
}

static inline void host_check(struct loop_timer *timer)
{
	struct host *h = container_of(timer, struct host, timer);

	if (h->until ? h->until(h) || loop_now_ns() >= h->deadline : !h->turns--)
		loop_stop(h->loop);
	else
		loop_timer_set(h->loop, &h->timer, HOST_POLL_NS);
}

static inline void run_until(struct host *h, bool (*until)(struct host *))
{
	h->until = until;
	h->deadline = loop_now_ns() + HOST_DEADLINE_NS;
	h->timer.fired = host_check;
	loop_timer_set(h->loop, &h->timer, 0);
	loop_run(h->loop);
	assert_true(until(h));
}

/* For what must not happen, or at once: a few turns of everything, however slow the machine. */
static inline void run_for_a_moment(struct host *h)
{
	h->until = NULL;
	h->turns = 30;
	h->timer.fired = host_check;
	loop_timer_set(h->loop, &h->timer, 0);
	loop_run(h->loop);
}

static inline void put(struct host *h, const char *text)
{
	while (*text)
		assert_true(console_put(h->console, (uint8_t)*text++));
}

/* As much as the ring takes. */
static inline size_t put_all(struct host *h, size_t max)
{
	size_t n = 0;

	while (n < max && console_put(h->console, (uint8_t)('a' + n % 26)))
		n++;
	return n;
}

static inline void assert_got(struct host *h, const char *text)
{
	assert_int_equal(h->got_len, strlen(text));
	assert_memory_equal(h->got, text, h->got_len);
}

/* Reads what is there, from a descriptor that does not wait; the number of bytes. */
static inline size_t drain(int fd, char *buf, size_t max)
{
	size_t total = 0;
	ssize_t n;

	while (total < max && (n = read(fd, buf + total, max - total)) > 0)
		total += (size_t)n;
	return total;
}
