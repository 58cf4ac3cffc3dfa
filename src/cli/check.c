/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `alioth check`: prints the report of check/, as lines or as JSON.
 */
#include "cli/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "check/check.h"
#include "cli/args.h"
#include "cli/exit_status.h"
#include "cli/help.h"
#include "cli/print.h"

#define FIELD(member) .offset = offsetof(struct cli_check_options, member)

struct cli_check_options {
	char *device;
	bool json;
	bool help;
};

const struct config_struct cli_check_schema = {(const struct config_field[]){
	{.name = "json", FIELD(json), .kind = CONFIG_BOOL, .help = "print a JSON object"},
	{.name = "device",
		FIELD(device),
		.kind = CONFIG_STRING,
		.filled = true,
		.def = "/dev/kvm",
		.meta = "path",
		.help = "the KVM device"},
	{.name = "help", .letter = 'h', FIELD(help), .kind = CONFIG_BOOL, .help = "print this"},
	{.name = NULL},
}};

static int cli_check_parse(int argc, char **argv, struct cli_check_options *options)
{
	struct cli_args args = {.argc = argc, .argv = argv, .next = 1};
	struct err *err = config_defaults(&cli_check_schema, options);

	if (!err)
		err = cli_args_parse(&args, &cli_check_schema, options);
	if (err)
		return cli_usage_err("check", err);
	if (!options->help && cli_args_rest(&args))
		return cli_usage_unexpected("check", &cli_check_schema, cli_args_rest(&args));
	return CLI_OK;
}

static void cli_check_format(const struct cli_check_options *options,
	const struct check_report *report, struct strbuf *out)
{
	char *json;

	if (!options->json) {
		check_print(report, out);
		return;
	}
	json = check_json(report);
	if (json)
		strbuf_printf(out, "%s\n", json);
	else
		out->failed = true;
	free(json);
}

/* Everything on stdout, or a line on stderr that says why not. */
static bool cli_check_put(const struct strbuf *out)
{
	if (out->failed) {
		fprintf(stderr, "alioth check: out of memory\n");
		return false;
	}
	if (fputs(strbuf_text(out), stdout) == EOF || fflush(stdout) == EOF) {
		fprintf(stderr, "alioth check: cannot write: %s\n", err_strerror(errno));
		return false;
	}
	return true;
}

static int cli_check_report(const struct cli_check_options *options)
{
	auto_strbuf struct strbuf out = STRBUF_INIT(1 << 20);
	struct check_report report = {0};
	struct err *err = check_host(options->device, &report);
	bool usable;

	if (err) {
		fprintf(stderr, "alioth check: %s\n", err_text(err));
		err_free(err);
		return 1;
	}
	cli_check_format(options, &report, &out);
	usable = report.usable;
	check_report_deinit(&report);
	return cli_check_put(&out) && usable ? 0 : 1;
}

static int cli_check_print_help(void)
{
	auto_strbuf struct strbuf text = STRBUF_INIT(KIB(64));

	cli_check_help(&text);
	return cli_print(&text);
}

int cli_check(int argc, char **argv)
{
	struct cli_check_options options = {0};
	int status = cli_check_parse(argc, argv, &options);

	if (status == CLI_OK)
		status = options.help ? cli_check_print_help() : cli_check_report(&options);
	config_deinit(&cli_check_schema, &options);
	return status;
}
