/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The x86_64 board's PCI segment: the windows, the interrupt pins, and the functions in the order
 * of their addresses.
 */
#include "board/x86_64/board_internal.h"

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "block/open.h"
#include "net/mac.h"
#include "net/passt.h"
#include "net/tap.h"
#include "pci/i6300esb.h"
#include "pci/piix4.h"
#include "pci/pvpanic.h"
#include "virtio/dev/balloon.h"
#include "virtio/dev/blk.h"
#include "virtio/dev/console.h"
#include "virtio/dev/net.h"
#include "virtio/dev/rng.h"
#include "virtio/pci/virtio_pci.h"

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

	board->windows = (struct pci_windows){
		.io_base = X86_PCI_IO_BASE,
		.io_end = X86_PCI_IO_END,
		.mem32_base = X86_PCI_MEM32_BASE,
		.mem32_end = X86_PCI_MEM32_END,
	};
	/* A BIOS places BARs from the I/O APIC down. */
	if (board->rom.code) {
		board->windows.high32_base = X86_KVM_TSS_BASE + X86_KVM_TSS_SIZE;
		board->windows.high32_end = X86_IOAPIC_BASE;
	}
	/* Without room for a 64-bit window everything goes below 4 GiB. */
	if (!x86_pci64_window(memory_end, board->phys_bits, &board->windows.mem64_base,
		    &board->windows.mem64_end))
		board->windows.mem64_base = board->windows.mem64_end = 0;
	/* Firmware puts BARs somewhere above, by rules of its own: at times into the last eighth.
	 */
	else if (board->rom.code)
		board->windows.mem64_end = 1ull << MIN(board->phys_bits, 52u);
	options.windows = board->windows;
	board->intx_router.route = board_route_intx;
	return pci_segment_create(&options, &board->pci);
}

/* The board owns the function; the segment gives it an address. */
static struct err *board_add_pci(struct board *board, struct pci_dev *dev)
{
	board_own(board, &dev->device);
	return pci_segment_add(board->pci, dev);
}

static struct err *board_add_virtio(struct board *board, struct virtio_dev *dev)
{
	struct virtio_pci_options options = {.hv = board->hv, .ram = board->ram};
	struct pci_dev *pci;
	struct err *err = virtio_pci_create(&options, dev, &pci);

	return err ? err : board_add_pci(board, pci);
}

/* What the configuration does not want offered to the driver. */
static void board_choose_rings(struct virtio_dev *dev, bool packed)
{
	if (!packed)
		dev->excluded |= VIRTIO_F_RING_PACKED;
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

static struct err *board_add_entropy(struct board *board)
{
	const struct virtio_rng_options options = {.rate = board->config->entropy.rate};
	struct virtio_dev *dev;
	struct err *err = virtio_rng_create(&options, &dev);

	if (err)
		return err;
	board_choose_rings(dev, board->config->entropy.packed);
	return board_add_virtio(board, dev);
}

static struct err *board_open_net(const struct net_config *config, struct net_backend **ret_backend)
{
	const struct net_tap_options tap = {
		.path = config->tap ? config->tap : NET_DEV_TUN,
		.if_name = config->if_name,
		.fd = config->fd ? (int)config->fd : -1,
		.n_queues = config->queue_pairs ? config->queue_pairs : 1,
	};
	const struct net_passt_options passt = {
		.socket = config->socket,
		.path = config->path,
		.tcp = config->tcp,
		.udp = config->udp,
		.args = config->args,
		.mtu = config->mtu,
		.reconnect = config->reconnect,
		.vhost_user = config->vhost_user,
	};

	return config->kind == NET_PASST ? net_passt_open(&passt, ret_backend)
					 : net_tap_open(&tap, ret_backend);
}

/* A card that cannot be had, by the key that says which. */
static struct err *board_wrap_net(struct err *err, const struct net_config *config)
{
	if (config->kind == NET_PASST)
		return err_wrap(err, "--net passt");
	if (config->fd)
		return err_wrap(err, "--net fd=%u", config->fd);
	return config->tap ? err_wrap(err, "--net tap=%s", config->tap)
			   : err_wrap(err, "--net if=%s", config->if_name);
}

static struct err *board_add_net(struct board *board, unsigned int index)
{
	static const enum virtio_net_vhost vhosts[] = {
		[NET_VHOST_OFF] = VIRTIO_NET_VHOST_OFF,
		[NET_VHOST_ON] = VIRTIO_NET_VHOST_ON,
		[NET_VHOST_AUTO] = VIRTIO_NET_VHOST_AUTO,
	};
	const struct net_config *config = &board->config->net[index];
	struct virtio_net_options options = {
		.mtu = config->mtu, .vhost = vhosts[config->vhost], .threads = config->iothreads};
	struct virtio_dev *dev;
	char name[32];
	struct err *err = board_open_net(config, &options.backend);

	(void)snprintf(name, sizeof(name), "virtio-net-%u", index);
	options.name = name;
	if (err)
		return board_wrap_net(err, config);
	if (!config->mac)
		net_mac_generate(options.backend, index, options.mac);
	else if (!vm_config_parse_mac(config->mac, options.mac))
		err = err_new(EINVAL, "Not an address: \"%s\"", config->mac);
	if (!err)
		err = virtio_net_create(&options, &dev);
	if (err) {
		net_backend_free(options.backend);
		return err;
	}
	board_choose_rings(dev, config->packed);
	return board_add_virtio(board, dev);
}

static enum block_format board_block_format(enum blk_format format)
{
	return format == BLK_FORMAT_QCOW2 ? BLOCK_QCOW2 : BLOCK_RAW;
}

/* RAM's ranges, without persistent memory, which is a file's. */
static unsigned int board_ram_ranges(const struct board *board, struct iovec *ranges)
{
	const struct ram_region *regions;
	size_t n_regions = ram_regions(board->ram, &regions);
	unsigned int n = 0;

	for (size_t i = 0; i < n_regions; i++) {
		if (!regions[i].is_file)
			n += ram_iov(board->ram, regions[i].gpa, regions[i].size, &ranges[n], 1) ==
			     1;
	}
	return n;
}

static struct err *board_open_blk(const struct board *board, const struct blk_config *config,
	const char *name, struct block_dev **ret_devs)
{
	struct iovec memory[RAM_REGIONS_MAX];
	const struct block_options options = {
		.name = name,
		.path = config->path,
		.format = board_block_format(config->format),
		.backing = config->backing,
		.backing_format = board_block_format(config->backing_format),
		.readonly = config->readonly,
		.direct = config->direct || config->cache == BLK_CACHE_NONE,
		.api = config->api == BLK_API_MIO ? BLOCK_API_SYNC : BLOCK_API_IO_URING,
		.limits = {.iops = config->iops, .bw = config->bw},
		.memory = memory,
		.n_memory = config->registered_memory ? board_ram_ranges(board, memory) : 0,
	};

	return block_open(&options, config->iothreads, ret_devs);
}

static struct err *board_add_blk(struct board *board, unsigned int index)
{
	const struct blk_config *config = &board->config->blk[index];
	struct virtio_blk_options options = {
		.serial = config->serial,
		.queues = config->queues,
		.threads = config->iothreads,
		.queue_size = config->queue_size,
		.discard = config->discard,
		.writethrough = config->cache == BLK_CACHE_WRITETHROUGH,
	};
	struct virtio_dev *dev;
	char name[VM_CONFIG_ID_MAX + 1];
	struct err *err;

	vm_config_disk_name(board->config, index, name);
	options.name = name;
	err = board_open_blk(board, config, name, options.blocks);
	if (err)
		return err_wrap(err, "--blk path=%s", config->path);
	err = virtio_blk_create(&options, &dev);
	if (err) {
		for (unsigned int i = 0; i < options.threads; i++)
			block_free(options.blocks[i]);
		return err;
	}
	board->disks[board->n_disks++] = dev;
	board_choose_rings(dev, config->packed);
	return board_add_virtio(board, dev);
}

static struct err *board_add_disks(struct board *board)
{
	size_t n = board->config->n_blk;
	struct err *err = NULL;

	board->disks = n ? new0_array(struct virtio_dev *, n) : NULL;
	if (n && !board->disks)
		return err_new(ENOMEM, "Cannot create disks");
	for (unsigned int i = 0; !err && i < n; i++)
		err = board_add_blk(board, i);
	return err;
}

static struct err *board_add_pmem(struct board *board, unsigned int index)
{
	struct virtio_dev *dev;
	struct err *err = board_create_pmem(board, index, &dev);

	if (err)
		return err;
	board_choose_rings(dev, board->config->pmem[index].packed);
	return board_add_virtio(board, dev);
}

static uint64_t board_ram_end(const struct board *board)
{
	uint64_t size = board->config->memory.size;

	return X86_RAM_HIGH_BASE + (size - MIN(size, (uint64_t)X86_RAM_LOW_END));
}

static struct err *board_add_balloon(struct board *board)
{
	const struct balloon_config *config = &board->config->balloon;
	const struct virtio_balloon_options options = {
		.target = config->size,
		.deflate_on_oom = config->deflate_on_oom,
		.reporting = config->free_page_reporting,
	};
	struct virtio_dev *dev;
	struct err *err = virtio_balloon_create(&options, &dev, &board->balloon);

	if (err)
		return err;
	board_choose_rings(dev, config->packed);
	return board_add_virtio(board, dev);
}

/* The host's side of a virtio console's port. */
static struct err *board_open_port(struct board *board, const struct console_config *config,
	unsigned int *n_hvcs, struct virtio_console_port *ret_port)
{
	char label[16];

	(void)snprintf(label, sizeof(label), "hvc%u", *n_hvcs);
	if (!config->name)
		++*n_hvcs;
	ret_port->name = config->name;
	return board_open_console(
		board, config, config->name ? config->name : label, &ret_port->console);
}

static struct err *board_add_console(struct board *board)
{
	struct virtio_console_port ports[VIRTIO_CONSOLE_PORTS_MAX];
	unsigned int n_hvcs = 0;
	unsigned int n = 0;
	bool packed = true;
	struct virtio_dev *dev;
	struct err *err = NULL;

	for (size_t i = 0; !err && i < board->config->n_console; i++) {
		const struct console_config *config = &board->config->console[i];

		if (!vm_config_is_virtio(config))
			continue;
		packed = packed && config->packed;
		err = board_open_port(board, config, &n_hvcs, &ports[n++]);
	}
	if (!err && n)
		err = virtio_console_create(ports, n, &dev);
	if (err || !n)
		return err;
	board_choose_rings(dev, packed);
	err = board_add_virtio(board, dev);
	for (unsigned int i = 0; !err && i < n; i++)
		console_start(ports[i].console);
	return err;
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

/* The order is the one of the addresses that guests see: see docs/machine.md. */
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
	if (!err && board->config->entropy.given)
		err = board_add_entropy(board);
	for (unsigned int i = 0; !err && i < board->config->n_net; i++)
		err = board_add_net(board, i);
	if (!err)
		err = board_add_disks(board);
	for (unsigned int i = 0; !err && i < board->config->n_pmem; i++)
		err = board_add_pmem(board, i);
	if (!err && board->config->balloon.given)
		err = board_add_balloon(board);
	if (!err)
		err = board_add_console(board);
	if (!err && board->config->watchdog.given)
		err = board_add_watchdog(board);
	return err ? err : pci_segment_place(board->pci);
}
