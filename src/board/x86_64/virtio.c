/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio devices that the configuration asks for, each a function of the PCI segment.
 */
#include "board/x86_64/board_internal.h"

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "block/open.h"
#include "net/mac.h"
#include "net/passt.h"
#include "net/tap.h"
#include "virtio/dev/balloon.h"
#include "virtio/dev/blk.h"
#include "virtio/dev/console.h"
#include "virtio/dev/net.h"
#include "virtio/dev/rng.h"
#include "virtio/pci/virtio_pci.h"

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

/* The order is the one of their addresses. */
struct err *board_add_virtio_devices(struct board *board)
{
	struct err *err = NULL;

	if (board->config->entropy.given)
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
	return err;
}
