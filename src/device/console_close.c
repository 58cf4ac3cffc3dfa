/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of consoles: what is queued is written out, within one bounded time for all of them
 * together, however many readers have stopped. Runs in the control loop, or after it.
 */
#include "device/console_internal.h"

#include <errno.h>
#include <poll.h>

#define CONSOLE_CLOSE_NS 1000000000u /* what slow readers get */

/* Writes as much as there is room for; the number of consoles that have more, and how to wait for
 * them. */
static nfds_t console_flush_all(
	struct console *const *consoles, unsigned int n, struct pollfd *waiting)
{
	nfds_t n_waiting = 0;

	for (unsigned int i = 0; i < n; i++) {
		if (!console_flush(consoles[i]))
			waiting[n_waiting++] =
				(struct pollfd){.fd = consoles[i]->out.fd, .events = POLLOUT};
	}
	return n_waiting;
}

static void console_end(struct console *console)
{
	if (!console_is_empty(console)) {
		/* Not tried again when the console is freed, in a thread that may take SIGPIPE. */
		console_warn_once(console, ETIMEDOUT);
		console_drop(console);
	}
	loop_timer_cancel(&console->flush_timer);
	loop_timer_cancel(&console->retry_timer);
	console_leave_loop(console);
	console_restore_terminal(console);
}

void console_close(struct console *const *consoles, unsigned int n)
{
	uint64_t deadline = loop_now_ns() + CONSOLE_CLOSE_NS;
	struct pollfd waiting[CONSOLE_CLOSE_MAX];
	uint64_t now;
	nfds_t n_waiting;

	assert(n <= CONSOLE_CLOSE_MAX);
	while ((n_waiting = console_flush_all(consoles, n, waiting))) {
		now = loop_now_ns();
		if (now >= deadline)
			break;
		(void)poll(waiting, n_waiting, (int)((deadline - now) / 1000000) + 1);
	}
	for (unsigned int i = 0; i < n; i++)
		console_end(consoles[i]);
}
