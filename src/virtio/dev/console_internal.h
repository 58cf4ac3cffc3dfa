/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console device's state, shared by its files.
 *
 * Theory of operation. The consoles of the host belong to the control loop, the queues to the
 * device's loop. Between them is a bounded buffer of input for each port: the control loop fills it
 * (and stops reading while it is full, so that the host's side waits), the device's loop empties it
 * into the driver's buffers. Output goes from the driver's buffers into the console's own ring;
 * what finds no room stays in its chain, and the driver waits for it. So neither a reader of the
 * host that stops nor a driver without buffers costs memory, and what was given back to the driver
 * is written out.
 *
 * What the driver is to be told of a port (5.3.6.2) is a set of bits, not a queue of messages: each
 * is a fact that may be told late, or again. They are told in the order of the bits.
 */
#pragma once

#include <pthread.h>

#include "virtio/dev/console.h"

#define VCON_F_SIZE        (1ull << 0)
#define VCON_F_MULTIPORT   (1ull << 1)
#define VCON_F_EMERG_WRITE (1ull << 2)

#define VCON_CTRL_RX       2u /* queues: to the driver, */
#define VCON_CTRL_TX       3u /* and from it */
#define VCON_INPUT         4096u
#define VCON_CHUNK         4096u

/* What the driver of MULTIPORT is still to be told of a port. */
enum {
	VCON_TELL_ADD = 1 << 0,
	VCON_TELL_CONSOLE = 1 << 1,
	VCON_TELL_NAME = 1 << 2,
	VCON_TELL_SIZE = 1 << 3,
	VCON_TELL_CLOSE = 1 << 4,
	VCON_TELL_OPEN = 1 << 5,
};

struct virtio_console;

struct vcon_port {
	struct virtio_console *vcon;
	unsigned int id;
	struct console *console; /* NULL: there is no such port */
	struct console_peer peer;
	char name[VIRTIO_CONSOLE_NAME_MAX + 1]; /* empty: a console */

	/* Guarded by vcon->lock. */
	uint8_t input[VCON_INPUT];
	unsigned int input_first, input_len;
	bool input_refused; /* the console has more */
	bool connected;     /* somebody is at the far end */
	bool closing;       /* a client's end is to be told before the next one's input */
	unsigned int news;  /* VCON_TELL_*, for the device's thread */

	/* Of the device's thread. */
	bool ready;        /* the driver has set it up (MULTIPORT) */
	bool guest_open;   /* the driver takes input: it said so, or knows no ports */
	unsigned int tell; /* VCON_TELL_* */
	bool tx_waits;     /* tx_chain is not written to its end: */
	uint64_t tx_off;   /* only to here */
	struct virtq_chain tx_chain;
};

struct virtio_console {
	struct virtio_dev dev;
	struct loop_msg news_msg; /* to the device's thread: something of a port has changed */
	bool paused;              /* [loop] */
	struct virtq_chain chain;

	pthread_mutex_t lock; /* guards loop and the ports' input; lock order 40 */
	struct loop *loop;    /* where news go; NULL while there is no driver */

	unsigned int n_ports; /* ids; 0 may be missing */
	struct vcon_port ports[];
};

/* Did the driver take MULTIPORT? While it is active. [loop] */
bool vcon_is_multiport(const struct virtio_console *vcon);
/* ---- console_port.c: data of one port [loop] ---- */

bool vcon_has_input(struct vcon_port *port);
/* Input to the driver's buffers, as far as there are both. */
void vcon_rx_run(struct vcon_port *port);
/* The driver's output to the console, as far as that has room. */
void vcon_tx_run(struct vcon_port *port);
/* The queue is taken back by the driver: nothing of it is held any more. */
void vcon_tx_drop(struct vcon_port *port);
/* The port of a queue that is not one of control. */
struct vcon_port *vcon_port_of_queue(struct virtio_console *vcon, unsigned int q);

/* ---- console_ctrl.c: what device and driver tell each other of ports [loop] ---- */

/* Messages of the driver. */
void vcon_ctrl_receive(struct virtio_console *vcon);
/* What is to be told, as far as the driver has buffers for it. */
void vcon_ctrl_tell(struct virtio_console *vcon);
