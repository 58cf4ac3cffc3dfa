/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the subcommands share: options, errors, the log.
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"

struct cli_option cli_split(const char *arg, char *buf, size_t size)
{
	struct cli_option option = {.name = ""};
	const char *name = arg + 2;
	const char *eq;
	size_t len;

	if (arg[0] != '-' || !arg[1])
		return option;
	if (arg[1] != '-') {
		buf[0] = arg[1];
		buf[1] = '\0';
		option.name = buf;
		option.value = arg[2] == '=' ? arg + 3 : arg[2] ? arg + 2 : NULL;
		return option;
	}
	eq = strchr(name, '=');
	len = eq ? (size_t)(eq - name) : strlen(name);
	if (len < 2 || len >= size)
		return option;
	memcpy(buf, name, len);
	buf[len] = '\0';
	option.name = buf;
	option.value = eq ? eq + 1 : NULL;
	return option;
}

int cli_usage_error(const char *command, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)fprintf(stderr, "alioth%s%s: ", *command ? " " : "", command);
	(void)vfprintf(stderr, fmt, args);
	(void)fprintf(stderr, "; see alioth%s%s --help\n", *command ? " " : "", command);
	va_end(args);
	return CLI_USAGE;
}

int cli_print_error(struct alioth_error *error, int status)
{
	auto_free char *text = alioth_error_format(error);

	(void)fputs(text ? text : "Error: Out of memory\n", stderr);
	alioth_error_free(error);
	return status;
}

int cli_print_usage_error(const char *command, struct alioth_error *error)
{
	struct alioth_error_frame frame;
	unsigned int n = 0;

	(void)fprintf(stderr, "alioth %s", command);
	while (alioth_error_get_frame(error, n, &frame))
		n++;
	while (n-- > 0 && alioth_error_get_frame(error, n, &frame))
		(void)fprintf(stderr, ": %s", frame.text);
	(void)fputs("\n", stderr);
	alioth_error_free(error);
	return CLI_USAGE;
}

/* ---- Log ---- */

int cli_log_open(const struct cli_global *global, struct cli_log *log)
{
	const char *dir_name = global->log_dir ? global->log_dir : global->log_to_file ? "." : NULL;
	const char *file = global->log_file ? global->log_file : "alioth.log";
	auto_close int dir = -1;

	*log = (struct cli_log){.fd = STDERR_FILENO};
	if (!dir_name && global->log_file)
		return cli_usage_error("", "--log-file needs --log-dir");
	if (!dir_name)
		return CLI_OK;
	if (strchr(file, '/'))
		return cli_usage_error(
			"", "--log-file %s is a path; it names a file in --log-dir", file);
	dir = open(dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0)
		log->fd = openat(dir, file,
			O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
	if (dir < 0 || log->fd < 0) {
		(void)fprintf(stderr, "alioth: Cannot open the log file \"%s/%s\": %s\n", dir_name,
			file, err_strerror(errno));
		return CLI_FAILED;
	}
	return CLI_OK;
}

void cli_log_close(struct cli_log *log)
{
	if (log->fd > STDERR_FILENO)
		close(log->fd);
}

void cli_log_write(void *data, enum alioth_log_level level, const char *module, const char *text)
{
	static const char letters[] = "-EWIDT";
	const struct cli_log *log = data;
	char line[1200];
	struct timespec ts;
	struct tm tm;
	int n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = snprintf(line, sizeof(line), "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ %c %s: %s\n",
		tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		ts.tv_nsec / 1000, letters[level], module, text);
	/* One write a line, so that lines of several processes do not mix. A closed standard error
	 * drops them. */
	if (n > 0 && fd_write_full(log->fd, line, MIN((size_t)n, sizeof(line) - 1)))
		return;
}
