/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets that keep packets apart.
 */
#include "net/socket.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/alloc.h"

static ssize_t socket_receive(
	struct net_backend *backend, unsigned int queue, const struct iovec *iov, int n)
{
	ssize_t got;

	do
		got = readv(backend->fds[queue], iov, n);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	return got ? got : -ENODEV; /* its end */
}

static int socket_send(struct net_backend *backend, unsigned int queue, struct iovec *iov, int n)
{
	const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)n};
	ssize_t sent;

	/* A socket whose other end is closed must not end us with SIGPIPE. */
	do
		sent = sendmsg(backend->fds[queue], &msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static bool socket_take_error(struct net_backend *backend, unsigned int queue)
{
	int error = 0;
	socklen_t len = sizeof(error);

	return !getsockopt(backend->fds[queue], SOL_SOCKET, SO_ERROR, &error, &len) && error;
}

static const struct net_backend_ops socket_ops = {
	.receive = socket_receive, .send = socket_send, .take_error = socket_take_error};

bool net_socket_type(int fd, int *ret_type)
{
	socklen_t len = sizeof(*ret_type);

	return !getsockopt(fd, SOL_SOCKET, SO_TYPE, ret_type, &len);
}

struct err *net_socket_open(int fd, struct net_backend **ret_backend)
{
	auto_close int own = fd;
	struct net_backend *backend;
	int type;

	if (!net_socket_type(own, &type) || (type != SOCK_DGRAM && type != SOCK_SEQPACKET))
		return err_new(0, "The socket does not keep packets apart");
	backend = new0(struct net_backend);
	if (!backend)
		return err_new(ENOMEM, "Cannot open a socket as a network");
	backend->ops = &socket_ops;
	backend->n_queues = backend->n_attached = 1;
	backend->fds[0] = steal_fd(&own);
	*ret_backend = backend;
	return NULL;
}
