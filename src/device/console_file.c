/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consoles on files: a log (output only) and a pseudo-terminal.
 */
#define LOG_MODULE "console"
#include "device/console_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"

static void log_lost(struct console *console)
{
	console_detach(console);
}

static const struct console_backend log_backend = {.lost = log_lost};

/*
 * A file is locked as a disk's is, for one console that writes it, and loses what it holds only
 * when the machine has begun to run: a name that was mistaken, as a disk's, costs nothing. Devices,
 * pipes and terminals are anybody's.
 */
static struct err *log_claim(struct console *console, const struct console_options *options)
{
	struct stat st;

	if (fstat(console->out.fd, &st))
		return err_new(errno, "Cannot open the console log \"%s\"", options->path);
	console->out_stale = S_ISREG(st.st_mode) && !options->append;
	return S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)
		       ? fd_lock(console->out.fd, false, options->path)
		       : NULL;
}

struct err *console_open_log(struct console *console, const struct console_options *options)
{
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK |
		    (options->append ? O_APPEND : 0);

	console->backend = &log_backend;
	console_set_name(console, "log console", options);
	console->out.fd = open(options->path, flags, 0640);
	if (console->out.fd < 0)
		return err_new(errno, "Cannot open the console log \"%s\"", options->path);
	return log_claim(console, options);
}

/* A slave that was closed shows as an error on the master until it is opened again; keep the
 * master. */
static void pty_lost(struct console *console)
{
}

static const struct console_backend pty_backend = {.lost = pty_lost};

struct err *console_open_pty(struct console *console, const struct console_options *options)
{
	auto_close int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	auto_close int slave = -1;
	struct termios raw;
	char name[64];

	console->backend = &pty_backend;
	console_set_name(console, "pty console", options);
	console->drop_when_full = true;
	if (master < 0 || grantpt(master) || unlockpt(master) ||
		ptsname_r(master, name, sizeof(name)))
		return err_new(errno, "Cannot create a pseudo-terminal");
	/* We keep the slave open ourselves: a master without any slave polls as hung up for ever.
	 */
	slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || tcgetattr(slave, &raw))
		return err_new(errno, "Cannot open the pseudo-terminal %s", name);
	cfmakeraw(&raw);
	(void)tcsetattr(slave, TCSANOW, &raw);
	if (fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK))
		return err_new(errno, "Cannot set up the pseudo-terminal %s", name);
	log_warn("The console%s%s is %s", options->label ? " of " : "",
		options->label ? options->label : "", name);
	console->in.fd = steal_fd(&master);
	console->out.fd = console->in.fd;
	console->size_fd = console->in.fd;
	console->listener.fd = steal_fd(&slave);
	return NULL;
}
