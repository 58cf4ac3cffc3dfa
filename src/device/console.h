/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host side of a character device: where its bytes go to and come from.
 *
 * Theory of operation. The device (a vCPU thread) puts bytes into a bounded ring; the control loop
 * writes them out in batches, a millisecond after the first one, so that a booting kernel costs
 * neither a write nor a wake-up a byte. When the ring is full, console_put() refuses: the device
 * shows its transmitter as busy and the guest waits, as with hardware flow control; nothing is
 * lost, no thread of the monitor blocks, and memory is bounded. `peer->writable` tells when there
 * is room again. Input is read only as fast as the device takes it (`peer->receive`).
 *
 * What happens to output that cannot be delivered: a closed or broken standard output, a log on a
 * full disk (until there is space again) and a pty or socket that nobody reads drop it, with one
 * warning; a reader that is merely slow makes the guest wait. Whether somebody reads a pty is told
 * by time: one who has taken nothing for a second is not there, until he types or much was taken.
 *
 * Threads: output, sizes and console_input_wanted() [any]; everything else [loop], or before it
 * runs.
 */
#pragma once

#include "base/err.h"

struct console;
struct loop;

enum console_kind { CONSOLE_STDIO, CONSOLE_LOG, CONSOLE_PTY, CONSOLE_SOCKET, CONSOLE_NULL };

struct console_options {
	enum console_kind kind;
	const char *path; /* log, socket */
	bool append;      /* log */
	bool in_turn; /* socket: the next client waits until the guest has taken what the last one
			 sent; otherwise that is dropped for it */
	const char *label; /* for log lines, where there are several; NULL: none */
};

/* Of a terminal, in characters; 0: not known. */
struct console_size {
	uint16_t columns, rows;
};

/* The device at the guest's end; embedded in it. Called by the loop without locks of the console.
 */
struct console_peer {
	/* Takes up to len bytes and returns how many; fewer than len: console_input_wanted() asks
	 * for the rest. */
	size_t (*receive)(struct console_peer *peer, const uint8_t *data, size_t len);
	/* There is room after console_put() or console_write() refused. */
	void (*writable)(struct console_peer *peer);
	/* A client has come, or has left and all that it sent was taken; optional. */
	void (*connected)(struct console_peer *peer, bool connected);
	/* console_size() is another; optional. */
	void (*resized)(struct console_peer *peer);
};

/* What the user of a terminal can ask of the VM. */
struct console_events {
	void (*quit)(struct console_events *events); /* Ctrl-A X */
};

/* Opens the host side. `events` (stdio) and `loop` outlive the console. [main] */
struct err *must_check console_create(const struct console_options *options, struct loop *loop,
	struct console_events *events, struct console **ret_console);
/* Closes it (see console_close) and frees it; after the loop has ended. NULL is fine. */
void console_free(struct console *console);

/* The device, before the guest runs; NULL, when it goes. */
void console_set_peer(struct console *console, struct console_peer *peer);
/* Begins to read input; in the loop's thread, so that the first vCPU does not wait for it. */
void console_start(struct console *console);

/* Has the device ever written anything? [any] */
bool console_has_output(struct console *console);

/* Is there somebody at the other end? Only a socket knows; the others always say so. */
bool console_is_connected(const struct console *console);

/* Queues one byte; false if there is no room. [any] */
bool must_check console_put(struct console *console, uint8_t byte);
/* Queues as many of the bytes as there is room for, and returns how many. [any] */
size_t must_check console_write(struct console *console, const void *data, size_t len);
/* The device has room for input again. [any] */
void console_input_wanted(struct console *console);

/* Of consoles that are closed at once. */
#define CONSOLE_CLOSE_MAX 32
/*
 * Writes out what is queued, for at most a second for all of them together, leaves further input to
 * others, and puts the terminal back. May be repeated.
 */
void console_close(struct console *const *consoles, unsigned int n);
/*
 * Makes the terminal raw again, after the process was stopped or in the background; no effect while
 * it is in the background. [any]
 */
void console_take_terminal(struct console *console);
/*
 * Is there a terminal whose size the guest may know: stdio's, or the pty's, which its user sets
 * (looked at with each input). [any]
 */
bool console_has_size(const struct console *console);
struct console_size console_size(const struct console *console);
/* The terminal may have another size now (SIGWINCH). [any] */
void console_look_at_size(struct console *console);
/* Only the terminal, for handlers of fatal signals: async-signal-safe. */
void console_restore_terminal(const struct console *console);
