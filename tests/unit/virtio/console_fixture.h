/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A console device without transport: the host's ends are sockets, the guest's the model of a
 * driver, in either format of rings. One loop serves the consoles and the device, when the test
 * pumps it.
 */
#pragma once

#include "driver.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "event/loop.h"
#include "virtio/dev/console_internal.h"

#define CONF_RAM     0x400000u
#define CONF_QUEUES  8u  /* three ports, and control */
#define CONF_SIZE    16u /* of each */
#define CONF_RINGS   0x10000ull
#define CONF_BUFFERS 0x200000ull /* a page for each buffer */

#define READY        0u
#define ADD          1u
#define PORT_READY   3u
#define CONSOLE      4u
#define RESIZE       5u
#define OPEN         6u
#define NAME         7u

/* What comes on the control queue. */
struct told {
	uint32_t id;
	uint16_t event, value;
	uint8_t body[64];
	size_t len;
};

struct console_bench {
	struct ram *ram;
	struct virtio_dev *dev;
	struct virtio_console *vcon;
	struct virtio_transport transport;
	struct loop *loop;
	struct loop_msg stop;
	struct loop_timer tick;
	unsigned int turns;
	struct console_events events;
	struct console *consoles[3];
	enum console_kind kind;   /* of all of them; a socket unless told otherwise */
	struct loop *device_loop; /* the consoles' unless told otherwise */
	char line[128];           /* of the log, the first one */
	char dir[64];
	char paths[3][96];
	struct driver drivers[CONF_QUEUES];
	bool packed;
	unsigned int n_pages;
	unsigned int signals[CONF_QUEUES], agains[CONF_QUEUES], resets, changes;
	struct log *log;
	struct log_sink sink;
	unsigned int lines;
};

static struct console_bench b;

static inline void bench_signal(struct virtio_transport *transport, unsigned int q)
{
	b.signals[q]++;
}

static inline void bench_again(struct virtio_transport *transport, unsigned int q)
{
	b.agains[q]++;
}

static inline void bench_needs_reset(struct virtio_transport *transport)
{
	b.resets++;
}

static inline void bench_config_changed(struct virtio_transport *transport)
{
	b.changes++;
}

static inline void bench_drained(struct virtio_transport *transport, unsigned int q)
{
}

static inline void bench_log(
	struct log_sink *sink, enum log_level level, const char *module, const char *text)
{
	if (!b.lines++)
		(void)snprintf(b.line, sizeof(b.line), "%s", text);
}

static inline void bench_tick(struct loop_timer *timer)
{
	for (unsigned int q = 0; q < CONF_QUEUES; q++) {
		while (b.agains[q]) {
			b.agains[q]--;
			b.dev->ops->notify(b.dev, q);
		}
	}
	if (b.turns--)
		loop_timer_set(b.loop, timer, 200000);
	else
		loop_stop(b.loop);
}

/* A few turns of everything: several times the moment that consoles gather output for. */
static inline void pump(void)
{
	b.turns = 6;
	b.tick.fired = bench_tick;
	loop_timer_set(b.loop, &b.tick, 0);
	loop_run(b.loop);
}

static inline void kick(unsigned int q)
{
	if (driver_needs_kick(&b.drivers[q]))
		b.dev->ops->notify(b.dev, q);
}

/* ---- Life ---- */

static inline void bench_create(const char *const *names, unsigned int n)
{
	struct virtio_console_port ports[3] = {0};

	for (unsigned int i = 0; i < n; i++) {
		struct console_options options = {
			.kind = b.kind, .path = b.paths[i], .in_turn = names[i]};

		(void)snprintf(b.paths[i], sizeof(b.paths[i]), "%s/%u", b.dir, i);
		assert_ok(console_create(&options, b.loop, &b.events, &b.consoles[i]));
		ports[i] = (struct virtio_console_port){b.consoles[i], names[i]};
	}
	assert_ok(virtio_console_create(ports, n, &b.dev));
	b.vcon = container_of(b.dev, struct virtio_console, dev);
	b.dev->transport = &b.transport;
	b.dev->ram = b.ram;
	for (unsigned int i = 0; i < n; i++)
		console_start(b.consoles[i]);
	pump();
}

static inline void bench_start(uint64_t features)
{
	struct driver_features has = {.packed = b.packed, .event_idx = true, .indirect = true};

	b.dev->loop = b.device_loop ? b.device_loop : b.loop;
	b.dev->negotiated = features | VIRTIO_F_VERSION_1;
	for (unsigned int q = 0; q < b.dev->n_queues; q++) {
		struct virtq_layout layout;

		driver_init(&b.drivers[q], b.ram, (q + 1) * CONF_RINGS, CONF_SIZE, has);
		layout = driver_layout(&b.drivers[q]);
		assert_int_equal(virtq_init(&b.dev->queues[q], b.ram, &layout), 0);
		(void)driver_enable_interrupts(&b.drivers[q]);
	}
	b.dev->ops->activate(b.dev);
	pump();
}

static inline void bench_end(void)
{
	b.dev->ops->deactivate(b.dev);
	for (unsigned int q = 0; q < b.dev->n_queues; q++)
		virtq_deinit(&b.dev->queues[q]);
}

static inline int bench_setup(void **state)
{
	static const struct ram_options anon = {.backend = RAM_ANON};
	bool packed = *state != NULL;

	b = (struct console_bench){.transport = {.signal = bench_signal,
					   .again = bench_again,
					   .drained = bench_drained,
					   .needs_reset = bench_needs_reset,
					   .config_changed = bench_config_changed},
		.sink.write = bench_log,
		.kind = CONSOLE_SOCKET,
		.packed = packed};
	assert_ok(log_create("warn", &b.sink, &b.log));
	log_bind(b.log);
	assert_ok(ram_create(&anon, &b.ram));
	assert_ok(ram_add(b.ram, 0, CONF_RAM, "bench"));
	assert_ok(loop_create(&b.loop));
	(void)snprintf(b.dir, sizeof(b.dir), "/tmp/alioth-vcon-XXXXXX");
	assert_non_null(mkdtemp(b.dir));
	return 0;
}

static inline int bench_teardown(void **state)
{
	bench_end();
	b.dev->ops->free(b.dev);
	for (unsigned int i = 0; i < ARRAY_SIZE(b.consoles); i++)
		console_free(b.consoles[i]);
	loop_free(b.device_loop);
	loop_free(b.loop);
	ram_free(b.ram);
	(void)rmdir(b.dir);
	log_bind(NULL);
	log_free(b.log);
	return 0;
}

/* ---- The host ---- */

static inline int dial(unsigned int i)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", b.paths[i]);
	assert_int_equal(connect(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	pump();
	return fd;
}

static inline void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	pump();
}

static inline void assert_hears(int fd, const char *text)
{
	char buf[256] = {0};
	ssize_t n;

	pump();
	n = recv(fd, buf, sizeof(buf) - 1, 0);
	assert_int_equal(n < 0 ? 0 : n, strlen(text));
	assert_string_equal(buf, text);
}

/* ---- The driver ---- */

/* A page with these bytes, for the queue; where it is. */
static inline uint64_t add(unsigned int q, const void *data, uint32_t len)
{
	struct driver_piece piece = {.addr = CONF_BUFFERS + 0x1000ull * (b.n_pages++ % 256),
		.len = len,
		.writable = !data};

	if (data)
		assert_int_equal(ram_write(b.ram, piece.addr, data, len), 0);
	assert_true(driver_add(&b.drivers[q], &piece, 1, false, piece.addr));
	return piece.addr;
}

static inline void send_text(unsigned int q, const char *text)
{
	add(q, text, (uint32_t)strlen(text));
	kick(q);
}

static inline bool is_done(unsigned int q)
{
	return driver_has_done(&b.drivers[q]);
}

/* The next buffer of a receive queue holds this. */
static inline void assert_input(unsigned int q, const char *text)
{
	struct driver_done done;
	char buf[4096] = {0};

	assert_true(driver_take(&b.drivers[q], &done));
	assert_int_equal(done.written, strlen(text));
	assert_int_equal(ram_read(b.ram, done.token, buf, done.written), 0);
	assert_string_equal(buf, text);
}

static inline void control(uint32_t id, uint16_t event, uint16_t value)
{
	uint8_t msg[8];
	struct driver_done done;

	store_le32(msg, id);
	store_le16(msg + 4, event);
	store_le16(msg + 6, value);
	add(VCON_CTRL_TX, msg, sizeof(msg));
	kick(VCON_CTRL_TX);
	assert_true(driver_take(&b.drivers[VCON_CTRL_TX], &done));
	assert_int_equal(done.written, 0);
}

static inline void add_control_buffers(unsigned int n)
{
	while (n--)
		add(VCON_CTRL_RX, NULL, 4096);
	kick(VCON_CTRL_RX);
}

static inline bool take_told(struct told *told)
{
	struct driver_done done;
	uint8_t msg[72];

	if (!driver_take(&b.drivers[VCON_CTRL_RX], &done))
		return false;
	assert_in_range(done.written, 8, sizeof(msg));
	assert_int_equal(ram_read(b.ram, done.token, msg, done.written), 0);
	told->id = load_le32(msg);
	told->event = load_le16(msg + 4);
	told->value = load_le16(msg + 6);
	told->len = done.written - 8;
	memcpy(told->body, msg + 8, told->len);
	return true;
}

static inline void assert_told(uint32_t id, uint16_t event, uint16_t value)
{
	struct told told = {0};

	assert_true(take_told(&told));
	assert_int_equal(told.id, id);
	assert_int_equal(told.event, event);
	assert_int_equal(told.value, value);
}
