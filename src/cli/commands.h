/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The subcommands; `alioth check` has its own header. Only this folder prints and ends the process.
 */
#pragma once

#include "cli/global.h"

/* `alioth boot`; argv[0] is the command's name. Returns the exit status. [main] */
int cli_boot(const struct cli_global *global, int argc, char **argv);
