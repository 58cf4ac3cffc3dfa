/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver that breaks the rules of the network card (virtio 1.3, 5.1). The network's other end
 * answers frames of type ASK that it gets whole with the same frame of type ANSWER, and may send
 * nonsense besides: so the card shows that it works. A second processor, where there is one,
 * changes headers of packets while the device looks at them. "vhost" says that the kernel has the
 * rings, which takes more for a broken ring than this project's devices.
 */
#include <stdatomic.h>

#include "guest_abuse.h"

#define MAC        (1ULL << 5)
#define MRG_RXBUF  (1ULL << 15)
#define CTRL       (1ULL << 17 | 1ULL << 18 | 1ULL << 19 | 1ULL << 23) /* VQ, RX, VLAN, MAC_ADDR */
#define RING_RESET (1ULL << 40)
/* CSUM, GUEST_CSUM, TSO, UFO, ECN both ways, USO both ways; what of it is offered. */
#define OFFLOADS  (3ULL | 0xffULL << 7 | 7ULL << 54)
#define Q_RESET   0x3a

#define HEADER    12u
#define PAYLOAD   46u
#define BUFFER    256u
#define ASK       0xb588 /* 0x88b5, of local experiments, in the network's order */
#define ANSWER    0xb688
#define GARBAGE   0xa5
#define SPINS     (1u << 20)
#define ATTEMPTS  10u
#define N_TABLE   1000u

#define ACK_OK    0
#define ACK_ERROR 1

enum { RX, TX, CTRL_QUEUE, N_QUEUES };

struct header {
	uint8_t flags, gso_type;
	uint16_t header_len, gso_size, csum_start, csum_offset, n_buffers;
};

struct packet {
	struct header header;
	uint8_t to[6], from[6];
	uint16_t type;
	uint16_t number[2];
	uint8_t payload[PAYLOAD - 4];
};

static void works(void);
static struct abuse_device device = {
	.n_queues = N_QUEUES, .n_abused = N_QUEUES, .features = MAC | CTRL, .works = works};

static uint8_t mac[6];
static uint64_t offloads;
static struct packet packet;
static uint8_t received[VIRTIO_QUEUE_SIZE][BUFFER];
static uint8_t block[65536] __attribute__((aligned(4096)));
static uint32_t number;      /* of the last question */
static uint16_t n_looked_at; /* used elements of the receive queue */

static volatile struct virtio_ring *ring(unsigned int q)
{
	return &abuse_rings[q];
}

static bool needs_reset(void)
{
	return virtio_status(&device.virtio) & VIRTIO_NEEDS_RESET;
}

/* ---- A driver that does it right ---- */

static void begin(void)
{
	abuse_begin(&device);
	n_looked_at = 0;
}

static void give(unsigned int i, void *to, uint32_t len)
{
	abuse_set(RX, i, (uint64_t)to, len, VIRTIO_DESC_WRITE, 0);
	virtio_offer(&abuse_rings[RX], (uint16_t)i);
}

static void give_buffers(uint32_t len)
{
	memset(received, GARBAGE, sizeof(received));
	n_looked_at = ring(RX)->used.idx;
	for (unsigned int i = 0; i < VIRTIO_QUEUE_SIZE; i++)
		give(i, received[i], len);
	virtio_notify(&device.virtio, RX);
}

static void read_mac(uint8_t to[6])
{
	for (unsigned int i = 0; i < 6; i++)
		to[i] = mmio_read8(device.virtio.config + i);
}

static void prepare(void)
{
	packet = (struct packet){.type = ASK};
	memset(packet.to, 0xff, sizeof(packet.to));
	memcpy(packet.from, mac, sizeof(mac));
	number++;
	packet.number[0] = (uint16_t)number;
	packet.number[1] = (uint16_t)(number >> 16);
	for (unsigned int i = 0; i < sizeof(packet.payload); i++)
		packet.payload[i] = (uint8_t)(number + i);
}

static void send(uint64_t addr, uint32_t len)
{
	abuse_submit(&device, TX, addr, len, 0);
}

/* Without the header, which is the other end's. */
static bool is_answer(const uint8_t *bytes)
{
	const struct packet *got = (const struct packet *)bytes;

	if (got->type != ANSWER || got->number[0] != packet.number[0] ||
		got->number[1] != packet.number[1])
		return false;
	for (unsigned int i = 0; i < sizeof(packet.payload); i++)
		expect(got->payload[i] == packet.payload[i]);
	return true;
}

/* Looks at what has come, and gives its buffer back. */
static bool look(void)
{
	unsigned int at = n_looked_at++ % VIRTIO_QUEUE_SIZE;
	uint32_t i = ring(RX)->used.ring[at].id;
	uint32_t len = ring(RX)->used.ring[at].len;
	bool found;

	expect(i < VIRTIO_QUEUE_SIZE && len <= BUFFER);
	found = len >= sizeof(packet) && is_answer(received[i]);
	give(i, received[i], BUFFER);
	virtio_notify(&device.virtio, RX);
	return found;
}

static bool is_answered(void)
{
	for (unsigned int i = 0; i < SPINS; i++) {
		while (n_looked_at != ring(RX)->used.idx)
			if (look())
				return true;
		if (i % 256 == 255)
			expect(!needs_reset());
		pause();
	}
	return false;
}

/* A question and its answer; one that gets lost is asked again. */
static void exchange(void)
{
	for (unsigned int i = 0; i < ATTEMPTS; i++) {
		prepare();
		send((uint64_t)&packet, sizeof(packet));
		abuse_expect_used(&device, TX, ring(TX)->avail.idx);
		if (is_answered())
			return;
	}
	fail("no answer from the network");
}

static uint8_t command(const void *data, uint32_t len)
{
	static volatile uint8_t ack;

	ack = GARBAGE;
	abuse_set(CTRL_QUEUE, 0, (uint64_t)data, len, VIRTIO_DESC_NEXT, 1);
	abuse_set(CTRL_QUEUE, 1, (uint64_t)&ack, 1, VIRTIO_DESC_WRITE, 0);
	virtio_offer(&abuse_rings[CTRL_QUEUE], 0);
	virtio_notify(&device.virtio, CTRL_QUEUE);
	abuse_expect_used(&device, CTRL_QUEUE, ring(CTRL_QUEUE)->avail.idx);
	expect(ack == ACK_OK || ack == ACK_ERROR);
	return ack;
}

static void works(void)
{
	static const uint8_t promiscuous_off[] = {0, 0, 0};

	begin();
	give_buffers(BUFFER);
	exchange();
	expect(command(promiscuous_off, sizeof(promiscuous_off)) == ACK_OK);
}

/* ---- Sending ---- */

/* What was sent is used, and dropped if it was no packet; vhost may break the ring. */
static void settle(void)
{
	if (!device.is_strict) {
		abuse_expect_used(&device, TX, ring(TX)->avail.idx);
		return;
	}
	abuse_pass_time(&device);
	if (needs_reset())
		begin();
}

/* Nothing, a part of a header, a header alone, a part of an Ethernet header; too much. */
static void odd_lengths(void)
{
	begin();
	prepare();
	packet.type = 0;
	for (uint32_t len = 0; len < HEADER + 20; len++) {
		send((uint64_t)&packet, len);
		settle();
	}
	for (uint32_t len = 65500; len < 65500 + 400; len += 13) {
		abuse_set(TX, 0, (uint64_t)&packet, HEADER + 14, VIRTIO_DESC_NEXT, 1);
		abuse_set(TX, 1, (uint64_t)block, len / 2, VIRTIO_DESC_NEXT, 2);
		abuse_set(TX, 2, (uint64_t)block, len - len / 2, 0, 0);
		virtio_offer(&abuse_rings[TX], 0);
		virtio_notify(&device.virtio, TX);
		settle();
	}
	works();
}

/* The header a byte a descriptor, and a rest that is empty but for the last one. */
static void pieces(void)
{
	begin();
	give_buffers(BUFFER);
	prepare();
	for (unsigned int i = 0; i < HEADER; i++)
		abuse_set(TX, i, (uint64_t)&packet + i, 1, VIRTIO_DESC_NEXT, (uint16_t)(i + 1));
	abuse_set(TX, HEADER, (uint64_t)&packet + HEADER, 0, VIRTIO_DESC_NEXT, HEADER + 1);
	abuse_set(TX, HEADER + 1, (uint64_t)&packet + HEADER, 1, VIRTIO_DESC_NEXT, HEADER + 2);
	abuse_set(
		TX, HEADER + 2, (uint64_t)&packet + HEADER + 1, sizeof(packet) - HEADER - 1, 0, 0);
	virtio_offer(&abuse_rings[TX], 0);
	virtio_notify(&device.virtio, TX);
	settle();
	/* vhost wants its header as it likes, and no empty pieces. */
	expect(device.is_strict || is_answered());
	works();
}

/* Every flag and type, with sizes and positions that lie in the packet and do not. */
static void bad_headers(void)
{
	static const uint16_t values[] = {0, 1, 14, sizeof(packet) - HEADER - 2, 0x7fff, 0xffff};
	const unsigned int n = sizeof(values) / sizeof(values[0]);

	begin();
	for (unsigned int i = 0; i < 256 * 3; i++) {
		prepare();
		packet.type = 0;
		packet.header = (struct header){.flags = (uint8_t)(i % 3 ? i % 3 : i),
			.gso_type = (uint8_t)(i / 3),
			.header_len = values[i % n],
			.gso_size = values[i / 2 % n],
			.csum_start = values[i / 3 % n],
			.csum_offset = values[i / 5 % n],
			.n_buffers = values[i / 7 % n]};
		send((uint64_t)&packet, sizeof(packet));
		settle();
	}
	works();
}

/* ... with all of the offloads that there are, and with packets that are segments for real. */
static void segments(void)
{
	static const uint8_t types[] = {1, 3, 4, 5, 0x81, 0x84, 0xff};

	device.features |= offloads;
	bad_headers();
	begin();
	for (unsigned int i = 0; i < sizeof(types) * 64; i++) {
		uint32_t random = abuse_random();

		prepare();
		packet.type = i & 1 ? 0x0008 : 0xdd86; /* IPv4, IPv6 */
		packet.payload[0] = (uint8_t)random;
		packet.payload[5] = i & 2 ? 6 : 17; /* TCP, UDP */
		packet.header = (struct header){.flags = random >> 8 & 1,
			.gso_type = types[i % sizeof(types)],
			.header_len = (uint16_t)random,
			.gso_size = (uint16_t)(random >> 16),
			.csum_start = random >> 9 & 0x7f,
			.csum_offset = random >> 10 & 0x3f};
		abuse_set(TX, 0, (uint64_t)&packet, sizeof(packet), VIRTIO_DESC_NEXT, 1);
		abuse_set(TX, 1, (uint64_t)block, random % sizeof(block), 0, 0);
		virtio_offer(&abuse_rings[TX], 0);
		virtio_notify(&device.virtio, TX);
		settle();
	}
	works();
	device.features &= ~offloads;
}

/* ---- Headers that change while they are read ---- */

static atomic_uint flipping; /* 0: no other processor; 1: waits; 2: changes the header */

static void flip(unsigned int processor)
{
	volatile struct header *header = &packet.header;

	atomic_store(&flipping, 1);
	for (uint32_t n = 1;; n = n * 1664525 + 1013904223) {
		if (atomic_load(&flipping) != 2) {
			pause();
			continue;
		}
		header->flags = n >> 30 & 1;
		header->gso_type = n >> 29 & 1 ? (uint8_t)(n >> 16 & 0x87) : 0;
		header->gso_size = (uint16_t)(n >> 12);
		header->csum_start = (uint16_t)(n >> 13);
		header->csum_offset = (uint16_t)(n >> 14);
	}
}

static void changing_headers(void)
{
	if (!atomic_load(&flipping))
		return;
	device.features |= offloads;
	for (unsigned int i = 0; i < 20; i++) {
		begin();
		prepare();
		packet.type = 0;
		atomic_store(&flipping, 2);
		for (unsigned int n = 0; n < VIRTIO_QUEUE_SIZE; n++) {
			send((uint64_t)&packet, sizeof(packet));
			settle();
		}
		atomic_store(&flipping, 1);
	}
	works();
	device.features &= ~offloads;
}

/* ---- Receiving ---- */

/* A question, and time for its answer to come, wherever that goes. */
static void ask(void)
{
	uint16_t before = ring(RX)->used.idx;

	prepare();
	send((uint64_t)&packet, sizeof(packet));
	for (unsigned int i = 0; i < 10 && ring(RX)->used.idx == before && !needs_reset(); i++)
		abuse_pass_time(&device);
}

static void wait_until_broken(void)
{
	for (unsigned int i = 0; !needs_reset(); i++)
		expect(i < SPINS);
}

/* Too small for a packet, for its header, for anything: nothing is written beyond their ends. */
static void small_buffers(void)
{
	static const uint32_t lengths[] = {0, 1, 11, 12, 13, 25, 26, sizeof(packet) - 1};

	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		begin();
		give_buffers(lengths[i]);
		ask();
		ask();
		for (unsigned int b = 0; b < VIRTIO_QUEUE_SIZE; b++)
			for (unsigned int at = lengths[i]; at < BUFFER; at++)
				expect(received[b][at] == GARBAGE);
	}
	works();
}

/* Merged, a packet takes as many as it needs, of any size from a header's on. */
static void merged_buffers(void)
{
	device.features |= MRG_RXBUF;
	works();
	for (uint32_t len = HEADER; len < sizeof(packet); len += 5) {
		begin();
		give_buffers(len);
		for (unsigned int i = 0; i < 5; i++)
			ask();
		for (unsigned int b = 0; b < VIRTIO_QUEUE_SIZE; b++)
			for (unsigned int at = len; at < BUFFER; at++)
				expect(received[b][at] == GARBAGE);
	}
	works();
	device.features &= ~MRG_RXBUF;
}

/* To be read by the device; all the same memory; in front of what may not be written. */
static void odd_buffers(void)
{
	begin();
	for (unsigned int i = 0; i < VIRTIO_QUEUE_SIZE; i++)
		abuse_submit(&device, RX, (uint64_t)received[i], BUFFER, 0);
	ask();
	begin();
	for (unsigned int i = 0; i < VIRTIO_QUEUE_SIZE; i++)
		abuse_set(RX, i, (uint64_t)block, 24,
			VIRTIO_DESC_WRITE | (i + 1 < VIRTIO_QUEUE_SIZE ? VIRTIO_DESC_NEXT : 0),
			(uint16_t)(i + 1));
	virtio_offer(&abuse_rings[RX], 0);
	virtio_notify(&device.virtio, RX);
	ask();
	/* The ring of its own queue, and the packet that is sent. */
	begin();
	give(0, &abuse_rings[RX], sizeof(abuse_rings[RX]));
	give(1, &abuse_rings[TX], sizeof(abuse_rings[TX]));
	give(2, &packet, sizeof(packet));
	virtio_notify(&device.virtio, RX);
	ask();
	ask();
	works();
}

/* Where nothing may be written: the device says so, at the latest when a packet comes. */
static void buffers_nowhere(void)
{
	for (unsigned int i = 0; i < VIRTIO_N_NOWHERE; i++) {
		begin();
		abuse_submit(&device, RX, virtio_nowhere[i], BUFFER, VIRTIO_DESC_WRITE);
		ask();
		if (!device.is_strict)
			wait_until_broken();
		begin();
		send(virtio_nowhere[i], BUFFER);
		abuse_pass_time(&device);
		if (!device.is_strict)
			wait_until_broken();
		expect(ring(TX)->used.idx == 0);
	}
	works();
}

/* ---- Queues that come and go ---- */

static void reset_queue(unsigned int q)
{
	uint64_t common = device.virtio.common;

	mmio_write16(common + VIRTIO_Q_SELECT, (uint16_t)q);
	mmio_write16(common + Q_RESET, 1);
	for (unsigned int spins = 0; mmio_read16(common + Q_RESET); spins++)
		expect(spins < SPINS);
	virtio_enable(&device.virtio, q, &abuse_rings[q]);
	n_looked_at = ring(RX)->used.idx;
}

/* Under questions and answers, each alone and both; the card goes on without a reset of its own. */
static void queue_resets(void)
{
	device.features |= RING_RESET;
	begin();
	for (unsigned int i = 0; i < 30; i++) {
		give_buffers(BUFFER);
		for (unsigned int n = 0; n < i % VIRTIO_QUEUE_SIZE; n++) {
			prepare();
			send((uint64_t)&packet, sizeof(packet));
		}
		if (i % 3 != 1)
			reset_queue(TX);
		if (i % 3 != 2)
			reset_queue(RX);
		if (i % 4 == 0)
			reset_queue(CTRL_QUEUE);
		expect(!needs_reset());
		reset_queue(TX);
		reset_queue(RX);
		give_buffers(BUFFER);
		exchange();
		reset_queue(RX);
	}
	device.features &= ~RING_RESET;
	works();
}

/* ---- Commands ---- */

static bool is_command(unsigned int class, unsigned int what, uint32_t n_data)
{
	switch (class) {
	case 0: /* receive modes */
		return what < 2 && n_data >= 1;
	case 1: /* address table, address */
		return (what == 0 && n_data >= 8) || (what == 1 && n_data >= 6);
	case 2: /* VLANs */
		return what < 2 && n_data >= 2;
	default: /* those of features that were not negotiated, and no class at all */
		return false;
	}
}

/* Of any class, with any number of zeroes behind it. */
static void all_commands(void)
{
	static uint8_t bytes[20];

	begin();
	for (unsigned int class = 0; class < 256; class += class < 8 ? 1 : 31) {
		for (unsigned int what = 0; what < 8; what++) {
			for (uint32_t len = 0; len < 13; len++) {
				bytes[0] = (uint8_t) class;
				bytes[1] = (uint8_t)(what == 7 ? 0xff : what);
				expect((command(bytes, len) == ACK_OK) ==
					(len >= 2 && is_command(class, bytes[1], len - 2)));
			}
		}
	}
	works();
}

static const uint8_t *table(uint32_t n_unicast, uint32_t n_multicast)
{
	block[0] = 1;
	block[1] = 0;
	memcpy(block + 2, &n_unicast, 4);
	if (n_unicast < N_TABLE)
		memcpy(block + 6 + (size_t)6 * n_unicast, &n_multicast, 4);
	return block;
}

/* More addresses than follow, than there is memory, than 32 bits hold bytes of. */
static void absurd_tables(void)
{
	static const uint32_t counts[] = {1, 2, 10000, 10922, 0x15555556, 0x2aaaaaab, 0x55555556,
		0x7fffffff, 0x80000000, 0xaaaaaaab, 0xfffffffe, 0xffffffff};

	begin();
	for (unsigned int i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		expect(command(table(counts[i], 0), 15) == ACK_ERROR);
		expect(command(table(0, counts[i]), 15) == ACK_ERROR);
		expect(command(table(1, counts[i]), 21) == ACK_ERROR);
		(void)command(table(counts[i], counts[i]), sizeof(block));
	}
	for (uint32_t n = 0; n < N_TABLE; n += 7) {
		expect(command(table(n, n), 10 + 12 * n) == ACK_OK);
		expect(command(table(n, n), 9 + 12 * n) == ACK_ERROR);
	}
	works();
}

static void set_mac(const uint8_t to[6], uint8_t answer)
{
	uint8_t bytes[8] = {1, 1};
	uint8_t now[6];

	memcpy(bytes + 2, to, 6);
	expect(command(bytes, sizeof(bytes)) == answer);
	read_mac(now);
	for (unsigned int i = 0; i < 6; i++)
		expect((now[i] == to[i]) == (answer == ACK_OK));
}

/* Addresses that are a group's, that are nobody's; every VLAN and those that cannot be. */
static void addresses_and_vlans(void)
{
	static const uint8_t group[6] = {0xfd, 0xfe, 0xfd, 0xfe, 0xfd, 0xfe};
	static const uint8_t nobody[6] = {0};
	uint8_t vlan[4] = {2};
	uint8_t now[6];

	begin();
	set_mac(group, ACK_ERROR);
	set_mac(nobody, ACK_OK);
	for (unsigned int id = 0; id < 0x10000; id += id < 0x1010 ? 61 : 4099) {
		memcpy(vlan + 2, &id, 2);
		for (vlan[1] = 0; vlan[1] < 2; vlan[1]++)
			expect(command(vlan, sizeof(vlan)) == ACK_OK);
	}
	works();
	read_mac(now);
	for (unsigned int i = 0; i < 6; i++)
		expect(now[i] == mac[i]);
}

/* Without room for the answer, with too much of it, in pieces, and the answer over the command. */
static void odd_answers(void)
{
	static uint8_t bytes[16];

	begin();
	memset(bytes, 0, sizeof(bytes));
	abuse_submit(&device, CTRL_QUEUE, (uint64_t)bytes, 3, 0);
	abuse_submit(&device, CTRL_QUEUE, (uint64_t)bytes, 16, VIRTIO_DESC_WRITE);
	abuse_expect_used(&device, CTRL_QUEUE, 2);
	expect(bytes[0] == ACK_ERROR && bytes[1] == 0);
	memset(bytes, 0, sizeof(bytes));
	for (unsigned int i = 0; i < 3; i++)
		abuse_set(
			CTRL_QUEUE, i, (uint64_t)bytes + i, 1, VIRTIO_DESC_NEXT, (uint16_t)(i + 1));
	abuse_set(CTRL_QUEUE, 3, (uint64_t)bytes, 0, VIRTIO_DESC_NEXT | VIRTIO_DESC_WRITE, 4);
	abuse_set(CTRL_QUEUE, 4, (uint64_t)bytes + 1, 15, VIRTIO_DESC_WRITE, 0);
	bytes[1] = 1; /* promiscuous off is allmulti off, whose answer is 0 */
	virtio_offer(&abuse_rings[CTRL_QUEUE], 0);
	virtio_notify(&device.virtio, CTRL_QUEUE);
	abuse_expect_used(&device, CTRL_QUEUE, 3);
	expect(bytes[1] == ACK_OK && ring(CTRL_QUEUE)->used.ring[2].len == 1);
	works();
}

/* Nothing of it is the driver's to write; and there is nothing behind its end. */
static void configuration(void)
{
	uint8_t now[6];

	for (unsigned int offset = 0; offset < 40; offset++) {
		uint64_t at = device.virtio.config + offset;

		mmio_write8(at, GARBAGE);
		mmio_write16(at, 0xffff);
		mmio_write32(at, 0x80000000);
		mmio_write64(at, 0xfffffffffffffff1);
		(void)mmio_read8(at);
		(void)mmio_read64(at);
	}
	read_mac(now);
	for (unsigned int i = 0; i < 6; i++)
		expect(now[i] == mac[i]);
	works();
}

static uint64_t offered(void)
{
	uint64_t common = device.virtio.common;
	uint64_t high;

	mmio_write32(common + VIRTIO_FEATURE_SELECT, 1);
	high = mmio_read32(common + VIRTIO_FEATURE);
	mmio_write32(common + VIRTIO_FEATURE_SELECT, 0);
	return high << 32 | mmio_read32(common + VIRTIO_FEATURE);
}

void guest_main(void)
{
	static void (*const cases[])(void) = {odd_lengths, pieces, bad_headers, segments,
		changing_headers, small_buffers, merged_buffers, odd_buffers, buffers_nowhere,
		queue_resets, all_commands, absurd_tables, addresses_and_vlans, odd_answers,
		configuration};

	apic_enable();
	if (guest_option("cpus", 1) > 1)
		smp_start(1, flip);
	if (!virtio_find(1, &device.virtio))
		fail("no network card");
	device.is_strict = guest_has_word("vhost");
	offloads = offered() & OFFLOADS;
	read_mac(mac);
	abuse_run(&device, "net", cases, sizeof(cases) / sizeof(cases[0]));
	pass();
}
