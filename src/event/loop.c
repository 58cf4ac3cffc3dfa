/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The epoll loop. Timers are a sorted list and the time-out of epoll_wait, so that an idle loop
 * never wakes up. Messages are a locked list and an eventfd that is written only when the list was
 * empty.
 */
#include "event/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/thread.h"

#define LOOP_EVENTS   32
#define LOOP_MESSAGES 32 /* in one turn */

struct loop {
	int epoll;
	struct loop_fd wake;       /* the eventfd of the message list */
	struct loop_timer *timers; /* by deadline */

	/* The batch being served, so that a removed source can be struck from it. */
	struct epoll_event batch[LOOP_EVENTS];
	int batch_n;

	pthread_mutex_t lock; /* guards what follows; lock order 100 */
	pthread_cond_t done;  /* a called message has run */
	struct loop_msg *first;
	struct loop_msg **last;
	pthread_t thread;
	bool running; /* thread is valid */
	bool stop;
};

uint64_t loop_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static void loop_drain_wake(struct loop_fd *source, uint32_t events)
{
	fd_eventfd_drain(source->fd);
}

struct err *loop_create(struct loop **ret_loop)
{
	struct loop *loop = new0(struct loop);
	int ret = -ENOMEM;

	if (!loop)
		return err_new(ENOMEM, "Cannot create an event loop");
	loop->last = &loop->first;
	loop->wake.events = EPOLLIN;
	loop->wake.ready = loop_drain_wake;
	loop->wake.fd = fd_eventfd();
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->done, NULL);
	if (loop->epoll < 0)
		ret = -errno;
	else if (loop->wake.fd < 0)
		ret = loop->wake.fd;
	else
		ret = loop_add(loop, &loop->wake);
	if (ret) {
		loop_free(loop);
		return err_new(-ret, "Cannot create an event loop");
	}
	*ret_loop = loop;
	return NULL;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	assert(!loop->timers);
	auto_close_cleanup(&loop->wake.fd);
	auto_close_cleanup(&loop->epoll);
	pthread_cond_destroy(&loop->done);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

int loop_add(struct loop *loop, struct loop_fd *source)
{
	struct epoll_event event = {.events = source->events, .data.ptr = source};

	assert(!source->loop);
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, source->fd, &event))
		return -errno;
	source->loop = loop;
	return 0;
}

int loop_modify(struct loop_fd *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (source->events == events)
		return 0;
	if (epoll_ctl(source->loop->epoll, EPOLL_CTL_MOD, source->fd, &event))
		return -errno;
	source->events = events;
	return 0;
}

void loop_remove(struct loop_fd *source)
{
	struct loop *loop = source->loop;

	if (!loop)
		return;
	(void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
	for (int i = 0; i < loop->batch_n; i++) {
		if (loop->batch[i].data.ptr == source)
			loop->batch[i].data.ptr = NULL;
	}
	source->loop = NULL;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ns)
{
	struct loop_timer **at = &loop->timers;

	loop_timer_cancel(timer);
	if (__builtin_add_overflow(loop_now_ns(), delay_ns, &timer->deadline_ns))
		timer->deadline_ns = UINT64_MAX;
	while (*at && (*at)->deadline_ns <= timer->deadline_ns)
		at = &(*at)->next;
	timer->next = *at;
	timer->loop = loop;
	*at = timer;
}

void loop_timer_cancel(struct loop_timer *timer)
{
	struct loop_timer **at;

	if (!timer->loop)
		return;
	at = &timer->loop->timers;
	while (*at != timer)
		at = &(*at)->next;
	*at = timer->next;
	timer->loop = NULL;
}

static void loop_enqueue_locked(struct loop *loop, struct loop_msg *msg)
{
	bool was_empty = !loop->first;

	msg->next = NULL;
	msg->posted = true;
	msg->done = false;
	*loop->last = msg;
	loop->last = &msg->next;
	if (was_empty)
		fd_eventfd_signal(loop->wake.fd);
}

void loop_post(struct loop *loop, struct loop_msg *msg)
{
	auto_lock(&loop->lock);
	if (msg->posted)
		return;
	msg->is_call = false;
	loop_enqueue_locked(loop, msg);
}

void loop_call(struct loop *loop, struct loop_msg *msg)
{
	bool here;

	with_lock (&loop->lock)
		here = loop->running && pthread_equal(loop->thread, pthread_self());
	if (here) {
		msg->run(msg);
		return;
	}
	auto_lock(&loop->lock);
	msg->is_call = true;
	loop_enqueue_locked(loop, msg);
	while (!msg->done)
		pthread_cond_wait(&loop->done, &loop->lock);
}

/* Takes the next message out of the list; NULL if there is none. */
static struct loop_msg *loop_take(struct loop *loop, bool *ret_is_call)
{
	struct loop_msg *msg;

	auto_lock(&loop->lock);
	msg = loop->first;
	if (!msg)
		return NULL;
	loop->first = msg->next;
	if (!loop->first)
		loop->last = &loop->first;
	msg->posted = false;
	*ret_is_call = msg->is_call;
	return msg;
}

/*
 * A turn's share: others may post as fast as we serve (a guest that reads its console), and
 * descriptors and timers want their turn too. What is left has no wake-up any more, so it gets one.
 */
static void loop_run_messages(struct loop *loop)
{
	struct loop_msg *msg;
	bool is_call;

	for (int i = 0; i < LOOP_MESSAGES; i++) {
		msg = loop_take(loop, &is_call);
		if (!msg)
			return;
		msg->run(msg);
		/* A posted message may be gone by now; a called one's owner waits for `done`. */
		if (!is_call)
			continue;
		auto_lock(&loop->lock);
		msg->done = true;
		pthread_cond_broadcast(&loop->done);
	}
	fd_eventfd_signal(loop->wake.fd);
}

static void loop_run_timers(struct loop *loop)
{
	uint64_t now = loop->timers ? loop_now_ns() : 0;

	while (loop->timers && loop->timers->deadline_ns <= now) {
		struct loop_timer *timer = loop->timers;

		loop_timer_cancel(timer);
		timer->fired(timer);
	}
}

/* Milliseconds until the next timer, rounded up; -1: none. */
static int loop_timeout(const struct loop *loop)
{
	uint64_t now;
	uint64_t ms;

	if (!loop->timers)
		return -1;
	now = loop_now_ns();
	if (loop->timers->deadline_ns <= now)
		return 0;
	ms = (loop->timers->deadline_ns - now - 1) / 1000000 + 1;
	return ms > 1000000 ? 1000000 : (int)ms;
}

static bool loop_stopped(struct loop *loop)
{
	auto_lock(&loop->lock);
	return loop->stop && !loop->first;
}

void loop_run(struct loop *loop)
{
	with_lock (&loop->lock) {
		loop->thread = pthread_self();
		loop->running = true;
	}
	while (!loop_stopped(loop)) {
		int n = epoll_wait(loop->epoll, loop->batch, LOOP_EVENTS, loop_timeout(loop));

		loop->batch_n = n < 0 ? 0 : n; /* EINTR: look at everything else */
		for (int i = 0; i < loop->batch_n; i++) {
			struct loop_fd *source = loop->batch[i].data.ptr;

			if (source)
				source->ready(source, loop->batch[i].events);
		}
		loop->batch_n = 0;
		loop_run_timers(loop);
		loop_run_messages(loop);
	}
	with_lock (&loop->lock) {
		loop->running = false;
		loop->stop = false;
	}
}

void loop_stop(struct loop *loop)
{
	auto_lock(&loop->lock);
	loop->stop = true;
	fd_eventfd_signal(loop->wake.fd);
}
