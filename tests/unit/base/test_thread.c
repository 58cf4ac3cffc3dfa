/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "base/thread.h"

struct probe {
	struct thread thread;
	sigset_t mask;
	struct log *log;
	char name[16];
};

static void probe_run(struct thread *thread)
{
	struct probe *probe = container_of(thread, struct probe, thread);

	pthread_sigmask(SIG_SETMASK, NULL, &probe->mask);
	pthread_getname_np(pthread_self(), probe->name, sizeof(probe->name));
	probe->log = log_current();
}

static void test_run(struct probe *probe)
{
	*probe = (struct probe){
		.thread = {.name = "a name that is much too long", .run = probe_run}};
	assert_ok(thread_start(&probe->thread));
	thread_join(&probe->thread);
	thread_join(&probe->thread); /* nothing any more */
}

/* The process's signals are for others; a fault is the thread's own, and blocked it would kill. */
static void test_threads_take_faults_but_no_signals(void **state)
{
	static const int blocked[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGCHLD, SIGALRM};
	static const int open[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGTRAP, SIGABRT};
	struct probe probe;

	test_run(&probe);
	for (size_t i = 0; i < ARRAY_SIZE(blocked); i++)
		assert_true(sigismember(&probe.mask, blocked[i]));
	assert_true(sigismember(&probe.mask, SIGRTMAX - 1));
	for (size_t i = 0; i < ARRAY_SIZE(open); i++)
		assert_false(sigismember(&probe.mask, open[i]));
}

static void test_names_are_cut(void **state)
{
	struct probe probe;

	test_run(&probe);
	assert_string_equal(probe.name, "a name that is ");
}

static void test_threads_inherit_the_log(void **state)
{
	struct log_sink sink = {0};
	struct probe probe;
	struct log *log;

	assert_ok(log_create(NULL, &sink, &log));
	(void)log_bind(log);
	test_run(&probe);
	(void)log_bind(NULL);
	assert_ptr_equal(probe.log, log);
	log_free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_take_faults_but_no_signals),
		cmocka_unit_test(test_names_are_cut),
		cmocka_unit_test(test_threads_inherit_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
