/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's accesses to configuration space (by ECAM and by ports), to BARs that it moves, and to
 * MSI-X structures, among interrupts of the devices. Records of 8 bytes: action, argument, place
 * (2), value (4); see act(). After each, no two live BARs overlap, none is outside the windows, one
 * that should be live is kept off only by another, and what is read-only is as it was.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "base/fd.h"
#include "base/overflow.h"
#include "device/machine_events.h"
#include "hv/fake/hv_fake.h"
#include "pci/pci_internal.h"
#include "pci/pvpanic.h"

#define RECORD_SIZE 8
#define RECORDS_MAX 1024
#define TOYS        3
#define SLOTS       (TOYS + 2) /* with host bridge and pvpanic */
#define VECTORS     65
#define ECAM        0xe0000000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct toy {
	struct pci_dev pci;
	bool live[PCI_NUM_BARS]; /* as told by bar_changed */
	uint64_t addr[PCI_NUM_BARS];
};

struct fixture {
	struct hv_vm *vm;
	struct bus *mmio, *pio;
	struct pci_segment *segment;
	struct pci_dev *devs[SLOTS];
	struct toy toys[TOYS];
	struct machine_events events;
	struct pci_intx_router router;
	struct irq_line line;
	uint8_t fixed[SLOTS][PCI_CONFIG_SIZE]; /* configuration at the start */
};

static const struct pci_windows windows = {
	.io_base = 0x1000,
	.io_end = 0x10000,
	.mem32_base = 0x80000000,
	.mem32_end = ECAM,
	.mem64_base = 0x800000000,
	.mem64_end = 0x1000000000,
};

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void must_succeed(struct err *err)
{
	must(!err);
}

/* ---- Devices ---- */

static uint64_t toy_read(struct io_region *region, uint64_t off, unsigned int size)
{
	struct toy *toy = container_of(region, struct toy, pci.bars[0].region);
	uint64_t value;

	must(range_fits(off, size, region->size));
	return pci_msix_read(&toy->pci, off, size, &value) ? value : 0;
}

static void toy_write(struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct toy *toy = container_of(region, struct toy, pci.bars[0].region);

	must(range_fits(off, size, region->size));
	(void)pci_msix_write(&toy->pci, off, size, value);
}

static uint64_t plain_read(struct io_region *region, uint64_t off, unsigned int size)
{
	must(range_fits(off, size, region->size));
	return 0;
}

static void plain_write(struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	must(range_fits(off, size, region->size));
}

static const struct io_ops toy_ops = {toy_read, toy_write};
static const struct io_ops plain_ops = {plain_read, plain_write};

static void toy_bar_changed(struct pci_dev *dev, unsigned int bar, bool live, uint64_t addr)
{
	struct toy *toy = container_of(dev, struct toy, pci);

	toy->live[bar] = live;
	toy->addr[bar] = addr;
}

static const struct pci_dev_ops toy_pci_ops = {.bar_changed = toy_bar_changed};

static void toy_init(struct fixture *f, struct toy *toy)
{
	static const struct pci_ids ids = {.vendor = 0x1234, .device = 0x5678};

	toy->pci.device.name = "toy";
	pci_dev_init(&toy->pci, &ids, &toy_pci_ops, true);
	pci_dev_add_bar(&toy->pci, 0, PCI_BAR_MEM32, 0x2000, &toy_ops, "msix");
	pci_dev_add_bar(&toy->pci, 1, PCI_BAR_IO, 0x40, &plain_ops, "ports");
	pci_dev_add_bar(&toy->pci, 2, PCI_BAR_MEM64, 0x4000, &plain_ops, "small");
	pci_dev_add_bar(&toy->pci, 4, PCI_BAR_MEM64_PREF, 1ull << 32, &plain_ops, "large");
	must_succeed(pci_msix_add(&toy->pci, f->vm, VECTORS, 0, 0, 0x1000));
	toy->pci.w1cmask[0x80] = 0xf0;
	toy->pci.wmask[0x80] = 0x0f;
}

static void ignore_event(
	struct machine_events *events, enum machine_event event, const char *source)
{
}

static void ignore_level(struct irq_line *line, bool level)
{
}

static struct irq_line *route(
	struct pci_intx_router *router, const struct pci_dev *dev, unsigned int pin)
{
	return &container_of(router, struct fixture, router)->line;
}

static void start(struct fixture *f)
{
	struct pci_segment_options options = {
		.ecam_base = ECAM, .n_buses = 256, .windows = windows};

	f->events.report = ignore_event;
	f->line.set = ignore_level;
	f->router.route = route;
	must_succeed(hv_fake_create(&f->vm));
	must_succeed(bus_create("MMIO", &f->mmio));
	must_succeed(bus_create("port", &f->pio));
	options.intx = &f->router;
	options.mmio = f->mmio;
	options.pio = f->pio;
	options.vm = f->vm;
	must_succeed(pci_segment_create(&options, &f->segment));
	must_succeed(pci_host_bridge_create(PCI_HOST_BRIDGE_GENERIC, &f->devs[0]));
	must_succeed(pvpanic_create(&f->events, &f->devs[1]));
	for (unsigned int i = 0; i < TOYS; i++) {
		toy_init(f, &f->toys[i]);
		f->devs[2 + i] = &f->toys[i].pci;
	}
	for (unsigned int i = 0; i < SLOTS; i++)
		must_succeed(pci_segment_add(f->segment, f->devs[i]));
	must_succeed(pci_segment_place(f->segment));
	for (unsigned int i = 0; i < SLOTS; i++)
		memcpy(f->fixed[i], f->devs[i]->config, PCI_CONFIG_SIZE);
}

static void stop(struct fixture *f)
{
	device_free(&f->devs[0]->device);
	device_free(&f->devs[1]->device);
	for (unsigned int i = 0; i < TOYS; i++)
		pci_dev_deinit(&f->toys[i].pci);
	pci_segment_free(f->segment);
	bus_free(f->pio);
	bus_free(f->mmio);
	hv_vm_free(f->vm);
}

/* ---- Actions ---- */

static void bus_access(struct bus *bus, uint64_t addr, uint8_t how, uint64_t value)
{
	unsigned int size = 1u << (how & 3);

	if (how & 4)
		bus_write(bus, addr, size, value | value << 32);
	else
		must(size == 8 || !(bus_read(bus, addr, size) >> (size * 8)));
}

/* BARs and the command, which random accesses rarely hit with anything that makes sense. */
static void move_bar(struct fixture *f, uint8_t argument, uint16_t place, uint32_t value)
{
	uint64_t reg = ECAM | (uint64_t)(2 + (argument & 1)) << 15;
	unsigned int bar = (argument >> 1 & 7) % PCI_NUM_BARS;

	bus_write(f->mmio, reg | PCI_COMMAND, 2, place & 7);
	/* Few places, so that BARs meet. */
	if (argument & 0x10)
		value = 0x80000000 | (value & 0x3000);
	else if (argument & 0x20)
		value = 8 + (value & 7);
	bus_write(f->mmio, reg | (PCI_BAR0 + bar * 4), 4, value);
}

static void interrupt(struct fixture *f, struct toy *toy, uint8_t how, uint16_t vector)
{
	int fd;

	switch (how & 3) {
	case 0:
		pci_msix_signal(&toy->pci, vector);
		break;
	case 1:
		fd = pci_msix_fd(&toy->pci, vector % VECTORS);
		if (fd >= 0)
			fd_eventfd_signal(fd);
		break;
	case 2:
		pci_dev_set_intx(&toy->pci, vector & 1);
		break;
	default:
		hv_fake_fail_next(
			f->vm, vector & 1 ? HV_FAKE_IRQFD_ROUTE : HV_FAKE_IRQFD_CREATE, ENOSPC);
		break;
	}
}

static void act(struct fixture *f, const uint8_t *record)
{
	uint8_t argument = record[1];
	uint16_t place = load_le16(record + 2);
	uint32_t value = load_le32(record + 4);
	struct toy *toy = &f->toys[(argument >> 4) % TOYS];

	switch (record[0] & 7) {
	case 0: /* all of the first slots, and some beyond the last */
		bus_access(f->mmio, ECAM + ((uint64_t)(argument >> 4) << 15) + (place & 0x3fff),
			argument, value);
		break;
	case 1: /* the conventional part of function 0 */
		bus_access(f->mmio, ECAM + ((uint64_t)(argument >> 4) << 15) + (place & 0xff),
			argument, value);
		break;
	case 2:
		bus_write(f->pio, 0xcf8, 4, argument & 1 ? value : 1u << 31 | (value & 0x3fff));
		break;
	case 3:
		bus_access(f->pio, 0xcf8 + (place & 7),
			argument & 4 ? argument & 0xfeu : argument & 0xfcu, value);
		break;
	case 4:
		move_bar(f, argument, place, value);
		break;
	case 5: /* wherever the MSI-X structures are */
		bus_access(
			f->mmio, toy->pci.bars[0].region.base + (place & 0x1fff), argument, value);
		break;
	case 6:
		interrupt(f, toy, argument, place);
		break;
	default:
		if (argument < 16)
			pci_dev_reset(&toy->pci);
		else
			bus_access(f->mmio, value, argument, place);
		break;
	}
}

/* ---- What always holds ---- */

static bool inside(uint64_t addr, uint64_t size, uint64_t base, uint64_t end)
{
	return addr >= base && range_fits(addr - base, size, end - base);
}

static bool overlaps_a_live_one(const struct fixture *f, const struct pci_bar *bar, uint64_t addr)
{
	for (unsigned int i = 0; i < SLOTS; i++) {
		for (unsigned int j = 0; j < PCI_NUM_BARS; j++) {
			const struct pci_bar *other = &f->devs[i]->bars[j];

			if (other == bar || !other->live ||
				(other->type == PCI_BAR_IO) != (bar->type == PCI_BAR_IO))
				continue;
			if (ranges_overlap(addr, bar->size, other->region.base, other->size))
				return true;
		}
	}
	return false;
}

/* Where the registers say that the BAR is. */
static uint64_t programmed(const struct pci_dev *dev, unsigned int i)
{
	const uint8_t *reg = dev->config + PCI_BAR0 + (size_t)i * 4;

	if (dev->bars[i].type == PCI_BAR_IO)
		return load_le32(reg) & ~3u;
	if (dev->bars[i].type == PCI_BAR_MEM32)
		return load_le32(reg) & ~0xfu;
	return load_le64(reg) & ~0xfull;
}

static void check_bar(const struct fixture *f, const struct pci_dev *dev, unsigned int i)
{
	const struct pci_bar *bar = &dev->bars[i];
	bool io = bar->type == PCI_BAR_IO;
	uint64_t addr = programmed(dev, i);
	bool wanted =
		load_le16(dev->config + PCI_COMMAND) & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY);

	if (io)
		wanted &= inside(addr, bar->size, windows.io_base, windows.io_end);
	else
		wanted &= inside(addr, bar->size, windows.mem32_base, windows.mem32_end) ||
			  inside(addr, bar->size, windows.mem64_base, windows.mem64_end);
	must(bar->live == bar->region.enabled);
	must(!bar->live || (wanted && bar->region.base == addr));
	must(wanted ? bar->live != overlaps_a_live_one(f, bar, addr) : !bar->live);
}

static void check(struct fixture *f)
{
	unsigned int n = hv_fake_messages(f->vm, NULL, 0);

	must(n <= VECTORS * TOYS);
	hv_fake_clear_messages(f->vm);
	for (unsigned int i = 0; i < SLOTS; i++) {
		const struct pci_dev *dev = f->devs[i];

		for (unsigned int j = 0; j < PCI_NUM_BARS; j++)
			if (dev->bars[j].type != PCI_BAR_NONE)
				check_bar(f, dev, j);
		for (unsigned int j = 0; j < PCI_CONFIG_SIZE; j++) {
			uint8_t fixed = (uint8_t) ~(dev->wmask[j] | dev->w1cmask[j]);

			if (j == PCI_STATUS)
				fixed &= (uint8_t)~PCI_STATUS_INTX;
			must(!((dev->config[j] ^ f->fixed[i][j]) & fixed));
		}
	}
	for (unsigned int i = 0; i < TOYS; i++)
		for (unsigned int j = 0; j < PCI_NUM_BARS; j++)
			must(f->toys[i].live[j] == f->toys[i].pci.bars[j].live &&
				(!f->toys[i].live[j] ||
					f->toys[i].addr[j] == f->toys[i].pci.bars[j].region.base));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fixture f = {0};

	start(&f);
	for (size_t i = 0; i < RECORDS_MAX && size >= RECORD_SIZE; i++) {
		act(&f, data);
		check(&f);
		data += RECORD_SIZE;
		size -= RECORD_SIZE;
	}
	stop(&f);
	return 0;
}
