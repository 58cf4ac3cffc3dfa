/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioctls of the kernel's vhost devices (linux/vhost.h). 0 or -errno. [any]
 */
#pragma once

#include "base/macros.h"

struct sys_vhost_region {
	uint64_t gpa, size, hva;
};

#define SYS_VHOST_REGIONS_MAX 64

/* A split ring; addresses are the caller's own. Descriptors: -1 for none. */
struct sys_vhost_ring {
	uint16_t size;
	uint16_t base; /* of the driver's ring: what is taken next */
	uint64_t desc, driver, device;
	int kick, call, error;
};

/* The worker acts for this process from now on. */
int must_check sys_vhost_set_owner(int fd);
int must_check sys_vhost_get_features(int fd, uint64_t *ret_features);
int must_check sys_vhost_set_features(int fd, uint64_t features);
int must_check sys_vhost_set_memory(int fd, const struct sys_vhost_region *regions, unsigned int n);
int must_check sys_vhost_set_ring(int fd, unsigned int index, const struct sys_vhost_ring *ring);
/* Takes kick, call and error away. */
int must_check sys_vhost_unbind(int fd, unsigned int index);
/* Where a ring that is stopped goes on. */
int must_check sys_vhost_get_base(int fd, unsigned int index, uint16_t *ret_base);
/* vhost-net: the ring runs with this TAP; -1 stops it, and waits for what is in flight. */
int must_check sys_vhost_net_set_backend(int fd, unsigned int index, int tap);
