/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TAP, macvtap and ipvtap interfaces (Documentation/networking/tuntap.rst).
 */
#include "net/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "net/socket.h"
#include "sys/tun.h"

#define TUN_MAJOR       10
#define TUN_MINOR       200

#define TAP_OFFLOAD_USO (NET_OFFLOAD_USO4 | NET_OFFLOAD_USO6)
#define TAP_OFFLOAD_TSO (NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 | NET_OFFLOAD_ECN)

static_assert(NET_OFFLOAD_CSUM == SYS_TUN_F_CSUM && NET_OFFLOAD_TSO4 == SYS_TUN_F_TSO4 &&
		      NET_OFFLOAD_TSO6 == SYS_TUN_F_TSO6 && NET_OFFLOAD_ECN == SYS_TUN_F_TSO_ECN &&
		      NET_OFFLOAD_UFO == SYS_TUN_F_UFO && NET_OFFLOAD_USO4 == SYS_TUN_F_USO4 &&
		      NET_OFFLOAD_USO6 == SYS_TUN_F_USO6,
	"offloads are the kernel's");
static_assert(NET_NAME_SIZE == SYS_TUN_NAME_SIZE && NET_ADDRESS == SYS_TUN_ADDRESS, "sizes");
static_assert(NET_FILTER_MAX + 2 == SYS_TUN_FILTER_MAX, "filter");

/* ---- Data ---- */

/* An interface that is gone says so for ever. */
static int tap_error(void)
{
	return errno == EBADFD || errno == ENXIO ? -ENODEV : -errno;
}

static ssize_t tap_receive(
	struct net_backend *tap, unsigned int queue, const struct iovec *iov, int n)
{
	ssize_t got;

	do
		got = readv(tap->fds[queue], iov, n);
	while (got < 0 && errno == EINTR);
	return got < 0 ? tap_error() : got;
}

static int tap_send(struct net_backend *tap, unsigned int queue, struct iovec *iov, int n)
{
	ssize_t sent;

	do
		sent = writev(tap->fds[queue], iov, n);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? tap_error() : 0;
}

/* ---- Settings ---- */

static int tap_set_offloads(struct net_backend *tap, unsigned int offloads)
{
	return sys_tun_set_offload(tap->fds[0], offloads);
}

static int tap_set_queues(struct net_backend *tap, unsigned int n)
{
	int ret = 0;

	while (!ret && tap->n_attached != n) {
		bool more = tap->n_attached < n;
		unsigned int q = more ? tap->n_attached : tap->n_attached - 1;

		ret = sys_tun_set_queue(tap->fds[q], more);
		if (!ret)
			tap->n_attached = more ? q + 1 : q;
	}
	return ret;
}

static void tap_set_filter(struct net_backend *tap, const uint8_t (*addresses)[NET_ADDRESS],
	unsigned int n, bool all_multicast)
{
	struct sys_tun_filter filter = {.flags = all_multicast ? 1 : 0, .count = (uint16_t)n};

	if (n)
		memcpy(filter.addresses, addresses, (size_t)n * NET_ADDRESS);
	/* A macvtap has none: it gives more than asked for, which is no error (5.1.6.5.1). */
	if (sys_tun_set_filter(tap->fds[0], &filter))
		return;
}

static const struct net_backend_ops tap_ops = {.receive = tap_receive,
	.send = tap_send,
	.set_offloads = tap_set_offloads,
	.set_queues = tap_set_queues,
	.set_filter = tap_set_filter};

/* ---- Opening ---- */

/* Tries what this kernel takes; leaves none set. */
static int tap_probe_offloads(struct net_backend *tap)
{
	static const unsigned int tries[] = {
		TAP_OFFLOAD_TSO | NET_OFFLOAD_UFO | TAP_OFFLOAD_USO,
		TAP_OFFLOAD_TSO | TAP_OFFLOAD_USO,
		TAP_OFFLOAD_TSO | NET_OFFLOAD_UFO,
		TAP_OFFLOAD_TSO,
		NET_OFFLOAD_CSUM,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(tries) && !tap->offloads; i++) {
		if (!sys_tun_set_offload(tap->fds[0], tries[i]))
			tap->offloads = tries[i];
	}
	return sys_tun_set_offload(tap->fds[0], 0);
}

static bool tap_is_tun_device(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISCHR(st.st_mode) && major(st.st_rdev) == TUN_MAJOR &&
	       minor(st.st_rdev) == TUN_MINOR;
}

static struct err *tap_attach_err(int ret, const struct net_tap_options *options)
{
	const char *hint = "";

	if (ret == -EBUSY)
		hint = " (another process has it)";
	else if (ret == -EPERM)
		hint = " (create it for this user first: ip tuntap add mode tap user ...)";
	else if (ret == -EINVAL && options->n_queues > 1)
		hint = " (is it a TAP that was made with multi_queue?)";
	else if (ret == -EINVAL)
		hint = " (it is not a TAP interface)";
	else if (ret == -ENOTTY)
		hint = " (it is not the device of a macvtap or ipvtap interface)";
	return err_new(-ret, "Cannot attach to the interface \"%s\" with %u queue%s%s",
		options->if_name ? options->if_name : options->path, options->n_queues,
		options->n_queues > 1 ? "s" : "", hint);
}

/* One queue of the options' interface. */
static struct err *tap_open_queue(struct net_backend *tap, const struct net_tap_options *options)
{
	const char *name = options->if_name ? options->if_name : "";
	unsigned int flags = options->n_queues > 1 ? SYS_TUN_MULTI_QUEUE : 0;
	int fd = open(options->path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	bool is_tun = fd >= 0 && tap_is_tun_device(fd);
	int ret;

	if (fd < 0)
		return err_new(errno, "Cannot open \"%s\"", options->path);
	tap->fds[tap->n_queues++] = fd;
	if (is_tun && !options->if_name)
		return err_new(0, "\"%s\" needs the name of an interface: if=NAME", options->path);
	ret = sys_tun_attach(fd, name, is_tun ? flags : 0);
	/* One queue of an interface that was made for several. */
	if (ret == -EINVAL && is_tun && !flags)
		ret = sys_tun_attach(fd, name, SYS_TUN_MULTI_QUEUE);
	return ret ? tap_attach_err(ret, options) : NULL;
}

/* The interface behind the descriptors: what it is, what it can. */
static struct err *tap_inspect(struct net_backend *tap)
{
	unsigned int flags;
	bool is_tap;
	int ret = sys_tun_query(tap->fds[0], tap->name, &flags, &is_tap);

	if (ret)
		return err_new(-ret, "The descriptor is neither a TAP nor a socket");
	if (!is_tap || !(flags & SYS_TUN_VNET_HDR))
		return err_new(0,
			"The interface \"%s\" is no TAP with virtio-net headers (IFF_TAP, IFF_NO_PI, IFF_VNET_HDR)",
			tap->name);
	for (unsigned int i = 0; !ret && i < tap->n_queues; i++)
		ret = sys_tun_set_header_size(tap->fds[i], NET_HEADER);
	if (!ret)
		ret = tap_probe_offloads(tap);
	if (!ret && !tap_is_tun_device(tap->fds[0])) {
		ret = sys_tun_get_address(tap->fds[0], tap->address);
		tap->has_address = !ret;
	}
	tap->n_attached = tap->n_queues;
	if (!ret)
		ret = tap_set_queues(tap, 1);
	return ret ? err_new(-ret, "Cannot set up the interface \"%s\"", tap->name) : NULL;
}

/* Takes over `fd`, or opens what the options say if it is -1. */
static struct err *tap_open(
	const struct net_tap_options *options, int fd, struct net_backend **ret_tap)
{
	struct net_backend *tap = new0(struct net_backend);
	struct err *err = NULL;

	if (!tap) {
		auto_close_cleanup(&fd);
		return err_new(ENOMEM, "Cannot open a network interface");
	}
	tap->ops = &tap_ops;
	tap->is_interface = true;
	if (fd >= 0)
		tap->fds[tap->n_queues++] = fd;
	else
		for (unsigned int i = 0; !err && i < options->n_queues; i++)
			err = tap_open_queue(tap, options);
	if (!err)
		err = tap_inspect(tap);
	if (err) {
		net_backend_free(tap);
		return err;
	}
	*ret_tap = tap;
	return NULL;
}

/* A descriptor of the caller's. */
static struct err *tap_open_fd(
	const struct net_tap_options *options, struct net_backend **ret_backend)
{
	auto_close int own = fcntl(options->fd, F_DUPFD_CLOEXEC, 0);
	int ret = own < 0 ? -errno : fd_set_nonblock(own, true);
	struct err *err;
	int type;

	if (ret)
		return err_new(-ret, "Cannot use the descriptor fd=%d", options->fd);
	err = net_socket_type(own, &type) ? net_socket_open(steal_fd(&own), ret_backend)
					  : tap_open(options, steal_fd(&own), ret_backend);
	return err_wrap(err, "Cannot use the descriptor fd=%d", options->fd);
}

struct err *net_tap_open(const struct net_tap_options *options, struct net_backend **ret_backend)
{
	assert(options->n_queues && options->n_queues <= NET_QUEUES_MAX);
	return options->fd >= 0 ? tap_open_fd(options, ret_backend)
				: tap_open(options, -1, ret_backend);
}
