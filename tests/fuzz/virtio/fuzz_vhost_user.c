/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front end of vhost-user with a hostile back end, whose side of the conversation is the input,
 * as it comes, and then its end. Nothing may be believed that is not an answer to what was asked.
 */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "virtio/vhost_user/frontend.h"

#define VU_RAM (1u << 20)

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void vuf_talk(int fd, const struct ram *ram)
{
	static const uint8_t place[64];
	int event = eventfd(0, EFD_CLOEXEC);
	const struct vhost_user_ring ring = {.size = 64,
		.desc = place,
		.driver = place,
		.device = place,
		.kick = event,
		.call = event,
		.error = event};
	struct vhost_user user;
	struct err *err = vhost_user_open(fd, &user);
	uint16_t base = 0;
	int ret;

	if (!err) {
		ret = vhost_user_set_up(&user, ~0ull, ram);
		for (unsigned int q = 0; !ret && q < 2; q++)
			ret = vhost_user_start(&user, q, &ring);
		for (unsigned int q = 0; !ret && q < 2; q++)
			ret = vhost_user_stop(&user, q, &base);
	}
	err_free(err);
	close(event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ram_options options = {.backend = RAM_MEMFD};
	static struct ram *ram;
	int fds[2];

	if (!ram) {
		must(!ram_create(&options, &ram));
		must(!ram_add(ram, 0, VU_RAM, "fuzz"));
	}
	if (size > 65536)
		return 0;
	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	must(!size || send(fds[1], data, size, 0) == (ssize_t)size);
	must(!shutdown(fds[1], SHUT_WR));
	vuf_talk(fds[0], ram);
	close(fds[0]);
	close(fds[1]);
	return 0;
}
