/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `alioth check`.
 */
#pragma once

#include "config/schema.h"

/* Its options. */
extern const struct config_struct cli_check_schema;

/*
 * Prints what this host can do; argv[0] is "check". The exit status: 0 if guests run here, 1 if not
 * (or when the answer cannot be printed), 2 for wrong usage. [main]
 */
int cli_check(int argc, char **argv);
