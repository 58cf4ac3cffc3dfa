/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error chain of the control path. NULL is success; a non-NULL error is owned by whoever holds
 * the pointer. The innermost frame carries the errno; each caller adds a frame that says what it
 * was doing. Never allocates more than a few hundred bytes a frame; out of memory yields a static
 * error that err_free() accepts. All functions [any]; one error belongs to one thread at a time.
 */
#pragma once

#include <stddef.h>

#include "base/macros.h"

struct err;

/*
 * New error. `code` is an errno value (> 0) or 0 when the text says it all. The text is
 * a printf format without a trailing newline or period.
 */
#define err_new(code, ...) err_new_at(__FILE__, __LINE__, (code), __VA_ARGS__)

/* Adds a frame to `err` (owned by the call) and returns it; NULL stays NULL. */
#define err_wrap(err, ...) err_wrap_at(__FILE__, __LINE__, (err), __VA_ARGS__)

struct err *must_check err_new_at(const char *file, int line, int code, const char *fmt, ...)
	printf_like(4, 5);
struct err *must_check err_wrap_at(
	const char *file, int line, struct err *err, const char *fmt, ...) printf_like(4, 5);

/* Frees the chain; NULL is fine. */
void err_free(struct err *err);

/* The errno of the innermost frame, or 0. `err` may be NULL. */
int err_code(const struct err *err);

/* The text of the outermost frame ("" for NULL); lives as long as the error. */
const char *err_text(const struct err *err);

/*
 * The whole chain as text: "Error: <outermost>\n0: <strerror> (os error N)\n1: <innermost>, at
 * file:line\n2: ...\n". The caller frees it; NULL when out of memory.
 */
char *must_check err_format(const struct err *err);

/*
 * Frames from the innermost outwards, for callers that make their own form (JSON). Index 0 is the
 * innermost. Returns false past the end. The strings live as long as the error.
 */
bool err_frame(const struct err *err, unsigned int index, const char **ret_text,
	const char **ret_file, int *ret_line);

/* "No such file or directory" for an errno value, thread-safe, never NULL. */
const char *err_strerror(int code);

static inline void auto_err_cleanup(struct err **err)
{
	err_free(*err);
}

/* The error is freed at the end of its scope, unless it was stolen. */
#define auto_err __attribute__((cleanup(auto_err_cleanup)))
