/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-console: ports, what driver and device tell each other of them, and their data.
 */
#include "console_fixture.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include "base/thread.h"

static const char *const one_console[] = {NULL};
static const char *const three_ports[] = {"org.example.a", NULL, "b"};
static const char *const one_port[] = {"agent"};

/* In three_ports the console is port 0, the others follow. */
#define CONSOLE_HOST 1u
#define A_HOST       0u
#define A_RX         4u
#define A_TX         5u

static void start_three(void)
{
	bench_create(three_ports, 3);
	bench_start(VCON_F_MULTIPORT);
}

/* Port a is set up, and open on the driver's side. */
static void open_a(void)
{
	struct told told = {0};

	add_control_buffers(12);
	control(0, READY, 1);
	control(1, PORT_READY, 1);
	control(1, OPEN, 1);
	while (take_told(&told))
		continue;
}

/* ---- One console ---- */

static void test_one_console_needs_no_control(void **state)
{
	int fd;

	bench_create(one_console, 1);
	assert_int_equal(b.dev->id, 3);
	assert_int_equal(b.dev->n_queues, 2);
	assert_false(b.dev->features & VCON_F_MULTIPORT);
	assert_true(b.dev->features & VCON_F_EMERG_WRITE);
	bench_start(0);
	fd = dial(0);
	add(0, NULL, 4096);
	kick(0);
	say(fd, "hello");
	assert_input(0, "hello");
	send_text(1, "world");
	assert_hears(fd, "world");
	assert_true(is_done(1));
	close(fd);
}

static void test_input_waits_for_the_driver_and_its_buffers(void **state)
{
	int fd;

	bench_create(one_console, 1);
	fd = dial(0);
	say(fd, "early ");
	bench_start(0);
	say(fd, "bird");
	assert_false(is_done(0));
	add(0, NULL, 4);
	add(0, NULL, 4096);
	kick(0);
	assert_input(0, "earl");
	assert_input(0, "y bird");
	close(fd);
}

static void test_buffers_without_room_do_no_harm(void **state)
{
	int fd;

	bench_create(one_console, 1);
	bench_start(0);
	fd = dial(0);
	add(0, "readable", 8);
	add(0, NULL, 2);
	kick(0);
	say(fd, "ab");
	assert_input(0, "");
	assert_input(0, "ab");
	close(fd);
}

/* The driver never adds a buffer: the host's side waits, and what waits here is bounded. */
static void test_input_is_bounded(void **state)
{
	char text[1024];
	size_t sent = 0;
	size_t got = 0;
	ssize_t n;
	int fd;

	memset(text, 'x', sizeof(text));
	bench_create(one_console, 1);
	bench_start(0);
	fd = dial(0);
	while ((n = send(fd, text, sizeof(text), MSG_NOSIGNAL)) > 0)
		sent += (size_t)n;
	pump();
	assert_int_equal(b.vcon->ports[0].input_len, VCON_INPUT);
	for (unsigned int i = 0; i < 10000 && got < sent; i++) {
		struct driver_done done;

		add(0, NULL, 4096);
		kick(0);
		b.turns = 1;
		loop_timer_set(b.loop, &b.tick, 0);
		loop_run(b.loop);
		while (driver_take(&b.drivers[0], &done))
			got += done.written;
		if (!b.drivers[0].n_free)
			pump();
	}
	assert_int_equal(got, sent);
	close(fd);
}

/* ---- Output ---- */

/* A reader that stops: the driver waits, nothing is lost, nothing grows. */
static void test_output_waits_for_a_slow_reader(void **state)
{
	struct driver_done done;
	uint8_t page[4096];
	uint32_t sent = 0;
	uint32_t got = 0;
	int fd;

	bench_create(one_console, 1);
	bench_start(0);
	fd = dial(0);
	for (int round = 0; round < 100; round++) {
		for (uint32_t i = 0; i < sizeof(page); i++)
			page[i] = (uint8_t)((sent + i) * 7 >> 3);
		if (!b.drivers[1].n_free)
			break;
		add(1, page, sizeof(page));
		sent += (uint32_t)sizeof(page);
		kick(1);
		while (driver_take(&b.drivers[1], &done))
			continue;
		pump();
	}
	assert_int_equal(b.drivers[1].n_free, 0);
	assert_true(b.vcon->ports[0].tx_waits);
	for (int i = 0; i < 1000 && got < sent; i++) {
		ssize_t n = recv(fd, page, sizeof(page), 0);

		for (ssize_t k = 0; k < n; k++)
			assert_int_equal(page[k], (uint8_t)((got + (uint32_t)k) * 7 >> 3));
		if (n > 0)
			got += (uint32_t)n;
		else
			pump();
	}
	assert_int_equal(got, sent);
	assert_false(b.vcon->ports[0].tx_waits);
	assert_int_equal(b.lines, 0);
	close(fd);
}

/* Pieces that overlap to 64 GiB: each turn is short, and others are served in between. */
static void test_an_endless_chain_does_not_hold_the_loop(void **state)
{
	struct driver_piece pieces[8];

	bench_create(one_console, 1);
	bench_start(0);
	for (unsigned int i = 0; i < 8; i++)
		pieces[i] = (struct driver_piece){.addr = 0, .len = CONF_RAM};
	for (unsigned int i = 0; i < 2; i++)
		assert_true(driver_add(&b.drivers[1], pieces, 8, true, i));
	kick(1);
	for (int i = 0; i < 3; i++)
		pump();
	assert_int_equal(b.resets, 0);
	/* A reset ends it. */
	bench_end();
	bench_start(0);
	assert_false(b.vcon->ports[0].tx_waits);
}

static void test_a_reset_queue_gives_its_chain_back(void **state)
{
	uint8_t page[4096] = {0};
	int fd;

	bench_create(one_console, 1);
	bench_start(0);
	fd = dial(0);
	while (!b.vcon->ports[0].tx_waits) {
		struct driver_done done;

		add(1, page, sizeof(page));
		kick(1);
		while (driver_take(&b.drivers[1], &done))
			continue;
	}
	virtq_stop(&b.dev->queues[1]);
	b.dev->ops->queue_reset(b.dev, 1);
	assert_int_equal(b.dev->queues[1].n_flight, 0);
	assert_false(b.vcon->ports[0].tx_waits);
	b.dev->ops->queue_reset(b.dev, 0);
	pump();
	close(fd);
}

static void test_emergency_writes_need_no_driver(void **state)
{
	uint8_t word[4] = {'!', 0, 0, 0};
	int fd;

	bench_create(one_console, 1);
	fd = dial(0);
	b.dev->ops->config_write(b.dev, 8, word, 4);
	assert_hears(fd, "!");
	bench_start(0);
	send_text(1, "a");
	b.dev->ops->config_write(b.dev, 8, word, 1);
	b.dev->ops->config_write(b.dev, 0, word, 4); /* not the driver's to write */
	b.dev->ops->config_write(b.dev, 9, word, 1);
	assert_hears(fd, "a!");
	close(fd);
}

static void test_a_pause_holds_input_back_and_lets_output_pass(void **state)
{
	int fd;

	bench_create(one_console, 1);
	bench_start(0);
	fd = dial(0);
	add(0, NULL, 64);
	kick(0);
	add(1, "last", 4); /* not noticed yet */
	b.dev->ops->pause(b.dev, 0, true);
	b.dev->ops->pause(b.dev, 0, true);
	assert_hears(fd, "last");
	say(fd, "later");
	assert_false(is_done(0));
	b.dev->ops->pause(b.dev, 0, false);
	assert_input(0, "later");
	close(fd);
}

/* ---- Ports ---- */

static void test_ports_are_told_of_step_by_step(void **state)
{
	struct told told = {0};
	uint8_t config[12];
	int fd;

	start_three();
	assert_int_equal(b.dev->n_queues, 8);
	b.dev->ops->config_read(b.dev, 0, config, sizeof(config));
	assert_int_equal(load_le32(config + 4), 3);
	fd = dial(A_HOST);
	control(0, READY, 1);
	add_control_buffers(2);
	assert_told(0, ADD, 1);
	assert_told(1, ADD, 1);
	assert_false(is_done(VCON_CTRL_RX)); /* no buffer for the third */
	add_control_buffers(8);
	assert_told(2, ADD, 1);
	control(0, PORT_READY, 1);
	assert_told(0, CONSOLE, 1);
	control(1, PORT_READY, 1);
	assert_true(take_told(&told));
	assert_int_equal(told.event, NAME);
	assert_int_equal(told.len, strlen("org.example.a"));
	assert_memory_equal(told.body, "org.example.a", told.len);
	assert_told(1, OPEN, 1);
	control(2, PORT_READY, 1);
	assert_told(2, NAME, 1);
	assert_false(is_done(VCON_CTRL_RX));
	assert_true(b.signals[VCON_CTRL_RX] > 0);
	close(fd);
}

static void test_without_a_console_there_is_no_port_0(void **state)
{
	bench_create(one_port, 1);
	assert_int_equal(b.dev->n_queues, 6);
	bench_start(VCON_F_MULTIPORT);
	add_control_buffers(4);
	control(0, READY, 1);
	assert_told(1, ADD, 1);
	assert_false(is_done(VCON_CTRL_RX));
	control(0, PORT_READY, 1);
	control(0, OPEN, 1);
	assert_false(is_done(VCON_CTRL_RX));
	/* What is sent there goes nowhere. */
	send_text(1, "x");
	assert_true(is_done(1));
}

static void test_a_driver_without_ports_has_the_console(void **state)
{
	int fd;

	bench_create(three_ports, 3);
	bench_start(0);
	fd = dial(CONSOLE_HOST);
	add(0, NULL, 64);
	kick(0);
	say(fd, "in");
	assert_input(0, "in");
	send_text(1, "out");
	assert_hears(fd, "out");
	/* Other queues are not there. */
	add(VCON_CTRL_RX, NULL, 64);
	b.dev->ops->notify(b.dev, VCON_CTRL_RX);
	b.dev->ops->notify(b.dev, VCON_CTRL_TX);
	b.dev->ops->notify(b.dev, A_TX);
	pump();
	assert_false(is_done(VCON_CTRL_RX));
	close(fd);
}

static void test_a_closed_port_takes_no_input(void **state)
{
	int fd;

	start_three();
	fd = dial(A_HOST);
	add_control_buffers(12);
	control(0, READY, 1);
	control(1, PORT_READY, 1);
	add(A_RX, NULL, 64);
	kick(A_RX);
	say(fd, "knock");
	assert_false(is_done(A_RX));
	control(1, OPEN, 1);
	assert_input(A_RX, "knock");
	control(1, OPEN, 0);
	add(A_RX, NULL, 64);
	kick(A_RX);
	say(fd, "again");
	assert_false(is_done(A_RX));
	control(1, OPEN, 1);
	assert_input(A_RX, "again");
	close(fd);
}

static void test_clients_come_and_go(void **state)
{
	int fd;

	start_three();
	open_a();
	add_control_buffers(4);
	assert_false(is_done(VCON_CTRL_RX));
	for (int i = 0; i < 3; i++) {
		fd = dial(A_HOST);
		assert_told(1, OPEN, 1);
		close(fd);
		pump();
		assert_told(1, OPEN, 0);
		add_control_buffers(2);
	}
	assert_false(is_done(VCON_CTRL_RX));
}

/* What port a's guest reads until it is told of something. */
static size_t read_to_the_end(void)
{
	struct driver_done done;
	size_t got = 0;

	for (int i = 0; i < 1000 && !is_done(VCON_CTRL_RX); i++) {
		add(A_RX, NULL, 300);
		kick(A_RX);
		pump();
		while (driver_take(&b.drivers[A_RX], &done))
			got += done.written;
	}
	return got;
}

/* A guest that reads to the end of the file has all of it. */
static void test_the_end_comes_behind_the_data(void **state)
{
	char text[1024];
	size_t got;
	int fd;

	memset(text, 'y', sizeof(text));
	start_three();
	open_a();
	add_control_buffers(4);
	fd = dial(A_HOST);
	assert_told(1, OPEN, 1);
	for (int i = 0; i < 16; i++)
		assert_int_equal(send(fd, text, sizeof(text), MSG_NOSIGNAL), sizeof(text));
	close(fd);
	pump();
	got = read_to_the_end();
	assert_int_equal(got, 16 * sizeof(text));
	assert_told(1, OPEN, 0);
}

/* Two clients in a row, and a guest that comes late: each has its own end. */
static void test_clients_take_turns(void **state)
{
	char text[1500];
	size_t got;
	int fds[2];

	memset(text, 'z', sizeof(text));
	start_three();
	open_a();
	add_control_buffers(4);
	for (int i = 0; i < 2; i++) {
		fds[i] = dial(A_HOST);
		for (int k = 0; k < 8 - 7 * i; k++)
			assert_int_equal(
				send(fds[i], text, sizeof(text), MSG_NOSIGNAL), sizeof(text));
		close(fds[i]);
	}
	pump();
	assert_told(1, OPEN, 1);
	got = read_to_the_end();
	assert_told(1, OPEN, 0);
	assert_int_equal(got, 8 * sizeof(text));
	pump();
	assert_told(1, OPEN, 1);
	got += read_to_the_end();
	assert_int_equal(got, 9 * sizeof(text));
	assert_told(1, OPEN, 0);
	assert_int_equal(b.lines, 0);
}

/* A driver that has more buffers before the device has asked for them: with each interrupt. */
static unsigned int adds_left;

static void signal_adds(struct virtio_transport *transport, unsigned int q)
{
	struct driver_done done;

	while (driver_take(&b.drivers[q], &done))
		continue;
	(void)driver_enable_interrupts(&b.drivers[q]);
	for (; adds_left && b.drivers[q].n_free; adds_left--)
		add(q, NULL, 1);
}

/* Small buffers, of which a turn takes the last together with the last byte. */
static void test_the_end_comes_behind_a_whole_turn(void **state)
{
	char text[VIRTQ_SIZE_MAX];
	int fd;

	memset(text, 'x', sizeof(text));
	start_three();
	open_a();
	fd = dial(A_HOST);
	assert_told(1, OPEN, 1);
	assert_int_equal(send(fd, text, sizeof(text), MSG_NOSIGNAL), sizeof(text));
	close(fd);
	pump();
	b.transport.signal = signal_adds;
	adds_left = sizeof(text);
	signal_adds(&b.transport, A_RX);
	kick(A_RX);
	assert_int_equal(adds_left, 0);
	pump();
	assert_told(1, OPEN, 0);
}

/* Such a driver's chains without a byte do not hold the device for ever. */
static void test_empty_output_has_turns_too(void **state)
{
	start_three();
	open_a();
	b.transport.signal = signal_adds;
	adds_left = 100000;
	signal_adds(&b.transport, A_TX);
	kick(A_TX);
	assert_in_range(adds_left, 100000 - 2 * VIRTQ_SIZE_MAX, 100000);
	assert_int_equal(b.agains[A_TX], 1);
}

/* The device's thread comes to what was posted. */
static void serve_device(void)
{
	loop_stop(b.device_loop);
	loop_run(b.device_loop);
}

/* While the end of one client is told, the device's thread does not know that the next one has come
 * and gone; the third one's input is not the second one's. */
static void test_ends_of_two_clients_keep_the_third_one_back(void **state)
{
	int fd;

	bench_create(three_ports, 3);
	assert_ok(loop_create(&b.device_loop));
	bench_start(VCON_F_MULTIPORT);
	serve_device();
	open_a();
	fd = dial(A_HOST);
	serve_device();
	assert_told(1, OPEN, 1);
	say(fd, "1");
	close(fd);
	pump();
	serve_device();
	close(dial(A_HOST));
	pump();
	fd = dial(A_HOST);
	say(fd, "3");
	add(A_RX, NULL, 64);
	add(A_RX, NULL, 64);
	kick(A_RX);
	assert_input(A_RX, "1");
	assert_told(1, OPEN, 0);
	pump();
	serve_device();
	assert_told(1, OPEN, 0);
	assert_told(1, OPEN, 1);
	assert_false(is_done(A_RX));
	pump();
	serve_device();
	assert_input(A_RX, "3");
	close(fd);
}

/* Events that nobody takes do not pile up: the driver learns how things stand. */
static void test_a_driver_that_does_not_listen_is_told_what_is_so(void **state)
{
	int fd = -1;

	start_three();
	open_a();
	/* open_a()'s buffers are used up first. */
	while (!is_done(VCON_CTRL_RX) || b.drivers[VCON_CTRL_RX].n_free < CONF_SIZE) {
		struct told told = {0};

		control(2, PORT_READY, 1);
		if (!take_told(&told))
			break;
	}
	for (int i = 0; i < 5; i++) {
		if (fd >= 0)
			close(fd);
		pump();
		fd = dial(A_HOST);
	}
	for (int i = 0; i < 100; i++) {
		control(1, PORT_READY, 1);
		control(2, PORT_READY, 1);
	}
	add_control_buffers(10);
	assert_told(1, NAME, 1);
	assert_told(1, OPEN, 0);
	assert_told(1, OPEN, 1);
	assert_told(2, NAME, 1);
	assert_false(is_done(VCON_CTRL_RX));
	close(fd);
}

static void test_nonsense_of_the_driver_is_ignored(void **state)
{
	struct driver_done done;

	start_three();
	add_control_buffers(8);
	control(0, READY, 0);
	control(3, PORT_READY, 1);
	control(UINT32_MAX, OPEN, 1);
	control(1, 99, 1);
	control(1, RESIZE, 1);
	control(1, ADD, 1);
	control(1, PORT_READY, 0);
	add(VCON_CTRL_TX, "short", 5);
	add(VCON_CTRL_TX, NULL, 64);
	kick(VCON_CTRL_TX);
	assert_true(driver_take(&b.drivers[VCON_CTRL_TX], &done));
	assert_true(driver_take(&b.drivers[VCON_CTRL_TX], &done));
	pump();
	assert_false(is_done(VCON_CTRL_RX));
	assert_int_equal(b.resets, 0);
}

static void test_messages_are_cut_to_the_drivers_buffers(void **state)
{
	struct driver_done done;

	start_three();
	control(1, PORT_READY, 1);
	add(VCON_CTRL_RX, NULL, 11);
	kick(VCON_CTRL_RX);
	assert_true(driver_take(&b.drivers[VCON_CTRL_RX], &done));
	assert_int_equal(done.written, 11);
}

static void test_a_broken_queue_needs_a_reset(void **state)
{
	static const unsigned int queues[] = {1, VCON_CTRL_RX, VCON_CTRL_TX, A_RX, A_TX};
	const struct driver_piece outside = {.addr = CONF_RAM, .len = 8};
	int fd;

	start_three();
	for (unsigned int i = 0; i < ARRAY_SIZE(queues); i++) {
		unsigned int q = queues[i];
		struct driver_piece piece = outside;

		open_a();
		fd = dial(A_HOST);
		b.resets = 0;
		piece.writable = q == VCON_CTRL_RX || q == A_RX;
		/* Behind the good ones. */
		assert_true(driver_add(&b.drivers[q], &piece, 1, false, 0));
		b.dev->ops->notify(b.dev, q);
		if (q == VCON_CTRL_RX)
			for (int k = 0; k < 16 && !b.resets; k++)
				control(2, PORT_READY, 1);
		if (q == A_RX)
			say(fd, "x");
		pump();
		b.dev->ops->notify(b.dev, q);
		assert_int_equal(b.resets, 1);
		close(fd);
		bench_end();
		bench_start(VCON_F_MULTIPORT);
	}
	open_a();
	fd = dial(A_HOST);
	add(A_RX, NULL, 64);
	kick(A_RX);
	pump();
	say(fd, "fine");
	assert_true(is_done(A_RX));
	assert_int_equal(b.resets, 1);
	close(fd);
}

static void test_a_new_driver_starts_afresh(void **state)
{
	int fd;

	start_three();
	open_a();
	fd = dial(A_HOST);
	add(A_RX, NULL, 64);
	kick(A_RX);
	say(fd, "one");
	assert_input(A_RX, "one");
	bench_end();
	say(fd, "two");
	bench_start(VCON_F_MULTIPORT);
	add(A_RX, NULL, 64);
	kick(A_RX);
	pump();
	assert_false(is_done(A_RX)); /* not open */
	open_a();
	assert_input(A_RX, "two");
	close(fd);
}

/* ---- Size ---- */

/* The terminal has this size now; its user types, which is when a pty is looked at. */
static void set_size(int user, uint16_t columns, uint16_t rows)
{
	const struct winsize size = {.ws_col = columns, .ws_row = rows};

	assert_int_equal(ioctl(user, TIOCSWINSZ, &size), 0);
	assert_int_equal(write(user, "x", 1), 1);
	for (int i = 0; i < 1000 && console_size(b.consoles[0]).columns != columns; i++)
		pump();
}

static int open_pty(void)
{
	int user = open(strchr(b.line, '/'), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	assert_true(user >= 0);
	return user;
}

static void test_the_size_is_in_the_configuration(void **state)
{
	uint8_t config[4];
	int user;

	b.kind = CONSOLE_PTY;
	bench_create(one_console, 1);
	assert_true(b.dev->features & VCON_F_SIZE);
	user = open_pty();
	set_size(user, 97, 31);
	bench_start(VCON_F_SIZE);
	assert_int_equal(b.changes, 1);
	b.dev->ops->config_read(b.dev, 0, config, sizeof(config));
	assert_int_equal(load_le16(config), 97);
	assert_int_equal(load_le16(config + 2), 31);
	set_size(user, 132, 50);
	assert_int_equal(b.changes, 2);
	b.dev->ops->config_read(b.dev, 2, config, 2);
	assert_int_equal(load_le16(config), 50);
	bench_end();
	bench_start(0);
	set_size(user, 80, 25);
	assert_int_equal(b.changes, 2);
	close(user);
}

static void test_with_ports_the_size_is_a_message(void **state)
{
	static const char *const names[] = {NULL, "name"};
	struct told told = {0};
	int user;

	b.kind = CONSOLE_PTY;
	bench_create(names, 2);
	user = open_pty();
	bench_start(VCON_F_SIZE | VCON_F_MULTIPORT);
	add_control_buffers(10);
	control(0, PORT_READY, 1);
	assert_told(0, CONSOLE, 1);
	assert_told(0, RESIZE, 1);
	assert_told(0, OPEN, 1);
	control(1, PORT_READY, 1);
	assert_told(1, NAME, 1);
	assert_told(1, OPEN, 1);
	set_size(user, 97, 31);
	/* A named port has none to tell. */
	b.vcon->ports[1].peer.resized(&b.vcon->ports[1].peer);
	pump();
	assert_true(take_told(&told));
	assert_int_equal(told.event, RESIZE);
	assert_int_equal(told.len, 4);
	assert_int_equal(load_le16(told.body), 97);
	assert_int_equal(load_le16(told.body + 2), 31);
	assert_false(is_done(VCON_CTRL_RX));
	assert_int_equal(b.changes, 0);
	close(user);
}

/* ---- Threads ---- */

#define ECHO_BYTES 200000u

/* The consoles' loop and the device's, each in a thread of its own, as in a machine. */
struct side {
	struct thread thread;
	struct loop *loop;
};

static struct side sides[2]; /* consoles, device */
static struct loop_msg kicks[2];

static void side_run(struct thread *thread)
{
	loop_run(container_of(thread, struct side, thread)->loop);
}

static void side_start(struct side *side, struct loop *loop)
{
	*side = (struct side){.thread = {.name = "side", .run = side_run}, .loop = loop};
	assert_ok(thread_start(&side->thread));
}

static void kick_run(struct loop_msg *msg)
{
	b.dev->ops->notify(b.dev, (unsigned int)(msg - kicks));
}

static void kick_again(struct virtio_transport *transport, unsigned int q)
{
	loop_post(b.device_loop, &kicks[q]);
}

/* The guest sends back what it receives; one turn of its driver. */
static void guest_echoes(void)
{
	struct driver_done done;
	uint8_t page[4096];

	while (driver_take(&b.drivers[1], &done))
		continue;
	while (b.drivers[1].n_free && driver_take(&b.drivers[0], &done)) {
		assert_int_equal(ram_read(b.ram, done.token, page, done.written), 0);
		add(1, page, done.written);
		add(0, NULL, 1000);
	}
	for (unsigned int q = 0; q < 2; q++) {
		if (driver_needs_kick(&b.drivers[q]))
			kick_again(&b.transport, q);
	}
}

static uint8_t echo_byte(size_t i)
{
	return (uint8_t)(i * 7 + (i >> 8));
}

/* The host's turn: says as much as the socket takes, and hears what is there. */
static void host_talks(int fd, size_t *sent, size_t *got)
{
	uint8_t buf[700];
	ssize_t n;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = echo_byte(*sent + i);
	n = send(fd, buf, MIN(sizeof(buf), ECHO_BYTES - *sent), MSG_NOSIGNAL);
	*sent += n > 0 ? (size_t)n : 0;
	n = recv(fd, buf, sizeof(buf), 0);
	for (ssize_t i = 0; i < n; i++)
		assert_int_equal(buf[i], echo_byte((*got)++));
}

static void test_bytes_between_two_threads(void **state)
{
	uint64_t end = loop_now_ns() + 60000000000ull;
	size_t sent = 0;
	size_t got = 0;
	int fd;

	bench_create(one_console, 1);
	fd = dial(0);
	assert_ok(loop_create(&b.device_loop));
	b.transport.again = kick_again;
	kicks[0] = kicks[1] = (struct loop_msg){.run = kick_run};
	bench_start(0);
	for (int i = 0; i < 8; i++)
		add(0, NULL, 1000);
	side_start(&sides[0], b.loop);
	side_start(&sides[1], b.device_loop);
	while (got < ECHO_BYTES) {
		assert_true(loop_now_ns() < end);
		host_talks(fd, &sent, &got);
		guest_echoes();
	}
	for (int i = 1; i >= 0; i--) {
		loop_stop(sides[i].loop);
		thread_join(&sides[i].thread);
	}
	assert_int_equal(b.resets, 0);
	close(fd);
}

#define BOTH(name)                                                                                 \
	{#name ", split", name, bench_setup, bench_teardown, NULL},                                \
	{                                                                                          \
#name ", packed", name, bench_setup, bench_teardown, (void *)1                     \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_one_console_needs_no_control),
		BOTH(test_input_waits_for_the_driver_and_its_buffers),
		BOTH(test_buffers_without_room_do_no_harm),
		BOTH(test_input_is_bounded),
		BOTH(test_output_waits_for_a_slow_reader),
		BOTH(test_an_endless_chain_does_not_hold_the_loop),
		BOTH(test_a_reset_queue_gives_its_chain_back),
		BOTH(test_emergency_writes_need_no_driver),
		BOTH(test_a_pause_holds_input_back_and_lets_output_pass),
		BOTH(test_ports_are_told_of_step_by_step),
		BOTH(test_without_a_console_there_is_no_port_0),
		BOTH(test_a_driver_without_ports_has_the_console),
		BOTH(test_a_closed_port_takes_no_input),
		BOTH(test_clients_come_and_go),
		BOTH(test_the_end_comes_behind_the_data),
		BOTH(test_clients_take_turns),
		BOTH(test_the_end_comes_behind_a_whole_turn),
		BOTH(test_empty_output_has_turns_too),
		BOTH(test_ends_of_two_clients_keep_the_third_one_back),
		BOTH(test_a_driver_that_does_not_listen_is_told_what_is_so),
		BOTH(test_nonsense_of_the_driver_is_ignored),
		BOTH(test_messages_are_cut_to_the_drivers_buffers),
		BOTH(test_a_broken_queue_needs_a_reset),
		BOTH(test_a_new_driver_starts_afresh),
		BOTH(test_the_size_is_in_the_configuration),
		BOTH(test_with_ports_the_size_is_a_message),
		BOTH(test_bytes_between_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
