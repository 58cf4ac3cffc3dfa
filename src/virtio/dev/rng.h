/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entropy device (virtio 1.3, 5.4), from the host's getrandom().
 */
#pragma once

#include "virtio/virtio.h"

struct virtio_rng_options {
	uint64_t rate;         /* bytes a second; 0: as many as the driver asks for */
	uint64_t (*now)(void); /* clock of the rate in nanoseconds; NULL: loop_now_ns() */
};

/* The transport takes the device over. [main] */
struct err *must_check virtio_rng_create(
	const struct virtio_rng_options *options, struct virtio_dev **ret_dev);
