/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `alioth boot`: options to a specification, then the library; signals and the exit status.
 */
#include "cli/cli.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "config/vm_config.h"

/* ---- Help ---- */

static const char boot_help_head[] = "Boot a virtual machine\n"
				     "\n"
				     "Usage: alioth [-l SPEC] boot [OPTIONS]\n"
				     "\n"
				     "Options:\n";

static const char boot_help_tail[] =
	"  -o, --object <id_NAME,VALUE>\n"
	"          a named value: id_NAME may stand wherever a value, a list item or a key does, and is\n"
	"          the only way to write a value with commas or a nested value of several keys\n"
	"  -h, --help\n"
	"          print this\n"
	"\n"
	"Values: <spec> is key=value,key=value... Numbers may be 0x, 0o or 0b and end in k, m, g or t\n"
	"(2^10 to 2^40). Booleans are on, off, true, false.\n"
	"\n"
	"Signals: SIGTERM, SIGINT and SIGHUP press the power button; a second one ends the VM.\n"
	"\n"
	"Exit status: 0 the guest powered off, 1 the VM could not be started, 2 wrong usage,\n"
	"3 the hypervisor could not go on, 4 the guest panicked (--pvpanic), 5 triple fault,\n"
	"6 reset with --no-reboot, 7 ended by signals or the power button's time-out,\n"
	"8 left by Ctrl-A X.\n";

static void boot_describe_option(const struct config_field *f, struct strbuf *sb)
{
	if (f->letter)
		strbuf_printf(sb, "  -%c, --%s", f->letter, f->name);
	else
		strbuf_printf(sb, "      --%s", f->name);
	if (f->alias)
		strbuf_printf(sb, ", --%s", f->alias);
	if (f->kind == CONFIG_ENUM) {
		strbuf_puts(sb, " <");
		for (int i = 0; f->choices[i]; i++)
			strbuf_printf(sb, "%s%s", i ? "|" : "", f->choices[i]);
		strbuf_puts(sb, ">");
	} else if (f->kind != CONFIG_BOOL) {
		strbuf_printf(sb, " <%s>", f->meta ? f->meta : "value");
	}
	strbuf_printf(sb, "%s\n          %s", f->kind == CONFIG_LIST ? " (may be repeated)" : "",
		f->help);
	if (f->def)
		strbuf_printf(sb, " [default: %s]", f->def);
	strbuf_puts(sb, "\n");
	config_describe_value(f, sb, 10);
}

void cli_boot_help(FILE *out)
{
	auto_strbuf struct strbuf sb = STRBUF_INIT(MIB(1));

	strbuf_puts(&sb, boot_help_head);
	for (const struct config_field *f = vm_config_schema.fields; f->name; f++)
		boot_describe_option(f, &sb);
	strbuf_puts(&sb, boot_help_tail);
	(void)fputs(strbuf_text(&sb), out);
}

/* ---- Options ---- */

struct boot_args {
	int argc;
	char **argv;
	struct alioth_spec *spec;
};

static bool boot_takes_value(const char *name)
{
	const struct config_field *field = vm_config_option(name);

	return !field || field->kind != CONFIG_BOOL;
}

static bool boot_is_object(const char *name)
{
	return !strcmp(name, "o") || !strcmp(name, "object");
}

/* One pass over the arguments: objects only, or all the others. CLI_OK or the exit status. */
static int boot_parse_pass(struct boot_args *args, bool objects)
{
	for (int i = 1; i < args->argc; i++) {
		char buf[64];
		struct cli_option option = cli_split(args->argv[i], buf, sizeof(buf));
		struct alioth_error *error;

		if (!*option.name)
			return cli_usage_error("boot", "Unexpected argument '%s'", args->argv[i]);
		if (!boot_is_object(option.name) && !vm_config_option(option.name))
			return cli_print_usage_error(
				"boot", alioth_spec_set(args->spec, option.name, ""));
		if (!option.value && boot_takes_value(option.name)) {
			if (i + 1 == args->argc)
				return cli_usage_error("boot", "%s needs a value", args->argv[i]);
			option.value = args->argv[++i];
		}
		if (boot_is_object(option.name) != objects)
			continue;
		error = alioth_spec_set(args->spec, option.name, option.value);
		if (error)
			return cli_print_usage_error("boot", error);
	}
	return CLI_OK;
}

/* ---- Run ---- */

/* For the handlers of fatal signals, which put the terminal back. */
static struct alioth_vm *boot_vm;

static void boot_on_fatal_signal(int number)
{
	if (boot_vm)
		alioth_vm_restore_terminal(boot_vm);
	signal(number, SIG_DFL);
	raise(number);
}

static void boot_catch_fatal_signals(void)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};
	struct sigaction action = {.sa_handler = boot_on_fatal_signal, .sa_flags = SA_NODEFER};

	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
		sigaction(fatal[i], &action, NULL);
}

/* A descriptor that reads the signals which mean "end"; they are blocked for good, also in the VM's
 * threads. */
static int boot_signal_fd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void boot_serve_signal(struct alioth_vm *vm, int fd, unsigned int *count)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (++*count > 1 || info.ssi_signo == SIGQUIT)
		alioth_vm_stop(vm);
	else
		alioth_error_free(alioth_vm_power_button(vm));
}

/*
 * Most of the program's code has done its work by now. Its pages go back to the page cache; what is
 * needed again comes from there.
 */
static void boot_forget_code(void)
{
	extern const char __executable_start, __etext;
	uintptr_t start = (uintptr_t)&__executable_start & ~(uintptr_t)4095;
	uintptr_t end = (uintptr_t)&__etext & ~(uintptr_t)4095;

	(void)madvise((void *)start, end - start, MADV_DONTNEED);
}

static int boot_wait(struct alioth_vm *vm, int signals)
{
	static const int statuses[] = {
		[ALIOTH_END_POWER_OFF] = CLI_OK,
		[ALIOTH_END_RESET] = CLI_RESET,
		[ALIOTH_END_PANIC] = CLI_PANIC,
		[ALIOTH_END_TRIPLE_FAULT] = CLI_TRIPLE_FAULT,
		[ALIOTH_END_ERROR] = CLI_ERROR,
		[ALIOTH_END_STOPPED] = CLI_STOPPED,
		[ALIOTH_END_CONSOLE] = CLI_CONSOLE,
	};
	struct pollfd fds[] = {
		{.fd = alioth_vm_end_fd(vm), .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	enum alioth_end_cause end = ALIOTH_END_ERROR;
	struct alioth_error *error;
	unsigned int count = 0;

	while (!(fds[0].revents & POLLIN)) {
		if (poll(fds, ARRAY_SIZE(fds), -1) > 0 && fds[1].revents & POLLIN)
			boot_serve_signal(vm, signals, &count);
	}
	error = alioth_vm_wait(vm, -1, &end);
	return error ? cli_print_error(error, statuses[end]) : statuses[end];
}

static int boot_run(
	struct alioth_spec *spec, const struct cli_global *global, struct cli_log *cli_log)
{
	const char *spec_env = getenv("ALIOTH_LOG") ? getenv("ALIOTH_LOG") : getenv("RUST_LOG");
	struct alioth_log log = {
		.size = sizeof(log),
		.spec = global->log_spec ? global->log_spec : spec_env,
		.write = cli_log_write,
		.data = cli_log,
	};
	auto_close int signals = boot_signal_fd();
	struct alioth_vm *vm = NULL;
	struct alioth_error *error = alioth_vm_create(spec, &log, &vm);
	int status;

	if (error)
		return cli_print_error(error, CLI_FAILED);
	boot_vm = vm;
	boot_catch_fatal_signals();
	error = alioth_vm_boot(vm);
	boot_forget_code();
	status = error ? cli_print_error(error, CLI_FAILED) : boot_wait(vm, signals);
	boot_vm = NULL;
	alioth_vm_free(vm);
	return status;
}

static bool boot_wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help"))
			return true;
	}
	return argc == 1;
}

int cli_boot(const struct cli_global *global, int argc, char **argv)
{
	struct boot_args args = {.argc = argc, .argv = argv};
	struct alioth_error *error;
	struct cli_log log;
	int status;

	if (boot_wants_help(argc, argv)) {
		cli_boot_help(stdout);
		return CLI_OK;
	}
	args.spec = alioth_spec_create();
	if (!args.spec)
		return CLI_FAILED;
	status = boot_parse_pass(&args, true);
	if (!status)
		status = boot_parse_pass(&args, false);
	error = status ? NULL : alioth_spec_check(args.spec);
	if (error)
		status = cli_print_usage_error("boot", error);
	if (!status)
		status = cli_log_open(global, &log);
	if (!status) {
		status = boot_run(args.spec, global, &log);
		cli_log_close(&log);
	}
	alioth_spec_free(args.spec);
	return status;
}
