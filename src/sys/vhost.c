/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioctls of vhost devices.
 */
#include "sys/vhost.h"

#include <errno.h>
#include <linux/vhost.h>
#include <sys/ioctl.h>

int sys_vhost_set_owner(int fd)
{
	return ioctl(fd, VHOST_SET_OWNER, NULL) ? -errno : 0;
}

int sys_vhost_get_features(int fd, uint64_t *ret_features)
{
	uint64_t features;

	if (ioctl(fd, VHOST_GET_FEATURES, &features))
		return -errno;
	*ret_features = features;
	return 0;
}

int sys_vhost_set_features(int fd, uint64_t features)
{
	return ioctl(fd, VHOST_SET_FEATURES, &features) ? -errno : 0;
}

int sys_vhost_set_memory(int fd, const struct sys_vhost_region *regions, unsigned int n)
{
	union {
		struct vhost_memory table;
		uint8_t room[sizeof(struct vhost_memory) +
			     SYS_VHOST_REGIONS_MAX * sizeof(struct vhost_memory_region)];
	} u = {.room = {0}};

	if (n > SYS_VHOST_REGIONS_MAX)
		return -E2BIG;
	for (unsigned int i = 0; i < n; i++)
		u.table.regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = regions[i].gpa,
			.memory_size = regions[i].size,
			.userspace_addr = regions[i].hva,
		};
	u.table.nregions = n;
	return ioctl(fd, VHOST_SET_MEM_TABLE, &u) ? -errno : 0;
}

static int vhost_set_file(int fd, unsigned long request, unsigned int index, int file)
{
	struct vhost_vring_file arg = {.index = index, .fd = file};

	return ioctl(fd, request, &arg) ? -errno : 0;
}

int sys_vhost_set_ring(int fd, unsigned int index, const struct sys_vhost_ring *ring)
{
	struct vhost_vring_state size = {.index = index, .num = ring->size};
	struct vhost_vring_state base = {.index = index, .num = ring->base};
	struct vhost_vring_addr addr = {
		.index = index,
		.desc_user_addr = ring->desc,
		.avail_user_addr = ring->driver,
		.used_user_addr = ring->device,
	};
	int ret;

	if (ioctl(fd, VHOST_SET_VRING_NUM, &size) || ioctl(fd, VHOST_SET_VRING_BASE, &base) ||
		ioctl(fd, VHOST_SET_VRING_ADDR, &addr))
		return -errno;
	ret = vhost_set_file(fd, VHOST_SET_VRING_KICK, index, ring->kick);
	if (!ret)
		ret = vhost_set_file(fd, VHOST_SET_VRING_CALL, index, ring->call);
	if (!ret)
		ret = vhost_set_file(fd, VHOST_SET_VRING_ERR, index, ring->error);
	return ret;
}

int sys_vhost_unbind(int fd, unsigned int index)
{
	int ret = vhost_set_file(fd, VHOST_SET_VRING_KICK, index, VHOST_FILE_UNBIND);

	if (!ret)
		ret = vhost_set_file(fd, VHOST_SET_VRING_CALL, index, VHOST_FILE_UNBIND);
	if (!ret)
		ret = vhost_set_file(fd, VHOST_SET_VRING_ERR, index, VHOST_FILE_UNBIND);
	return ret;
}

int sys_vhost_get_base(int fd, unsigned int index, uint16_t *ret_base)
{
	struct vhost_vring_state state = {.index = index};

	if (ioctl(fd, VHOST_GET_VRING_BASE, &state))
		return -errno;
	*ret_base = (uint16_t)state.num;
	return 0;
}

int sys_vhost_net_set_backend(int fd, unsigned int index, int tap)
{
	return vhost_set_file(fd, VHOST_NET_SET_BACKEND, index, tap);
}
