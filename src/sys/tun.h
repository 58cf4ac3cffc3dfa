/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioctls of TUN/TAP and macvtap devices. 0 or -errno. [any]
 */
#pragma once

#include "base/macros.h"

#define SYS_TUN_NAME_SIZE 16 /* IFNAMSIZ */

/* What the reader of a TAP takes without a checksum or in segments: as in linux/if_tun.h, whose
 * Debian 12 version ends before USO (Linux 6.2). */
#define SYS_TUN_F_CSUM      0x01u
#define SYS_TUN_F_TSO4      0x02u
#define SYS_TUN_F_TSO6      0x04u
#define SYS_TUN_F_TSO_ECN   0x08u
#define SYS_TUN_F_UFO       0x10u
#define SYS_TUN_F_USO4      0x20u
#define SYS_TUN_F_USO6      0x40u

#define SYS_TUN_FILTER_MAX  130
#define SYS_TUN_ADDRESS     6
#define SYS_TUN_MULTI_QUEUE 0x0100u
#define SYS_TUN_VNET_HDR    0x4000u

/* Addresses that the interface hands to its reader: exact ones first (Linux compares 8), the others
 * must be multicast. None: all packets pass. */
struct sys_tun_filter {
	uint16_t flags;
	uint16_t count;
	uint8_t addresses[SYS_TUN_FILTER_MAX][SYS_TUN_ADDRESS];
};

/* Attaches an open /dev/net/tun to a TAP of that name, without packet information and with
 * virtio-net headers, or gives a macvtap these flags; `flags` is 0 or SYS_TUN_MULTI_QUEUE. */
int must_check sys_tun_attach(int fd, const char *name, unsigned int flags);
/* Name and flags of what it is attached to; `*ret_is_tap` unless it is a TUN, or a TAP with packet
 * information. */
int must_check sys_tun_query(
	int fd, char ret_name[SYS_TUN_NAME_SIZE], unsigned int *ret_flags, bool *ret_is_tap);
int must_check sys_tun_set_header_size(int fd, int bytes);
int must_check sys_tun_set_offload(int fd, unsigned int offloads);
/* A queue of a multi-queue interface takes part, or not. */
int must_check sys_tun_set_queue(int fd, bool attached);
int must_check sys_tun_set_filter(int fd, const struct sys_tun_filter *filter);
/* The interface's own address. */
int must_check sys_tun_get_address(int fd, uint8_t ret_address[SYS_TUN_ADDRESS]);
