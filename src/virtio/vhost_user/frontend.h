/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front end of vhost-user: another process serves queues of a device of ours. It maps the
 * guest's RAM, is notified by the driver and interrupts it without this process.
 *
 * The other process may stop, lie, be silent or answer each message late: all that is asked of it
 * after vhost_user_begin() ends VHOST_USER_TIMEOUT_MS later, however many calls it takes; and after
 * an error the connection is of no use any more. What it does to the guest's memory is not ours to
 * see: it is trusted with all of it, as the guest is.
 */
#pragma once

#include "base/err.h"
#include "mem/ram.h"

#define VHOST_USER_TIMEOUT_MS 5000

/* A connection. */
struct vhost_user {
	int fd;            /* the caller's */
	uint64_t features; /* of virtio, that the back end knows */
	uint64_t all_features;
	uint64_t protocol_features;
	uint64_t deadline_ns; /* of what it is asked now */
};

/* A split ring; addresses in this process, descriptors of the caller's. */
struct vhost_user_ring {
	uint16_t size;
	uint16_t base; /* where it goes on; 0 for a new one */
	const void *desc, *driver, *device;
	int kick;  /* the driver's notifications */
	int call;  /* interrupts */
	int error; /* the driver broke the ring */
};

/* Before one or several of the calls below: how long they may take begins now. [loop] */
void vhost_user_begin(struct vhost_user *user);

/* Asks a back end who it is, which begins by itself. [main], [loop] */
struct err *must_check vhost_user_open(int fd, struct vhost_user *ret_user);

/* What the driver and the device agreed on, and the guest's RAM, which must have descriptors
 * (memfd): before the first ring runs; 0 or -errno. [loop] */
int must_check vhost_user_set_up(
	const struct vhost_user *user, uint64_t features, const struct ram *ram);
/* Runs queue q; 0 or -errno. [loop] */
int must_check vhost_user_start(
	const struct vhost_user *user, unsigned int q, const struct vhost_user_ring *ring);
/* Nothing touches the ring when it returns 0; where it goes on. 0 or -errno. [loop] */
int must_check vhost_user_stop(const struct vhost_user *user, unsigned int q, uint16_t *ret_base);
