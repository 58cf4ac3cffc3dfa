/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a device looks at its rings before it sleeps, and how many completions it keeps back
 * meanwhile.
 *
 * Theory of operation. To be notified costs the guest an exit and the device's thread a wake-up; an
 * interrupt costs the guest more. A driver that adds requests one after the other pays for each,
 * although the next one comes soon. So after its work the device looks at the rings for a while
 * ("polls"), before it asks for notifications; and what is done is published together ("held")
 * when that pays. Both are bounded and learned:
 *
 * - A poll lasts no longer than twice what the work took, and never longer than VIRTIO_POLL_MAX_NS:
 *   it costs no more than it may save, on a fast host as on a slow one. Where polls find nothing
 *   they are given up, and tried again now and then.
 * - Completions are held while requests come that do not wait for them, up to `target`, and no
 *   longer than VIRTIO_POLL_MAX_NS (the device sees to that). When nothing comes in a poll the
 *   driver waits for what is held: then half of that is the target, so that it has as many in the
 *   device's hands as the device has in its. It grows again, slowly. A driver with one request at a
 *   time is hardly ever kept waiting.
 *
 * All of it happens after work: a device without any does nothing. [loop]
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VIRTIO_POLL_MAX_NS 64000u
#define VIRTIO_HOLD_MAX    16u

/* Zero-initialised. */
struct virtio_poll {
	uint64_t work_ns;    /* of a turn; smoothed */
	unsigned int misses; /* polls that found nothing, against those that did; up to a limit */
	unsigned int passed; /* times without a poll since it was given up */
	unsigned int target; /* completions that are held, and one more; 0: not known */
	unsigned int met;    /* times the target was reached */
	bool waited;         /* the driver has waited once */
};

/* A turn's work took so long. */
void virtio_poll_worked(struct virtio_poll *poll, uint64_t ns);
/* Nanoseconds to poll for now; 0: not this time. */
uint64_t virtio_poll_window(struct virtio_poll *poll);
/* A poll ended: did it find anything? */
void virtio_poll_ended(struct virtio_poll *poll, bool found);

/* Are n completions to be kept back for now? */
bool virtio_poll_holds(struct virtio_poll *poll, unsigned int n);
/* The driver waited for n completions that were kept back. */
void virtio_poll_kept_waiting(struct virtio_poll *poll, unsigned int n);
