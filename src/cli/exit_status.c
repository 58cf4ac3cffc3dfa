/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of exit statuses.
 */
#include "cli/exit_status.h"

#include "base/macros.h"

static const char *const cli_status_texts[CLI_STATUS_COUNT] = {
	[CLI_OK] = "the guest powered itself off",
	[CLI_FAILED] = "the VM could not be started",
	[CLI_USAGE] = "wrong usage",
	[CLI_ERROR] = "the hypervisor or the monitor could not go on; see the log",
	[CLI_PANIC] = "the guest's kernel panicked (needs --pvpanic)",
	[CLI_TRIPLE_FAULT] = "triple fault: a vCPU shut down",
	[CLI_RESET] = "the guest asked for a reset, and --no-reboot was given",
	[CLI_STOPPED] = "ended by a second signal, or by the power button's time-out",
	[CLI_CONSOLE] = "the user left with Ctrl-A X",
	[CLI_WATCHDOG] = "the guest's watchdog expired (--watchdog action=poweroff)",
};

const char *cli_status_text(enum cli_status status)
{
	return cli_status_texts[status];
}

enum cli_status cli_status_of_end(enum alioth_end_cause end)
{
	static const enum cli_status statuses[] = {
		[ALIOTH_END_POWER_OFF] = CLI_OK,
		[ALIOTH_END_RESET] = CLI_RESET,
		[ALIOTH_END_PANIC] = CLI_PANIC,
		[ALIOTH_END_TRIPLE_FAULT] = CLI_TRIPLE_FAULT,
		[ALIOTH_END_ERROR] = CLI_ERROR,
		[ALIOTH_END_STOPPED] = CLI_STOPPED,
		[ALIOTH_END_CONSOLE] = CLI_CONSOLE,
		[ALIOTH_END_WATCHDOG] = CLI_WATCHDOG,
	};

	return (size_t)end < ARRAY_SIZE(statuses) ? statuses[end] : CLI_ERROR;
}
