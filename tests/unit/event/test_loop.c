/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

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
		cmocka_unit_test(test_removed_source_of_the_same_batch_is_not_called),
		cmocka_unit_test(test_timers_fire_in_order_and_can_be_cancelled),
		cmocka_unit_test(test_regular_files_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
