/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of the global options.
 */
#include "cli/global.h"

#define FIELD(member) .offset = offsetof(struct cli_global, member)

const struct config_struct cli_global_schema = {(const struct config_field[]){
	{.name = "log-spec",
		.letter = 'l',
		FIELD(log_spec),
		.kind = CONFIG_STRING,
		.meta = "spec",
		.help = "what to log: LEVEL[,MODULE=LEVEL]..., with the levels off, error, warn, info, "
			"debug and trace; a module's level also covers those whose names start with it "
			"[default: $ALIOTH_LOG, else $RUST_LOG, else warn]"},
	{.name = "log-dir",
		FIELD(log_dir),
		.kind = CONFIG_STRING,
		.meta = "dir",
		.help = "append the log to a file in this directory instead of standard error"},
	{.name = "log-file",
		FIELD(log_file),
		.kind = CONFIG_STRING,
		.meta = "name",
		.help = "the file's name; needs --log-dir [default: alioth.log]"},
	{.name = "log-to-file",
		FIELD(log_to_file),
		.kind = CONFIG_BOOL,
		.help = "old spelling of --log-dir ."},
	{.name = "version",
		.letter = 'V',
		FIELD(version),
		.kind = CONFIG_BOOL,
		.help = "print the version"},
	{.name = "help", .letter = 'h', FIELD(help), .kind = CONFIG_BOOL, .help = "print this"},
	{.name = NULL},
}};
