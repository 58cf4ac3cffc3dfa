/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error chain: a singly linked list from the outermost frame inwards.
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

#include "base/alloc.h"
#include "base/strbuf.h"

struct err {
	struct err *cause; /* the next frame inwards, NULL for the innermost */
	const char *file;
	int line;
	int code;
	char *text;
};

/* What is returned when there is no memory for a frame; never freed. */
static struct err err_oom = {
	.file = __FILE__,
	.line = __LINE__,
	.code = ENOMEM,
	.text = (char[]){"Out of memory"},
};

static struct err *err_build(struct err *cause, const char *file, int line, int code,
	const char *fmt, va_list args) printf_like(5, 0);

static struct err *err_build(
	struct err *cause, const char *file, int line, int code, const char *fmt, va_list args)
{
	struct err *err = new0(struct err);

	if (!err || vasprintf(&err->text, fmt, args) < 0) {
		free(err);
		return cause ? cause : &err_oom;
	}
	err->cause = cause;
	err->file = file;
	err->line = line;
	err->code = code;
	return err;
}

struct err *err_new_at(const char *file, int line, int code, const char *fmt, ...)
{
	struct err *err;
	va_list args;

	va_start(args, fmt);
	err = err_build(NULL, file, line, code, fmt, args);
	va_end(args);
	return err;
}

struct err *err_wrap_at(const char *file, int line, struct err *cause, const char *fmt, ...)
{
	struct err *err;
	va_list args;

	if (!cause)
		return NULL;
	va_start(args, fmt);
	err = err_build(cause, file, line, 0, fmt, args);
	va_end(args);
	return err;
}

void err_free(struct err *err)
{
	while (err && err != &err_oom) {
		struct err *cause = err->cause;

		free(err->text);
		free(err);
		err = cause;
	}
}

int err_code(const struct err *err)
{
	int code = 0;

	for (; err; err = err->cause)
		code = err->code;
	return code;
}

const char *err_text(const struct err *err)
{
	return err ? err->text : "";
}

/* Build trees put "../../" or more before __FILE__; the reader wants the path in the repository. */
static const char *err_repo_path(const char *file)
{
	const char *path = file;

	for (const char *src = strstr(file, "src/"); src; src = strstr(src + 1, "src/"))
		path = src;
	return path;
}

bool err_frame(const struct err *err, unsigned int index, const char **ret_text,
	const char **ret_file, int *ret_line)
{
	unsigned int depth = 0;

	for (const struct err *e = err; e; e = e->cause)
		depth++;
	if (index >= depth)
		return false;
	for (unsigned int i = depth - 1; i > index; i--)
		err = err->cause;
	*ret_text = err->text;
	*ret_file = err_repo_path(err->file);
	*ret_line = err->line;
	return true;
}

const char *err_strerror(int code)
{
	const char *text = strerrordesc_np(code);

	return text ? text : "Unknown error";
}

char *err_format(const struct err *err)
{
	struct strbuf sb = STRBUF_INIT(KIB(64));
	const char *text;
	const char *file;
	unsigned int n = 0;
	int line;

	strbuf_printf(&sb, "Error: %s\n", err_text(err));
	if (err_code(err))
		strbuf_printf(&sb, "%u: %s (os error %d)\n", n++, err_strerror(err_code(err)),
			err_code(err));
	for (unsigned int i = 0; err_frame(err, i, &text, &file, &line); i++)
		strbuf_printf(&sb, "%u: %s, at %s:%d\n", n++, text, file, line);
	return strbuf_steal(&sb);
}
