/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile driver, and a host that asks, around the memory balloon, without threads: descriptors,
 * ring indices, page numbers and statistics as the input says. Each notification ends, no memory
 * but the guest's is given back, and no more than one buffer is kept. Records of 16 bytes:
 * operation, queue, entry, value, address, length, flags, next.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/endian.h"
#include "virtio/dev/balloon.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BF_RAM    0x40000u
#define BF_QUEUE  0x4000u /* for each queue: descriptors, available, used */
#define BF_AVAIL  0x1000u
#define BF_USED   0x2000u
#define BF_TABLE  0x20000u /* of indirect descriptors, then page numbers */
#define BF_QUEUES 5u
#define BF_STEPS  512u
#define BF_CANARY 0x5a

struct balloon_fuzz {
	struct virtio_transport transport;
	struct ram *ram;
	struct virtio_dev *dev;
	struct virtio_balloon *balloon;
	struct loop *loop;
	uint16_t size;
	bool again[BF_QUEUES];
	uint8_t *canary; /* memory that is not the guest's */
};

static struct balloon_fuzz fuzz;

static void bf_signal(struct virtio_transport *transport, unsigned int q)
{
}

static void bf_again(struct virtio_transport *transport, unsigned int q)
{
	fuzz.again[q] = true;
}

static void bf_drained(struct virtio_transport *transport, unsigned int q)
{
	if (fuzz.dev->queues[q].n_flight)
		abort();
}

static void bf_nothing(struct virtio_transport *transport)
{
}

static void bf_pump(void)
{
	for (unsigned int q = 0; q < BF_QUEUES; q++) {
		bool again = fuzz.again[q];

		fuzz.again[q] = false;
		if (again)
			fuzz.dev->ops->notify(fuzz.dev, q);
	}
	loop_stop(fuzz.loop);
	loop_run(fuzz.loop);
}

static void bf_up(unsigned int q, uint8_t features)
{
	struct virtq_layout layout = {.size = fuzz.size,
		.desc = q * BF_QUEUE,
		.driver = q * BF_QUEUE + BF_AVAIL,
		.device = q * BF_QUEUE + BF_USED,
		.event_idx = features & 8,
		.indirect = features & 16,
		.packed = features & 32,
		.in_order = features & 64};

	if (ram_fill(fuzz.ram, layout.desc, 0, BF_QUEUE) ||
		virtq_init(&fuzz.dev->queues[q], fuzz.ram, &layout))
		abort();
}

static void bf_start(uint8_t flags, uint8_t features)
{
	fuzz.size = (uint16_t)(1u << flags % 8);
	fuzz.dev->negotiated = VIRTIO_F_VERSION_1 | (features & 1 ? fuzz.dev->features : 0) |
			       (features & 2 ? ~0ull : 0);
	err_free(loop_create(&fuzz.loop));
	fuzz.dev->loop = fuzz.loop;
	for (unsigned int q = 0; q < BF_QUEUES; q++)
		bf_up(q, features);
	fuzz.dev->ops->activate(fuzz.dev);
}

static void bf_reset(void)
{
	fuzz.dev->ops->deactivate(fuzz.dev);
	for (unsigned int q = 0; q < BF_QUEUES; q++)
		virtq_deinit(&fuzz.dev->queues[q]);
	loop_free(fuzz.loop);
}

static void bf_create(uint8_t flags)
{
	const struct ram_options ram = {
		.backend = flags & 8 ? RAM_MEMFD : RAM_ANON, .shared = flags & 16};
	const struct virtio_balloon_options options = {.deflate_on_oom = true, .reporting = true};

	fuzz = (struct balloon_fuzz){.transport = {.signal = bf_signal,
					     .again = bf_again,
					     .drained = bf_drained,
					     .needs_reset = bf_nothing,
					     .config_changed = bf_nothing}};
	fuzz.canary = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fuzz.canary == MAP_FAILED)
		abort();
	memset(fuzz.canary, BF_CANARY, 65536);
	err_free(ram_create(&ram, &fuzz.ram));
	err_free(ram_add(fuzz.ram, 0, BF_RAM / 2, "low"));
	err_free(ram_add(fuzz.ram, BF_RAM / 2, BF_RAM / 2, "high"));
	err_free(ram_add(fuzz.ram, 0x100000000, BF_RAM, "far"));
	err_free(virtio_balloon_create(&options, &fuzz.dev, &fuzz.balloon));
	fuzz.dev->transport = &fuzz.transport;
	fuzz.dev->ram = fuzz.ram;
}

static void bf_free(void)
{
	struct balloon_info info;

	virtio_balloon_get(fuzz.balloon, 0, &info);
	bf_reset();
	fuzz.dev->ops->free(fuzz.dev);
	ram_free(fuzz.ram);
	for (unsigned int i = 0; i < 65536; i++) {
		if (fuzz.canary[i] != BF_CANARY)
			abort();
	}
	munmap(fuzz.canary, 65536);
}

static void bf_put(uint64_t gpa, const void *data, size_t len)
{
	if (ram_write(fuzz.ram, gpa % (BF_RAM - len), data, len))
		abort();
}

/* As the host's users do; nobody waits, as there is nobody else to answer. */
static void bf_ask(uint8_t what, uint32_t value)
{
	struct balloon_info info;
	uint64_t bytes = 0;

	if (what % 3 == 0)
		virtio_balloon_set_target(fuzz.balloon, (uint64_t)value << 12);
	else if (what % 3 == 1)
		virtio_balloon_get(fuzz.balloon, 1, &info);
	else if (!virtio_balloon_hint(fuzz.balloon, 0, &bytes))
		abort();
}

static void bf_config(const uint8_t *r)
{
	uint8_t data[8];
	unsigned int size = 1u << r[2] % 4;
	unsigned int off = r[3] % 16;

	if (off + size > fuzz.dev->config_size)
		return;
	if (r[1] & 1)
		fuzz.dev->ops->config_write(fuzz.dev, off, r + 4, size);
	else
		fuzz.dev->ops->config_read(fuzz.dev, off, data, size);
}

static void bf_reset_queue(unsigned int q, uint8_t features)
{
	virtq_stop(&fuzz.dev->queues[q]);
	fuzz.dev->ops->queue_reset(fuzz.dev, q);
	if (fuzz.dev->queues[q].n_flight)
		abort();
	virtq_deinit(&fuzz.dev->queues[q]);
	bf_up(q, features);
}

static void bf_step(const uint8_t *r)
{
	unsigned int q = r[1] % BF_QUEUES;
	uint64_t queue = (uint64_t)q * BF_QUEUE;
	uint8_t desc[16];

	store_le64(desc, load_le32(r + 4));
	memcpy(desc + 8, r + 8, 8);
	switch (r[0] % 11) {
	case 0:
		bf_put(queue + 16u * r[2], desc, sizeof(desc));
		break;
	case 1:
		bf_put(BF_TABLE + 16u * r[2], desc, sizeof(desc));
		break;
	case 2: /* a head */
		bf_put(queue + BF_AVAIL + 4 + 2u * (r[2] % fuzz.size), r + 4, 2);
		break;
	case 3: /* available flags, idx */
		bf_put(queue + BF_AVAIL, r + 4, 4);
		break;
	case 4: /* page numbers, statistics, commands */
		bf_put(load_le32(r + 4), r + 8, 8);
		break;
	case 5:
		bf_ask(r[2], load_le32(r + 4));
		break;
	case 6:
		bf_config(r);
		break;
	case 7:
		bf_pump();
		break;
	case 8:
		fuzz.dev->ops->pause(fuzz.dev, 0, r[2] & 1);
		break;
	case 9:
		if (r[2] & 8) {
			bf_reset_queue(q, r[4]);
		} else if (!(r[2] & 7)) {
			bf_reset();
			bf_start(r[3], r[4]);
		}
		break;
	default:
		fuzz.dev->ops->notify(fuzz.dev, q);
		break;
	}
	if (fuzz.dev->queues[2].n_flight > 1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	bf_create(data[0]);
	bf_start(data[0], data[1]);
	for (size_t i = 2; i + 16 <= size && i < 16 * BF_STEPS; i += 16)
		bf_step(data + i);
	bf_pump();
	bf_free();
	return 0;
}
