/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passt: starting it, connecting to it, and both again.
 */
#include "net/passt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "event/loop.h"

#define PASST_START_MS   10000
#define PASST_ARGS_MAX   64
#define PASST_ARGS_BYTES 8192
#define PASST_FD         3    /* its end of the pair of sockets */
#define PASST_FD_ABOVE   10   /* ours is out of the way of what the child has */
#define PASST_SAYS_MAX   4096 /* of its messages */
#define PASST_QUOTE_MAX  300  /* of them, in an error */

struct net_passt {
	struct net_stream stream;
	char *socket; /* path; NULL: we start it */
	char *words;  /* what the arguments point into */
	char *argv[PASST_ARGS_MAX + 1];

	/* One that is being started. */
	pid_t pid;  /* 0: none */
	int status; /* that the last one ended with, as waitpid() says it */
	int end;    /* our end of its pair */
	int says;   /* what it writes to its standard error: a file in memory */
	uint64_t deadline_ns;
};

static struct net_passt *passt_of(struct net_backend *backend)
{
	struct net_stream *stream = container_of(backend, struct net_stream, backend);

	return container_of(stream, struct net_passt, stream);
}

/* ---- Connecting ---- */

static int passt_connect(struct net_passt *passt)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	strncpy(address.sun_path, passt->socket, sizeof(address.sun_path) - 1);
	/* Does not wait: there is room among those who wait to be accepted, or not. */
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return errno == EAGAIN ? -EBUSY : -errno;
	net_stream_attach(&passt->stream, steal_fd(&fd));
	return 0;
}

/* ---- Starting ---- */

static int passt_set_files(posix_spawn_file_actions_t *files, int says, int end)
{
	int ret = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDWR, 0);

	if (!ret)
		ret = posix_spawn_file_actions_adddup2(files, 0, 1);
	if (!ret)
		ret = posix_spawn_file_actions_adddup2(files, says, 2);
	if (!ret)
		ret = posix_spawn_file_actions_adddup2(files, end, PASST_FD);
	/* Those that our parent gave us for another card, say. */
	return ret ? ret : posix_spawn_file_actions_addclosefrom_np(files, PASST_FD + 1);
}

/* No signal is blocked or ignored, as they are in our threads. */
static int passt_set_signals(posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	int ret;

	sigemptyset(&none);
	sigfillset(&all);
	ret = posix_spawnattr_setsigmask(attributes, &none);
	if (!ret)
		ret = posix_spawnattr_setsigdefault(attributes, &all);
	return ret ? ret
		   : posix_spawnattr_setflags(
			     attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int passt_execute(struct net_passt *passt, int end)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	int ret = posix_spawn_file_actions_init(&files);

	if (ret)
		return -ret;
	ret = posix_spawnattr_init(&attributes);
	if (!ret) {
		ret = passt_set_files(&files, passt->says, end);
		if (!ret)
			ret = passt_set_signals(&attributes);
		if (!ret)
			ret = posix_spawnp(&passt->pid, passt->argv[0], &files, &attributes,
				passt->argv, environ);
		posix_spawnattr_destroy(&attributes);
	}
	posix_spawn_file_actions_destroy(&files);
	return -ret;
}

/* A file in memory that cannot grow. */
static int passt_open_says(void)
{
	int fd = memfd_create("passt", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && (ftruncate(fd, PASST_SAYS_MAX) ||
			       fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK))) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd < 0 ? -errno : fd;
}

static void passt_forget_start(struct net_passt *passt)
{
	if (passt->pid) {
		(void)kill(passt->pid, SIGKILL);
		(void)waitpid(passt->pid, NULL, 0);
	}
	passt->pid = 0;
	auto_close_cleanup(&passt->end);
	auto_close_cleanup(&passt->says);
	passt->end = passt->says = -1;
}

/* Its program runs; whether it likes what it sees, passt_started() tells. */
static int passt_start(struct net_passt *passt)
{
	auto_close int theirs = -1;
	int pair[2];
	int ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	passt->end = pair[0];
	theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, PASST_FD_ABOVE);
	ret = theirs < 0 ? -errno : 0;
	close(pair[1]);
	if (!ret) {
		passt->says = passt_open_says();
		ret = MIN(passt->says, 0);
	}
	passt->deadline_ns = loop_now_ns() + PASST_START_MS * 1000000ull;
	if (!ret)
		ret = passt_execute(passt, theirs);
	if (ret) {
		passt->pid = 0;
		passt_forget_start(passt);
	}
	return ret;
}

/* Nobody holds the other end any more: what ended well did not go on in the background. */
static bool passt_is_gone(const struct net_passt *passt)
{
	char byte;

	return !recv(passt->end, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
}

/* 0: it is ready; -EAGAIN: not yet; -ECONNREFUSED: it will not be. */
static int passt_started(struct net_passt *passt)
{
	pid_t pid = waitpid(passt->pid, &passt->status, WNOHANG);

	if (!pid)
		return loop_now_ns() < passt->deadline_ns ? -EAGAIN : -ETIMEDOUT;
	passt->pid = 0;
	if (pid < 0 || !WIFEXITED(passt->status) || WEXITSTATUS(passt->status) ||
		passt_is_gone(passt))
		return -ECONNREFUSED;
	net_stream_attach(&passt->stream, steal_fd(&passt->end));
	passt_forget_start(passt);
	return 0;
}

/* ---- Again ---- */

static int passt_reconnect(struct net_backend *backend)
{
	struct net_passt *passt = passt_of(backend);
	int ret;

	net_stream_attach(&passt->stream, -1);
	if (passt->socket)
		return passt_connect(passt);
	if (!passt->pid) {
		ret = passt_start(passt);
		return ret ? ret : -EAGAIN;
	}
	ret = passt_started(passt);
	if (ret && ret != -EAGAIN)
		passt_forget_start(passt);
	return ret;
}

static void passt_free(struct net_backend *backend)
{
	struct net_passt *passt = passt_of(backend);

	passt_forget_start(passt);
	free(passt->socket);
	free(passt->words);
	free(passt);
}

static const struct net_backend_ops passt_ops = {.receive = net_stream_receive,
	.send = net_stream_send,
	.flush = net_stream_flush,
	.has_packet = net_stream_has_packet,
	.reconnect = passt_reconnect,
	.free = passt_free};

/* With vhost-user the packets go another way. */
static ssize_t passt_receive_none(
	struct net_backend *backend, unsigned int queue, const struct iovec *iov, int n)
{
	return -EAGAIN;
}

static int passt_send_none(
	struct net_backend *backend, unsigned int queue, struct iovec *iov, int n)
{
	return 0;
}

static const struct net_backend_ops passt_user_ops = {.receive = passt_receive_none,
	.send = passt_send_none,
	.reconnect = passt_reconnect,
	.free = passt_free};

/* ---- Opening ---- */

static void passt_add(struct strbuf *words, const char *word)
{
	strbuf_append(words, word, strlen(word) + 1);
}

static void passt_add_option(struct strbuf *words, const char *name, const char *value)
{
	if (!value)
		return;
	passt_add(words, name);
	passt_add(words, value);
}

/* Further arguments come last, so that they may overrule ours. */
static void passt_add_args(struct strbuf *words, const char *args)
{
	while (args && *args) {
		size_t len = strcspn(args, " ");

		if (len) {
			strbuf_append(words, args, len);
			strbuf_append_zero(words, 1);
		}
		args += len + strspn(args + len, " ");
	}
}

static struct err *passt_set_args(struct net_passt *passt, const struct net_passt_options *options)
{
	auto_strbuf struct strbuf words = STRBUF_INIT(PASST_ARGS_BYTES);
	char number[16];
	size_t len;
	unsigned int n = 0;

	passt_add(&words, options->path ? options->path : NET_PASST_PROGRAM);
	passt_add(&words, "--quiet");
	if (options->vhost_user)
		passt_add(&words, "--vhost-user");
	(void)snprintf(number, sizeof(number), "%d", PASST_FD);
	passt_add_option(&words, "--fd", number);
	(void)snprintf(number, sizeof(number), "%u", options->mtu);
	passt_add_option(&words, "--mtu", options->mtu ? number : NULL);
	passt_add_option(&words, "--tcp-ports", options->tcp);
	passt_add_option(&words, "--udp-ports", options->udp);
	passt_add_args(&words, options->args);
	len = words.len;
	passt->words = strbuf_steal(&words);
	for (size_t at = 0; passt->words && at < len && n < PASST_ARGS_MAX; n++) {
		passt->argv[n] = passt->words + at;
		at += strlen(passt->argv[n]) + 1;
	}
	if (!passt->words ||
		passt->argv[n - 1] + strlen(passt->argv[n - 1]) + 1 != passt->words + len)
		return err_new(E2BIG, "Too many arguments for passt");
	return NULL;
}

/* What the child says of its failure, in one line, without what is of no use here. */
static void passt_quote(const struct net_passt *passt, struct strbuf *quote)
{
	char says[PASST_SAYS_MAX + 1] = {0};
	char *rest = NULL;

	if (pread(passt->says, says, PASST_SAYS_MAX, 0) < 0)
		return;
	for (char *line = strtok_r(says, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		/* It has no log daemon to tell; then come all its options. */
		if (!strncmp(line, "Failed to send ", strlen("Failed to send ")))
			continue;
		if (!strncmp(line, "Usage", strlen("Usage")))
			break;
		strbuf_printf(quote, "%s%s", quote->len ? "; " : ": ", line);
	}
}

/* The same for one that ended without a word. */
static void passt_quote_end(const struct net_passt *passt, struct strbuf *quote)
{
	if (WIFSIGNALED(passt->status))
		strbuf_printf(quote, ": it was ended by signal %d", WTERMSIG(passt->status));
	else if (WEXITSTATUS(passt->status))
		strbuf_printf(quote, ": it ended with status %d", WEXITSTATUS(passt->status));
	else
		strbuf_puts(quote, ": it ended, and nothing stayed in the background");
}

static struct err *passt_wait(struct net_passt *passt)
{
	auto_strbuf struct strbuf quote = STRBUF_INIT(PASST_QUOTE_MAX);
	auto_close int fd = pidfd_open(passt->pid, 0);
	struct pollfd end = {.fd = fd, .events = POLLIN};
	int ret;

	if (fd < 0)
		return err_new(errno, "Cannot wait for \"%s\"", passt->argv[0]);
	do
		ret = poll(&end, 1, PASST_START_MS);
	while (ret < 0 && errno == EINTR);
	ret = passt_started(passt);
	if (!ret)
		return NULL;
	passt_quote(passt, &quote);
	if (ret != -ECONNREFUSED)
		return err_new(ETIMEDOUT,
			"\"%s\" is not ready after %u s, or stays in the foreground%s",
			passt->argv[0], PASST_START_MS / 1000, strbuf_text(&quote));
	if (!quote.len)
		passt_quote_end(passt, &quote);
	return err_new(0, "\"%s\" does not start%s", passt->argv[0], strbuf_text(&quote));
}

static struct err *passt_open(struct net_passt *passt, const struct net_passt_options *options)
{
	struct err *err;
	int ret;

	if (options->socket) {
		passt->socket = strdup(options->socket);
		if (strlen(options->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
			return err_new(ENAMETOOLONG, "Cannot connect to \"%s\"", options->socket);
		ret = passt->socket ? passt_connect(passt) : -ENOMEM;
		return ret ? err_new(-ret, "Cannot connect to \"%s\"", options->socket) : NULL;
	}
	err = passt_set_args(passt, options);
	if (err)
		return err;
	ret = passt_start(passt);
	return ret ? err_new(-ret, "Cannot run \"%s\"", passt->argv[0]) : passt_wait(passt);
}

struct err *net_passt_open(
	const struct net_passt_options *options, struct net_backend **ret_backend)
{
	struct net_passt *passt = new0(struct net_passt);
	struct err *err;

	if (!passt)
		return err_new(ENOMEM, "Cannot use passt");
	net_stream_init(&passt->stream, options->vhost_user ? &passt_user_ops : &passt_ops);
	passt->stream.backend.is_vhost_user = options->vhost_user;
	passt->end = passt->says = -1;
	strncpy(passt->stream.backend.name, "passt", sizeof(passt->stream.backend.name) - 1);
	passt->stream.backend.can_reconnect = options->reconnect;
	err = passt_open(passt, options);
	if (err) {
		net_backend_free(&passt->stream.backend);
		return err;
	}
	*ret_backend = &passt->stream.backend;
	return NULL;
}
