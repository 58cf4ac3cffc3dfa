/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where log lines go and what they look like.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/log_output.h"
#include "unit.h"

struct fixture {
	char dir[64];
	char cwd[4096];
	int saved_stderr;
	FILE *err;
	char text[8192];
};

/* An empty working directory, and standard error in a file. */
static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	unsetenv("ALIOTH_LOG");
	unsetenv("RUST_LOG");
	assert_non_null(getcwd(f->cwd, sizeof(f->cwd)));
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/alioth-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(chdir(f->dir), 0);
	f->err = tmpfile();
	fflush(stderr);
	f->saved_stderr = dup(STDERR_FILENO);
	assert_int_equal(dup2(fileno(f->err), STDERR_FILENO), STDERR_FILENO);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[96];

	assert_int_equal(dup2(f->saved_stderr, STDERR_FILENO), STDERR_FILENO);
	close(f->saved_stderr);
	fclose(f->err);
	assert_int_equal(chdir(f->cwd), 0);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static const char *contents(struct fixture *f, int fd)
{
	ssize_t n = pread(fd, f->text, sizeof(f->text) - 1, 0);

	assert_true(n >= 0);
	f->text[n] = '\0';
	return f->text;
}

static const char *said(struct fixture *f)
{
	fflush(stderr);
	return contents(f, fileno(f->err));
}

static const char *file(struct fixture *f, const char *name)
{
	int fd = open(name, O_RDONLY);

	assert_true(fd >= 0);
	(void)contents(f, fd);
	close(fd);
	return f->text;
}

static char some_file[] = "vm.log";
static char here[] = ".";

static void test_standard_error(void **state)
{
	struct fixture *f = *state;
	struct cli_global global = {0};
	struct cli_log log;

	assert_int_equal(cli_log_open(&global, &log), 0);
	assert_null(log.spec);
	cli_log_write(&log, ALIOTH_LOG_WARN, "vm", "something");
	cli_log_close(&log);
	/* 2026-11-21T06:42:02.123456Z W vm: something */
	assert_int_equal(strlen(said(f)), 27 + strlen(" W vm: something\n"));
	assert_string_equal(f->text + 27, " W vm: something\n");
	assert_true(f->text[10] == 'T' && f->text[19] == '.' && f->text[26] == 'Z');
}

static void test_file_is_appended_to(void **state)
{
	struct fixture *f = *state;
	struct cli_global global = {.log_dir = here, .log_file = some_file};
	struct cli_log log;
	struct stat st;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(cli_log_open(&global, &log), 0);
		cli_log_write(&log, ALIOTH_LOG_ERROR, "vm", i ? "two" : "one");
		assert_int_equal(fcntl(log.fd, F_GETFD), FD_CLOEXEC);
		cli_log_close(&log);
	}
	assert_non_null(strstr(file(f, some_file), "E vm: one\n"));
	assert_non_null(strstr(f->text, "E vm: two\n"));
	assert_int_equal(stat(some_file, &st), 0);
	assert_int_equal(st.st_mode & 0137, 0);
}

static void test_legacy_option(void **state)
{
	struct cli_global global = {.log_to_file = true};
	struct cli_log log;

	assert_int_equal(cli_log_open(&global, &log), 0);
	cli_log_close(&log);
	assert_int_equal(access("alioth.log", F_OK), 0);
}

static void fails(struct fixture *f, const struct cli_global *global, int status, const char *part)
{
	struct cli_log log;

	assert_int_equal(ftruncate(fileno(f->err), 0), 0);
	rewind(f->err);
	assert_int_equal(cli_log_open(global, &log), status);
	assert_true(log.fd == STDERR_FILENO);
	if (!strstr(said(f), part))
		fail_msg("'%s' is not in '%s'", part, f->text);
	assert_true(strchr(f->text, '\n') == f->text + strlen(f->text) - 1);
}

static void test_wrong_options(void **state)
{
	struct fixture *f = *state;
	static char path[] = "../x";
	static char empty[] = "";
	static char spec[] = "loud";
	struct cli_global no_dir = {.log_file = some_file};
	struct cli_global name_is_path = {.log_dir = here, .log_file = path};
	struct cli_global no_name = {.log_dir = here, .log_file = empty};
	struct cli_global bad_spec = {.log_spec = spec};
	struct cli_global twice = {.log_dir = here, .log_to_file = true};

	fails(f, &no_dir, 2, "--log-file needs --log-dir");
	fails(f, &name_is_path, 2, "is not the name of a file");
	fails(f, &no_name, 2, "is not the name of a file");
	fails(f, &twice, 2, "--log-to-file and --log-dir exclude each other");
	fails(f, &bad_spec, 2, "'loud' is not a log level");
}

static void test_files_that_are_not_written(void **state)
{
	struct fixture *f = *state;
	static char nowhere[] = "nowhere";
	struct cli_global missing = {.log_dir = nowhere};
	struct cli_global global = {.log_dir = here, .log_file = some_file};

	fails(f, &missing, 1,
		"Cannot open the log directory \"nowhere\": No such file or directory");
	assert_int_equal(symlink("/etc/hostname", some_file), 0);
	fails(f, &global, 1, "is a symbolic link");
	assert_int_equal(unlink(some_file), 0);
	assert_int_equal(mkfifo(some_file, 0600), 0);
	fails(f, &global, 1, "No such device or address");
	assert_int_equal(unlink(some_file), 0);
	assert_int_equal(mkdir(some_file, 0700), 0);
	fails(f, &global, 1, "Is a directory");
}

static void test_environment(void **state)
{
	struct fixture *f = *state;
	struct cli_global global = {0};
	struct cli_log log;

	setenv("RUST_LOG", "info", 1);
	assert_int_equal(cli_log_open(&global, &log), 0);
	assert_string_equal(log.spec, "info");
	setenv("ALIOTH_LOG", "warn,vm=debug", 1);
	assert_int_equal(cli_log_open(&global, &log), 0);
	assert_string_equal(log.spec, "warn,vm=debug");
	assert_string_equal(said(f), "");
	setenv("ALIOTH_LOG", "nonsense", 1);
	assert_int_equal(cli_log_open(&global, &log), 0);
	assert_string_equal(log.spec, "info");
	assert_non_null(strstr(said(f), "$ALIOTH_LOG is not used"));
	unsetenv("ALIOTH_LOG");
	unsetenv("RUST_LOG");
}

static void test_option_beats_environment(void **state)
{
	static char spec[] = "error";
	struct cli_global global = {.log_spec = spec};
	struct cli_log log;

	setenv("ALIOTH_LOG", "nonsense", 1);
	assert_int_equal(cli_log_open(&global, &log), 0);
	assert_string_equal(log.spec, "error");
	unsetenv("ALIOTH_LOG");
}

static void test_lines_stay_lines(void **state)
{
	struct fixture *f = *state;
	struct cli_global global = {0};
	struct cli_log log;
	char text[4096];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text, "a\nb\033[2Jc", 8);
	assert_int_equal(cli_log_open(&global, &log), 0);
	cli_log_write(&log, ALIOTH_LOG_TRACE, "vm", text);
	cli_log_write(&log, ALIOTH_LOG_DEBUG, "vm", "next");
	assert_non_null(strstr(said(f), "T vm: a?b?[2Jcx"));
	assert_non_null(strstr(f->text, "x\n2"));
	assert_non_null(strstr(f->text, "D vm: next\n"));
}

static void test_lost_lines_are_no_error(void **state)
{
	struct cli_log log = {.fd = open("/dev/full", O_WRONLY | O_CLOEXEC)};

	assert_true(log.fd >= 0);
	cli_log_write(&log, ALIOTH_LOG_WARN, "vm", "lost");
	cli_log_close(&log);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_standard_error),
		TEST(test_file_is_appended_to),
		TEST(test_legacy_option),
		TEST(test_wrong_options),
		TEST(test_files_that_are_not_written),
		TEST(test_environment),
		TEST(test_option_beats_environment),
		TEST(test_lines_stay_lines),
		TEST(test_lost_lines_are_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
