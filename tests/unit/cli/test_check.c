/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `alioth check` as a command: what it prints and the status it ends with.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cli/check.h"
#include "unit.h"

/* Runs the command with stdout going to `fd`. */
static int run_to(int fd, const char *const *args)
{
	char *copies[8] = {0};
	char *argv[8] = {0}; /* getopt changes its order */
	int saved = dup(1);
	int argc = 0;
	int status;

	for (; args[argc]; argc++)
		argv[argc] = copies[argc] = strdup(args[argc]);
	fflush(stdout);
	assert_true(dup2(fd, 1) == 1);
	status = cli_check(argc, argv);
	fflush(stdout);
	clearerr(stdout);
	assert_int_equal(dup2(saved, 1), 1);
	close(saved);
	for (int i = 0; args[i]; i++)
		free(copies[i]);
	return status;
}

static int run(const char *const *argv, char *text, size_t size)
{
	FILE *file = tmpfile();
	int status = run_to(fileno(file), argv);
	ssize_t n = pread(fileno(file), text, size - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	fclose(file);
	return status;
}

static char text[65536];

static void test_json_and_text_agree(void **state)
{
	const char *const json_argv[] = {"check", "--json", NULL};
	const char *const text_argv[] = {"check", NULL};
	int status = run(json_argv, text, sizeof(text));
	json_t *root = json_loads(text, 0, NULL);

	assert_non_null(root);
	assert_int_equal(status, json_is_true(json_object_get(root, "usable")) ? 0 : 1);
	json_decref(root);
	assert_int_equal(run(text_argv, text, sizeof(text)), status);
	assert_int_equal(
		strncmp(text, status ? "KVM is not usable: " : "KVM is usable: ", status ? 19 : 15),
		0);
}

static void test_no_device(void **state)
{
	const char *const argv[] = {"check", "--json", "--device", "/nonexistent", NULL};
	json_t *root;

	assert_int_equal(run(argv, text, sizeof(text)), 1);
	root = json_loads(text, 0, NULL);
	assert_non_null(strstr(json_string_value(json_object_get(root, "reason")), "/nonexistent"));
	json_decref(root);
}

static void test_usage(void **state)
{
	const char *const help[] = {"check", "--help", NULL};
	const char *const unknown[] = {"check", "--jsn", NULL};
	const char *const extra[] = {"check", "--json", "now", NULL};
	const char *const missing[] = {"check", "--device", NULL};

	assert_int_equal(run(help, text, sizeof(text)), 0);
	assert_non_null(strstr(text, "Usage: alioth check"));
	assert_int_equal(run(unknown, text, sizeof(text)), 2);
	assert_int_equal(run(extra, text, sizeof(text)), 2);
	assert_int_equal(run(missing, text, sizeof(text)), 2);
}

static void test_full_disk(void **state)
{
	const char *const argv[] = {"check", "--device", "/dev/null", NULL};
	int fd = open("/dev/full", O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(run_to(fd, argv), 1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_and_text_agree),
		cmocka_unit_test(test_no_device),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
