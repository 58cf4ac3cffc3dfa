/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front end of vhost-user.
 */
#include "virtio/vhost_user/frontend.h"

#include <errno.h>

#include "event/loop.h"
#include "virtio/vhost_user/message.h"

#define F_VERSION_1 (1ull << 32)

/* A vring's descriptor: the lowest byte of the number names the ring. */
#define VRING_INDEX_MAX 0xffu

void vhost_user_begin(struct vhost_user *user)
{
	user->deadline_ns = loop_now_ns() + VHOST_USER_TIMEOUT_MS * 1000000ull;
}

/* Says something; where the back end can say whether it worked, it is asked to. */
static int user_set(const struct vhost_user *user, uint32_t request, const void *payload,
	size_t size, const int *fds, unsigned int n_fds)
{
	bool ack = user->protocol_features & VHOST_USER_PROTOCOL_F_REPLY_ACK;
	const struct vhost_user_message message = {.request = request,
		.flags = ack ? VHOST_USER_NEED_REPLY : 0,
		.payload = payload,
		.size = size,
		.fds = fds,
		.n_fds = n_fds};
	uint64_t refused = 0;
	int ret = vhost_user_send(user->fd, &message, user->deadline_ns);

	if (!ret && ack)
		ret = vhost_user_receive(
			user->fd, request, &refused, sizeof(refused), user->deadline_ns);
	return ret ? ret : refused ? -EREMOTEIO : 0;
}

static int user_set_u64(const struct vhost_user *user, uint32_t request, uint64_t value)
{
	return user_set(user, request, &value, sizeof(value), NULL, 0);
}

static int user_get_u64(const struct vhost_user *user, uint32_t request, uint64_t *ret_value)
{
	const struct vhost_user_message message = {.request = request};
	int ret = vhost_user_send(user->fd, &message, user->deadline_ns);

	return ret ? ret
		   : vhost_user_receive(
			     user->fd, request, ret_value, sizeof(*ret_value), user->deadline_ns);
}

static int user_set_state(
	const struct vhost_user *user, uint32_t request, unsigned int q, unsigned int num)
{
	const struct vhost_user_vring_state state = {.index = q, .num = num};

	return user_set(user, request, &state, sizeof(state), NULL, 0);
}

static int user_set_fd(const struct vhost_user *user, uint32_t request, unsigned int q, int fd)
{
	uint64_t index = q;

	return user_set(user, request, &index, sizeof(index), &fd, 1);
}

/* ---- Who it is ---- */

static int user_greet(struct vhost_user *user)
{
	int ret = user_get_u64(user, VHOST_USER_GET_FEATURES, &user->all_features);
	uint64_t known;

	if (!ret && user->all_features & VHOST_USER_F_PROTOCOL_FEATURES) {
		ret = user_get_u64(user, VHOST_USER_GET_PROTOCOL_FEATURES, &known);
		known = ret ? 0 : known & VHOST_USER_PROTOCOL_F_REPLY_ACK;
		if (!ret)
			ret = user_set_u64(user, VHOST_USER_SET_PROTOCOL_FEATURES, known);
		user->protocol_features = known;
	}
	user->features = user->all_features & ~VHOST_USER_F_PROTOCOL_FEATURES;
	return ret ? ret : user_set(user, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0);
}

struct err *vhost_user_open(int fd, struct vhost_user *ret_user)
{
	int ret;

	*ret_user = (struct vhost_user){.fd = fd};
	vhost_user_begin(ret_user);
	ret = user_greet(ret_user);
	if (ret)
		return err_new(-ret, "The vhost-user back end does not answer as it should");
	if (!(ret_user->features & F_VERSION_1))
		return err_new(0, "The vhost-user back end knows no virtio 1");
	return NULL;
}

/* ---- Queues ---- */

static int user_set_memory(const struct vhost_user *user, const struct ram *ram)
{
	struct vhost_user_memory table = {.n = 0};
	int fds[VHOST_USER_FDS_MAX];
	const struct ram_region *regions;
	size_t n = ram_regions(ram, &regions);

	for (size_t i = 0; i < n; i++) {
		/* Persistent memory is no place for rings and packets. */
		if (regions[i].fd < 0)
			continue;
		if (table.n == VHOST_USER_REGIONS_MAX)
			return -E2BIG;
		fds[table.n] = regions[i].fd;
		table.regions[table.n++] = (struct vhost_user_region){.gpa = regions[i].gpa,
			.size = regions[i].size,
			.address = (uintptr_t)regions[i].hva,
			.mmap_offset = regions[i].fd_offset};
	}
	if (!table.n)
		return -EINVAL;
	return user_set(user, VHOST_USER_SET_MEM_TABLE, &table,
		offsetof(struct vhost_user_memory, regions) + table.n * sizeof(table.regions[0]),
		fds, table.n);
}

int vhost_user_set_up(const struct vhost_user *user, uint64_t features, const struct ram *ram)
{
	uint64_t agreed =
		(features & user->features) | (user->all_features & VHOST_USER_F_PROTOCOL_FEATURES);
	int ret = user_set_u64(user, VHOST_USER_SET_FEATURES, agreed);

	return ret ? ret : user_set_memory(user, ram);
}

static int user_set_addresses(
	const struct vhost_user *user, unsigned int q, const struct vhost_user_ring *ring)
{
	const struct vhost_user_vring_addr addr = {.index = q,
		.desc = (uintptr_t)ring->desc,
		.used = (uintptr_t)ring->device,
		.avail = (uintptr_t)ring->driver};

	return user_set(user, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

int vhost_user_start(
	const struct vhost_user *user, unsigned int q, const struct vhost_user_ring *ring)
{
	int ret;

	assert(q <= VRING_INDEX_MAX);
	ret = user_set_state(user, VHOST_USER_SET_VRING_NUM, q, ring->size);
	if (!ret)
		ret = user_set_state(user, VHOST_USER_SET_VRING_BASE, q, ring->base);
	if (!ret)
		ret = user_set_addresses(user, q, ring);
	if (!ret)
		ret = user_set_fd(user, VHOST_USER_SET_VRING_ERR, q, ring->error);
	if (!ret)
		ret = user_set_fd(user, VHOST_USER_SET_VRING_CALL, q, ring->call);
	/* This starts it. */
	if (!ret)
		ret = user_set_fd(user, VHOST_USER_SET_VRING_KICK, q, ring->kick);
	if (!ret && user->all_features & VHOST_USER_F_PROTOCOL_FEATURES)
		ret = user_set_state(user, VHOST_USER_SET_VRING_ENABLE, q, 1);
	return ret;
}

int vhost_user_stop(const struct vhost_user *user, unsigned int q, uint16_t *ret_base)
{
	struct vhost_user_vring_state state = {.index = q};
	const struct vhost_user_message message = {
		.request = VHOST_USER_GET_VRING_BASE, .payload = &state, .size = sizeof(state)};
	int ret = vhost_user_send(user->fd, &message, user->deadline_ns);

	if (!ret)
		ret = vhost_user_receive(user->fd, VHOST_USER_GET_VRING_BASE, &state, sizeof(state),
			user->deadline_ns);
	if (!ret && (state.index != q || state.num > UINT16_MAX))
		ret = -EPROTO;
	if (!ret)
		*ret_base = (uint16_t)state.num;
	return ret;
}
