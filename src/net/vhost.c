/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-net.
 */
#include "net/vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "sys/vhost.h"

#define VHOST_F_VERSION_1 (1ull << 32)

struct err *net_vhost_open(struct net_vhost *vhost)
{
	int ret;

	*vhost = (struct net_vhost){.fd = open(NET_DEV_VHOST, O_RDWR | O_CLOEXEC | O_NONBLOCK)};
	if (vhost->fd < 0)
		return err_new(errno, "Cannot open \"%s\"", NET_DEV_VHOST);
	ret = sys_vhost_get_features(vhost->fd, &vhost->features);
	if (!ret && vhost->features & VHOST_F_VERSION_1)
		return NULL;
	net_vhost_close(vhost);
	return err_new(ret ? -ret : EOPNOTSUPP, "\"%s\" is of no use", NET_DEV_VHOST);
}

void net_vhost_close(struct net_vhost *vhost)
{
	for (unsigned int i = 0; i < 2; i++)
		net_vhost_stop(vhost, i);
	auto_close_cleanup(&vhost->fd);
	vhost->fd = -1;
}

static int vhost_set_memory(
	struct net_vhost *vhost, const struct net_vhost_region *regions, unsigned int n)
{
	struct sys_vhost_region table[SYS_VHOST_REGIONS_MAX];

	if (n > SYS_VHOST_REGIONS_MAX)
		return -E2BIG;
	for (unsigned int i = 0; i < n; i++)
		table[i] = (struct sys_vhost_region){.gpa = regions[i].gpa,
			.size = regions[i].size,
			.hva = (uintptr_t)regions[i].hva};
	return sys_vhost_set_memory(vhost->fd, table, n);
}

static int vhost_set_ring(
	struct net_vhost *vhost, unsigned int index, const struct net_vhost_ring *ring)
{
	struct sys_vhost_ring r = {
		.size = ring->size,
		.base = vhost->base[index],
		.desc = (uintptr_t)ring->desc,
		.driver = (uintptr_t)ring->driver,
		.device = (uintptr_t)ring->device,
		.kick = ring->kick,
		.call = ring->call,
		.error = ring->error,
	};

	return sys_vhost_set_ring(vhost->fd, index, &r);
}

int net_vhost_set_up(struct net_vhost *vhost, uint64_t features,
	const struct net_vhost_region *regions, unsigned int n_regions)
{
	/* Its thread begins with the owner: not before a driver wants it. */
	int ret = vhost->owned ? 0 : sys_vhost_set_owner(vhost->fd);

	vhost->owned = !ret;
	if (!ret)
		ret = sys_vhost_set_features(vhost->fd, features & vhost->features);
	return ret ? ret : vhost_set_memory(vhost, regions, n_regions);
}

int net_vhost_start(
	struct net_vhost *vhost, unsigned int index, int tap, const struct net_vhost_ring *ring)
{
	int ret = vhost_set_ring(vhost, index, ring);

	vhost->running[index] = !ret;
	if (!ret)
		ret = sys_vhost_net_set_backend(vhost->fd, index, tap);
	if (ret)
		net_vhost_stop(vhost, index);
	return ret;
}

void net_vhost_stop(struct net_vhost *vhost, unsigned int index)
{
	if (!vhost->running[index])
		return;
	vhost->running[index] = false;
	/* None of these can fail on a ring that runs. */
	if (sys_vhost_net_set_backend(vhost->fd, index, -1) ||
		sys_vhost_get_base(vhost->fd, index, &vhost->base[index]) ||
		sys_vhost_unbind(vhost->fd, index))
		return;
}
