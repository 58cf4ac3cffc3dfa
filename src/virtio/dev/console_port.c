/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data of one port: input to the driver's buffers (virtio 1.3, 5.3.6.1), the driver's output to
 * the console. Runs in the device's thread.
 */
#include "virtio/dev/console_internal.h"

#include <errno.h>
#include <string.h>

#include "base/thread.h"

/* Output in one turn: a chain of overlapping pieces may have any number of bytes, or none. */
struct vcon_turn {
	unsigned int bytes, chains;
};
static const struct vcon_turn vcon_turn_max = {.bytes = 262144, .chains = VIRTQ_SIZE_MAX};

/* Two queues a port, those of control behind the first (5.3.2). */
static unsigned int port_queue(const struct vcon_port *port)
{
	return port->id ? 2 * port->id + 2 : 0;
}

struct vcon_port *vcon_port_of_queue(struct virtio_console *vcon, unsigned int q)
{
	return &vcon->ports[q < VCON_CTRL_RX ? 0 : q / 2 - 1];
}

/* ---- Input ---- */

bool vcon_has_input(struct vcon_port *port)
{
	auto_lock(&port->vcon->lock);
	return port->input_len;
}

/* The oldest bytes, copied out: guest memory may be slow, so it is not written under the lock. */
static size_t port_peek(struct vcon_port *port, uint8_t buf[VCON_INPUT])
{
	unsigned int n;

	auto_lock(&port->vcon->lock);
	n = MIN(port->input_len, VCON_INPUT - port->input_first);
	memcpy(buf, port->input + port->input_first, n);
	return n;
}

/* Forgets bytes that the driver has; asks for more when half of the buffer is free. */
static void port_advance(struct vcon_port *port, size_t n)
{
	bool wanted;

	with_lock (&port->vcon->lock) {
		port->input_first = (port->input_first + (unsigned int)n) % VCON_INPUT;
		port->input_len -= (unsigned int)n;
		wanted = port->input_refused && port->input_len <= VCON_INPUT / 2;
		port->input_refused = port->input_refused && !wanted;
	}
	if (wanted)
		console_input_wanted(port->console);
}

/* 0: no input is left; 1: it is somebody else's turn; -ENOBUFS: no buffers; -EINVAL: broken. */
static int rx_turn(struct vcon_port *port, struct virtq *queue, unsigned int *budget)
{
	struct virtq_chain *chain = &port->vcon->chain;
	uint8_t buf[VCON_INPUT];

	while (*budget) {
		size_t n = port_peek(port, buf);
		int ret;

		if (!n)
			return 0;
		ret = virtq_pop(queue, chain);
		if (ret <= 0)
			return ret ? ret : -ENOBUFS;
		--*budget;
		n = virtio_iov_write(chain->iov + chain->n_readable, chain->n_writable, 0, buf, n);
		virtq_push(queue, chain->head, (uint32_t)n);
		port_advance(port, n);
	}
	return 1;
}

void vcon_rx_run(struct vcon_port *port)
{
	struct virtio_dev *dev = &port->vcon->dev;
	unsigned int q = port_queue(port);
	unsigned int budget = VIRTQ_SIZE_MAX;
	int ret;

	if (dev->queues[q].broken || port->vcon->paused || !port->guest_open ||
		!vcon_has_input(port))
		return;
	do {
		virtq_disable_notify(&dev->queues[q]);
		ret = rx_turn(port, &dev->queues[q], &budget);
		virtio_dev_publish(dev, q);
	} while (ret == -ENOBUFS && virtq_enable_notify(&dev->queues[q]));
	if (ret > 0)
		dev->transport->again(dev->transport, q);
	else if (ret == -EINVAL)
		virtio_dev_broken(dev, q);
	/* Its end is told when all of it was read. */
	if (port->tell & VCON_TELL_CLOSE)
		vcon_ctrl_tell(port->vcon);
}

/* ---- Output ---- */

/* Goes on with the chain; false if the console is full, or there was enough for a turn. */
static bool tx_write(struct vcon_port *port, struct vcon_turn *left)
{
	const struct virtq_chain *chain = &port->tx_chain;
	uint8_t buf[VCON_CHUNK];

	while (port->console && left->bytes) {
		size_t len = virtio_iov_read(chain->iov, chain->n_readable, port->tx_off, buf,
			MIN(sizeof(buf), (size_t)left->bytes));
		size_t n = console_write(port->console, buf, len);

		port->tx_off += n;
		left->bytes -= (unsigned int)n;
		if (n < len)
			return false;
		if (len < sizeof(buf) && left->bytes)
			return true;
	}
	return !port->console;
}

/* 0: the queue is empty; 1: it is somebody else's turn; -EAGAIN: the console is full; -EINVAL:
 * broken. */
static int tx_turn(struct vcon_port *port, struct virtq *queue, struct vcon_turn *left)
{
	for (; left->chains && left->bytes; left->chains--) {
		if (!port->tx_waits) {
			int ret = virtq_pop(queue, &port->tx_chain);

			if (ret <= 0)
				return ret;
			port->tx_off = 0;
			port->tx_waits = true;
		}
		if (!tx_write(port, left))
			return left->bytes ? -EAGAIN : 1;
		port->tx_waits = false;
		virtq_push(queue, port->tx_chain.head, 0);
	}
	return 1;
}

/* A turn is short, so that it does not look at `yield`: a pause lets what was sent before it pass.
 */
void vcon_tx_run(struct vcon_port *port)
{
	struct virtio_dev *dev = &port->vcon->dev;
	unsigned int q = port_queue(port) + 1;
	struct vcon_turn left = vcon_turn_max;
	int ret;

	if (dev->queues[q].broken)
		return;
	do {
		virtq_disable_notify(&dev->queues[q]);
		ret = tx_turn(port, &dev->queues[q], &left);
		virtio_dev_publish(dev, q);
	} while (!ret && virtq_enable_notify(&dev->queues[q]));
	if (ret > 0)
		dev->transport->again(dev->transport, q);
	else if (ret == -EINVAL)
		virtio_dev_broken(dev, q);
}

void vcon_tx_drop(struct vcon_port *port)
{
	struct virtio_dev *dev = &port->vcon->dev;
	unsigned int q = port_queue(port) + 1;

	if (!port->tx_waits)
		return;
	port->tx_waits = false;
	virtq_push(&dev->queues[q], port->tx_chain.head, 0);
	virtio_dev_publish(dev, q);
}
