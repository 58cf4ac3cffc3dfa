/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of vhost-user ("Vhost-user Protocol", QEMU's docs/interop/vhost-user.rst): a header of
 * three numbers, a payload, and descriptors with it. Numbers are in the host's byte order.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_SET_VRING_ENABLE = 18,
};

/* Flags of a message. */
#define VHOST_USER_VERSION      0x1u
#define VHOST_USER_VERSION_MASK 0x3u
#define VHOST_USER_REPLY        0x4u
#define VHOST_USER_NEED_REPLY   0x8u

/* In the features: there are protocol features. */
#define VHOST_USER_F_PROTOCOL_FEATURES  (1ull << 30)
#define VHOST_USER_PROTOCOL_F_REPLY_ACK (1ull << 3)

#define VHOST_USER_REGIONS_MAX          8u
#define VHOST_USER_FDS_MAX              VHOST_USER_REGIONS_MAX

struct vhost_user_header {
	uint32_t request, flags;
	uint32_t size; /* of the payload */
};
static_assert(sizeof(struct vhost_user_header) == 12, "ABI");

struct vhost_user_vring_state {
	uint32_t index, num;
};

struct vhost_user_vring_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log; /* addresses in the front end's memory */
};
static_assert(sizeof(struct vhost_user_vring_addr) == 40, "ABI");

struct vhost_user_region {
	uint64_t gpa, size, address, mmap_offset;
};

struct vhost_user_memory {
	uint32_t n, padding;
	struct vhost_user_region regions[VHOST_USER_REGIONS_MAX];
};

/* A message as it is sent. */
struct vhost_user_message {
	uint32_t request, flags;
	const void *payload;
	size_t size;
	const int *fds;
	unsigned int n_fds;
};

/*
 * Both wait for the other end up to `deadline_ns` (loop_now_ns()); the socket may be non-blocking.
 * 0; -ETIMEDOUT; -EPIPE: the other end is closed; or another -errno. After an error nothing more
 * can be said on that socket.
 */
int must_check vhost_user_send(
	int fd, const struct vhost_user_message *message, uint64_t deadline_ns);
/* A reply to `request` of exactly `size` bytes; anything else is -EPROTO. Descriptors that come
 * along are closed. */
int must_check vhost_user_receive(
	int fd, uint32_t request, void *payload, size_t size, uint64_t deadline_ns);
