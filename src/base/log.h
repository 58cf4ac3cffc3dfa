/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Levelled, per-module logging without global state: each virtual machine has a `struct log`, and
 * each of its threads is bound to it (a thread-local pointer, set by whoever starts the thread or
 * enters the library). A thread that is not bound logs nowhere.
 *
 * A module is a folder or a file of src/: a file defines LOG_MODULE before it includes this header
 * ("virtio_blk"). A spec is "LEVEL[,MODULE=LEVEL]..." with the levels off, error, warn, info, debug
 * and trace; a module's level also covers the modules whose names start with it.
 */
#pragma once

#include <stdarg.h>
#include <stdatomic.h>

#include "base/err.h"
#include "base/macros.h"

enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

/*
 * Takes one finished line (no newline). Called with the log's lock held, by any thread: it must not
 * log, and should be quick.
 */
struct log_sink {
	void (*write)(
		struct log_sink *sink, enum log_level level, const char *module, const char *text);
};

struct log;

/* A log that hands its lines to `sink` (not owned; outlives the log). `spec` as above; NULL is
 * "warn". */
struct err *must_check log_create(const char *spec, struct log_sink *sink, struct log **ret_log);
/* Frees the log; no thread may be bound to it any more. NULL is fine. */
void log_free(struct log *log);

/* Binds this thread to a log (NULL: none) and returns the one it was bound to. */
struct log *log_bind(struct log *log);
/* The log that this thread is bound to, or NULL. */
struct log *log_current(void);

/* true if a line of this level and module would be written by this thread. */
bool log_enabled(enum log_level level, const char *module);
void log_write(enum log_level level, const char *module, const char *fmt, ...) printf_like(3, 4);
/* Logs the whole chain at the given level and frees it; NULL does nothing. */
void log_err_free(enum log_level level, const char *module, struct err *err);

const char *log_level_name(enum log_level level);

/*
 * Lets through `burst` events, then one per interval; counts what it swallowed. For lines that a
 * guest can cause. Zero-initialised. Threads may share one: at worst a line more passes. [any]
 */
struct log_limit {
	_Atomic uint64_t next_ns;
	_Atomic unsigned int used;
	_Atomic unsigned int dropped;
};
/* true if the event may be logged; *ret_dropped tells how many were swallowed before it. */
bool log_limit_pass(struct log_limit *limit, unsigned int *ret_dropped);

#define log_at(level, ...)                                                                         \
	do {                                                                                       \
		if (unlikely(log_enabled((level), LOG_MODULE)))                                    \
			log_write((level), LOG_MODULE, __VA_ARGS__);                               \
	} while (0)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_trace(...) log_at(LOG_TRACE, __VA_ARGS__)

/* A warning that a guest can cause: at most a handful, then one in 5 s. */
#define log_guest(limit, ...)                                                                      \
	do {                                                                                       \
		unsigned int dropped_;                                                             \
		if (log_limit_pass((limit), &dropped_)) {                                          \
			if (dropped_)                                                              \
				log_warn("%u similar messages suppressed", dropped_);              \
			log_warn(__VA_ARGS__);                                                     \
		}                                                                                  \
	} while (0)
