/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages on a stream socket.
 */
#include "virtio/vhost_user/message.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "event/loop.h"

/* Until the socket can be read or written, or is closed. */
static int message_wait(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd p = {.fd = fd, .events = events};
	uint64_t now = loop_now_ns();
	int ret;

	if (now >= deadline_ns)
		return -ETIMEDOUT;
	ret = poll(&p, 1, (int)((deadline_ns - now) / 1000000 + 1));
	return ret < 0 && errno != EINTR ? -errno : 0;
}

static void message_attach(struct msghdr *msg, const struct vhost_user_message *message)
{
	struct cmsghdr *c;

	msg->msg_controllen = CMSG_SPACE(message->n_fds * sizeof(int));
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(message->n_fds * sizeof(int));
	memcpy(CMSG_DATA(c), message->fds, message->n_fds * sizeof(int));
}

/* The first `n` bytes of the pieces are done with. */
static void message_advance(struct iovec iov[2], size_t n)
{
	for (unsigned int i = 0; i < 2; i++) {
		size_t part = MIN(n, iov[i].iov_len);

		iov[i].iov_base = (uint8_t *)iov[i].iov_base + part;
		iov[i].iov_len -= part;
		n -= part;
	}
}

int vhost_user_send(int fd, const struct vhost_user_message *message, uint64_t deadline_ns)
{
	struct vhost_user_header header = {.request = message->request,
		.flags = message->flags | VHOST_USER_VERSION,
		.size = (uint32_t)message->size};
	struct iovec iov[2] = {{.iov_base = &header, .iov_len = sizeof(header)},
		{.iov_base = (void *)(uintptr_t)message->payload, .iov_len = message->size}};
	_Alignas(struct cmsghdr)
		uint8_t control[CMSG_SPACE(VHOST_USER_FDS_MAX * sizeof(int))] = {0};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2, .msg_control = control};

	assert(message->n_fds <= VHOST_USER_FDS_MAX);
	if (message->n_fds)
		message_attach(&msg, message);
	else
		msg.msg_control = NULL;
	while (iov[0].iov_len + iov[1].iov_len) {
		ssize_t sent = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		int ret = 0;

		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (sent < 0)
			ret = message_wait(fd, POLLOUT, deadline_ns);
		if (ret)
			return ret;
		if (sent <= 0)
			continue;
		/* The descriptors went with the first byte. */
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
		message_advance(iov, (size_t)sent);
	}
	return 0;
}

static int message_read(int fd, void *data, size_t len, uint64_t deadline_ns)
{
	size_t at = 0;

	while (at < len) {
		/* Without room for descriptors, the kernel closes what comes. */
		ssize_t got = recv(fd, (uint8_t *)data + at, len - at, MSG_DONTWAIT);
		int ret = 0;

		if (!got)
			return -EPIPE;
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (got < 0)
			ret = message_wait(fd, POLLIN, deadline_ns);
		else
			at += (size_t)got;
		if (ret)
			return ret;
	}
	return 0;
}

int vhost_user_receive(int fd, uint32_t request, void *payload, size_t size, uint64_t deadline_ns)
{
	struct vhost_user_header header;
	int ret = message_read(fd, &header, sizeof(header), deadline_ns);

	if (ret)
		return ret;
	if (header.request != request || header.size != size ||
		(header.flags & (VHOST_USER_VERSION_MASK | VHOST_USER_REPLY)) !=
			(VHOST_USER_VERSION | VHOST_USER_REPLY))
		return -EPROTO;
	return message_read(fd, payload, size, deadline_ns);
}
