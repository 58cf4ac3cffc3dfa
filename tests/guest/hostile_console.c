/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver that breaks the rules of the virtio console (virtio 1.3, 5.3). It wants a console, a
 * port whose client never reads, another port, and last one that writes down what it is told: a
 * line for each time that the device had to prove that it works.
 */
#include "guest_abuse.h"

#define MULTIPORT   (1ULL << 1)
#define N_PORTS     4u
#define CTRL_RX     2u
#define CTRL_TX     3u
#define PORT_TX(id) (2 * (id) + 3) /* of all but port 0 */
#define SLOW        1u
#define LAST        (N_PORTS - 1)
#define MESSAGE_MAX 72u

enum {
	DEVICE_READY,
	DEVICE_ADD,
	DEVICE_REMOVE,
	PORT_READY,
	CONSOLE_PORT,
	RESIZE,
	PORT_OPEN,
	PORT_NAME
};

struct message {
	uint32_t id;
	uint16_t event, value;
};

static void works(void);
static struct abuse_device device = {.n_queues = 2 * N_PORTS + 2,
	.n_abused = 2 * N_PORTS,
	.features = MULTIPORT,
	.works = works};

static struct message messages[VIRTIO_QUEUE_SIZE];
static uint8_t answers[VIRTIO_QUEUE_SIZE][MESSAGE_MAX];
static uint8_t block[65536] __attribute__((aligned(4096)));
static char line[] = "line 000000\n";

static volatile struct virtio_ring *ring(unsigned int q)
{
	return &abuse_rings[q];
}

static void tell(uint32_t id, uint16_t event, uint16_t value)
{
	struct message *message = &messages[ring(CTRL_TX)->avail.idx % VIRTIO_QUEUE_SIZE];

	*message = (struct message){.id = id, .event = event, .value = value};
	abuse_submit(&device, CTRL_TX, (uint64_t)message, sizeof(*message), 0);
}

static void give_answer_buffers(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		abuse_submit(&device, CTRL_RX,
			(uint64_t)answers[ring(CTRL_RX)->avail.idx % VIRTIO_QUEUE_SIZE],
			MESSAGE_MAX, VIRTIO_DESC_WRITE);
}

static void count_line(void)
{
	for (unsigned int at = sizeof(line) - 3;; at--) {
		if (++line[at] <= '9')
			return;
		line[at] = '0';
	}
}

/* The dialogue of a proper driver with the last port, and a line to it. */
static void works(void)
{
	struct message *first = (struct message *)answers[0];

	abuse_begin(&device);
	memset(answers, 0, sizeof(answers));
	give_answer_buffers(VIRTIO_QUEUE_SIZE);
	tell(0, DEVICE_READY, 1);
	abuse_expect_used(&device, CTRL_RX, N_PORTS);
	for (unsigned int i = 0; i < N_PORTS; i++) {
		first = (struct message *)answers[i];
		expect(first->id == i && first->event == DEVICE_ADD && first->value == 1);
	}
	tell(LAST, PORT_READY, 1);
	abuse_expect_used(&device, CTRL_RX, N_PORTS + 2);
	first = (struct message *)answers[N_PORTS];
	expect(first->id == LAST && first->event == PORT_NAME);
	first = (struct message *)answers[N_PORTS + 1];
	expect(first->id == LAST && first->event == PORT_OPEN && first->value == 1);
	tell(LAST, PORT_OPEN, 1);
	abuse_submit(&device, PORT_TX(LAST), (uint64_t)line, sizeof(line) - 1, 0);
	abuse_expect_used(&device, PORT_TX(LAST), 1);
	abuse_expect_used(&device, CTRL_TX, 3);
	count_line();
}

/* Of ports that are there or not, of events that a driver has no business with, of any value. */
static void bad_messages(void)
{
	static const uint32_t ids[] = {
		0, SLOW, LAST, N_PORTS, 14, 15, 31, 0x7fffffff, 0x80000000, 0xffffffff};
	static const uint16_t events[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 0x7fff, 0xffff};

	abuse_begin(&device);
	for (unsigned int i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		for (unsigned int j = 0; j < sizeof(events) / sizeof(events[0]); j++) {
			tell(ids[i], events[j], (uint16_t)(i & 1 ? 1 : 0xffff));
			abuse_expect_used(&device, CTRL_TX, ring(CTRL_TX)->avail.idx);
			if (j % 4 == 3)
				give_answer_buffers(1);
		}
	}
	works();
}

/* Shorter and longer than a message, in pieces of a byte, and in what is the device's to write. */
static void odd_messages(void)
{
	static struct message ready = {0, DEVICE_READY, 1};

	abuse_begin(&device);
	for (unsigned int len = 0; len < 8; len++)
		abuse_submit(&device, CTRL_TX, (uint64_t)&ready, len, 0);
	abuse_submit(&device, CTRL_TX, (uint64_t)&ready, sizeof(ready), VIRTIO_DESC_WRITE);
	abuse_expect_used(&device, CTRL_TX, 9);
	give_answer_buffers(4);
	expect(ring(CTRL_RX)->used.idx == 0);
	for (unsigned int i = 0; i < sizeof(ready); i++)
		abuse_set(CTRL_TX, i, (uint64_t)&ready + i, 1,
			i + 1 < sizeof(ready) ? VIRTIO_DESC_NEXT : 0, (uint16_t)(i + 1));
	virtio_offer(&abuse_rings[CTRL_TX], 0);
	virtio_notify(&device.virtio, CTRL_TX);
	abuse_expect_used(&device, CTRL_RX, 4);
	abuse_submit(&device, CTRL_TX, (uint64_t)block, sizeof(block), 0);
	abuse_expect_used(&device, CTRL_TX, 11);
	works();
}

/* Too small for what they are to hold: nothing is written beyond their ends. */
static void small_answers(void)
{
	for (uint32_t len = 0; len < 8; len++) {
		abuse_begin(&device);
		memset(answers, 0xa5, sizeof(answers));
		for (unsigned int i = 0; i < N_PORTS; i++)
			abuse_submit(
				&device, CTRL_RX, (uint64_t)answers[i], len, VIRTIO_DESC_WRITE);
		tell(0, DEVICE_READY, 1);
		abuse_expect_used(&device, CTRL_RX, N_PORTS);
		for (unsigned int i = 0; i < N_PORTS; i++) {
			expect(ring(CTRL_RX)->used.ring[i].len == len);
			for (unsigned int at = len; at < MESSAGE_MAX; at++)
				expect(answers[i][at] == 0xa5);
		}
	}
	works();
}

/* More to tell than there are buffers, many times over: it is kept as facts, not as messages. */
static void messages_without_buffers(void)
{
	abuse_begin(&device);
	for (unsigned int i = 0; i < 200; i++) {
		tell(i % 8, i % 3 ? PORT_READY : DEVICE_READY, 1);
		abuse_expect_used(&device, CTRL_TX, ring(CTRL_TX)->avail.idx);
	}
	give_answer_buffers(VIRTIO_QUEUE_SIZE);
	/* They are there, what they are, and that they are open. */
	abuse_expect_used(&device, CTRL_RX, 3 * N_PORTS);
	works();
}

/* The client of the slow port does not read: its driver waits, the others do not. */
static void a_reader_that_has_stopped(void)
{
	for (unsigned int i = 0; i < 12; i++) {
		works();
		for (unsigned int n = 0; n < VIRTIO_QUEUE_SIZE; n++)
			abuse_submit(&device, PORT_TX(SLOW), (uint64_t)block, sizeof(block), 0);
		abuse_submit(&device, PORT_TX(LAST), (uint64_t)line, sizeof(line) - 1, 0);
		abuse_expect_used(&device, PORT_TX(LAST), 2);
		count_line();
		if (i > 8)
			expect(ring(PORT_TX(SLOW))->used.idx == 0);
	}
	works();
}

/* Chains without a byte hold nobody up. */
static void empty_output(void)
{
	works();
	for (unsigned int i = 0; i < 1000; i++) {
		abuse_submit(&device, PORT_TX(2), (uint64_t)block, 0, i & VIRTIO_DESC_WRITE);
		if (i % VIRTIO_QUEUE_SIZE == VIRTIO_QUEUE_SIZE - 1)
			abuse_expect_used(&device, PORT_TX(2), (uint16_t)(i + 1));
	}
	works();
}

/* Emergency writes and everything else there, in any width, beyond the end as well. */
static void configuration(void)
{
	for (unsigned int offset = 0; offset < 20; offset++) {
		uint64_t at = device.virtio.config + offset;

		mmio_write8(at, 0);
		mmio_write16(at, 0xffff);
		mmio_write32(at, 0x80000000);
		mmio_write64(at, 0xfffffffffffffff1);
		(void)mmio_read8(at);
		(void)mmio_read64(at);
	}
	expect(mmio_read32(device.virtio.config + 4) == N_PORTS);
	works();
}

/* Without MULTIPORT there are no queues but the first two, whatever is said to the others. */
static void other_drivers(void)
{
	device.features = 0;
	abuse_begin(&device);
	for (unsigned int q = 2; q < device.n_queues; q++)
		for (unsigned int i = 0; i < 4; i++)
			abuse_submit(
				&device, q, (uint64_t)block, 512, i & 1 ? VIRTIO_DESC_WRITE : 0);
	abuse_submit(&device, 1, (uint64_t)block, 512, 0);
	abuse_expect_used(&device, 1, 1);
	for (unsigned int q = 2; q < device.n_queues; q++)
		expect(ring(q)->used.idx == 0);
	device.features = MULTIPORT;
	works();
}

void guest_main(void)
{
	static void (*const cases[])(void) = {bad_messages, odd_messages, small_answers,
		messages_without_buffers, a_reader_that_has_stopped, empty_output, configuration,
		other_drivers};

	if (!virtio_find(3, &device.virtio))
		fail("no virtio console");
	abuse_run(&device, "console", cases, sizeof(cases) / sizeof(cases[0]));
	line[sizeof(line) - 2] = 0;
	print("next: %s\n", line);
	pass();
}
