/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Persistent memory (virtio 1.3, 5.19): a range of guest-physical addresses, and a queue by which
 * the driver makes what it wrote there stable.
 */
#pragma once

#include "virtio/virtio.h"

#define VIRTIO_PMEM_NAME_MAX 31u

struct virtio_pmem_options {
	const char *name;   /* "virtio-pmem-0"; at most VIRTIO_PMEM_NAME_MAX bytes */
	uint64_t gpa, size; /* where the file is mapped */
	/* The same for the driver to find in a BAR, which begins there; without it the driver is
	 * told gpa and size only. */
	struct iovec memory;
	int fd;              /* of the file; taken over on success */
	bool discard_writes; /* nothing reaches it */
};

/* The transport takes the device over. [main] */
struct err *must_check virtio_pmem_create(
	const struct virtio_pmem_options *options, struct virtio_dev **ret_dev);
