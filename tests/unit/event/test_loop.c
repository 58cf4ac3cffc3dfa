/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/thread.h"
#include "event/loop.h"

struct test_loop {
	struct thread thread;
	struct loop *loop;
	struct loop_fd fd;
	struct loop_fd other;
	struct loop_timer timers[3];
	struct loop_msg msg;
	int count;
	int order[3];
};

static void test_thread(struct thread *thread)
{
	loop_run(container_of(thread, struct test_loop, thread)->loop);
}

static void test_start(struct test_loop *t)
{
	*t = (struct test_loop){.thread = {.name = "loop", .run = test_thread}};
	assert_ok(loop_create(&t->loop));
}

static void test_finish(struct test_loop *t)
{
	loop_stop(t->loop);
	thread_join(&t->thread);
	loop_free(t->loop);
}

static void test_count(struct loop_msg *msg)
{
	container_of(msg, struct test_loop, msg)->count++;
}

static void test_calls_wait_and_posts_run_before_the_end(void **state)
{
	struct test_loop t;

	test_start(&t);
	t.msg.run = test_count;
	loop_post(t.loop, &t.msg);
	loop_post(t.loop, &t.msg); /* still queued: once */
	assert_ok(thread_start(&t.thread));
	for (int i = 0; i < 1000; i++) {
		struct test_loop call = {.msg.run = test_count};

		loop_call(t.loop, &call.msg);
		assert_int_equal(call.count, 1);
	}
	test_finish(&t);
	assert_int_equal(t.count, 1);
}

/* A message that was called once may be posted later and then belongs to its run function. */
static void test_free_msg(struct loop_msg *msg)
{
	struct test_loop *t = container_of(msg, struct test_loop, msg);

	if (t->count++)
		free(t);
}

static void test_a_message_may_be_called_then_posted(void **state)
{
	struct test_loop *owned = calloc(1, sizeof(*owned));
	struct test_loop t;

	assert_non_null(owned);
	owned->msg.run = test_free_msg;
	test_start(&t);
	assert_ok(thread_start(&t.thread));
	loop_call(t.loop, &owned->msg);
	loop_post(t.loop, &owned->msg);
	test_finish(&t);
}

/* Posts itself again, as a guest can make a device do, until the timer and the descriptor were
 * served.
 */
static void test_repost(struct loop_msg *msg)
{
	struct test_loop *t = container_of(msg, struct test_loop, msg);

	if (t->count < 2)
		loop_post(t->loop, msg);
}

static void test_timer_counts(struct loop_timer *timer)
{
	container_of(timer, struct test_loop, timers[0])->count++;
}

static void test_fd_counts(struct loop_fd *source, uint32_t events)
{
	fd_eventfd_drain(source->fd);
	container_of(source, struct test_loop, fd)->count++;
}

static void test_messages_leave_a_turn_to_the_others(void **state)
{
	struct test_loop t;

	test_start(&t);
	t.msg.run = test_repost;
	t.timers[0].fired = test_timer_counts;
	loop_timer_set(t.loop, &t.timers[0], 1000000);
	t.fd = (struct loop_fd){.fd = fd_eventfd(), .events = EPOLLIN, .ready = test_fd_counts};
	assert_int_equal(loop_add(t.loop, &t.fd), 0);
	loop_post(t.loop, &t.msg);
	assert_ok(thread_start(&t.thread));
	fd_eventfd_signal(t.fd.fd);
	loop_stop(t.loop); /* messages come first, so this waits for the other two */
	thread_join(&t.thread);
	assert_int_equal(t.count, 2);
	loop_remove(&t.fd);
	close(t.fd.fd);
	loop_free(t.loop);
}

struct test_poster {
	struct thread thread;
	struct loop *loop;
};

static void test_poster_run(struct thread *thread)
{
	struct test_poster *poster = container_of(thread, struct test_poster, thread);

	for (int i = 0; i < 2000; i++) {
		struct test_loop call = {.msg.run = test_count};

		loop_call(poster->loop, &call.msg);
		if (call.count != 1)
			abort();
	}
}

static void test_calls_from_many_threads_run_once_each(void **state)
{
	struct test_poster posters[4];
	struct test_loop t;

	test_start(&t);
	assert_ok(thread_start(&t.thread));
	for (int i = 0; i < 4; i++) {
		posters[i] = (struct test_poster){
			.loop = t.loop, .thread = {.name = "poster", .run = test_poster_run}};
		assert_ok(thread_start(&posters[i].thread));
	}
	for (int i = 0; i < 4; i++)
		thread_join(&posters[i].thread);
	test_finish(&t);
}

static void test_call_back(struct loop_msg *msg)
{
	struct test_loop *t = container_of(msg, struct test_loop, msg);
	struct test_loop inner = {.msg.run = test_count};

	loop_call(t->loop, &inner.msg);
	t->count = inner.count;
}

static void test_a_call_from_the_own_thread_runs_at_once(void **state)
{
	struct test_loop t;

	test_start(&t);
	t.msg.run = test_call_back;
	assert_ok(thread_start(&t.thread));
	loop_call(t.loop, &t.msg);
	assert_int_equal(t.count, 1);
	test_finish(&t);
}

static _Atomic int test_signals;

static void test_handler(int sig)
{
	test_signals++;
}

/* A thread that takes signals, unlike those of thread_start(). */
static void *test_plain_thread(void *arg)
{
	loop_run(arg);
	return NULL;
}

static void test_signals_do_not_end_the_loop(void **state)
{
	struct sigaction action = {.sa_handler = test_handler};
	struct test_loop t;
	pthread_t thread;

	sigaction(SIGUSR1, &action, NULL);
	test_start(&t);
	pthread_create(&thread, NULL, test_plain_thread, t.loop);
	for (int i = 0; i < 200; i++) {
		struct test_loop call = {.msg.run = test_count};

		pthread_kill(thread, SIGUSR1);
		loop_call(t.loop, &call.msg);
		assert_int_equal(call.count, 1);
	}
	loop_stop(t.loop);
	pthread_join(thread, NULL);
	loop_free(t.loop);
	assert_in_range(test_signals, 1, 200);
}

/* How often the thread of this loop gave up its processor. */
static void test_read_switches(struct loop_msg *msg)
{
	struct test_loop *t = container_of(msg, struct test_loop, msg);
	FILE *f = fopen("/proc/thread-self/status", "re");
	char line[128];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		(void)sscanf(line, "voluntary_ctxt_switches: %d", &t->count);
	(void)fclose(f);
}

static int test_switches(struct test_loop *t)
{
	t->msg.run = test_read_switches;
	loop_call(t->loop, &t->msg);
	return t->count;
}

static void test_an_idle_loop_sleeps(void **state)
{
	struct test_loop t;
	int before;

	test_start(&t);
	assert_ok(thread_start(&t.thread));
	before = test_switches(&t);
	(void)usleep(50000);
	/* Once more to wait, and what the lock may cost. */
	assert_in_range(test_switches(&t) - before, 0, 4);
	test_finish(&t);
}

static void test_first_removes_other(struct loop_fd *source, uint32_t events)
{
	struct test_loop *t = container_of(source, struct test_loop, fd);

	t->count++;
	loop_remove(&t->other);
	loop_remove(&t->fd);
	loop_stop(t->loop);
}

static void test_other_removes_first(struct loop_fd *source, uint32_t events)
{
	struct test_loop *t = container_of(source, struct test_loop, other);

	t->count++;
	loop_remove(&t->fd);
	loop_remove(&t->other);
	loop_stop(t->loop);
}

static void test_removed_source_of_the_same_batch_is_not_called(void **state)
{
	struct test_loop t;
	int fds[2][2];

	test_start(&t);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pipe(fds[i]), 0);
		assert_int_equal(write(fds[i][1], "x", 1), 1);
	}
	t.fd = (struct loop_fd){
		.fd = fds[0][0], .events = EPOLLIN, .ready = test_first_removes_other};
	t.other = (struct loop_fd){
		.fd = fds[1][0], .events = EPOLLIN, .ready = test_other_removes_first};
	assert_int_equal(loop_add(t.loop, &t.fd), 0);
	assert_int_equal(loop_add(t.loop, &t.other), 0);
	loop_run(t.loop);
	assert_int_equal(t.count, 1);
	loop_free(t.loop);
	for (int i = 0; i < 2; i++) {
		close(fds[i][0]);
		close(fds[i][1]);
	}
}

static void test_fired(struct test_loop *t, int which)
{
	t->order[t->count++] = which;
	if (t->count == 2)
		loop_stop(t->loop);
}

static void test_fired0(struct loop_timer *timer)
{
	test_fired(container_of(timer, struct test_loop, timers[0]), 0);
}

static void test_fired1(struct loop_timer *timer)
{
	test_fired(container_of(timer, struct test_loop, timers[1]), 1);
}

static void test_timers_fire_in_order_and_can_be_cancelled(void **state)
{
	struct test_loop t;

	test_start(&t);
	t.timers[0].fired = test_fired0;
	t.timers[1].fired = test_fired1;
	t.timers[2].fired = test_fired0;
	loop_timer_set(t.loop, &t.timers[0], 2000000);
	loop_timer_set(t.loop, &t.timers[2], 500000);
	loop_timer_set(t.loop, &t.timers[1], 1000000);
	loop_timer_set(t.loop, &t.timers[1], 1000); /* again: replaces the first */
	loop_timer_cancel(&t.timers[2]);
	loop_run(t.loop);
	assert_int_equal(t.order[0], 1);
	assert_int_equal(t.order[1], 0);
	loop_free(t.loop);
}

static void test_regular_files_are_refused(void **state)
{
	struct test_loop t;
	int fd = open("/proc/self/exe", O_RDONLY);

	test_start(&t);
	t.fd = (struct loop_fd){.fd = fd, .events = EPOLLIN, .ready = test_first_removes_other};
	assert_int_equal(loop_add(t.loop, &t.fd), -EPERM);
	loop_free(t.loop);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_wait_and_posts_run_before_the_end),
		cmocka_unit_test(test_a_message_may_be_called_then_posted),
		cmocka_unit_test(test_messages_leave_a_turn_to_the_others),
		cmocka_unit_test(test_calls_from_many_threads_run_once_each),
		cmocka_unit_test(test_a_call_from_the_own_thread_runs_at_once),
		cmocka_unit_test(test_signals_do_not_end_the_loop),
		cmocka_unit_test(test_an_idle_loop_sleeps),
		cmocka_unit_test(test_removed_source_of_the_same_batch_is_not_called),
		cmocka_unit_test(test_timers_fire_in_order_and_can_be_cancelled),
		cmocka_unit_test(test_regular_files_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
