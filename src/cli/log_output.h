/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the program's log lines go: standard error, or a file.
 */
#pragma once

#include "alioth.h"
#include "cli/global.h"

struct cli_log {
	const char *spec; /* NULL: the library's default */
	int fd;
};

/*
 * What to log and where, from the options and the environment. Prints what is wrong with them; an
 * exit status. The spec belongs to `global` or to the environment. [main]
 */
int cli_log_open(const struct cli_global *global, struct cli_log *log);
void cli_log_close(struct cli_log *log);
/* Should errors tell their places in the source: does the module "cli" log at debug? */
bool cli_log_has_places(const struct cli_log *log);

/* An alioth_log callback; `data` is the struct cli_log. One line is one write(2). [any] */
void cli_log_write(void *data, enum alioth_log_level level, const char *module, const char *text);
