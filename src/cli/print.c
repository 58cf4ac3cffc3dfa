/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error lines and output.
 */
#include "cli/print.h"

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "cli/exit_status.h"

#define CLI_LINE_MAX KIB(64)

void cli_make_printable(char *text, char keep)
{
	for (; *text; text++) {
		if (((unsigned char)*text < ' ' || *text == 0x7f) && *text != keep)
			*text = '?';
	}
}

static int cli_usage_line(const char *command, struct strbuf *text)
{
	const char *space = *command ? " " : "";

	if (text->data)
		cli_make_printable(text->data, '\0');
	(void)fprintf(stderr, "alioth%s%s: %s; see alioth%s%s --help\n", space, command,
		strbuf_text(text), space, command);
	return CLI_USAGE;
}

int cli_usage_error(const char *command, const char *fmt, ...)
{
	auto_strbuf struct strbuf text = STRBUF_INIT(CLI_LINE_MAX);
	va_list args;

	va_start(args, fmt);
	strbuf_vprintf(&text, fmt, args);
	va_end(args);
	return cli_usage_line(command, &text);
}

int cli_usage_err(const char *command, struct err *err)
{
	auto_strbuf struct strbuf text = STRBUF_INIT(CLI_LINE_MAX);
	const char *frame;
	const char *file;
	unsigned int n = 0;
	int line;

	while (err_frame(err, n, &frame, &file, &line))
		n++;
	while (n-- > 0 && err_frame(err, n, &frame, &file, &line))
		strbuf_printf(&text, "%s%s", text.len ? ": " : "", frame);
	err_free(err);
	return cli_usage_line(command, &text);
}

int cli_usage_alioth_error(const char *command, struct alioth_error *error)
{
	auto_strbuf struct strbuf text = STRBUF_INIT(CLI_LINE_MAX);
	struct alioth_error_frame frame;
	unsigned int n = 0;

	while (alioth_error_get_frame(error, n, &frame))
		n++;
	while (n-- > 0 && alioth_error_get_frame(error, n, &frame))
		strbuf_printf(&text, "%s%s", text.len ? ": " : "", frame.text);
	alioth_error_free(error);
	return cli_usage_line(command, &text);
}

int cli_print_error(struct alioth_error *error, int status)
{
	auto_free char *text = alioth_error_format(error);

	if (text)
		cli_make_printable(text, '\n');
	(void)fputs(text ? text : "Error: Out of memory\n", stderr);
	alioth_error_free(error);
	return status;
}

int cli_print(const struct strbuf *text)
{
	int code = 0;

	if (text->failed)
		code = ENOMEM;
	else if (fputs(strbuf_text(text), stdout) == EOF || fflush(stdout) == EOF)
		code = errno;
	if (code)
		(void)fprintf(stderr, "alioth: Cannot write to standard output: %s\n",
			err_strerror(code));
	return code ? CLI_FAILED : CLI_OK;
}
