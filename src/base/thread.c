/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thread start and join.
 */
#include "base/thread.h"

#include <limits.h>
#include <signal.h>
#include <string.h>
#include <errno.h>
#include <time.h>

#include "base/log.h"

#define THREAD_STACK_SIZE KIB(128)

static void *thread_main(void *arg)
{
	struct thread *thread = arg;
	char name[16] = {0};

	strncpy(name, thread->name, sizeof(name) - 1);
	pthread_setname_np(pthread_self(), name);
	log_bind(thread->log);
	thread->run(thread);
	sem_post(&thread->ended);
	return NULL;
}

struct err *thread_start(struct thread *thread)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGTRAP, SIGABRT};
	pthread_attr_t attr;
	sigset_t all;
	int ret;

	assert(!thread->started);
	thread->log = log_current();
	sigfillset(&all);
	/* A fault that is blocked ends the process without the handler that puts a terminal back.
	 */
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		sigdelset(&all, faults[i]);
	sem_init(&thread->ended, 0, 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, MAX(THREAD_STACK_SIZE, (uint64_t)PTHREAD_STACK_MIN));
	pthread_attr_setsigmask_np(&attr, &all);
	ret = pthread_create(&thread->id, &attr, thread_main, thread);
	pthread_attr_destroy(&attr);
	if (ret)
		return err_new(ret, "Cannot start the thread '%s'", thread->name);
	thread->started = true;
	return NULL;
}

bool thread_join_within(struct thread *thread, uint64_t ns)
{
	struct timespec until;

	if (!thread->started)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &until);
	ns += (uint64_t)until.tv_nsec;
	until.tv_sec += (time_t)(ns / 1000000000u);
	until.tv_nsec = (long)(ns % 1000000000u);
	/* Not pthread_clockjoin_np(), which ThreadSanitizer does not know. */
	while (sem_clockwait(&thread->ended, CLOCK_MONOTONIC, &until))
		if (errno != EINTR)
			return false;
	thread_join(thread);
	return true;
}

void thread_join(struct thread *thread)
{
	if (!thread->started)
		return;
	pthread_join(thread->id, NULL);
	thread->started = false;
}
