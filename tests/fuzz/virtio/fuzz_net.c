/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile driver and a hostile network around the network device, without threads: descriptors,
 * ring indices, packets and commands as the input says. Each notification ends, what is handed to
 * the network lies in guest RAM, and no packet grows on its way. Records of 16 bytes: operation,
 * queue, entry, value, address, length, flags, next.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/endian.h"
#include "net/tap.h"
#include "virtio/dev/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NETF_RAM    0x20000u
#define NETF_QUEUE  0x4000u /* for each queue: descriptors, available, used */
#define NETF_AVAIL  0x1000u
#define NETF_USED   0x2000u
#define NETF_TABLE  0x10000u /* of indirect descriptors, then packets and commands */
#define NETF_QUEUES 3u
#define NETF_STEPS  512u

struct net_fuzz {
	struct virtio_transport transport;
	struct ram *ram;
	struct virtio_dev *dev;
	struct loop *loop;
	struct loop_msg stop;
	uint16_t size;
	bool again[NETF_QUEUES];
	int peer;
};

static struct net_fuzz fuzz;

static void netf_signal(struct virtio_transport *transport, unsigned int q)
{
}

static void netf_again(struct virtio_transport *transport, unsigned int q)
{
	fuzz.again[q] = true;
}

static void netf_needs_reset(struct virtio_transport *transport)
{
}

static void netf_config_changed(struct virtio_transport *transport)
{
}

static void netf_stop(struct loop_msg *msg)
{
	loop_stop(fuzz.loop);
}

static void netf_pump(void)
{
	for (unsigned int q = 0; q < NETF_QUEUES; q++) {
		bool again = fuzz.again[q];

		fuzz.again[q] = false;
		if (again)
			fuzz.dev->ops->notify(fuzz.dev, q);
	}
	fuzz.stop.run = netf_stop;
	loop_post(fuzz.loop, &fuzz.stop);
	loop_run(fuzz.loop);
}

static void netf_start(uint8_t flags, uint8_t features)
{
	fuzz.size = (uint16_t)(1u << flags % 9);
	fuzz.dev->negotiated = VIRTIO_F_VERSION_1 | (features & 1 ? fuzz.dev->features : 0) |
			       (features & 2 ? ~0ull : 0) | (features & 4 ? 1ull << 15 : 0);
	for (unsigned int q = 0; q < NETF_QUEUES; q++) {
		struct virtq_layout layout = {.size = fuzz.size,
			.desc = q * NETF_QUEUE,
			.driver = q * NETF_QUEUE + NETF_AVAIL,
			.device = q * NETF_QUEUE + NETF_USED,
			.event_idx = features & 8,
			.indirect = features & 16,
			.packed = features & 32,
			.in_order = features & 64};

		if (ram_fill(fuzz.ram, layout.desc, 0, NETF_QUEUE) ||
			virtq_init(&fuzz.dev->queues[q], fuzz.ram, &layout))
			abort();
	}
	fuzz.dev->ops->activate(fuzz.dev);
}

static void netf_reset(void)
{
	fuzz.dev->ops->deactivate(fuzz.dev);
	for (unsigned int q = 0; q < NETF_QUEUES; q++)
		virtq_deinit(&fuzz.dev->queues[q]);
}

static void netf_create(void)
{
	static const struct ram_options anon = {.backend = RAM_ANON};
	struct virtio_net_options options = {.name = "fuzz", .mac = {2}, .mtu = 1500};
	struct net_tap_options tap = {.n_queues = 1};
	int fds[2];

	fuzz = (struct net_fuzz){.transport = {.signal = netf_signal,
					 .again = netf_again,
					 .needs_reset = netf_needs_reset,
					 .config_changed = netf_config_changed}};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds))
		abort();
	tap.fd = fds[0];
	fuzz.peer = fds[1];
	err_free(net_tap_open(&tap, &options.backend));
	close(fds[0]);
	err_free(ram_create(&anon, &fuzz.ram));
	err_free(ram_add(fuzz.ram, 0, NETF_RAM / 2, "low"));
	err_free(ram_add(fuzz.ram, NETF_RAM / 2, NETF_RAM / 2, "high"));
	err_free(loop_create(&fuzz.loop));
	err_free(virtio_net_create(&options, &fuzz.dev));
	fuzz.dev->transport = &fuzz.transport;
	fuzz.dev->ram = fuzz.ram;
	fuzz.dev->loop = fuzz.loop;
}

static void netf_free(void)
{
	netf_reset();
	fuzz.dev->ops->free(fuzz.dev);
	loop_free(fuzz.loop);
	ram_free(fuzz.ram);
	close(fuzz.peer);
}

static void netf_put(uint64_t gpa, const void *data, size_t len)
{
	if (ram_write(fuzz.ram, gpa % (NETF_RAM - len), data, len))
		abort();
}

/* The network takes what there is: nothing is longer than a packet may be. */
static void netf_take(void)
{
	static uint8_t packet[NET_PACKET_MAX + 1];

	for (ssize_t n = 1; n > 0;) {
		n = recv(fuzz.peer, packet, sizeof(packet), 0);
		if (n > (ssize_t)NET_PACKET_MAX ||
			(n > 0 && (packet[0] & 0xfe || (packet[1] && !load_le16(packet + 4)))))
			abort();
	}
}

static void netf_send(uint32_t size, uint8_t byte)
{
	static uint8_t packet[NET_PACKET_MAX];

	memset(packet, byte, MIN((size_t)64, sizeof(packet)));
	/* It may be full: then there is no packet. */
	if (send(fuzz.peer, packet, 1 + size % (sizeof(packet) - 1), 0) < 0 && errno != EAGAIN)
		abort();
}

static void netf_step(const uint8_t *r)
{
	uint64_t queue = (uint64_t)(r[1] % NETF_QUEUES) * NETF_QUEUE;
	uint8_t desc[16];

	store_le64(desc, load_le32(r + 4));
	memcpy(desc + 8, r + 8, 8);
	switch (r[0] % 11) {
	case 0:
		netf_put(queue + 16u * r[2], desc, sizeof(desc));
		break;
	case 1:
		netf_put(NETF_TABLE + 16u * r[2], desc, sizeof(desc));
		break;
	case 2: /* a head */
		netf_put(queue + NETF_AVAIL + 4 + 2u * (r[2] % fuzz.size), r + 4, 2);
		break;
	case 3: /* available flags, idx */
		netf_put(queue + NETF_AVAIL, r + 4, 4);
		break;
	case 4:
		netf_put(load_le32(r + 4), r + 8, 8);
		break;
	case 5:
		netf_send(load_le32(r + 4), r[2]);
		break;
	case 6:
		netf_take();
		break;
	case 7:
		netf_pump();
		break;
	case 8:
		fuzz.dev->ops->pause(fuzz.dev, 0, r[2] & 1);
		break;
	case 9:
		if (r[2] & 0x0f)
			break;
		netf_reset();
		netf_start(r[3], r[4]);
		break;
	default:
		fuzz.dev->ops->notify(fuzz.dev, r[1] % NETF_QUEUES);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	netf_create();
	netf_start(data[0], data[1]);
	for (size_t i = 2; i + 16 <= size && i < 16 * NETF_STEPS; i += 16)
		netf_step(data + i);
	netf_pump();
	netf_take();
	netf_free();
	return 0;
}
