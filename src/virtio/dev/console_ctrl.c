/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control queues of MULTIPORT (virtio 1.3, 5.3.6.2): which ports there are and what they are,
 * and who has opened them. Runs in the device's thread.
 */
#include "virtio/dev/console_internal.h"

#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "base/thread.h"

/* struct virtio_console_control */
enum { CTRL_ID = 0, CTRL_EVENT = 4, CTRL_VALUE = 6, CTRL_SIZE = 8 };

enum {
	CTRL_DEVICE_READY = 0,
	CTRL_DEVICE_ADD = 1,
	CTRL_PORT_READY = 3,
	CTRL_CONSOLE_PORT = 4,
	CTRL_RESIZE = 5,
	CTRL_PORT_OPEN = 6,
	CTRL_PORT_NAME = 7,
};

#define CTRL_MESSAGE_MAX (CTRL_SIZE + VIRTIO_CONSOLE_NAME_MAX)

/* ---- To the driver ---- */

/* What comes next of a port; 0: nothing. Its end waits until the driver has read what came before.
 */
static unsigned int ctrl_next(struct vcon_port *port)
{
	unsigned int tell = port->tell;

	if (tell & VCON_TELL_CLOSE && vcon_has_input(port))
		tell &= ~(unsigned int)(VCON_TELL_CLOSE | VCON_TELL_OPEN);
	return tell & -tell;
}

/* Columns first: as the specification has it, and Linux since 6.15. */
static size_t ctrl_put_size(const struct vcon_port *port, uint8_t *body)
{
	struct console_size size = console_size(port->console);

	store_le16(body, size.columns);
	store_le16(body + 2, size.rows);
	return 4;
}

/* The message of one bit; its length. */
static size_t ctrl_message(
	const struct vcon_port *port, unsigned int bit, uint8_t msg[CTRL_MESSAGE_MAX])
{
	uint16_t event = CTRL_PORT_OPEN;
	size_t len = CTRL_SIZE;

	if (bit == VCON_TELL_ADD) {
		event = CTRL_DEVICE_ADD;
	} else if (bit == VCON_TELL_CONSOLE) {
		event = CTRL_CONSOLE_PORT;
	} else if (bit == VCON_TELL_NAME) {
		event = CTRL_PORT_NAME;
		memcpy(msg + len, port->name, strlen(port->name));
		len += strlen(port->name);
	} else if (bit == VCON_TELL_SIZE) {
		event = CTRL_RESIZE;
		len += ctrl_put_size(port, msg + len);
	}
	store_le32(msg + CTRL_ID, port->id);
	store_le16(msg + CTRL_EVENT, event);
	store_le16(msg + CTRL_VALUE, bit != VCON_TELL_CLOSE);
	return len;
}

/* The next thing to be told, of any port. */
static struct vcon_port *ctrl_find(struct virtio_console *vcon, unsigned int *ret_bit)
{
	for (unsigned int i = 0; i < vcon->n_ports; i++) {
		*ret_bit = ctrl_next(&vcon->ports[i]);
		if (*ret_bit)
			return &vcon->ports[i];
	}
	return NULL;
}

/* The driver knows of a client's end; the next one's input may come. */
static void ctrl_closed(struct vcon_port *port)
{
	bool wanted;

	with_lock (&port->vcon->lock) {
		/* Not if another one's end is among the news meanwhile. */
		port->closing = port->news & VCON_TELL_CLOSE;
		wanted = !port->closing && port->input_refused;
		port->input_refused = port->input_refused && !wanted;
	}
	if (wanted)
		console_input_wanted(port->console);
}

/* 0: all is told; -ENOBUFS: the driver has no buffers; -EINVAL: it broke the queue. */
static int ctrl_tell_turn(struct virtio_console *vcon, struct virtq *queue)
{
	struct virtq_chain *chain = &vcon->chain;
	struct vcon_port *port;
	unsigned int bit;

	while ((port = ctrl_find(vcon, &bit))) {
		uint8_t msg[CTRL_MESSAGE_MAX];
		size_t len;
		int ret = virtq_pop(queue, chain);

		if (ret <= 0)
			return ret ? ret : -ENOBUFS;
		len = ctrl_message(port, bit, msg);
		len = virtio_iov_write(
			chain->iov + chain->n_readable, chain->n_writable, 0, msg, len);
		virtq_push(queue, chain->head, (uint32_t)len);
		port->tell &= ~bit;
		if (bit == VCON_TELL_CLOSE)
			ctrl_closed(port);
	}
	return 0;
}

void vcon_ctrl_tell(struct virtio_console *vcon)
{
	struct virtq *queue = &vcon->dev.queues[VCON_CTRL_RX];
	int ret;

	if (!vcon_is_multiport(vcon) || queue->broken || vcon->paused)
		return;
	do {
		virtq_disable_notify(queue);
		ret = ctrl_tell_turn(vcon, queue);
		virtio_dev_publish(&vcon->dev, VCON_CTRL_RX);
	} while (ret == -ENOBUFS && virtq_enable_notify(queue));
	if (ret == -EINVAL)
		virtio_dev_broken(&vcon->dev, VCON_CTRL_RX);
}

/* ---- From the driver ---- */

static void ctrl_device_ready(struct virtio_console *vcon)
{
	for (unsigned int i = 0; i < vcon->n_ports; i++) {
		if (vcon->ports[i].console)
			vcon->ports[i].tell |= VCON_TELL_ADD;
	}
}

static void ctrl_port_ready(struct vcon_port *port)
{
	bool is_console = !*port->name;

	port->ready = true;
	port->tell |= is_console ? VCON_TELL_CONSOLE : VCON_TELL_NAME;
	if (is_console && port->vcon->dev.negotiated & VCON_F_SIZE &&
		console_has_size(port->console))
		port->tell |= VCON_TELL_SIZE;
	with_lock (&port->vcon->lock) {
		if (port->closing)
			port->tell |= VCON_TELL_CLOSE;
		if (port->connected)
			port->tell |= VCON_TELL_OPEN;
	}
}

static uint32_t ctrl_serve(struct virtio_dev *dev, struct virtq_chain *chain)
{
	struct virtio_console *vcon = container_of(dev, struct virtio_console, dev);
	uint8_t msg[CTRL_SIZE];
	uint16_t event, value;
	uint32_t id;

	if (virtio_iov_read(chain->iov, chain->n_readable, 0, msg, sizeof(msg)) < sizeof(msg))
		return 0;
	id = load_le32(msg + CTRL_ID);
	event = load_le16(msg + CTRL_EVENT);
	value = load_le16(msg + CTRL_VALUE);
	/* With the value 0 the driver says that it could not: it will not use them. */
	if (event == CTRL_DEVICE_READY && value)
		ctrl_device_ready(vcon);
	if (id >= vcon->n_ports || !vcon->ports[id].console)
		return 0;
	if (event == CTRL_PORT_READY && value)
		ctrl_port_ready(&vcon->ports[id]);
	else if (event == CTRL_PORT_OPEN)
		vcon->ports[id].guest_open = value;
	return 0;
}

void vcon_ctrl_receive(struct virtio_console *vcon)
{
	virtio_dev_serve(&vcon->dev, VCON_CTRL_TX, &vcon->chain, ctrl_serve);
	vcon_ctrl_tell(vcon);
	/* Somebody may have opened one that has input. */
	for (unsigned int i = 0; i < vcon->n_ports; i++)
		vcon_rx_run(&vcon->ports[i]);
}
