/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile driver around the console device, and a host that types, comes, goes and resizes,
 * without threads: descriptors, ring indices and control messages as the input says. Each
 * notification ends, and what waits for the guest is bounded. Records of 16 bytes: operation, queue
 * or port, entry, value, address, length, flags, next.
 */
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "virtio/dev/console_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONF_RAM    0x30000u
#define CONF_QUEUE  0x4000u /* for each queue: descriptors, available, used */
#define CONF_AVAIL  0x1000u
#define CONF_USED   0x2000u
#define CONF_TABLE  0x20000u /* of indirect descriptors, then messages */
#define CONF_QUEUES 8u
#define CONF_PORTS  3u
#define CONF_STEPS  512u

struct console_fuzz {
	struct virtio_transport transport;
	struct ram *ram;
	struct virtio_dev *dev;
	struct virtio_console *vcon;
	struct console *consoles[CONF_PORTS];
	struct loop *loop;
	struct loop_msg stop;
	struct console_events events;
	uint16_t size;
	bool again[CONF_QUEUES];
};

static struct console_fuzz fuzz;

static void conf_signal(struct virtio_transport *transport, unsigned int q)
{
}

static void conf_again(struct virtio_transport *transport, unsigned int q)
{
	fuzz.again[q] = true;
}

static void conf_drained(struct virtio_transport *transport, unsigned int q)
{
}

static void conf_nothing(struct virtio_transport *transport)
{
}

static void conf_stop(struct loop_msg *msg)
{
	loop_stop(fuzz.loop);
}

static void conf_pump(void)
{
	for (unsigned int q = 0; q < CONF_QUEUES; q++) {
		bool again = fuzz.again[q];

		fuzz.again[q] = false;
		if (again)
			fuzz.dev->ops->notify(fuzz.dev, q);
	}
	fuzz.stop.run = conf_stop;
	loop_post(fuzz.loop, &fuzz.stop);
	loop_run(fuzz.loop);
}

static void conf_queue_up(unsigned int q, uint8_t features)
{
	struct virtq_layout layout = {.size = fuzz.size,
		.desc = q * CONF_QUEUE,
		.driver = q * CONF_QUEUE + CONF_AVAIL,
		.device = q * CONF_QUEUE + CONF_USED,
		.event_idx = features & 8,
		.indirect = features & 16,
		.packed = features & 32,
		.in_order = features & 64};

	if (ram_fill(fuzz.ram, layout.desc, 0, CONF_QUEUE) ||
		virtq_init(&fuzz.dev->queues[q], fuzz.ram, &layout))
		abort();
}

static void conf_start(uint8_t flags, uint8_t features)
{
	fuzz.size = (uint16_t)(1u << flags % 9);
	fuzz.dev->loop = fuzz.loop;
	fuzz.dev->negotiated = VIRTIO_F_VERSION_1 | (features & 1 ? VCON_F_MULTIPORT : 0) |
			       (features & 2 ? VCON_F_SIZE : 0);
	for (unsigned int q = 0; q < CONF_QUEUES; q++)
		conf_queue_up(q, features);
	fuzz.dev->ops->activate(fuzz.dev);
}

static void conf_reset(void)
{
	fuzz.dev->ops->deactivate(fuzz.dev);
	for (unsigned int q = 0; q < CONF_QUEUES; q++)
		virtq_deinit(&fuzz.dev->queues[q]);
	/* What was posted to this driver's loop is forgotten with it. */
	conf_pump();
}

static void conf_create(void)
{
	static const struct ram_options anon = {.backend = RAM_ANON};
	static const struct console_options null = {.kind = CONSOLE_NULL};
	static const char *const names[CONF_PORTS] = {NULL, "name", NULL};
	struct virtio_console_port ports[CONF_PORTS];

	fuzz = (struct console_fuzz){.transport = {.signal = conf_signal,
					     .again = conf_again,
					     .drained = conf_drained,
					     .needs_reset = conf_nothing,
					     .config_changed = conf_nothing}};
	err_free(ram_create(&anon, &fuzz.ram));
	err_free(ram_add(fuzz.ram, 0, CONF_RAM / 2, "low"));
	err_free(ram_add(fuzz.ram, CONF_RAM / 2, CONF_RAM / 2, "high"));
	err_free(loop_create(&fuzz.loop));
	for (unsigned int i = 0; i < CONF_PORTS; i++) {
		err_free(console_create(&null, fuzz.loop, &fuzz.events, &fuzz.consoles[i]));
		ports[i] = (struct virtio_console_port){fuzz.consoles[i], names[i]};
	}
	err_free(virtio_console_create(ports, CONF_PORTS, &fuzz.dev));
	fuzz.vcon = container_of(fuzz.dev, struct virtio_console, dev);
	fuzz.dev->transport = &fuzz.transport;
	fuzz.dev->ram = fuzz.ram;
}

static void conf_free(void)
{
	conf_reset();
	fuzz.dev->ops->free(fuzz.dev);
	for (unsigned int i = 0; i < CONF_PORTS; i++)
		console_free(fuzz.consoles[i]);
	loop_free(fuzz.loop);
	ram_free(fuzz.ram);
}

static void conf_put(uint64_t gpa, const void *data, size_t len)
{
	if (ram_write(fuzz.ram, gpa % (CONF_RAM - len), data, len))
		abort();
}

/* The host's end of a port does something. */
static void conf_host(struct vcon_port *port, const uint8_t *r)
{
	static const uint8_t text[512];

	switch (r[2] % 5) {
	case 0:
		if (port->peer.receive(&port->peer, text, load_le16(r + 4) % sizeof(text)) >
			sizeof(text))
			abort();
		break;
	case 1:
		port->peer.connected(&port->peer, r[3] & 1);
		break;
	case 2:
		port->peer.resized(&port->peer);
		break;
	case 3: /* all output is taken */
		console_close(&port->console, 1);
		break;
	default:
		port->peer.writable(&port->peer);
		break;
	}
	if (port->input_len > VCON_INPUT)
		abort();
}

static void conf_config(const uint8_t *r)
{
	unsigned int size = 1u << r[3] % 3;
	unsigned int off = r[2] % (12 - size + 1);
	uint8_t data[4];

	fuzz.dev->ops->config_read(fuzz.dev, off, data, size);
	fuzz.dev->ops->config_write(fuzz.dev, off, r + 4, size);
}

static void conf_reset_queue(unsigned int q, uint8_t features)
{
	if (fuzz.dev->queues[q].broken)
		return;
	virtq_stop(&fuzz.dev->queues[q]);
	fuzz.dev->ops->queue_reset(fuzz.dev, q);
	if (fuzz.dev->queues[q].n_flight)
		abort();
	virtq_deinit(&fuzz.dev->queues[q]);
	conf_queue_up(q, features);
}

static void conf_step(const uint8_t *r)
{
	unsigned int q = r[1] % CONF_QUEUES;
	uint64_t queue = (uint64_t)q * CONF_QUEUE;
	uint8_t desc[16];

	store_le64(desc, load_le32(r + 4));
	memcpy(desc + 8, r + 8, 8);
	switch (r[0] % 11) {
	case 0:
		conf_put(queue + 16u * r[2], desc, sizeof(desc));
		break;
	case 1:
		conf_put(CONF_TABLE + 16u * r[2], desc, sizeof(desc));
		break;
	case 2: /* a head */
		conf_put(queue + CONF_AVAIL + 4 + 2u * (r[2] % fuzz.size), r + 4, 2);
		break;
	case 3: /* available flags, idx */
		conf_put(queue + CONF_AVAIL, r + 4, 4);
		break;
	case 4:
		conf_put(load_le32(r + 4), r + 8, 8);
		break;
	case 5:
		conf_host(&fuzz.vcon->ports[r[1] % CONF_PORTS], r);
		break;
	case 6:
		conf_config(r);
		break;
	case 7:
		conf_pump();
		break;
	case 8:
		fuzz.dev->ops->pause(fuzz.dev, 0, r[2] & 1);
		break;
	case 9:
		if (r[2] & 0x08) {
			conf_reset_queue(q, r[4]);
		} else if (!(r[2] & 0x07)) {
			conf_reset();
			conf_start(r[3], r[4]);
		}
		break;
	default:
		fuzz.dev->ops->notify(fuzz.dev, q);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	conf_create();
	conf_start(data[0], data[1]);
	for (size_t i = 2; i + 16 <= size && i < 16 * CONF_STEPS; i += 16)
		conf_step(data + i);
	conf_pump();
	conf_free();
	return 0;
}
