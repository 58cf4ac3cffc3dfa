/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes to the virtio console without its queues (virtio 1.3, 5.3.4): before there is a driver,
 * with one, and when it has gone.
 */
#include "guest_virtio.h"

#define CONSOLE_ID          3
#define CONSOLE_EMERG_WRITE 4 /* feature, as a mask */
#define CONSOLE_EMERG_WR    8 /* in the configuration */

static void say(const struct virtio *v, const char *text)
{
	while (*text)
		mmio_write32(v->config + CONSOLE_EMERG_WR, (uint32_t)*text++);
}

void guest_main(void)
{
	struct virtio v;

	if (!virtio_find(CONSOLE_ID, &v))
		fail("no virtio console");
	say(&v, "before\n");
	if (!virtio_negotiate(&v, CONSOLE_EMERG_WRITE))
		fail("features were refused");
	virtio_start(&v);
	say(&v, "with\n");
	virtio_reset(&v);
	say(&v, "after\n");
	pass();
}
