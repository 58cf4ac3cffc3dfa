/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Console on standard input and output: a terminal in raw mode with an escape key, or pipes and
 * files as they are.
 */
#define LOG_MODULE "console"
#include "device/console_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/thread.h"

#define STDIO_ESCAPE   0x01 /* Ctrl-A */
#define STDIO_RETRY_NS 1000000000u

static const char stdio_help[] = "\r\n"
				 "Ctrl-A X  end the virtual machine\r\n"
				 "Ctrl-A H  this help\r\n"
				 "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n";

static void stdio_lost(struct console *console)
{
	/* Output only: what can still be read stays readable. */
	int out = console->out.fd;

	loop_remove(&console->out);
	console->out.fd = -1;
	if (out > STDERR_FILENO)
		close(out);
}

static void stdio_command(struct console *console, uint8_t key)
{
	if (key == 'x' || key == 'X') {
		console->events->quit(console->events);
	} else if (key == 'h' || key == 'H' || key == '?') {
		for (const char *p = stdio_help; *p; p++) {
			if (!console_put(console, (uint8_t)*p))
				break;
		}
	}
}

static size_t stdio_filter(struct console *console, uint8_t *data, size_t len)
{
	size_t kept = 0;

	if (!console->is_terminal)
		return len;
	/* A job that was in the background has come to the foreground. */
	if (!atomic_load_explicit(&console->is_raw, memory_order_relaxed))
		console_take_terminal(console);
	for (size_t i = 0; i < len; i++) {
		uint8_t byte = data[i];

		if (!console->escape && byte == STDIO_ESCAPE) {
			console->escape = true;
			continue;
		}
		if (!console->escape || byte == STDIO_ESCAPE)
			data[kept++] = byte;
		else
			stdio_command(console, byte);
		console->escape = false;
	}
	return kept;
}

/* tcsetattr() of a background job would stop it (SIGTTOU). Async-signal-safe. */
static void stdio_set_terminal(const struct termios *termios)
{
	sigset_t block;
	sigset_t old;

	sigemptyset(&block);
	sigaddset(&block, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &block, &old);
	(void)tcsetattr(STDIN_FILENO, TCSANOW, termios);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void console_restore_terminal(const struct console *console)
{
	if (atomic_load_explicit(&console->is_raw, memory_order_relaxed))
		stdio_set_terminal(&console->saved);
}

/* false for a job in the background of the shell that has the terminal. */
static bool stdio_is_foreground(void)
{
	pid_t group = tcgetpgrp(STDIN_FILENO);

	return group < 0 || group == getpgrp();
}

void console_take_terminal(struct console *console)
{
	struct termios raw;

	auto_lock(&console->lock);
	if (!console->is_terminal || !stdio_is_foreground())
		return;
	if (!atomic_load_explicit(&console->is_raw, memory_order_relaxed) &&
		tcgetattr(STDIN_FILENO, &console->saved))
		return;
	raw = console->saved;
	cfmakeraw(&raw);
	/* Log lines on the same terminal keep their line ends. */
	raw.c_oflag |= console->saved.c_oflag & OPOST;
	atomic_store_explicit(&console->is_raw, true, memory_order_relaxed);
	stdio_set_terminal(&raw);
}

static void stdio_read_again(struct loop_timer *timer)
{
	struct console *console = container_of(timer, struct console, retry_timer);

	if (!stdio_is_foreground()) {
		loop_timer_set(console->loop, timer, STDIO_RETRY_NS);
		return;
	}
	console->in_eof = false;
	console_take_terminal(console);
	console_update_size(console);
	console_wait(console);
}

/* The terminal's input is for another job now, whose modes it has. Nobody tells when that changes.
 */
static bool stdio_denied(struct console *console)
{
	if (!console->is_terminal || stdio_is_foreground())
		return false;
	atomic_store_explicit(&console->is_raw, false, memory_order_relaxed);
	console->in_eof = true;
	console->retry_timer.fired = stdio_read_again;
	loop_timer_set(console->loop, &console->retry_timer, STDIO_RETRY_NS);
	return true;
}

static const struct console_backend stdio_backend = {
	.lost = stdio_lost, .filter = stdio_filter, .denied = stdio_denied};

/*
 * A descriptor of our own for the same terminal or pipe, as O_NONBLOCK on a shared one would be
 * seen by every process that has it. Files stay as they are: they never block, and a new descriptor
 * would lose the position.
 */
static int stdio_reopen(int fd, int flags, bool *ret_blocks)
{
	char path[] = "/proc/self/fd/0";
	struct stat st;
	int own;

	*ret_blocks = false;
	if (fstat(fd, &st))
		return -1;
	if (S_ISREG(st.st_mode))
		return fd;
	path[sizeof(path) - 2] = (char)('0' + fd);
	own = open(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	*ret_blocks = own < 0; /* a socket, or somebody else's terminal */
	return own < 0 ? fd : own;
}

struct err *console_open_stdio(struct console *console, const struct console_options *options)
{
	bool in_blocks; /* is read only when it is readable */

	console->backend = &stdio_backend;
	console_set_name(console, "stdio console", options);
	console->out.fd = stdio_reopen(STDOUT_FILENO, O_WRONLY, &console->out_blocks);
	console->in.fd = stdio_reopen(STDIN_FILENO, O_RDONLY, &in_blocks);
	if (console->out.fd < 0)
		log_warn("%s: standard output is closed, output is dropped", console->name);
	console->warned = console->out.fd < 0;
	if (console->in.fd >= 0 && !tcgetattr(STDIN_FILENO, &console->saved)) {
		console->is_terminal = true;
		console->size_fd = STDIN_FILENO;
		console_take_terminal(console);
	}
	return NULL;
}
