/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options before the subcommand.
 */
#pragma once

#include "config/schema.h"

struct cli_global {
	char *log_spec;
	char *log_dir;
	char *log_file;
	bool log_to_file;
	bool version;
	bool help;
};

extern const struct config_struct cli_global_schema;
