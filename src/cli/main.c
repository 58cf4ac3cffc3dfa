/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alioth: global options and the choice of the subcommand.
 */
#include "cli/cli.h"

#include <string.h>

#include "cli/check.h"

static const char main_help[] =
	"alioth - a virtual machine monitor for Linux KVM\n"
	"\n"
	"Usage: alioth [OPTIONS] COMMAND [ARGUMENTS]\n"
	"\n"
	"Commands:\n"
	"  boot     boot a virtual machine (also: run)\n"
	"  check    show what this host can do\n"
	"\n"
	"Options:\n"
	"  -l, --log-spec SPEC    LEVEL[,MODULE=LEVEL]...; levels: off, error, warn, info, debug, trace\n"
	"                         [default: $ALIOTH_LOG, $RUST_LOG or warn]\n"
	"      --log-dir DIR      write the log to a file in DIR instead of standard error\n"
	"      --log-file NAME    the file's name; needs --log-dir [default: alioth.log]\n"
	"      --log-to-file      the same as --log-dir .\n"
	"  -V, --version          print the version\n"
	"  -h, --help             print this\n"
	"\n"
	"alioth COMMAND --help tells more.\n";

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

static int main_run(const struct cli_global *global, int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_SIZE(main_commands); i++) {
		if (!strcmp(argv[0], main_commands[i].name))
			return main_commands[i].run(global, argc, argv);
	}
	return cli_usage_error("", "Unknown command '%s'", argv[0]);
}

static bool main_is(const struct cli_option *option, const char *letter, const char *name)
{
	return !strcmp(option->name, name) || (letter && !strcmp(option->name, letter));
}

/* Where the option's value goes; NULL for options without one, or unknown ones. */
static const char **main_slot(struct cli_global *global, const struct cli_option *option)
{
	if (main_is(option, "l", "log-spec"))
		return &global->log_spec;
	if (main_is(option, NULL, "log-dir"))
		return &global->log_dir;
	if (main_is(option, NULL, "log-file"))
		return &global->log_file;
	return NULL;
}

/* Takes one option; the number of arguments it used, 0 after an error, -1 when there is nothing
 * left to do. */
static int main_option(struct cli_global *global, int left, char **argv)
{
	char buf[64];
	struct cli_option option = cli_split(argv[0], buf, sizeof(buf));
	const char **slot = main_slot(global, &option);

	if (!slot && !option.value) {
		if (main_is(&option, "h", "help") || main_is(&option, "V", "version")) {
			if (main_is(&option, "h", "help"))
				(void)fputs(main_help, stdout);
			else
				printf("alioth %s\n", alioth_version());
			return -1;
		}
		if (main_is(&option, NULL, "log-to-file")) {
			global->log_to_file = true;
			return 1;
		}
	}
	if (!slot || *slot || (!option.value && left < 2)) {
		(void)cli_usage_error("",
			!slot   ? "Unknown option '%s'"
			: *slot ? "%s is given twice"
				: "%s needs a value",
			argv[0]);
		return 0;
	}
	*slot = option.value ? option.value : argv[1];
	return option.value ? 1 : 2;
}

int main(int argc, char **argv)
{
	struct cli_global global = {0};
	int i = 1;

	while (i < argc && argv[i][0] == '-' && argv[i][1]) {
		int used = main_option(&global, argc - i, argv + i);

		if (used <= 0)
			return used ? CLI_OK : CLI_USAGE;
		i += used;
	}
	if (i >= argc) {
		(void)fputs(main_help, stderr);
		return CLI_USAGE;
	}
	return main_run(&global, argc - i, argv + i);
}
