/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What polling and holding learn.
 */
#include "virtio/poll.h"

#include "base/macros.h"

#define POLL_MISSES_MAX 8u  /* then polls are given up, */
#define POLL_PASSES     64u /* for so many turns */
#define POLL_MET        64u /* times that the target is reached before it grows, */
#define POLL_MET_FIRST  4u  /* and until the driver has waited for the first time */

void virtio_poll_worked(struct virtio_poll *poll, uint64_t ns)
{
	ns = MIN(ns, (uint64_t)VIRTIO_POLL_MAX_NS);
	poll->work_ns = poll->work_ns ? (7 * poll->work_ns + ns) / 8 : ns;
}

uint64_t virtio_poll_window(struct virtio_poll *poll)
{
	if (poll->misses == POLL_MISSES_MAX && ++poll->passed < POLL_PASSES)
		return 0;
	poll->passed = 0;
	return MIN(2 * poll->work_ns, (uint64_t)VIRTIO_POLL_MAX_NS);
}

void virtio_poll_ended(struct virtio_poll *poll, bool found)
{
	if (!found)
		poll->misses = MIN(poll->misses + 1, POLL_MISSES_MAX);
	else if (poll->misses)
		poll->misses--;
}

bool virtio_poll_holds(struct virtio_poll *poll, unsigned int n)
{
	if (!poll->target)
		poll->target = 1;
	if (n < poll->target)
		return true;
	if (++poll->met >= (poll->waited ? POLL_MET : POLL_MET_FIRST)) {
		poll->met = 0;
		poll->target = MIN(poll->target + 1, VIRTIO_HOLD_MAX);
	}
	return false;
}

void virtio_poll_kept_waiting(struct virtio_poll *poll, unsigned int n)
{
	poll->target = MAX(n / 2, 1u);
	poll->met = 0;
	poll->waited = true;
}
