/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Persistent memory: files between the end of RAM and what is free of the 64-bit PCI window. No
 * table tells of them: the guest learns the addresses from the virtio devices, where they are also
 * the BARs of these (virtio/pci/virtio_pci_shm.c) if there is room for BARs of a power of two, each
 * on a multiple of its size. With firmware in flash they are not: it places BARs itself, by rules
 * of its own, and may have no place for a large one.
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

static struct err *pmem_open(struct board *board, unsigned int i)
{
	const struct pmem_config *config = &board->config->pmem[i];
	const struct block_pmem_options options = {
		.path = config->path, .size = config->size, .readonly = config->discard_writes};

	return block_pmem_open(&options, &board->pmem[i].fd, &board->pmem[i].size);
}

/* Gives each its address; NULL, or the first that does not fit. */
static const struct board_pmem *pmem_place(
	struct board *board, uint64_t base, bool in_bars, uint64_t *ret_end)
{
	*ret_end = base;
	for (unsigned int i = 0; i < board->config->n_pmem; i++) {
		struct board_pmem *pmem = &board->pmem[i];
		uint64_t size = in_bars ? 1ull << ceil_log2(pmem->size) : pmem->size;

		pmem->gpa = align_up(*ret_end, in_bars ? MAX(size, PMEM_ALIGN) : PMEM_ALIGN);
		if (pmem->gpa < *ret_end || add_overflows(pmem->gpa, size, ret_end) ||
			(board->phys_bits < 64 && (*ret_end - 1) >> board->phys_bits))
			return pmem;
	}
	return NULL;
}

static struct err *pmem_place_all(struct board *board, uint64_t base, uint64_t *ret_end)
{
	const struct board_pmem *failed;

	board->pmem_in_bars = !board->rom.code && !pmem_place(board, base, true, ret_end);
	failed = board->pmem_in_bars ? NULL : pmem_place(board, base, false, ret_end);
	if (!failed)
		return NULL;
	return err_new(0, "\"%s\", %llu MiB, needs more than the guest's %u address bits",
		board->config->pmem[failed - board->pmem].path,
		(unsigned long long)(failed->size >> 20), board->phys_bits);
}

static struct err *pmem_map(struct board *board, unsigned int i)
{
	const struct board_pmem *pmem = &board->pmem[i];

	return ram_add_file(
		board->ram, pmem->gpa, pmem->size, pmem->fd, board->config->pmem[i].discard_writes);
}

struct err *board_map_pmem(struct board *board, uint64_t base, uint64_t *ret_end)
{
	size_t n = board->config->n_pmem;
	struct err *err = NULL;

	*ret_end = base;
	if (!n)
		return NULL;
	board->pmem = new0_array(struct board_pmem, n);
	if (!board->pmem)
		return err_new(ENOMEM, "Cannot create persistent memory");
	for (unsigned int i = 0; i < n; i++)
		board->pmem[i].fd = -1;
	for (unsigned int i = 0; !err && i < n; i++)
		err = err_wrap(pmem_open(board, i), "--pmem path=%s", board->config->pmem[i].path);
	if (!err)
		err = err_wrap(pmem_place_all(board, base, ret_end), "--pmem");
	for (unsigned int i = 0; !err && i < n; i++)
		err = err_wrap(pmem_map(board, i), "--pmem path=%s", board->config->pmem[i].path);
	return err;
}

bool board_pmem_bars(const struct board *board, uint64_t *ret_base)
{
	if (board->pmem_in_bars)
		*ret_base = board->pmem[0].gpa;
	return board->pmem_in_bars;
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
	if (board->pmem_in_bars &&
		ram_iov(board->ram, pmem->gpa, pmem->size, &options.memory, 1) != 1)
		return err_new(EFAULT, "%s is not in the guest's memory", name);
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
