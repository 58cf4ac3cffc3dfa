/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue walker in both formats and the block device's requests, without threads: descriptors
 * and ring indices as the input says, then the device serves, or the fuzzer takes chains itself and
 * gives them back in another order. Whatever is handed out lies in guest RAM, slots of chains in
 * flight differ, and each notify ends. A byte of features and size, then records of 16 bytes:
 * operation, queue entry, value, address, and the 8 bytes behind it in a descriptor.
 */
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "block/image.h"
#include "virtio/dev/blk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define QUEUE_RAM   0x8000u /* twice: two regions side by side */
#define QUEUE_DESC  0x0000u
#define QUEUE_AVAIL 0x2000u
#define QUEUE_USED  0x3000u
#define QUEUE_TABLE 0x4000u /* of indirect descriptors */
#define QUEUE_DISK  0x10000u

struct queue_fuzz {
	struct block_image image;
	struct virtio_transport transport;
	struct ram *ram;
	struct virtio_dev *dev;
	uint16_t size;
	bool again;
	struct virtq_chain chain;
	unsigned int n_held;
	uint16_t held[VIRTQ_SIZE_MAX];
	bool is_held[VIRTQ_SIZE_MAX];
};

static struct queue_fuzz fuzz;

static void queue_check(const struct iovec *iov, int n, uint64_t off)
{
	const struct ram_region *regions;
	size_t n_regions = ram_regions(fuzz.ram, &regions);

	for (int i = 0; i < n; i++) {
		const uint8_t *p = iov[i].iov_base;
		bool inside = false;

		for (size_t r = 0; r < n_regions; r++)
			inside |= p >= regions[r].hva && range_fits((uint64_t)(p - regions[r].hva),
								 iov[i].iov_len, regions[r].size);
		if (!inside || !range_fits(off, iov[i].iov_len, QUEUE_DISK))
			abort();
		off += iov[i].iov_len;
	}
}

static int queue_preadv(struct block_image *image, const struct iovec *iov, int n, uint64_t off)
{
	queue_check(iov, n, off);
	for (int i = 0; i < n; i++)
		memset(iov[i].iov_base, (int)(off & 0xff), iov[i].iov_len);
	return off & 512 ? -5 : 0;
}

static int queue_pwritev(
	struct block_image *image, const struct iovec *iov, int n, uint64_t off, bool fua)
{
	queue_check(iov, n, off);
	return 0;
}

static int queue_flush(struct block_image *image)
{
	return 0;
}

static int queue_discard(struct block_image *image, uint64_t off, uint64_t len)
{
	if (!range_fits(off, len, QUEUE_DISK))
		abort();
	return 0;
}

static int queue_write_zeroes(struct block_image *image, uint64_t off, uint64_t len, bool unmap)
{
	return queue_discard(image, off, len);
}

static void queue_free(struct block_image *image)
{
}

static void queue_signal(struct virtio_transport *transport, unsigned int q)
{
}

static void queue_again(struct virtio_transport *transport, unsigned int q)
{
	fuzz.again = true;
}

static void queue_needs_reset(struct virtio_transport *transport)
{
	if (!fuzz.dev->queues[0].broken)
		abort();
}

static void queue_create(uint8_t flags)
{
	static const struct block_image_ops ops = {.preadv = queue_preadv,
		.pwritev = queue_pwritev,
		.flush = queue_flush,
		.discard = queue_discard,
		.write_zeroes = queue_write_zeroes,
		.free = queue_free};
	static const struct ram_options anon = {.backend = RAM_ANON};
	struct virtio_blk_options options = {.name = "fuzz", .discard = true};
	struct virtq_layout layout = {.desc = QUEUE_DESC,
		.driver = QUEUE_AVAIL,
		.device = QUEUE_USED,
		.packed = flags & 0x80,
		.in_order = flags & 0x40,
		.event_idx = flags & 1,
		.indirect = flags & 2};
	unsigned int order = (flags >> 2 & 15) % 9;

	fuzz = (struct queue_fuzz){
		.image = {.ops = &ops,
			.facts = {.size = QUEUE_DISK, .block_size = 512, .physical_size = 512}},
		.transport = {.signal = queue_signal,
			.again = queue_again,
			.needs_reset = queue_needs_reset},
		.size = (uint16_t)(1u << order)};
	if (layout.packed)
		fuzz.size = (uint16_t)(fuzz.size - order / 2); /* of any size */
	layout.size = fuzz.size;
	err_free(ram_create(&anon, &fuzz.ram));
	err_free(ram_add(fuzz.ram, 0, QUEUE_RAM, "low"));
	err_free(ram_add(fuzz.ram, QUEUE_RAM, QUEUE_RAM, "high"));
	err_free(block_sync_create(&fuzz.image, &options.blocks[0]));
	err_free(virtio_blk_create(&options, &fuzz.dev));
	fuzz.dev->transport = &fuzz.transport;
	if (virtq_init(&fuzz.dev->queues[0], fuzz.ram, &layout))
		abort();
	fuzz.dev->ops->activate(fuzz.dev);
}

static void queue_put(uint64_t gpa, const void *data, size_t len)
{
	if (ram_write(fuzz.ram, gpa % (2 * QUEUE_RAM - len), data, len))
		abort();
}

/* ---- A device that works on many chains at once ---- */

static void queue_hold(void)
{
	const struct virtq_chain *chain = &fuzz.chain;

	if (virtq_pop(&fuzz.dev->queues[0], &fuzz.chain) <= 0)
		return;
	if (chain->head >= fuzz.size || fuzz.is_held[chain->head] ||
		chain->n_readable + chain->n_writable > VIRTQ_IOV_MAX)
		abort();
	for (unsigned int i = 0; i < chain->n_readable + chain->n_writable; i++)
		queue_check(&chain->iov[i], 1, 0);
	fuzz.is_held[chain->head] = true;
	fuzz.held[fuzz.n_held++] = chain->head;
}

static void queue_give(unsigned int which, uint32_t written)
{
	uint16_t head;

	if (!fuzz.n_held)
		return;
	which %= fuzz.n_held;
	head = fuzz.held[which];
	fuzz.held[which] = fuzz.held[--fuzz.n_held];
	fuzz.is_held[head] = false;
	virtq_push(&fuzz.dev->queues[0], head, written);
}

static void queue_step(const uint8_t *r)
{
	uint8_t desc[16];

	store_le64(desc, load_le32(r + 4));
	memcpy(desc + 8, r + 8, 8);
	switch (r[0] % 9) {
	case 0:
		queue_put(QUEUE_DESC + 16u * r[1], desc, sizeof(desc));
		break;
	case 1:
		queue_put(QUEUE_TABLE + 16u * r[1], desc, sizeof(desc));
		break;
	case 2: /* a head */
		queue_put(QUEUE_AVAIL + 4 + 2u * (r[1] % fuzz.size), r + 2, 2);
		break;
	case 3: /* avail flags, idx */
		queue_put(QUEUE_AVAIL, r + 4, 4);
		break;
	case 4:
		queue_put(load_le32(r + 4), r + 8, 8);
		break;
	case 6:
		queue_hold();
		break;
	case 7:
		queue_give(r[1], load_le32(r + 4));
		break;
	case 8:
		if (virtq_publish(&fuzz.dev->queues[0]))
			queue_signal(&fuzz.transport, 0);
		virtq_disable_notify(&fuzz.dev->queues[0]);
		fuzz.again = virtq_enable_notify(&fuzz.dev->queues[0]);
		break;
	default:
		fuzz.again = false;
		fuzz.dev->ops->notify(fuzz.dev, 0);
		if (fuzz.again)
			fuzz.dev->ops->notify(fuzz.dev, 0);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	queue_create(data[0]);
	for (size_t i = 1; i + 16 <= size && i < 16 * 256; i += 16)
		queue_step(data + i);
	fuzz.dev->ops->notify(fuzz.dev, 0);
	fuzz.dev->ops->deactivate(fuzz.dev);
	virtq_deinit(&fuzz.dev->queues[0]);
	fuzz.dev->ops->free(fuzz.dev);
	ram_free(fuzz.ram);
	return 0;
}
