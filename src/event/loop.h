/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event loop on epoll: file descriptors, timers, and messages from other threads with
 * acknowledgement. Each loop belongs to the one thread that runs it ([loop]); only loop_post(),
 * loop_call() and loop_stop() may be called from elsewhere ([any]).
 */
#pragma once

#include <pthread.h>

#include "base/err.h"

struct loop;

/* A file descriptor in a loop. Embedded; `fd` stays the owner's. */
struct loop_fd {
	int fd;
	uint32_t events;                                        /* EPOLLIN, EPOLLOUT, EPOLLET ... */
	void (*ready)(struct loop_fd *source, uint32_t events); /* [loop] */
	struct loop *loop;                                      /* NULL while not added */
};

/* A one-shot timer on CLOCK_MONOTONIC. Embedded. */
struct loop_timer {
	uint64_t deadline_ns;
	void (*fired)(struct loop_timer *timer); /* [loop] */
	struct loop_timer *next;
	struct loop *loop; /* NULL while not armed */
};

/* Work for the loop's thread. Embedded; may be posted again once it has run. */
struct loop_msg {
	void (*run)(struct loop_msg *msg); /* [loop] */
	struct loop_msg *next;
	bool posted;
	bool is_call; /* private: somebody waits for it */
	bool done;    /* private */
};

struct err *must_check loop_create(struct loop **ret_loop);
/* No source and no timer may be left; messages that nobody served are forgotten. NULL is fine. */
void loop_free(struct loop *loop);

/* 0 or -errno (EPERM: regular files cannot be polled). [loop], or before loop_run() */
int must_check loop_add(struct loop *loop, struct loop_fd *source);
/* Changes source->events; 0 or -errno (only of a descriptor that was closed behind its back). */
int loop_modify(struct loop_fd *source, uint32_t events);
/* Takes it out; its callback is not called any more, even if it was already ready. NULL-safe on
 * loop. */
void loop_remove(struct loop_fd *source);

/* Arms (again) at now + delay; cancels. [loop] */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ns);
void loop_timer_cancel(struct loop_timer *timer);

/* Queues msg; returns at once. A message that is still queued is not queued twice. [any] */
void loop_post(struct loop *loop, struct loop_msg *msg);
/* Queues msg and waits until it has run. Not from the loop's own thread, where it runs at once.
 * [any] */
void loop_call(struct loop *loop, struct loop_msg *msg);

/* Serves until loop_stop(); messages that are queued by then are run first. [loop] */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* CLOCK_MONOTONIC in nanoseconds. [any] */
uint64_t loop_now_ns(void);
