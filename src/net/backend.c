/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of back ends.
 */
#include "net/backend.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"

#define BACKEND_DRAIN_MAX 4096 /* packets of a queue; an interface's queue has 1000 */

void net_backend_free(struct net_backend *backend)
{
	if (!backend)
		return;
	for (unsigned int i = 0; i < backend->n_queues; i++)
		auto_close_cleanup(&backend->fds[i]);
	if (backend->ops->free)
		backend->ops->free(backend);
	else
		free(backend);
}

ssize_t net_backend_receive(
	struct net_backend *backend, unsigned int queue, const struct iovec *iov, int n)
{
	assert(queue < backend->n_queues);
	return backend->ops->receive(backend, queue, iov, n);
}

int net_backend_send(struct net_backend *backend, unsigned int queue, struct iovec *iov, int n)
{
	assert(queue < backend->n_queues && n > 0 && iov[0].iov_len == NET_HEADER);
	return backend->ops->send(backend, queue, iov, n);
}

int net_backend_flush(struct net_backend *backend, unsigned int queue)
{
	return backend->ops->flush ? backend->ops->flush(backend, queue) : 0;
}

bool net_backend_has_packet(const struct net_backend *backend, unsigned int queue)
{
	return backend->ops->has_packet && backend->ops->has_packet(backend, queue);
}

bool net_backend_take_error(struct net_backend *backend, unsigned int queue)
{
	return backend->ops->take_error && backend->ops->take_error(backend, queue);
}

void net_backend_drain(struct net_backend *backend)
{
	char byte[NET_HEADER];
	struct iovec iov = {.iov_base = byte, .iov_len = sizeof(byte)};

	for (unsigned int q = 0; q < backend->n_queues; q++) {
		unsigned int left = BACKEND_DRAIN_MAX;

		while (left-- && net_backend_receive(backend, q, &iov, 1) > 0)
			continue;
	}
}

int net_backend_set_offloads(struct net_backend *backend, unsigned int offloads)
{
	if (backend->ops->set_offloads)
		return backend->ops->set_offloads(backend, offloads);
	return offloads ? -EOPNOTSUPP : 0;
}

int net_backend_set_queues(struct net_backend *backend, unsigned int n)
{
	assert(n && n <= backend->n_queues);
	return backend->ops->set_queues ? backend->ops->set_queues(backend, n) : 0;
}

void net_backend_set_filter(struct net_backend *backend, const uint8_t (*addresses)[NET_ADDRESS],
	unsigned int n, bool all_multicast)
{
	assert(n <= NET_FILTER_MAX + 2);
	if (backend->ops->set_filter)
		backend->ops->set_filter(backend, addresses, n, all_multicast);
}

int net_backend_reconnect(struct net_backend *backend)
{
	return backend->can_reconnect ? backend->ops->reconnect(backend) : -EOPNOTSUPP;
}
