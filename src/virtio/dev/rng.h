/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entropy device (virtio 1.3, 5.4), from the host's getrandom().
 */
#pragma once

#include "virtio/virtio.h"

/* The transport takes the device over. [main] */
struct err *must_check virtio_rng_create(struct virtio_dev **ret_dev);
