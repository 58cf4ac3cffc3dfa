/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Persistent memory: the data path is the processor's, as the file is mapped where the guest finds
 * it (ram_add_file()). What is left are flushes, which the device's thread does while vCPUs run on.
 *
 * A driver is told of the place in two ways: by the configuration, and, if it takes SHMEM_REGION
 * (Linux does from 6.9 on), by a BAR, whose first address is that place. Both mean one mapping and
 * one memory slot, so that other devices reach it as well, whatever the driver knows. If the guest
 * has moved the BAR, SHMEM_REGION is not offered: what the configuration says is always true.
 */
#define LOG_MODULE "virtio_pmem"
#include "virtio/dev/pmem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/fd.h"
#include "base/log.h"

#define PMEM_ID          27
#define PMEM_CONFIG_SIZE 16u /* start and size (5.19.4) */
#define PMEM_REQ_FLUSH   0u
#define PMEM_SHM_ID      0
#define PMEM_F_SHMEM     (1ull << 0) /* VIRTIO_PMEM_F_SHMEM_REGION (5.19.3) */
#define PMEM_FAILED      0xffffffffu /* -1 (5.19.6) */

struct virtio_pmem {
	struct virtio_dev dev;
	char name[VIRTIO_PMEM_NAME_MAX + 1];
	uint64_t gpa, size;
	int fd;
	bool discard_writes;
	int flush_error; /* of the flush that failed; 0: none did */
	struct virtq_chain chain;
};

static struct virtio_pmem *pmem_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_pmem, dev);
}

/* Pages that the guest wrote are dirty pages of the file: the kernel has noted each when it became
 * writable, and takes the right to write away when it begins to write back. Of what it could not
 * write it tells once, so the first error is the last word (block/raw.c). */
static uint32_t pmem_flush(struct virtio_pmem *pmem)
{
	if (pmem->discard_writes)
		return 0;
	if (!pmem->flush_error && fdatasync(pmem->fd))
		pmem->flush_error = errno;
	if (!pmem->flush_error)
		return 0;
	log_guest(&pmem->dev.limit, "%s: flush failed: %s", pmem->name,
		err_strerror(pmem->flush_error));
	return PMEM_FAILED;
}

static uint32_t pmem_serve(struct virtio_dev *dev, struct virtq_chain *chain)
{
	struct virtio_pmem *pmem = pmem_of(dev);
	const struct iovec *writable = chain->iov + chain->n_readable;
	uint32_t result = PMEM_FAILED;
	uint8_t raw[4];

	if (virtio_iov_read(chain->iov, chain->n_readable, 0, raw, sizeof(raw)) < sizeof(raw) ||
		virtio_iov_size(writable, chain->n_writable) < sizeof(raw)) {
		log_guest(&dev->limit, "%s: a request without type or result", pmem->name);
		return 0;
	}
	if (load_le32(raw) == PMEM_REQ_FLUSH)
		result = pmem_flush(pmem);
	store_le32(raw, result);
	return (uint32_t)virtio_iov_write(writable, chain->n_writable, 0, raw, sizeof(raw));
}

static void pmem_notify(struct virtio_dev *dev, unsigned int q)
{
	virtio_dev_serve(dev, q, &pmem_of(dev)->chain, pmem_serve);
}

static void pmem_config_read(
	struct virtio_dev *dev, unsigned int off, void *data, unsigned int size)
{
	const struct virtio_pmem *pmem = pmem_of(dev);
	uint8_t config[PMEM_CONFIG_SIZE];

	store_le64(config, pmem->gpa);
	store_le64(config + 8, pmem->size);
	memcpy(data, config + off, size);
}

static void pmem_free(struct virtio_dev *dev)
{
	struct virtio_pmem *pmem = pmem_of(dev);

	auto_close_cleanup(&pmem->fd);
	free(pmem);
}

static const struct virtio_dev_ops pmem_ops = {
	.notify = pmem_notify, .config_read = pmem_config_read, .free = pmem_free};

struct err *virtio_pmem_create(
	const struct virtio_pmem_options *options, struct virtio_dev **ret_dev)
{
	struct virtio_pmem *pmem = new0(struct virtio_pmem);

	if (!pmem)
		return err_new(ENOMEM, "Cannot create persistent memory");
	pmem->gpa = options->gpa;
	pmem->size = options->size;
	pmem->fd = options->fd;
	pmem->discard_writes = options->discard_writes;
	strncpy(pmem->name, options->name, sizeof(pmem->name) - 1);
	pmem->dev = (struct virtio_dev){
		.ops = &pmem_ops,
		.name = pmem->name,
		.id = PMEM_ID,
		.class_code = 0xff0000,
		.features = VIRTIO_F_IN_ORDER | VIRTIO_F_RING_RESET,
		.n_queues = 1,
		.queue_size = VIRTQ_SIZE_MAX,
		.config_size = PMEM_CONFIG_SIZE,
	};
	if (options->memory.iov_len) {
		pmem->dev.features |= PMEM_F_SHMEM;
		pmem->dev.shm[0] =
			(struct virtio_shm){.id = PMEM_SHM_ID, .memory = options->memory};
		pmem->dev.n_shm = 1;
		pmem->dev.shm_gpa = options->gpa;
		pmem->dev.shm_features = PMEM_F_SHMEM;
	}
	*ret_dev = &pmem->dev;
	return NULL;
}
