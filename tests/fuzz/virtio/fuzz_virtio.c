/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile driver: configuration space, BAR registers, MSI-X, and rings full of anything, with an
 * entropy device, a disk and persistent memory behind the real PCI segment. Records of 12 bytes:
 * operation, width, address, value.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/endian.h"
#include "block/image.h"
#include "hv/fake/hv_fake.h"
#include "pci/pci.h"
#include "virtio/dev/blk.h"
#include "virtio/dev/pmem.h"
#include "virtio/dev/rng.h"
#include "virtio/pci/virtio_pci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_ECAM    0xe0000000u
#define FUZZ_MEM     0x80000000u
#define FUZZ_RAM     0x40000u
#define FUZZ_PMEM    0x8000000u
#define FUZZ_DEVICES 3

struct fuzz_machine {
	struct hv_vm *hv;
	struct ram *ram;
	struct bus *mmio, *pio;
	struct pci_segment *pci;
	struct pci_dev *devs[FUZZ_DEVICES];
};

/* Its pages are memory for every device, and in a BAR that the guest may move. */
static void fuzz_pmem(struct fuzz_machine *m, const struct virtio_pci_options *pci)
{
	struct virtio_pmem_options options = {.name = "pmem",
		.gpa = FUZZ_PMEM,
		.size = MIB(2),
		.fd = memfd_create("pmem", MFD_CLOEXEC)};
	struct virtio_dev *dev;

	if (ftruncate(options.fd, (off_t)options.size))
		abort();
	err_free(ram_add_file(m->ram, options.gpa, options.size, options.fd, false));
	if (ram_iov(m->ram, options.gpa, options.size, &options.memory, 1) != 1)
		abort();
	err_free(virtio_pmem_create(&options, &dev));
	err_free(virtio_pci_create(pci, dev, &m->devs[2]));
}

static void fuzz_devices(struct fuzz_machine *m, bool uring)
{
	struct virtio_pci_options options = {.hv = m->hv, .ram = m->ram};
	struct virtio_blk_options blk = {.name = "fuzz", .discard = true};
	struct block_raw_options raw = {0};
	struct block_image *image;
	int fd = memfd_create("disk", MFD_CLOEXEC);
	struct virtio_dev *dev;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (ftruncate(fd, 65536))
		abort();
	raw.path = path;
	err_free(block_raw_open(&raw, &image));
	close(fd);
	err_free(uring ? block_uring_create(image, "fuzz", &blk.blocks[0])
		       : block_sync_create(image, &blk.blocks[0]));
	err_free(virtio_rng_create(&(struct virtio_rng_options){0}, &dev));
	err_free(virtio_pci_create(&options, dev, &m->devs[0]));
	err_free(virtio_blk_create(&blk, &dev));
	err_free(virtio_pci_create(&options, dev, &m->devs[1]));
	fuzz_pmem(m, &options);
}

static void fuzz_create(struct fuzz_machine *m, bool uring)
{
	static const struct ram_options ram = {.backend = RAM_ANON};
	struct pci_segment_options options = {
		.windows = {.io_base = 0x1000,
			.io_end = 0x10000,
			.mem32_base = FUZZ_MEM,
			.mem32_end = 0x80800000u,
			.mem64_base = FUZZ_PMEM,
			.mem64_end = 2 * FUZZ_PMEM,
			.mem64_free = 2 * FUZZ_PMEM},
		.ecam_base = FUZZ_ECAM,
		.n_buses = 1,
	};

	err_free(hv_fake_create(&m->hv));
	err_free(ram_create(&ram, &m->ram));
	err_free(ram_add(m->ram, 0, FUZZ_RAM, "fuzz"));
	err_free(bus_create("mmio", &m->mmio));
	err_free(bus_create("pio", &m->pio));
	options.mmio = m->mmio;
	options.pio = m->pio;
	options.vm = m->hv;
	err_free(pci_segment_create(&options, &m->pci));
	fuzz_devices(m, uring);
	for (int i = 0; i < FUZZ_DEVICES; i++)
		err_free(pci_segment_add(m->pci, m->devs[i]));
	err_free(pci_segment_place(m->pci));
}

static void fuzz_free(struct fuzz_machine *m)
{
	struct hv_fake_map map;

	for (int i = 0; i < FUZZ_DEVICES; i++) {
		device_reset(&m->devs[i]->device);
		device_free(&m->devs[i]->device);
	}
	for (uint64_t gpa = FUZZ_PMEM; gpa < 2 * FUZZ_PMEM; gpa += MIB(2)) {
		if (hv_fake_find_map(m->hv, gpa, &map))
			abort();
	}
	pci_segment_free(m->pci);
	bus_free(m->pio);
	bus_free(m->mmio);
	ram_free(m->ram);
	hv_vm_free(m->hv);
}

static void fuzz_step(struct fuzz_machine *m, const uint8_t *r)
{
	unsigned int width = 1u << (r[1] & 3);
	uint32_t addr = load_le32(r + 2);
	uint64_t value = load_le32(r + 6) | (uint64_t)load_le16(r + 10) << 32;

	switch (r[0] % 6) {
	case 0:
		bus_write(m->mmio, FUZZ_ECAM + (addr & 0x1ffff), width, value);
		break;
	case 1:
		(void)bus_read(m->mmio, FUZZ_ECAM + (addr & 0x1ffff), width);
		break;
	case 2:
		bus_write(m->mmio, FUZZ_MEM + (addr & 0x1ffff), width, value);
		break;
	case 3:
		(void)bus_read(m->mmio, FUZZ_MEM + (addr & 0x1ffff), width);
		break;
	case 4:
		if (ram_write(m->ram, addr % FUZZ_RAM, r + 4, 8))
			return;
		break;
	default:
		bus_write(m->pio, 0xcf8 + (addr & 7), width, value);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_machine m = {0};

	fuzz_create(&m, size & 1);
	for (size_t i = 0; i + 12 <= size && i < 12 * 512; i += 12)
		fuzz_step(&m, data + i);
	fuzz_free(&m);
	return 0;
}
