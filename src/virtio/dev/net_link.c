/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link: down when the back end's other side is gone, and up again where one can be had anew.
 */
#define LOG_MODULE "virtio_net"
#include "virtio/dev/net_internal.h"

#include <errno.h>

#define LINK_DELAY_MIN_NS 100000000ull  /* before the first try */
#define LINK_DELAY_MAX_NS 6400000000ull /* after many */
#define LINK_UNDER_WAY_NS 20000000ull   /* until a try that is under way is looked at */
/* A peer that stayed for so long is not one that goes whenever it comes. */
#define LINK_STABLE_NS 10000000000ull

static void link_change(struct virtio_net *net, uint16_t set, uint16_t clear)
{
	uint16_t old = atomic_load(&net->status);
	uint16_t now = (uint16_t)((old & ~clear) | set);

	atomic_store(&net->status, now);
	if (now != old && net->dev.negotiated & NET_F_STATUS)
		net->dev.transport->config_changed(net->dev.transport);
}

void net_link_announce(struct virtio_net *net)
{
	if (net->dev.negotiated & NET_F_GUEST_ANNOUNCE && net->dev.negotiated & NET_F_CTRL_VQ)
		link_change(net, NET_S_ANNOUNCE, 0);
}

static void link_up(struct virtio_net *net)
{
	net->link.lost = false;
	net->link.up_ns = loop_now_ns();
	for (unsigned int i = 0; i < net->n_pairs; i++)
		net->pairs[i].tap.fd = net->backend->fds[i];
}

static void link_found(struct virtio_net *net)
{
	log_info("%s: \"%s\" is there again; the link is up", net->name, net->backend->name);
	link_up(net);
	net_tell_threads(net, &net->threads[0]);
	link_change(net, NET_S_LINK_UP, 0);
	/* The new one does not know the guest. */
	net_link_announce(net);
}

/* Another peer; one that speaks vhost-user is asked who it is. 0 or -errno. */
static int link_again(struct virtio_net *net)
{
	int ret = net_backend_reconnect(net->backend);
	struct err *err;

	if (ret || !net->backend->is_vhost_user)
		return ret;
	err = net_user_open_again(net);
	if (!err)
		return 0;
	log_err_free(LOG_INFO, LOG_MODULE, err);
	return -ECONNREFUSED;
}

static void link_try(struct loop_timer *timer)
{
	struct virtio_net *net = container_of(timer, struct virtio_net, link.timer);
	int ret = link_again(net);

	if (!ret) {
		link_found(net);
		return;
	}
	if (ret == -EAGAIN) {
		loop_timer_set(net->dev.loop, timer, LINK_UNDER_WAY_NS);
		return;
	}
	log_guest(&net->dev.limit, "%s: \"%s\" cannot be had again: %s", net->name,
		net->backend->name, err_strerror(-ret));
	net->link.delay_ns = MIN(2 * net->link.delay_ns, LINK_DELAY_MAX_NS);
	loop_timer_set(net->dev.loop, timer, net->link.delay_ns);
}

void net_link_seek(struct virtio_net *net)
{
	if (net->link.lost && net->backend->can_reconnect && !net->link.timer.loop)
		loop_timer_set(net->dev.loop, &net->link.timer, net->link.delay_ns);
}

void net_link_lost(struct net_pair *pair, const char *why)
{
	struct virtio_net *net = pair->net;

	if (atomic_exchange(&net->link.lost, true))
		return;
	log_warn("%s: the interface \"%s\" is gone (%s); the link is down", net->name,
		net->backend->name, why);
	net_tell_threads(net, pair->thread);
}

void net_link_settle(struct virtio_net *net)
{
	bool was_stable = loop_now_ns() - net->link.up_ns >= LINK_STABLE_NS;

	if (!net->link.lost || !(atomic_load(&net->status) & NET_S_LINK_UP))
		return;
	net->link.delay_ns =
		was_stable ? LINK_DELAY_MIN_NS : MIN(2 * net->link.delay_ns, LINK_DELAY_MAX_NS);
	link_change(net, 0, NET_S_LINK_UP);
	net_link_seek(net);
}

void net_link_init(struct virtio_net *net)
{
	net->status = NET_S_LINK_UP;
	net->link.delay_ns = LINK_DELAY_MIN_NS / 2;
	net->link.timer.fired = link_try;
	link_up(net);
}
