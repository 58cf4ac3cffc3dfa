/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alioth: global options and the choice of the subcommand.
 */
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/args.h"
#include "cli/check.h"
#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/help.h"
#include "cli/print.h"

struct main_command {
	const char *name;
	int (*run)(const struct cli_global *global, int argc, char **argv);
};

static int main_check(const struct cli_global *global, int argc, char **argv)
{
	return cli_check(argc, argv);
}

static const struct main_command main_commands[] = {
	{"boot", cli_boot},
	{"run", cli_boot},
	{"check", main_check},
};

static int main_unknown(const char *word)
{
	struct config_near near = {.name = word, .len = strlen(word)};

	if (*word == '-')
		return cli_usage_unexpected("", &cli_global_schema, word);
	for (size_t i = 0; i < ARRAY_SIZE(main_commands); i++)
		config_near_try(&near, main_commands[i].name);
	if (near.best)
		return cli_usage_error(
			"", "Unknown command '%s'; did you mean '%s'?", word, near.best);
	return cli_usage_error("", "Unknown command '%s'", word);
}

static int main_run(const struct cli_global *global, int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_SIZE(main_commands); i++) {
		if (!strcmp(argv[0], main_commands[i].name))
			return main_commands[i].run(global, argc, argv);
	}
	return main_unknown(argv[0]);
}

static int main_dispatch(struct cli_args *args, struct cli_global *global)
{
	auto_strbuf struct strbuf text = STRBUF_INIT(MIB(1));
	struct err *err = cli_args_parse(args, &cli_global_schema, global);

	if (err)
		return cli_usage_err("", err);
	if (global->help) {
		cli_main_help(&text);
		return cli_print(&text);
	}
	if (global->version) {
		strbuf_printf(&text, "alioth %s\n", alioth_version());
		return cli_print(&text);
	}
	if (!cli_args_rest(args)) {
		cli_main_help(&text);
		(void)fputs(strbuf_text(&text), stderr);
		return CLI_USAGE;
	}
	return main_run(global, args->argc - args->next, args->argv + args->next);
}

/*
 * Whoever starts the program may have closed standard descriptors; the files that it opens would
 * take their numbers and get what is meant for the terminal. An O_PATH descriptor holds the place,
 * and fails like a closed one.
 */
static void main_hold_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/", O_PATH | O_DIRECTORY) != fd)
			return;
	}
}

int main(int argc, char **argv)
{
	struct cli_args args = {.argc = argc, .argv = argv, .next = 1};
	struct cli_global global = {0};
	int status;

	main_hold_standard_descriptors();
	/* A file that reaches a limit (ulimit -f) is an error of write(), as a full disk is. */
	signal(SIGXFSZ, SIG_IGN);
	/* Threads allocate too little and too rarely for a heap each. */
	(void)mallopt(M_ARENA_MAX, 1);
	status = main_dispatch(&args, &global);
	config_deinit(&cli_global_schema, &global);
	return status;
}
