/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging. The level tables are immutable after log_create(), so log_enabled() takes no lock; the
 * mutex orders lines on their way to the sink.
 */
#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <errno.h>

#include "base/alloc.h"
#include "base/thread.h"

#define LOG_MODULE_MAX 32
#define LOG_RULES_MAX  32
#define LOG_LINE_MAX   1024

struct log_rule {
	char module[LOG_MODULE_MAX];
	enum log_level level;
};

struct log {
	struct log_sink *sink;
	pthread_mutex_t lock;     /* orders lines on their way to the sink; lock order 120 */
	enum log_level level;     /* of modules without a rule */
	enum log_level max_level; /* highest of all, for a quick no */
	unsigned int n_rules;
	struct log_rule rules[LOG_RULES_MAX];
};

static _Thread_local struct log *log_thread;

static const char *const log_level_names[] = {"off", "error", "warn", "info", "debug", "trace"};

const char *log_level_name(enum log_level level)
{
	return log_level_names[level];
}

static bool log_parse_level(const char *text, enum log_level *ret_level)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(log_level_names); i++) {
		if (!strcmp(text, log_level_names[i])) {
			*ret_level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

static struct err *log_parse_item(struct log *log, char *item)
{
	char *eq = strchr(item, '=');
	enum log_level level;

	if (eq)
		*eq = '\0';
	if (!log_parse_level(eq ? eq + 1 : item, &level))
		return err_new(0, "'%s' is not a log level (off, error, warn, info, debug, trace)",
			eq ? eq + 1 : item);
	log->max_level = MAX(log->max_level, level);
	if (!eq) {
		log->level = level;
		return NULL;
	}
	if (log->n_rules == LOG_RULES_MAX || strlen(item) >= LOG_MODULE_MAX || !*item)
		return err_new(0, "Bad module '%s' in the log spec", item);
	strncpy(log->rules[log->n_rules].module, item, LOG_MODULE_MAX - 1);
	log->rules[log->n_rules++].level = level;
	return NULL;
}

static struct err *log_parse_spec(struct log *log, const char *spec)
{
	auto_free char *copy = strdup(spec);
	char *rest = copy;
	char *item;

	if (!copy)
		return err_new(ENOMEM, "Cannot parse the log spec");
	while ((item = strsep(&rest, ","))) {
		struct err *err = log_parse_item(log, item);

		if (err)
			return err_wrap(err, "Bad log spec '%s'", spec);
	}
	return NULL;
}

struct err *log_create(const char *spec, struct log_sink *sink, struct log **ret_log)
{
	struct log *log = new0(struct log);
	struct err *err;

	if (!log)
		return err_new(ENOMEM, "Cannot create a log");
	log->sink = sink;
	log->level = LOG_WARN;
	pthread_mutex_init(&log->lock, NULL);
	err = log_parse_spec(log, spec && *spec ? spec : "warn");
	log->max_level = MAX(log->max_level, log->level);
	if (err) {
		log_free(log);
		return err;
	}
	*ret_log = log;
	return NULL;
}

void log_free(struct log *log)
{
	if (!log)
		return;
	pthread_mutex_destroy(&log->lock);
	free(log);
}

struct log *log_bind(struct log *log)
{
	struct log *old = log_thread;

	log_thread = log;
	return old;
}

struct log *log_current(void)
{
	return log_thread;
}

static enum log_level log_module_level(const struct log *log, const char *module)
{
	enum log_level level = log->level;
	size_t best = 0;

	for (unsigned int i = 0; i < log->n_rules; i++) {
		size_t len = strlen(log->rules[i].module);

		if (len > best && !strncmp(module, log->rules[i].module, len)) {
			best = len;
			level = log->rules[i].level;
		}
	}
	return level;
}

bool log_enabled(enum log_level level, const char *module)
{
	const struct log *log = log_thread;

	if (!log || level > log->max_level)
		return false;
	return level <= log_module_level(log, module);
}

void log_write(enum log_level level, const char *module, const char *fmt, ...)
{
	struct log *log = log_thread;
	char line[LOG_LINE_MAX];
	va_list args;

	if (!log)
		return;
	va_start(args, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	with_lock (&log->lock)
		log->sink->write(log->sink, level, module, line);
}

void log_err_free(enum log_level level, const char *module, struct err *err)
{
	auto_free char *text = NULL;
	char *rest;
	char *line;

	if (!err)
		return;
	text = err_format(err);
	rest = text;
	while (log_enabled(level, module) && (line = strsep(&rest, "\n"))) {
		if (*line)
			log_write(level, module, "%s", line);
	}
	err_free(err);
}

#define LOG_LIMIT_BURST       5
#define LOG_LIMIT_INTERVAL_NS 5000000000ULL

bool log_limit_pass(struct log_limit *limit, unsigned int *ret_dropped)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
	/* What is counted orders nothing. */
	if (atomic_load_explicit(&limit->used, memory_order_relaxed) >= LOG_LIMIT_BURST &&
		now < atomic_load_explicit(&limit->next_ns, memory_order_relaxed)) {
		atomic_fetch_add_explicit(&limit->dropped, 1, memory_order_relaxed);
		return false;
	}
	*ret_dropped = atomic_exchange_explicit(&limit->dropped, 0, memory_order_relaxed);
	if (atomic_load_explicit(&limit->used, memory_order_relaxed) < LOG_LIMIT_BURST)
		atomic_fetch_add_explicit(&limit->used, 1, memory_order_relaxed);
	atomic_store_explicit(&limit->next_ns, now + LOG_LIMIT_INTERVAL_NS, memory_order_relaxed);
	return true;
}
