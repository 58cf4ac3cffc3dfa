/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines: "2026-11-21T06:42:02.123456Z W vm: text".
 */
#include "cli/log_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/calendar.h"
#include "base/fd.h"
#include "base/log.h"
#include "cli/exit_status.h"
#include "cli/print.h"

#define CLI_LOG_FILE      "alioth.log"
#define CLI_LOG_MODE      0640
#define CLI_LOG_LINE_SIZE 1200 /* a line of the library, and what comes before it */

/* ---- What ---- */

static struct err *cli_log_check_spec(const char *spec)
{
	struct log_sink sink = {0};
	struct log *log = NULL;
	struct err *err = log_create(spec, &sink, &log);

	log_free(log);
	return err;
}

/* The first variable that is set and makes sense. They may be meant for other programs, so what
 * does not make sense is no reason not to start. */
static const char *cli_log_spec_of_environment(void)
{
	static const char *const names[] = {"ALIOTH_LOG", "RUST_LOG"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		auto_strbuf struct strbuf text = STRBUF_INIT(KIB(64));
		const char *spec = getenv(names[i]);
		struct err *err;

		if (!spec || !*spec)
			continue;
		err = cli_log_check_spec(spec);
		if (!err)
			return spec;
		cli_join_err(err, &text);
		err_free(err);
		(void)fprintf(
			stderr, "alioth: $%s is not used: %s\n", names[i], strbuf_text(&text));
	}
	return NULL;
}

/* ---- Where ---- */

/* The file to append to, or an error. */
static struct err *cli_log_open_file(const char *dir_name, const char *name, int *ret_fd)
{
	auto_close int dir = open(dir_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_close int fd = -1;
	struct stat st;

	if (dir < 0)
		return err_new(errno, "Cannot open the log directory \"%s\"", dir_name);
	/* O_NONBLOCK: opening a FIFO would wait for a reader. */
	fd = openat(dir, name,
		O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK,
		CLI_LOG_MODE);
	if (fd < 0 && errno == ELOOP)
		return err_new(0, "The log file \"%s/%s\" is a symbolic link", dir_name, name);
	if (fd < 0 || fstat(fd, &st))
		return err_new(errno, "Cannot open the log file \"%s/%s\"", dir_name, name);
	if (!S_ISREG(st.st_mode))
		return err_new(0, "The log file \"%s/%s\" is not a regular file", dir_name, name);
	*ret_fd = steal_fd(&fd);
	return NULL;
}

static int cli_log_open_output(const struct cli_global *global, struct cli_log *log)
{
	const char *dir = global->log_to_file ? "." : NULL;
	const char *name = global->log_file ? global->log_file : CLI_LOG_FILE;
	struct err *err;

	if (global->log_dir && global->log_to_file)
		return cli_usage_error("",
			"--log-to-file and --log-dir exclude each other: the first is --log-dir .");
	if (global->log_dir)
		dir = global->log_dir;
	if (!dir && global->log_file)
		return cli_usage_error("", "--log-file needs --log-dir");
	if (strchr(name, '/') || !*name)
		return cli_usage_error(
			"", "--log-file '%s' is not the name of a file in --log-dir", name);
	if (!dir)
		return CLI_OK;
	err = cli_log_open_file(dir, name, &log->fd);
	if (!err)
		return CLI_OK;
	(void)fprintf(stderr, "alioth: %s%s%s\n", err_text(err), err_code(err) ? ": " : "",
		err_code(err) ? err_strerror(err_code(err)) : "");
	err_free(err);
	return CLI_FAILED;
}

int cli_log_open(const struct cli_global *global, struct cli_log *log)
{
	struct err *err;

	*log = (struct cli_log){.fd = STDERR_FILENO, .spec = global->log_spec};
	if (!global->log_spec) {
		log->spec = cli_log_spec_of_environment();
		return cli_log_open_output(global, log);
	}
	err = cli_log_check_spec(global->log_spec);
	return err ? cli_usage_err("", err_wrap(err, "Bad value of --log-spec"))
		   : cli_log_open_output(global, log);
}

bool cli_log_has_places(const struct cli_log *cli_log)
{
	struct log_sink sink = {0};
	struct log *log = NULL;
	struct log *before;
	bool on;

	/* It was understood before. */
	err_free(log_create(cli_log->spec, &sink, &log));
	before = log_bind(log);
	on = log_enabled(LOG_DEBUG, "cli");
	log_bind(before);
	log_free(log);
	return on;
}

void cli_log_close(struct cli_log *log)
{
	if (log->fd > STDERR_FILENO)
		close(log->fd);
	log->fd = STDERR_FILENO;
}

/* ---- Lines ---- */

void cli_log_write(void *data, enum alioth_log_level level, const char *module, const char *text)
{
	static const char letters[] = "-EWIDT";
	const struct cli_log *log = data;
	char line[CLI_LOG_LINE_SIZE];
	struct timespec ts;
	struct calendar_date date;
	int seconds;
	size_t len;

	clock_gettime(CLOCK_REALTIME, &ts);
	date = calendar_date(calendar_floor(ts.tv_sec, CALENDAR_SECONDS_A_DAY));
	seconds = (int)calendar_mod(ts.tv_sec, CALENDAR_SECONDS_A_DAY);
	(void)snprintf(line, sizeof(line) - 1, "%04lld-%02d-%02dT%02d:%02d:%02d.%06ldZ %c %s: %s",
		(long long)date.year, date.month, date.day, seconds / 3600, seconds / 60 % 60,
		seconds % 60, ts.tv_nsec / 1000, letters[level], module, text);
	cli_make_printable(line, '\t');
	len = strlen(line);
	line[len++] = '\n';
	/* A closed standard error and a full disk lose the line: there is nowhere to say so. */
	if (fd_write_full(log->fd, line, len))
		return;
}
