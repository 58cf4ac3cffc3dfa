/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The x86_64 board's PCI segment: the windows, the interrupt pins, and the functions in the order
 * of their addresses.
 */
#include "board/x86_64/board_internal.h"

#include "pci/i6300esb.h"
#include "pci/piix4.h"
#include "pci/pvpanic.h"

static struct irq_line *board_route_intx(
	struct pci_intx_router *router, const struct pci_dev *dev, unsigned int pin)
{
	struct board *board = container_of(router, struct board, intx_router);
	struct ioapic_source *source = &board->intx[dev->slot][dev->function];

	/* The same swizzle as _PRT tells. */
	ioapic_source_init(
		source, board->ioapic, X86_GSI_PCI_INTX + (dev->slot + pin) % X86_GSI_PCI_INTX_N);
	return &source->line;
}

/* `memory_end`: of what is mapped above 4 GiB. */
static void board_choose_windows(struct board *board, uint64_t memory_end)
{
	struct pci_windows *w = &board->windows;
	uint64_t base;

	*w = (struct pci_windows){
		.io_base = X86_PCI_IO_BASE,
		.io_end = X86_PCI_IO_END,
		.mem32_base = X86_PCI_MEM32_BASE,
		.mem32_end = X86_PCI_MEM32_END,
	};
	/* A BIOS places BARs from the I/O APIC down. */
	if (board->rom.code) {
		w->high32_base = X86_KVM_TSS_BASE + X86_KVM_TSS_SIZE;
		w->high32_end = X86_IOAPIC_BASE;
	}
	/* Without room for a 64-bit window everything goes below 4 GiB. */
	if (!x86_pci64_window(memory_end, board->phys_bits, &w->mem64_base, &w->mem64_end))
		w->mem64_base = w->mem64_end = 0;
	/* Firmware puts BARs somewhere above, by rules of its own: at times into the last eighth.
	 */
	else if (board->rom.code)
		w->mem64_end = 1ull << MIN(board->phys_bits, 52u);
	/* BARs that are memory have their places already. */
	if (board_pmem_bars(board, &base)) {
		w->mem64_free = MAX(w->mem64_base, memory_end);
		w->mem64_end = MAX(w->mem64_end, memory_end);
		w->mem64_base = base;
	}
}

static struct err *board_create_segment(struct board *board, uint64_t memory_end)
{
	struct pci_segment_options options = {
		.intx = &board->intx_router,
		.mmio = board->mmio,
		.pio = board->pio,
		.vm = board->hv,
		.reset_control = reset_control_region(board->reset_control),
		.ecam_base = X86_ECAM_BASE,
		.n_buses = BOARD_PCI_BUSES,
		.enabled = board->rom.is_pvh,
	};

	board_choose_windows(board, memory_end);
	options.windows = board->windows;
	board->intx_router.route = board_route_intx;
	return pci_segment_create(&options, &board->pci);
}

struct err *board_add_pci(struct board *board, struct pci_dev *dev)
{
	board_own(board, &dev->device);
	return pci_segment_add(board->pci, dev);
}

static struct err *board_add_watchdog(struct board *board)
{
	static const enum machine_event actions[] = {
		[WATCHDOG_RESET] = MACHINE_RESET,
		[WATCHDOG_POWEROFF] = MACHINE_EXPIRED,
		[WATCHDOG_PAUSE] = MACHINE_PAUSE,
		[WATCHDOG_NONE] = MACHINE_RESET, /* not reported */
	};
	enum watchdog_action action = board->config->watchdog.action;
	const struct i6300esb_options options = {
		.loop = board->env.loop,
		.events = board->env.events,
		.action = actions[action],
		.silent = action == WATCHDOG_NONE,
	};
	struct pci_dev *dev;
	struct err *err = i6300esb_create(&options, &dev);

	return err ? err : board_add_pci(board, dev);
}

static uint64_t board_ram_end(const struct board *board)
{
	uint64_t size = board->config->memory.size;

	return X86_RAM_HIGH_BASE + (size - MIN(size, (uint64_t)X86_RAM_LOW_END));
}

/* Firmware in flash also wants a south bridge, at 00:01.0 and 00:01.3. */
static struct err *board_add_bridges(struct board *board)
{
	struct pci_dev *dev, *isa;
	struct err *err = pci_host_bridge_create(
		board->rom.code ? PCI_HOST_BRIDGE_I440FX : PCI_HOST_BRIDGE_GENERIC, &dev);

	if (!err)
		err = board_add_pci(board, dev);
	if (err || !board->rom.code)
		return err;
	err = piix4_isa_create(&isa);
	if (!err)
		err = board_add_pci(board, isa);
	if (!err)
		err = piix4_pm_create(board->pio, board->env.events, &dev);
	if (err)
		return err;
	board_own(board, &dev->device);
	return pci_segment_add_function(board->pci, dev, isa, 3);
}

/* The order is the one of the addresses that guests see. */
struct err *board_create_pci(struct board *board)
{
	uint64_t memory_end = 0;
	struct pci_dev *dev;
	struct err *err = board_map_pmem(board, board_ram_end(board), &memory_end);

	if (!err)
		err = board_create_segment(board, memory_end);
	if (!err)
		err = board_add_bridges(board);
	if (!err && board->config->pvpanic) {
		err = pvpanic_create(board->env.events, &dev);
		if (!err)
			err = board_add_pci(board, dev);
	}
	if (!err)
		err = board_add_virtio_devices(board);
	if (!err && board->config->watchdog.given)
		err = board_add_watchdog(board);
	return err ? err : pci_segment_place(board->pci);
}
