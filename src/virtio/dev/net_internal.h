/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network device's state, shared by its files.
 *
 * Theory of operation. A thread serves all queues; with several, pairs of queues are shared out
 * over them (pair i has thread i mod n), and a packet stays in its pair's. The first thread has the
 * control queue and the link as well: what it changes is in atomic fields, and the others are sent
 * a message to look at them (net_tell_threads()). Packets go straight between the tap and the
 * pieces of guest memory: one readv or writev each.
 *
 * Receiving. The device takes buffers out of the ring ahead of packets, as many as `window` bytes
 * need, and reads a packet into all of them at once, with `spill` as the last piece; what the
 * packet did not need stays for the next one. So a packet that is larger than the buffers at hand
 * is not lost: it waits, part of it in the spill, until the driver adds buffers ("held"). While
 * there are no buffers at all the tap is not polled ("starved"); the driver's next notification
 * resumes. The buffers that are taken and not used are the driver's again after a reset, as all
 * are.
 *
 * Sending. The header is copied and looked at before the tap gets it: the driver may change its own
 * meanwhile. If the tap has no room, the chain waits ("tx_waits"). A back end may gather packets,
 * which go at the end of a turn at the latest; if it has no room then, they wait ("tx_unsent").
 *
 * With a mover (vhost-net, or a vhost-user back end) all of that is the mover's, and this thread
 * has the control queue and the link only.
 *
 * Nothing that a packet or the tap does ends the device: what cannot be sent or received is dropped
 * and counted. An interface that is gone takes the link down (STATUS), and packets go nowhere,
 * until it is back: then the link is up.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/endian.h"
#include "net/vhost.h"
#include "virtio/dev/net.h"
#include "virtio/vhost_user/frontend.h"

/* Feature bits (5.1.3). */
#define NET_F_CSUM                (1ull << 0)
#define NET_F_GUEST_CSUM          (1ull << 1)
#define NET_F_CTRL_GUEST_OFFLOADS (1ull << 2)
#define NET_F_MTU                 (1ull << 3)
#define NET_F_MAC                 (1ull << 5)
#define NET_F_GUEST_TSO4          (1ull << 7)
#define NET_F_GUEST_TSO6          (1ull << 8)
#define NET_F_GUEST_ECN           (1ull << 9)
#define NET_F_GUEST_UFO           (1ull << 10)
#define NET_F_HOST_TSO4           (1ull << 11)
#define NET_F_HOST_TSO6           (1ull << 12)
#define NET_F_HOST_ECN            (1ull << 13)
#define NET_F_HOST_UFO            (1ull << 14)
#define NET_F_MRG_RXBUF           (1ull << 15)
#define NET_F_STATUS              (1ull << 16)
#define NET_F_CTRL_VQ             (1ull << 17)
#define NET_F_CTRL_RX             (1ull << 18)
#define NET_F_CTRL_VLAN           (1ull << 19)
#define NET_F_GUEST_ANNOUNCE      (1ull << 21)
#define NET_F_MQ                  (1ull << 22)
#define NET_F_CTRL_MAC_ADDR       (1ull << 23)
#define NET_F_GUEST_USO4          (1ull << 54)
#define NET_F_GUEST_USO6          (1ull << 55)
#define NET_F_HOST_USO            (1ull << 56)

/* Status of the link (5.1.4). */
#define NET_S_LINK_UP  1u
#define NET_S_ANNOUNCE 2u

/* struct virtio_net_hdr (5.1.6). */
#define NET_HDR_FLAGS        0
#define NET_HDR_GSO_TYPE     1
#define NET_HDR_GSO_SIZE     4
#define NET_HDR_CSUM_START   6
#define NET_HDR_CSUM_OFFSET  8
#define NET_HDR_NUM_BUFFERS  10

#define NET_FRAME_MIN        14u    /* Ethernet addresses and type */
#define NET_TURN             64u    /* packets of a queue before the others have their turn */
#define NET_PUBLISH_BYTES    65536u /* after so many, in either direction, the driver may go on */
#define NET_PIECES_MAX       1024   /* of one system call: IOV_MAX */
#define NET_CHAIN_PIECES_MAX 256    /* of one receive buffer; what is behind them is not used */

/* A receive buffer that was taken out of the ring. */
struct net_buffer {
	uint16_t head;
	uint16_t n; /* pieces */
	uint64_t size;
};

/* An eventfd that vhost-net signals. */
struct net_vhost_call {
	struct loop_fd source;
	struct net_pair *pair; /* NULL: not there */
	unsigned int queue;
};

/* What one of the device's threads has. */
struct net_thread {
	struct virtio_net *net;
	unsigned int index;
	struct loop_msg msg;
	bool paused;
	pthread_mutex_t turn;     /* held while it receives; lock order 46 */
	struct virtq_chain chain; /* of the receive queues' and the control queue's turn */
};

/* Who moves the packets of a pair instead of us. [loop], [vcpu] while no thread runs */
struct net_mover {
	/* Starts or stops come that belong together; optional. */
	void (*begin)(struct net_pair *pair);
	/* Before the first ring (0: receive, 1: send) runs; 0 or -errno. */
	int (*set_up)(struct net_pair *pair);
	/* 0, or -errno, and then the ring is stopped. */
	int (*start)(struct net_pair *pair, unsigned int i, const struct net_vhost_ring *ring);
	/* Nothing touches the ring any more; of one that does not run as well. */
	void (*stop)(struct net_pair *pair, unsigned int i);
	/* It could not be set up or started. */
	void (*failed)(struct net_pair *pair, int error);
	bool is_slow; /* answers when it likes: no vCPU may wait for it */
};

struct net_pair {
	struct virtio_net *net;
	struct net_thread *thread;
	unsigned int index;
	struct loop_fd tap;

	unsigned int first_buffer, n_buffers; /* in buffers */
	unsigned int first_piece, n_pieces;   /* in pieces */
	uint64_t capacity;                    /* bytes of those buffers */
	uint64_t window;                      /* bytes of buffers wanted for the next packet */
	uint64_t held;                        /* size of a packet that needs more; 0: none */
	uint64_t held_in_buffers;             /* of it; the rest is in the spill */
	uint64_t unpublished;                 /* bytes */
	bool starved;
	bool rx_unfinished;  /* packets wait that the tap does not tell of */
	unsigned int errors; /* of the tap, one after the other */

	bool mover_due; /* it is to be started */
	struct net_vhost vhost;
	struct net_vhost_call calls[3]; /* interrupts of both queues, errors */

	bool tx_waits;
	bool tx_unsent;          /* the tap's side has not got all that it was given */
	unsigned int tx_n;       /* pieces of the packet that waits */
	uint64_t tx_size;        /* bytes of the packet that was prepared last */
	uint64_t tx_unpublished; /* bytes */
	uint8_t tx_header[NET_HEADER];

	struct virtq_chain tx_chain;
	struct iovec tx_pieces[NET_PIECES_MAX];
	struct net_buffer buffers[VIRTQ_SIZE_MAX];
	struct iovec pieces[NET_PIECES_MAX];
	uint8_t spill[NET_PACKET_MAX];
};

/* What the driver said about the addresses that it wants (5.1.6.5). */
struct net_filter {
	bool promiscuous, all_multicast;
	bool has_table;
	bool is_full; /* the driver's table is larger than ours */
	unsigned int n_unicast, n_multicast;
	uint8_t table[NET_FILTER_MAX][NET_ADDRESS]; /* unicast ones first */
};

struct net_link {
	_Atomic bool lost; /* set by any thread; what follows is the first one's */
	uint64_t up_ns;    /* since then, if it is not lost */
	uint64_t delay_ns; /* before the next try */
	struct loop_timer timer;
};

struct virtio_net {
	struct virtio_dev dev;
	struct net_backend *backend;
	char name[32];
	uint8_t first_mac[NET_ADDRESS]; /* after a reset */
	uint16_t mtu;
	_Atomic uint64_t mac; /* the first byte lowest */
	_Atomic uint16_t status;
	struct net_link link;
	const struct net_mover *mover; /* NULL: we move the packets */
	struct vhost_user user;        /* the mover's, if it is a vhost-user back end */
	_Atomic unsigned int active_pairs;
	_Atomic uint64_t dropped; /* packets */
	struct net_filter filter;
	unsigned int n_threads;
	struct net_thread *threads;
	unsigned int n_pairs;
	struct net_pair pairs[];
};

/* The address that the driver has now. [any] */
static inline void net_get_mac(const struct virtio_net *net, uint8_t ret_mac[NET_ADDRESS])
{
	uint8_t raw[8];

	store_le64(raw, atomic_load(&net->mac));
	memcpy(ret_mac, raw, NET_ADDRESS);
}

static inline void net_set_mac(struct virtio_net *net, const uint8_t mac[NET_ADDRESS])
{
	uint8_t raw[8] = {0};

	memcpy(raw, mac, NET_ADDRESS);
	atomic_store(&net->mac, load_le64(raw));
}

/* The control queue is the one after the pairs that the driver knows (5.1.2). */
static inline unsigned int net_ctrl_queue(const struct virtio_net *net)
{
	return net->dev.negotiated & NET_F_MQ ? 2 * net->n_pairs : 2;
}

/* net.c [loop] */
void net_drop(struct virtio_net *net, const char *way, const char *why);
void net_queue_broke(struct virtio_net *net, unsigned int q);
/* The pair's packets move from now on, if there is a link, or not any more. [loop] of the pair;
 * [vcpu] while no thread runs, as all that follows */
void net_pair_poll(struct net_pair *pair, bool polled);
/* Waits for what the pair needs of its tap, if it is polled at all now. */
void net_pair_watch(struct net_pair *pair);
int must_check net_set_offloads(struct virtio_net *net, uint64_t features);

/* net_threads.c [loop], but where said otherwise */
/* The pairs are shared out over n threads, which do not run yet; false: no memory. [main] */
bool must_check net_threads_init(struct virtio_net *net, unsigned int n);
void net_threads_deinit(struct virtio_net *net);
/* For a new driver. [vcpu] */
void net_threads_start(struct virtio_net *net);
/* Does it have packets, if there is a link? */
bool net_pair_is_active(const struct net_pair *pair);
/* The thread of a queue. [any] */
unsigned int net_queue_thread(const struct virtio_dev *dev, unsigned int q);
/* Active pairs or the link are others now: each thread looks after its pairs, this one at once. */
void net_tell_threads(struct virtio_net *net, const struct net_thread *here);
/* The first n pairs are polled and attached from now on, and no other receives any more; 0 or
 * -errno. [loop] of the first thread */
int must_check net_set_pairs(struct virtio_net *net, unsigned int n);

/* net_link.c [loop] of the first thread, but for net_link_lost() */
void net_link_init(struct virtio_net *net);
/* The back end's other side is gone, as this pair finds. [loop] of the pair */
void net_link_lost(struct net_pair *pair, const char *why);
/* If it is gone and the driver does not know: tells, and tries to have it again, if that can be. */
void net_link_settle(struct virtio_net *net);
/* Goes on trying, if it is lost. */
void net_link_seek(struct virtio_net *net);
/* Asks the guest to tell the network where it is (5.1.6.5.4). */
void net_link_announce(struct virtio_net *net);

/* net_rx.c [loop] */
void net_rx_run(struct net_pair *pair);
void net_rx_notified(struct net_pair *pair);
/* As for a new driver. */
void net_rx_reset(struct net_pair *pair);
/* The driver takes the queue back: so it gets its buffers. */
void net_rx_give_back(struct net_pair *pair);

/* net_tx.c [loop] */
void net_tx_run(struct net_pair *pair);
/* The driver takes the queue back: so it gets the chain that waits. */
void net_tx_give_back(struct net_pair *pair);
/* The tap has room again. */
void net_tx_ready(struct net_pair *pair);

/* net_ctrl.c [loop] */
void net_ctrl_run(struct virtio_net *net, unsigned int q);
/* As for a new driver; [any] while no thread runs. */
void net_ctrl_reset(struct virtio_net *net);

/* net_vhost_user.c */
/* A vhost-user back end on the other side of the back end's socket. [main] */
struct err *must_check net_user_open(struct virtio_net *net);
/* There is another one. [loop] */
struct err *must_check net_user_open_again(struct virtio_net *net);

/* net_vhost.c */
/* vhost-net for all pairs; leaves `mover` alone if it cannot be had. [main] */
struct err *must_check net_mover_open(struct virtio_net *net);
void net_mover_close(struct virtio_net *net);
/* Features of rings and headers that vhost-net knows. */
uint64_t net_mover_features(const struct virtio_net *net);
/* The kernel serves the pair's queues from where they are, or not any more. [loop], [vcpu] while no
 * thread runs */
void net_mover_start(struct net_pair *pair);
void net_mover_stop(struct net_pair *pair);
/* Nothing touches the pair's rings any more; what else it has is left to net_mover_stop(). [loop]
 */
void net_mover_drain(struct net_pair *pair);
/* A queue of the pair (0: receive, 1: send) has something, or was taken back by the driver. [loop]
 */
void net_mover_notified(struct net_pair *pair, unsigned int i);
void net_mover_reset(struct net_pair *pair, unsigned int i);
