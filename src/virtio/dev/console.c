/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Console device: features, configuration, life, and news of the host's consoles.
 */
#include "virtio/dev/console.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/thread.h"
#include "virtio/dev/console_internal.h"

#define VCON_ID    3
#define VCON_CLASS 0x078000

/* struct virtio_console_config (5.3.4) */
enum {
	VCON_CONFIG_COLUMNS = 0,
	VCON_CONFIG_ROWS = 2,
	VCON_CONFIG_MAX_PORTS = 4,
	VCON_CONFIG_EMERG_WR = 8,
	VCON_CONFIG_SIZE = 12,
};

static_assert(VIRTIO_QUEUES_MAX >= 2 * VIRTIO_CONSOLE_PORTS_MAX + 2, "queues");

static struct virtio_console *vcon_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_console, dev);
}

bool vcon_is_multiport(const struct virtio_console *vcon)
{
	return vcon->dev.negotiated & VCON_F_MULTIPORT;
}

/* ---- News of the consoles ---- */

static void vcon_post_locked(struct virtio_console *vcon)
{
	if (vcon->loop)
		loop_post(vcon->loop, &vcon->news_msg);
}

static size_t port_receive(struct console_peer *peer, const uint8_t *data, size_t len)
{
	struct vcon_port *port = container_of(peer, struct vcon_port, peer);
	size_t n;

	auto_lock(&port->vcon->lock);
	n = port->closing ? 0 : MIN(len, (size_t)(VCON_INPUT - port->input_len));
	for (size_t i = 0; i < n; i++)
		port->input[(port->input_first + port->input_len++) % VCON_INPUT] = data[i];
	port->input_refused = n < len;
	vcon_post_locked(port->vcon);
	return n;
}

static void port_writable(struct console_peer *peer)
{
	struct vcon_port *port = container_of(peer, struct vcon_port, peer);

	auto_lock(&port->vcon->lock);
	vcon_post_locked(port->vcon);
}

static void port_connected(struct console_peer *peer, bool connected)
{
	struct vcon_port *port = container_of(peer, struct vcon_port, peer);

	auto_lock(&port->vcon->lock);
	port->connected = connected;
	/* An end that the driver was not told of yet stays in between. */
	if (connected) {
		port->news |= VCON_TELL_OPEN;
	} else {
		port->news = (port->news & ~(unsigned int)VCON_TELL_OPEN) | VCON_TELL_CLOSE;
		port->closing = *port->name;
	}
	vcon_post_locked(port->vcon);
}

static void port_resized(struct console_peer *peer)
{
	struct vcon_port *port = container_of(peer, struct vcon_port, peer);

	auto_lock(&port->vcon->lock);
	port->news |= VCON_TELL_SIZE;
	vcon_post_locked(port->vcon);
}

/* ---- The same in the device's thread ---- */

static unsigned int port_take_news(struct vcon_port *port)
{
	unsigned int news;

	auto_lock(&port->vcon->lock);
	news = port->news;
	port->news = 0;
	return news;
}

static void port_serve_news(struct vcon_port *port)
{
	struct virtio_dev *dev = &port->vcon->dev;
	unsigned int news = port_take_news(port);

	if (*port->name || !(dev->negotiated & VCON_F_SIZE))
		news &= ~(unsigned int)VCON_TELL_SIZE;
	if (!vcon_is_multiport(port->vcon)) {
		if (news & VCON_TELL_SIZE && !port->id)
			dev->transport->config_changed(dev->transport);
		return;
	}
	/* A port that the driver has not set up is told of as a whole. */
	if (!port->ready)
		return;
	if (news & VCON_TELL_CLOSE)
		port->tell &= ~(unsigned int)VCON_TELL_OPEN;
	port->tell |= news;
}

static void vcon_serve_news(struct virtio_console *vcon)
{
	if (vcon->paused)
		return;
	for (unsigned int i = 0; i < vcon->n_ports; i++) {
		struct vcon_port *port = &vcon->ports[i];

		port_serve_news(port);
		if (port->tx_waits)
			vcon_tx_run(port);
		vcon_rx_run(port);
	}
	vcon_ctrl_tell(vcon);
}

static void vcon_on_news(struct loop_msg *msg)
{
	vcon_serve_news(container_of(msg, struct virtio_console, news_msg));
}

/* ---- The device ---- */

static void vcon_notify(struct virtio_dev *dev, unsigned int q)
{
	struct virtio_console *vcon = vcon_of(dev);

	/* A driver without MULTIPORT has the queues of port 0 (5.3.2). */
	if (q >= VCON_CTRL_RX && !vcon_is_multiport(vcon))
		return;
	if (q == VCON_CTRL_RX)
		vcon_ctrl_tell(vcon);
	else if (q == VCON_CTRL_TX)
		vcon_ctrl_receive(vcon);
	else if (q % 2)
		vcon_tx_run(vcon_port_of_queue(vcon, q));
	else
		vcon_rx_run(vcon_port_of_queue(vcon, q));
}

static void vcon_activate(struct virtio_dev *dev)
{
	struct virtio_console *vcon = vcon_of(dev);

	vcon->paused = false;
	auto_lock(&vcon->lock);
	for (unsigned int i = 0; i < vcon->n_ports; i++) {
		struct vcon_port *port = &vcon->ports[i];

		port->ready = false;
		port->guest_open = !i && !vcon_is_multiport(vcon);
		port->tell = 0;
		port->tx_waits = false;
		/* Linux reads the size only when it is told that it has changed. */
		port->news = VCON_TELL_SIZE;
	}
	vcon->news_msg = (struct loop_msg){.run = vcon_on_news};
	vcon->loop = dev->loop;
	vcon_post_locked(vcon);
}

/* What was not given to this driver is the next one's: somebody typed while the machine started. */
static void vcon_deactivate(struct virtio_dev *dev)
{
	struct virtio_console *vcon = vcon_of(dev);

	auto_lock(&vcon->lock);
	vcon->loop = NULL;
}

static void vcon_queue_reset(struct virtio_dev *dev, unsigned int q)
{
	struct virtio_console *vcon = vcon_of(dev);

	if (q % 2 && q != VCON_CTRL_TX)
		vcon_tx_drop(vcon_port_of_queue(vcon, q));
}

/* What the guest sent before it stood still is its last word, if the machine ends or is reset. */
static void vcon_pause(struct virtio_dev *dev, unsigned int thread, bool paused)
{
	struct virtio_console *vcon = vcon_of(dev);

	for (unsigned int i = 0; paused && !vcon->paused && i < vcon->n_ports; i++)
		vcon_tx_run(&vcon->ports[i]);
	vcon->paused = paused;
	vcon_serve_news(vcon);
}

static void vcon_config_read(
	struct virtio_dev *dev, unsigned int off, void *data, unsigned int size)
{
	const struct virtio_console *vcon = vcon_of(dev);
	uint8_t config[VCON_CONFIG_SIZE] = {0};

	if (vcon->ports[0].console) {
		struct console_size now = console_size(vcon->ports[0].console);

		store_le16(config + VCON_CONFIG_COLUMNS, now.columns);
		store_le16(config + VCON_CONFIG_ROWS, now.rows);
	}
	store_le32(config + VCON_CONFIG_MAX_PORTS, vcon->n_ports);
	memcpy(data, config + off, size);
}

/* Emergency write: a byte at any time, also without a driver (5.3.4). What finds no room is lost,
 * as nobody could wait. */
static void vcon_config_write(
	struct virtio_dev *dev, unsigned int off, const void *data, unsigned int size)
{
	struct virtio_console *vcon = vcon_of(dev);

	if (off == VCON_CONFIG_EMERG_WR && size && vcon->ports[0].console)
		(void)!console_put(vcon->ports[0].console, *(const uint8_t *)data);
}

static void vcon_free(struct virtio_dev *dev)
{
	struct virtio_console *vcon = vcon_of(dev);

	for (unsigned int i = 0; i < vcon->n_ports; i++) {
		if (vcon->ports[i].console)
			console_set_peer(vcon->ports[i].console, NULL);
	}
	pthread_mutex_destroy(&vcon->lock);
	free(vcon);
}

static const struct virtio_dev_ops vcon_ops = {.notify = vcon_notify,
	.activate = vcon_activate,
	.deactivate = vcon_deactivate,
	.queue_reset = vcon_queue_reset,
	.pause = vcon_pause,
	.config_read = vcon_config_read,
	.config_write = vcon_config_write,
	.free = vcon_free};

/* ---- Creation ---- */

/* The id of each port: 0 for the first console, the others in their order. */
static unsigned int vcon_place(
	const struct virtio_console_port *ports, unsigned int n, unsigned int *ret_ids)
{
	bool has_console = false;
	unsigned int next = 1;

	for (unsigned int i = 0; i < n; i++) {
		bool first = !ports[i].name && !has_console;

		ret_ids[i] = first ? 0 : next++;
		has_console = has_console || first;
	}
	return next;
}

static void vcon_init_port(
	struct virtio_console *vcon, const struct virtio_console_port *from, struct vcon_port *port)
{
	port->console = from->console;
	if (from->name)
		strncpy(port->name, from->name, sizeof(port->name) - 1);
	port->connected = console_is_connected(port->console);
	port->peer = (struct console_peer){.receive = port_receive,
		.writable = port_writable,
		.connected = port_connected,
		.resized = port_resized};
	console_set_peer(port->console, &port->peer);
	if (!*port->name && console_has_size(port->console))
		vcon->dev.features |= VCON_F_SIZE;
}

static void vcon_init(struct virtio_console *vcon)
{
	bool multiport = vcon->n_ports > 1;

	vcon->dev = (struct virtio_dev){
		.ops = &vcon_ops,
		.name = "virtio-console",
		.id = VCON_ID,
		.class_code = VCON_CLASS,
		.features = (multiport ? VCON_F_MULTIPORT : 0) | VCON_F_EMERG_WRITE |
			    VIRTIO_F_IN_ORDER | VIRTIO_F_RING_RESET,
		.n_queues = multiport ? 2 * vcon->n_ports + 2 : 2,
		.queue_size = VIRTQ_SIZE_MAX,
		.config_size = VCON_CONFIG_SIZE,
	};
	pthread_mutex_init(&vcon->lock, NULL);
	for (unsigned int i = 0; i < vcon->n_ports; i++) {
		vcon->ports[i].vcon = vcon;
		vcon->ports[i].id = i;
	}
}

struct err *virtio_console_create(
	const struct virtio_console_port *ports, unsigned int n, struct virtio_dev **ret_dev)
{
	unsigned int ids[VIRTIO_CONSOLE_PORTS_MAX];
	struct virtio_console *vcon;
	unsigned int n_ids;

	assert(n <= VIRTIO_CONSOLE_PORTS_MAX);
	n_ids = vcon_place(ports, n, ids);
	assert(n_ids <= VIRTIO_CONSOLE_PORTS_MAX);
	vcon = calloc(1, sizeof(*vcon) + n_ids * sizeof(vcon->ports[0]));
	if (!vcon)
		return err_new(ENOMEM, "Cannot create a console device");
	vcon->n_ports = n_ids;
	vcon_init(vcon);
	for (unsigned int i = 0; i < n; i++)
		vcon_init_port(vcon, &ports[i], &vcon->ports[ids[i]]);
	*ret_dev = &vcon->dev;
	return NULL;
}
