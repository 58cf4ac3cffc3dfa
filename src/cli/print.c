/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error lines and output.
 */
#include "cli/print.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

int cli_usage_unexpected(const char *command, const struct config_struct *schema, const char *word)
{
	/* "--k": no other word begins like an option and is none. */
	const char letter[2] = {strncmp(word, "--", 2) != 0 ? '\0' : word[2]};

	if (!*letter)
		return cli_usage_error(command, "Unexpected argument '%s'", word);
	if (config_option_find(schema, letter))
		return cli_usage_error(
			command, "Unknown option '%s'; did you mean '-%s'?", word, letter);
	return cli_usage_error(command, "Unknown option '%s'", word);
}

void cli_join_err(const struct err *err, struct strbuf *out)
{
	const char *frame;
	const char *file;
	unsigned int n = 0;
	int line;

	while (err_frame(err, n, &frame, &file, &line))
		n++;
	while (n-- > 0 && err_frame(err, n, &frame, &file, &line))
		strbuf_printf(out, "%s%s", out->len ? ": " : "", frame);
}

int cli_usage_err(const char *command, struct err *err)
{
	auto_strbuf struct strbuf text = STRBUF_INIT(CLI_LINE_MAX);

	cli_join_err(err, &text);
	err_free(err);
	return cli_usage_line(command, &text);
}

static void cli_join_alioth_error(const struct alioth_error *error, struct strbuf *out)
{
	struct alioth_error_frame frame;
	unsigned int n = 0;

	while (alioth_error_get_frame(error, n, &frame))
		n++;
	while (n-- > 0 && alioth_error_get_frame(error, n, &frame))
		strbuf_printf(out, "%s%s", out->len ? ": " : "", frame.text);
}

int cli_usage_alioth_error(const char *command, struct alioth_error *error)
{
	auto_strbuf struct strbuf text = STRBUF_INIT(CLI_LINE_MAX);

	cli_join_alioth_error(error, &text);
	alioth_error_free(error);
	return cli_usage_line(command, &text);
}

/* The lines of the chain without the first one, which has no place. */
static void cli_print_places(const struct alioth_error *error)
{
	auto_free char *text = alioth_error_format(error);
	char *rest = text ? strchr(text, '\n') : NULL;

	if (!rest)
		return;
	cli_make_printable(rest, '\n');
	(void)fputs(rest + 1, stderr);
}

int cli_print_error(struct alioth_error *error, bool places, int status)
{
	auto_strbuf struct strbuf text = STRBUF_INIT(CLI_LINE_MAX);
	int code = alioth_error_code(error);

	cli_join_alioth_error(error, &text);
	if (text.data)
		cli_make_printable(text.data, '\0');
	(void)fprintf(stderr, "Error: %s%s%s\n", strbuf_text(&text), code ? ": " : "",
		code ? err_strerror(code) : "");
	if (places)
		cli_print_places(error);
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
