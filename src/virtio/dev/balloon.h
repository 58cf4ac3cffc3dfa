/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traditional memory balloon (virtio 1.3, 5.5): pages that the driver gives up, or says that it has
 * no use for, go back to the host.
 */
#pragma once

#include "device/balloon_info.h"
#include "virtio/virtio.h"

#define VIRTIO_BALLOON_PAGE                                                                        \
	4096u /* bytes of the device's pages, whatever the host's are (5.5.6)                      \
	       */

struct virtio_balloon_options {
	uint64_t target;     /* bytes at first */
	bool deflate_on_oom; /* the driver may take pages back when it runs out of memory */
	bool reporting;      /* the driver tells of free pages by itself */
};

struct virtio_balloon;

/* The transport takes the device over; *ret_balloon lives as long. [main] */
struct err *must_check virtio_balloon_create(const struct virtio_balloon_options *options,
	struct virtio_dev **ret_dev, struct virtio_balloon **ret_balloon);

/* Asks the guest for so many bytes, rounded down to pages; it gives them in its own time. [any] but
 * the device's thread, as those below. */
void virtio_balloon_set_target(struct virtio_balloon *balloon, uint64_t bytes);
/*
 * What is known; new statistics first, if the guest sends them within `wait_ns` (0: what it said
 * last).
 */
void virtio_balloon_get(
	struct virtio_balloon *balloon, uint64_t wait_ns, struct balloon_info *ret_info);
/*
 * Asks the guest which pages it has no use for (5.5.6, "Free Page Hinting"), and waits at most
 * wait_ns for its answer: *ret_bytes of them. 0, -ETIMEDOUT, or -ENOTCONN without a driver that
 * can.
 */
int must_check virtio_balloon_hint(
	struct virtio_balloon *balloon, uint64_t wait_ns, uint64_t *ret_bytes);
