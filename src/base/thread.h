/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads with a name, a small stack and the log of their creator; mutexes by scope. [any]
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>

#include "base/err.h"
#include "base/macros.h"

static inline pthread_mutex_t *thread_lock_enter(pthread_mutex_t *mutex)
{
	pthread_mutex_lock(mutex);
	return mutex;
}

static inline void thread_lock_leave(pthread_mutex_t **mutex)
{
	if (*mutex)
		pthread_mutex_unlock(*mutex);
}

/*
 * with_lock (&lock) statement: runs the statement with the mutex held, and releases it on every way
 * out (return, goto, break of an outer loop). A `break` or `continue` inside leaves only this
 * block.
 */
#define with_lock(mutex)                                                                           \
	for (pthread_mutex_t * held_                                                               \
			__attribute__((cleanup(thread_lock_leave))) = thread_lock_enter(mutex),    \
			*once_ = held_;                                                            \
		once_; once_ = NULL)

/* Holds the mutex until the end of the enclosing scope. */
#define auto_lock(mutex)                                                                           \
	__attribute__((cleanup(thread_lock_leave))) maybe_unused pthread_mutex_t *scope_lock_ =    \
		thread_lock_enter(mutex)

/* One thread's work: embed it in the object that the thread works on. */
struct thread {
	pthread_t id;
	const char *name; /* at most 15 characters are shown by the kernel; outlives the thread */
	void (*run)(struct thread *thread);
	struct log *log; /* set by thread_start */
	bool started;
	sem_t ended; /* posted as the last thing */
};

/*
 * Starts thread->run(thread) with a 128 KiB stack, all signals blocked but those of faults, and
 * bound to the caller's log. The object must stay until thread_join().
 */
struct err *must_check thread_start(struct thread *thread);
/* Waits for its end; does nothing if it was not started or was joined before. */
void thread_join(struct thread *thread);
/* The same, for so long; false: it still runs. */
bool must_check thread_join_within(struct thread *thread, uint64_t ns);
