/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's exit statuses; docs/exit-status.md tells more.
 */
#pragma once

#include "alioth.h"

enum cli_status {
	CLI_OK = 0,           /* the guest powered itself off */
	CLI_FAILED = 1,       /* the VM could not be started, or the command failed */
	CLI_USAGE = 2,        /* wrong usage */
	CLI_ERROR = 3,        /* the hypervisor or the monitor could not go on */
	CLI_PANIC = 4,        /* the guest's kernel panicked */
	CLI_TRIPLE_FAULT = 5, /* the guest shut a vCPU down */
	CLI_RESET = 6,        /* the guest asked for a reset, with --no-reboot */
	CLI_STOPPED = 7,      /* signals or the power button's time-out ended it */
	CLI_CONSOLE = 8,      /* the user left with Ctrl-A X */
	CLI_WATCHDOG = 9,     /* the guest's watchdog expired */
	CLI_STATUS_COUNT
};

/* What a status of `alioth boot` means, for people. */
const char *cli_status_text(enum cli_status status);
/* The status of a VM that ended for this reason. */
enum cli_status cli_status_of_end(enum alioth_end_cause end);
