/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program: global options, subcommands, exit statuses. Only this folder prints and ends the
 * process.
 */
#pragma once

#include <stdio.h>

#include "alioth.h"
#include "base/macros.h"

/* Exit statuses; docs/exit-status.md and `alioth boot --help` list them. */
enum cli_status {
	CLI_OK = 0,           /* the guest powered itself off */
	CLI_FAILED = 1,       /* the VM could not be started, or the command failed */
	CLI_USAGE = 2,        /* wrong usage */
	CLI_ERROR = 3,        /* the hypervisor or the monitor could not go on */
	CLI_PANIC = 4,        /* the guest's kernel panicked */
	CLI_TRIPLE_FAULT = 5, /* the guest shut a vCPU down */
	CLI_RESET = 6,        /* the guest asked for a reset, with --no-reboot */
	CLI_STOPPED = 7,      /* a signal or the power button's time-out ended it */
	CLI_CONSOLE = 8,      /* the user left with Ctrl-A X */
};

/* The options before the subcommand. Strings are the command line's own. */
struct cli_global {
	const char *log_spec;
	const char *log_dir;
	const char *log_file;
	bool log_to_file;
};

/* Where log lines go: standard error or a file. */
struct cli_log {
	int fd;
	bool color;
};

/* One option as it stands on a command line. */
struct cli_option {
	const char *name;  /* without dashes; "" for what is no option */
	const char *value; /* "--name=value", "-nvalue"; NULL if not joined */
};

/* Splits argv[i]; a joined value is pointed to, the name is copied to buf. */
struct cli_option cli_split(const char *arg, char *buf, size_t size);

/* One line on standard error, and a hint; returns CLI_USAGE. */
int cli_usage_error(const char *command, const char *fmt, ...) printf_like(2, 3);
/* Prints the chain and frees it; the status given. */
int cli_print_error(struct alioth_error *error, int status);
/* The chain on one line, outermost first, for wrong usage. */
int cli_print_usage_error(const char *command, struct alioth_error *error);

/* Opens where the log goes; -1 after saying why not. */
int cli_log_open(const struct cli_global *global, struct cli_log *log);
void cli_log_close(struct cli_log *log);
/* An alioth_log callback. */
void cli_log_write(void *data, enum alioth_log_level level, const char *module, const char *text);

/* `alioth boot`; argv[0] is the command's name. */
int cli_boot(const struct cli_global *global, int argc, char **argv);
/* Its help, also as the body of the man page. */
void cli_boot_help(FILE *out);
