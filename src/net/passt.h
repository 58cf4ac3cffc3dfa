/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passt as a network: user-mode networking by a process of its own, which needs no rights. It is
 * started here with one end of a pair of sockets, or listens on a socket already.
 *
 * A passt that is started here goes into the background by itself when it is ready (that tells
 * whether its options are good), and ends when our end of the pair is closed, however we end.
 */
#pragma once

#include "net/stream.h"

#define NET_PASST_PROGRAM "passt"

struct net_passt_options {
	const char *socket; /* of one that runs; NULL: it is started, as the others say */
	const char *path;   /* the program; without a slash it is looked for in PATH */
	const char *tcp;    /* ports to forward, as passt has them; NULL: none */
	const char *udp;
	const char *args; /* further arguments, apart by spaces; NULL: none */
	uint16_t mtu;     /* that it tells the guest; 0: its own default */
	bool reconnect;   /* start it, or connect to it, again when it is gone */
	bool vhost_user;  /* it is a vhost-user back end: its socket carries no packets */
};

/* Starts it and waits until it is ready, or connects. Copies the options. [main] */
struct err *must_check net_passt_open(
	const struct net_passt_options *options, struct net_backend **ret_backend);
