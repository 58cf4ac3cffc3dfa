/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drivers that come and go, rounds=N times for each virtio device that there is: each negotiates,
 * enables all queues, has requests in the device's hands, and ends in one of three ways: by a
 * reset, as a driver that is unbound; by taking bus mastering away, as a kernel that starts the
 * next one (kexec): then the device must leave memory alone; or not at all, as a kernel that
 * crashed: then the next driver's reset is the first thing that the device hears.
 */
#include "guest_virtio.h"

#define COMMAND_MASTER 4U
#define QUEUES_MAX     16
#define NUM_QUEUES     0x12
#define RING_RESET     (1ULL << 40)
#define GARBAGE        0xa5
#define PATTERN        0xa5a5a5a5a5a5a5a5
#define SECTOR         512
#define BUFFER_SIZE    1024
#define BUFFER_WORDS   (BUFFER_SIZE / 8)
/* Of those of queue 0: programs are interpreted where this runs in CI, and slow. */
#define RING_WORDS (sizeof(struct virtio_ring) / 8)

enum { ID_NET = 1, ID_BLK = 2, ID_CONSOLE = 3, ID_RNG = 4, ID_BALLOON = 5, ID_PMEM = 27 };
enum { BY_RESET, BY_KEXEC, BY_CRASH, N_ENDS };

static struct virtio_ring rings[QUEUES_MAX] __attribute__((aligned(4096)));
static uint8_t buffer[BUFFER_SIZE] __attribute__((aligned(4096)));

static void set(unsigned int i, void *at, uint32_t len, uint16_t flags)
{
	rings[0].desc[i] = (struct virtio_desc){.addr = (uint64_t)at,
		.len = len,
		.flags = flags,
		.next = flags & VIRTIO_DESC_NEXT ? (uint16_t)(i + 1) : 0};
}

/* Gives queue 0 what it is for; whether the device is to answer it, without anybody's help. */
static bool give_request(unsigned int id)
{
	memset(buffer, 0, 16);
	buffer[16] = GARBAGE;
	switch (id) {
	case ID_BLK: /* reads the first sector */
		set(0, buffer, 16, VIRTIO_DESC_NEXT);
		set(1, buffer + SECTOR, SECTOR, VIRTIO_DESC_NEXT | VIRTIO_DESC_WRITE);
		set(2, buffer + 16, 1, VIRTIO_DESC_WRITE);
		break;
	case ID_PMEM: /* a flush */
		set(0, buffer, 4, VIRTIO_DESC_NEXT);
		set(1, buffer + 16, 4, VIRTIO_DESC_WRITE);
		break;
	case ID_BALLOON: /* no pages */
		set(0, buffer, 0, 0);
		return false;
	default:
		set(0, buffer, BUFFER_SIZE, VIRTIO_DESC_WRITE);
		break;
	}
	virtio_offer(&rings[0], 0);
	return id == ID_BLK || id == ID_PMEM || id == ID_RNG;
}

static void begin(struct virtio *v)
{
	unsigned int n = mmio_read16(v->common + NUM_QUEUES);

	expect(n && n <= QUEUES_MAX);
	v->ring = &rings[0];
	for (unsigned int q = 0; q < n; q++)
		virtio_enable(v, q, &rings[q]);
	virtio_driver_ok(v);
	expect(virtio_status(v) & VIRTIO_DRIVER_OK);
}

static void expect_answer(const struct virtio *v, unsigned int id)
{
	expect(virtio_wait(v, 1));
	if (id == ID_BLK)
		expect(!buffer[16] && buffer[SECTOR] == GARBAGE);
	else if (id == ID_PMEM)
		expect(!buffer[16] && rings[0].used.ring[0].len == 4);
	else
		expect(rings[0].used.ring[0].len == BUFFER_SIZE);
}

static void spoil(volatile uint64_t *words, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		words[i] = PATTERN;
}

static void expect_spoilt(const volatile uint64_t *words, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		expect(words[i] == PATTERN);
}

/* What the next kernel does with the memory, and what it finds there later. */
static void expect_memory_is_left_alone(void)
{
	spoil((uint64_t *)rings, RING_WORDS);
	spoil((uint64_t *)buffer, BUFFER_WORDS);
	for (unsigned int i = 0; i < 100; i++)
		pause();
	expect_spoilt((uint64_t *)rings, RING_WORDS);
	expect_spoilt((uint64_t *)buffer, BUFFER_WORDS);
}

static void end(const struct virtio *v, unsigned int how)
{
	uint32_t command = pci_read(0, v->slot, 0, 4);

	switch (how) {
	case BY_RESET:
		virtio_reset(v);
		expect_memory_is_left_alone();
		break;
	case BY_KEXEC:
		pci_write(0, v->slot, 0, 4, command & ~COMMAND_MASTER);
		expect_memory_is_left_alone();
		pci_write(0, v->slot, 0, 4, command);
		break;
	default:
		spoil((uint64_t *)rings, RING_WORDS);
		virtio_notify(v, 0);
		break;
	}
}

static void come_and_go(unsigned int id, unsigned int rounds)
{
	struct virtio v;

	if (!virtio_find((uint16_t)id, &v))
		fail("no virtio device %u", id);
	for (unsigned int i = 0; i < rounds; i++) {
		bool answers;

		expect(virtio_negotiate(&v, i & 1 ? RING_RESET : 0));
		begin(&v);
		answers = give_request(id);
		virtio_notify(&v, 0);
		/* Now and then the driver waits; else it goes with its request under way. */
		if (answers && (i % 5 == 0 || i + 1 == rounds))
			expect_answer(&v, id);
		end(&v, i + 1 == rounds ? BY_RESET : i % N_ENDS);
	}
	print("virtio %u: %u drivers\n", id, rounds);
}

void guest_main(void)
{
	static const unsigned int ids[] = {ID_NET, ID_BLK, ID_CONSOLE, ID_RNG, ID_BALLOON, ID_PMEM};
	unsigned int rounds = guest_option("rounds", 100);

	for (unsigned int i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		come_and_go(ids[i], rounds);
	pass();
}
