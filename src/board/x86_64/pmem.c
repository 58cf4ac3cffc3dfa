/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Persistent memory: files between the end of RAM and the 64-bit PCI window. No table tells of
 * them: the guest learns the addresses from the virtio devices.
 */
#include "board/x86_64/board_internal.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/overflow.h"
#include "block/file.h"
#include "virtio/dev/pmem.h"

/* A section of Linux's memory map: none is shared with RAM or with another device. */
#define PMEM_ALIGN MIB(128)

struct board_pmem {
	uint64_t gpa, size;
	int fd;
};

static struct err *pmem_map(
	struct board *board, unsigned int index, uint64_t base, uint64_t *ret_end)
{
	const struct pmem_config *config = &board->config->pmem[index];
	const struct block_pmem_options options = {
		.path = config->path, .size = config->size, .readonly = config->discard_writes};
	struct board_pmem *pmem = &board->pmem[index];
	struct err *err = block_pmem_open(&options, &pmem->fd, &pmem->size);
	uint64_t end;

	if (err)
		return err;
	pmem->gpa = align_up(base, PMEM_ALIGN);
	if (pmem->gpa < base || add_overflows(pmem->gpa, pmem->size, &end) ||
		(board->phys_bits < 64 && (end - 1) >> board->phys_bits))
		return err_new(0, "\"%s\", %llu MiB, needs more than the guest's %u address bits",
			config->path, (unsigned long long)(pmem->size >> 20), board->phys_bits);
	*ret_end = end;
	return ram_add_file(board->ram, pmem->gpa, pmem->size, pmem->fd, config->discard_writes);
}

struct err *board_map_pmem(struct board *board, uint64_t base, uint64_t *ret_end)
{
	size_t n = board->config->n_pmem;

	*ret_end = base;
	if (!n)
		return NULL;
	board->pmem = new0_array(struct board_pmem, n);
	if (!board->pmem)
		return err_new(ENOMEM, "Cannot create persistent memory");
	for (unsigned int i = 0; i < n; i++)
		board->pmem[i].fd = -1;
	for (unsigned int i = 0; i < n; i++) {
		struct err *err = pmem_map(board, i, *ret_end, ret_end);

		if (err)
			return err_wrap(err, "--pmem path=%s", board->config->pmem[i].path);
	}
	return NULL;
}

struct err *board_create_pmem(struct board *board, unsigned int index, struct virtio_dev **ret_dev)
{
	struct board_pmem *pmem = &board->pmem[index];
	char name[VIRTIO_PMEM_NAME_MAX + 1];
	struct virtio_pmem_options options = {
		.name = name,
		.gpa = pmem->gpa,
		.size = pmem->size,
		.fd = pmem->fd,
		.discard_writes = board->config->pmem[index].discard_writes,
	};
	struct err *err;

	(void)snprintf(name, sizeof(name), "virtio-pmem-%u", index);
	err = virtio_pmem_create(&options, ret_dev);
	if (!err)
		pmem->fd = -1;
	return err;
}

void board_free_pmem(struct board *board)
{
	for (unsigned int i = 0; board->pmem && i < board->config->n_pmem; i++)
		auto_close_cleanup(&board->pmem[i].fd);
	free(board->pmem);
}
