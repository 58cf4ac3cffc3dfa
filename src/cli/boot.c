/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `alioth boot`: options to a specification, then the library; signals and the exit status.
 */
#include "cli/commands.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "alioth.h"
#include "base/alloc.h"
#include "cli/args.h"
#include "cli/exit_status.h"
#include "cli/help.h"
#include "cli/log_output.h"
#include "cli/print.h"
#include "config/vm_config.h"

/* By then the guest has begun, and what its start took is done. */
#define BOOT_SETTLED_MS 1000

/* ---- Options ---- */

struct boot_args {
	struct cli_args words;
	struct alioth_spec *spec;
	bool help;
};

static bool boot_is_help(const struct cli_option *option)
{
	return !strcmp(option->name, "h") || !strcmp(option->name, "help");
}

/* An option that has no place here, or CLI_OK. */
static int boot_check_place(const struct cli_option *option, const struct config_field *field)
{
	if (boot_is_help(option) && option->value)
		return cli_usage_error("boot", "--help takes no value");
	if (!field && !boot_is_help(option) && config_option_find(&cli_global_schema, option->name))
		return cli_usage_error("boot", "%s%s is a global option: it stands before 'boot'",
			option->name[1] ? "--" : "-", option->name);
	return CLI_OK;
}

/* One pass over the words: objects only, or all the others. An exit status. */
static int boot_parse_pass(struct boot_args *args, bool objects)
{
	struct cli_args words = args->words;
	struct cli_option option;

	while (!args->help && cli_args_next(&words, &option)) {
		const struct config_field *field =
			config_option_find(&vm_config_schema, option.name);
		const char *value = cli_args_field_value(&words, &vm_config_schema, field, &option);
		int status = boot_check_place(&option, field);
		struct alioth_error *error;

		if (status != CLI_OK)
			return status;
		if (boot_is_help(&option)) {
			args->help = true;
			return CLI_OK;
		}
		if (field && (field->kind == CONFIG_OBJECT) != objects)
			continue;
		error = alioth_spec_set(args->spec, option.name, value);
		if (error)
			return cli_usage_alioth_error("boot", error);
	}
	if (!args->help && cli_args_rest(&words))
		return cli_usage_unexpected("boot", &vm_config_schema, cli_args_rest(&words));
	return CLI_OK;
}

/* Objects first: an option may use one that comes behind it. */
static int boot_parse(struct boot_args *args)
{
	int status = boot_parse_pass(args, true);
	struct alioth_error *error;

	if (status == CLI_OK)
		status = boot_parse_pass(args, false);
	if (status != CLI_OK || args->help)
		return status;
	error = alioth_spec_check(args->spec);
	return error ? cli_usage_alioth_error("boot", error) : CLI_OK;
}

static int boot_print_help(void)
{
	auto_strbuf struct strbuf text = STRBUF_INIT(MIB(1));

	cli_boot_help(&text);
	return cli_print(&text);
}

/* ---- Run ---- */

/* For the handlers of fatal signals, which put the terminal back. */
static struct alioth_vm *boot_vm;

static bool boot_is_ignored(int number)
{
	struct sigaction action;

	return !sigaction(number, NULL, &action) && action.sa_handler == SIG_IGN;
}

static void boot_on_fatal_signal(int number)
{
	if (boot_vm)
		alioth_vm_restore_terminal(boot_vm);
	signal(number, SIG_DFL);
	raise(number);
}

/* All that end a process by default, be it faults or limits or a user's slip of the hand; whoever
 * started us may have wanted some to be ignored. */
static void boot_catch_fatal_signals(void)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP,
		SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU, SIGIO, SIGPWR, SIGSTKFLT};
	struct sigaction action = {.sa_handler = boot_on_fatal_signal, .sa_flags = SA_NODEFER};

	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++) {
		if (!boot_is_ignored(fatal[i]))
			sigaction(fatal[i], &action, NULL);
	}
}

/*
 * A descriptor that reads the signals which mean "end", those of the terminal, and SIGUSR1; they
 * are blocked for good, also in the VM's threads. A hang-up that is ignored (nohup) stays so: a
 * blocked signal is queued even then.
 */
static int boot_signal_fd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (!boot_is_ignored(SIGHUP))
		sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGCONT);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void boot_serve_signal(struct alioth_vm *vm, int fd, unsigned int *count)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGCONT)
		alioth_vm_take_terminal(vm);
	if (info.ssi_signo == SIGCONT || info.ssi_signo == SIGWINCH)
		alioth_vm_terminal_resized(vm);
	else if (info.ssi_signo == SIGUSR1)
		alioth_vm_refresh_disks(vm);
	else if (++*count > 1 || info.ssi_signo == SIGQUIT)
		alioth_vm_stop(vm);
	else
		alioth_error_free(alioth_vm_power_button(vm));
}

/*
 * Most of the program's code has done its work once the guest runs by itself. Its pages go back to
 * the page cache; what is needed again comes from there.
 */
static void boot_forget_code(void)
{
	extern const char __executable_start, __etext;
	uintptr_t start = (uintptr_t)&__executable_start & ~(uintptr_t)4095;
	uintptr_t end = (uintptr_t)&__etext & ~(uintptr_t)4095;

	(void)madvise((void *)start, end - start, MADV_DONTNEED);
}

static int boot_wait(struct alioth_vm *vm, int signals, const struct cli_log *log)
{
	struct pollfd fds[] = {
		{.fd = alioth_vm_end_fd(vm), .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	enum alioth_end_cause end = ALIOTH_END_ERROR;
	struct alioth_error *error;
	int timeout = BOOT_SETTLED_MS;
	unsigned int count = 0;

	while (!(fds[0].revents & POLLIN)) {
		int n = poll(fds, ARRAY_SIZE(fds), timeout);

		if (n > 0 && fds[1].revents & POLLIN)
			boot_serve_signal(vm, signals, &count);
		if (!n) {
			boot_forget_code();
			timeout = -1;
		}
	}
	error = alioth_vm_wait(vm, -1, &end);
	return error ? cli_print_error(error, cli_log_has_places(log), cli_status_of_end(end))
		     : (int)cli_status_of_end(end);
}

/* Makes the VM and lives with it until it ends; an exit status. */
static int boot_run(struct alioth_spec *spec, struct cli_log *cli_log, int signals)
{
	struct alioth_log log = {
		.size = sizeof(log),
		.spec = cli_log->spec,
		.write = cli_log_write,
		.data = cli_log,
	};
	struct alioth_vm *vm = NULL;
	struct alioth_error *error = alioth_vm_create(spec, &log, &vm);
	int status;

	if (error)
		return cli_print_error(error, cli_log_has_places(cli_log), CLI_FAILED);
	boot_vm = vm;
	boot_catch_fatal_signals();
	error = alioth_vm_boot(vm);
	status = error ? cli_print_error(error, cli_log_has_places(cli_log), CLI_FAILED)
		       : boot_wait(vm, signals, cli_log);
	boot_vm = NULL;
	alioth_vm_free(vm);
	return status;
}

static int boot_start(struct alioth_spec *spec, const struct cli_global *global)
{
	auto_close int signals = -1;
	struct cli_log log;
	int status = cli_log_open(global, &log);

	if (status != CLI_OK)
		return status;
	signals = boot_signal_fd();
	if (signals < 0) {
		(void)fprintf(stderr, "alioth: Cannot wait for signals: %s\n", err_strerror(errno));
		status = CLI_FAILED;
	} else {
		status = boot_run(spec, &log, signals);
	}
	cli_log_close(&log);
	return status;
}

int cli_boot(const struct cli_global *global, int argc, char **argv)
{
	struct boot_args args = {.words = {.argc = argc, .argv = argv, .next = 1}};
	int status;

	if (argc == 1)
		return boot_print_help();
	args.spec = alioth_spec_create();
	if (!args.spec)
		return cli_usage_error("boot", "Out of memory");
	status = boot_parse(&args);
	if (args.help)
		status = boot_print_help();
	else if (status == CLI_OK)
		status = boot_start(args.spec, global);
	alioth_spec_free(args.spec);
	return status;
}
