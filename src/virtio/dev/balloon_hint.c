/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Free page hints (virtio 1.3, 5.5.6, "Free Page Hinting"): asked for by a new command id in the
 * configuration, the driver allocates all pages that it can, sends the id, the pages, and STOP;
 * with DONE in the configuration it frees them.
 *
 * Hints are no permission to take the pages' content: a driver may use a page that it has hinted
 * again at any time, without a word and before we have seen the hint (Linux does when memory gets
 * short), and what it wrote would be lost. They tell what need not be copied by whoever sees later
 * writes, as a migration does. So they are counted, and the pages stay; those of reports
 * (balloon_pages.c), which a driver leaves alone until it gets them back, go to the host.
 */
#include "base/thread.h"
#include "virtio/dev/balloon_internal.h"

static void balloon_take_command(struct virtio_balloon *balloon, uint32_t id)
{
	bool ended = false;

	with_lock (&balloon->lock) {
		if (id > BALLOON_ID_DONE && id == balloon->hint_id) {
			balloon->hinting = id;
			balloon->hinted = 0;
		} else {
			/* Of an earlier question that we gave up: not this one's answer. */
			ended = balloon->hinting && balloon->hinting == balloon->hint_id;
			balloon->hinting = 0;
		}
		if (ended) {
			balloon->hint_id = BALLOON_ID_DONE;
			balloon->n_hints++;
			pthread_cond_broadcast(&balloon->told);
		}
	}
	if (ended)
		balloon_announce(balloon);
}

uint32_t balloon_take_hints(struct virtio_dev *dev, struct virtq_chain *chain)
{
	struct virtio_balloon *balloon = balloon_of(dev);
	const struct iovec *pages = chain->iov + chain->n_readable;
	uint8_t raw[4];

	if (virtio_iov_read(chain->iov, chain->n_readable, 0, raw, sizeof(raw)) == sizeof(raw))
		balloon_take_command(balloon, load_le32(raw));
	if (!balloon->hinting || !chain->n_writable)
		return 0;
	auto_lock(&balloon->lock);
	balloon->hinted += MIN(virtio_iov_size(pages, chain->n_writable), (uint64_t)UINT32_MAX);
	return 0;
}
