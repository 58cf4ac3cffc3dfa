/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket that keeps packets apart (datagrams, SOCK_SEQPACKET) as a network: each message is a
 * packet with its header. The other end knows nothing of us: there are no offloads.
 */
#pragma once

#include "net/backend.h"

/* Is it a socket, and of which type (SOCK_*)? */
bool net_socket_type(int fd, int *ret_type);
/* Takes over a non-blocking socket, also on error. [main] */
struct err *must_check net_socket_open(int fd, struct net_backend **ret_backend);
