/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `alioth check`: prints the report of check/, as lines or as JSON.
 */
#include "cli/check.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "check/check.h"

static const char cli_check_help[] =
	"Usage: alioth check [--json] [--device PATH]\n"
	"\n"
	"Shows what this host can do, and runs a small guest to see whether KVM really executes code.\n"
	"The exit status is 0 if guests run here, 1 if not.\n"
	"\n"
	"      --json           print a JSON object\n"
	"      --device PATH    the KVM device [default: /dev/kvm]\n"
	"  -h, --help           print this\n";

struct cli_check_options {
	const char *device;
	bool json;
	bool help;
};

static bool cli_check_parse(int argc, char **argv, struct cli_check_options *options)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, 'j'},
		{"device", required_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	opterr = 0;
	optind = 0; /* the command before it may have been parsed by getopt too */
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'j':
			options->json = true;
			break;
		case 'd':
			options->device = optarg;
			break;
		case 'h':
			options->help = true;
			break;
		default:
			fprintf(stderr, "alioth check: wrong option or missing value: '%s'\n",
				argv[optind - 1]);
			return false;
		}
	}
	if (optind < argc)
		fprintf(stderr, "alioth check: unexpected argument '%s'\n", argv[optind]);
	return optind >= argc;
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

int cli_check(int argc, char **argv)
{
	struct cli_check_options options = {.device = "/dev/kvm"};

	if (!cli_check_parse(argc, argv, &options)) {
		fprintf(stderr, "Try 'alioth check --help'.\n");
		return 2;
	}
	if (options.help)
		return fputs(cli_check_help, stdout) == EOF || fflush(stdout) == EOF ? 1 : 0;
	return cli_check_report(&options);
}
