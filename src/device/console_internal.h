/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A console's core and what its backends (stdio, log, pty, socket) see of it.
 */
#pragma once

#include <pthread.h>
#include <termios.h>

#include "base/log.h"
#include "device/console.h"
#include "event/loop.h"

#define CONSOLE_RING_SIZE  32768u /* a power of two */
#define CONSOLE_INPUT_SIZE 512u

struct console_backend {
	/* The other end is gone (hang-up, error); NULL: there never was one. */
	void (*lost)(struct console *console);
	/* Looks at input and changes it in place (escape keys); the number of bytes left. Optional.
	 */
	size_t (*filter)(struct console *console, uint8_t *data, size_t len);
	/* read() said EIO: true if it is to be tried again, which the backend sees to. Optional. */
	bool (*denied)(struct console *console);
	/* A client has gone, and all that it sent was taken. Optional. */
	void (*left)(struct console *console);
	/* Clients come and go; otherwise somebody is always there. */
	bool has_clients;
	/* Releases what the backend holds beyond the console's descriptors; optional. */
	void (*close)(struct console *console);
};

struct console {
	const struct console_backend *backend;
	struct loop *loop;
	struct console_events *events;
	struct console_peer *peer;
	char name[96]; /* for log lines */
	char *path;    /* log, socket; owned */

	struct loop_fd in;   /* fd -1: no input */
	struct loop_fd out;  /* fd -1: output is dropped */
	bool is_attached;    /* the loop knows the descriptors, as far as it can poll them */
	bool in_unpollable;  /* a regular file or /dev/null: always readable */
	bool in_eof;         /* nothing more comes */
	bool out_blocks;     /* not ours alone, so not set to O_NONBLOCK: ask before writing */
	bool out_waits;      /* there is more to write, later */
	bool out_stale;      /* log: the file is emptied before anything is written */
	bool drop_when_full; /* nobody may be reading: wait for a second at most (pty) */
	uint64_t full_ns;    /* such a one takes nothing since then; 0: it does */
	size_t taken;        /* bytes written since something was dropped */
	bool warned;         /* output is dropped */
	struct log_limit limit;
	struct loop_timer flush_timer;
	struct loop_msg flush_msg;
	struct loop_msg input_msg;
	struct loop_msg size_msg;
	bool connected;                    /* as the peer was told */
	int size_fd;                       /* a terminal whose size is the console's; -1: none */
	_Atomic uint32_t size;             /* columns, rows from bit 16 on */
	uint8_t input[CONSOLE_INPUT_SIZE]; /* read, but not yet taken by the peer */
	size_t input_len;

	pthread_mutex_t lock; /* guards what follows; lock order 80 */
	uint8_t *ring;        /* made with the first byte */
	uint32_t head, tail;  /* free-running; tail - head bytes are queued */
	bool refused;         /* a put found no room */

	/* stdio */
	bool escape; /* Ctrl-A was typed */
	bool is_terminal;
	_Atomic bool is_raw;
	struct termios saved;
	/* socket: the listening one; pty: our own slave, not in the loop */
	struct loop_fd listener;
	bool in_turn;                  /* socket: clients wait for what the one before has sent */
	struct loop_timer retry_timer; /* tries again: to accept, or to read */
};

/* The backends: fill in descriptors and the rest, or say what is wrong. */
struct err *must_check console_open_stdio(
	struct console *console, const struct console_options *options);
struct err *must_check console_open_log(
	struct console *console, const struct console_options *options);
struct err *must_check console_open_pty(
	struct console *console, const struct console_options *options);
struct err *must_check console_open_socket(
	struct console *console, const struct console_options *options);

/* ---- console_output.c ---- */

/*
 * Writes what is queued; false if there is more: the descriptor is full, or the guest is as fast as
 * we are, and the loop has others to serve.
 */
bool console_flush(struct console *console);
bool console_is_empty(struct console *console);
/* What an earlier machine left in a log goes. */
void console_empty_log(struct console *console);
/* Forgets what is queued. */
void console_drop(struct console *console);
/* A line for each time that output begins to be lost. */
void console_warn_once(struct console *console, int code);

/* ---- console.c ---- */

/* Waits for what the state asks for, after a change of in_eof or out_waits. */
void console_wait(struct console *console);
/* Tells the peer of a client that has come or gone. */
void console_tell_connection(struct console *console);
/* What the console is, for log lines: "socket console of LABEL". */
void console_set_name(
	struct console *console, const char *kind, const struct console_options *options);
/* Looks at the terminal's size, and tells the peer of another one. */
void console_update_size(struct console *console);
/* Neither input nor output is served any more; the descriptors stay. */
void console_leave_loop(struct console *console);
/* Adds the descriptors to the loop. */
void console_attach(struct console *console);
/* Takes the descriptors out of the loop and closes those that are not the process's own 0 and 1. */
void console_detach(struct console *console);
