/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 16550A register by register. The console behind it is a fake one, defined here: so many bytes
 * of room, a record of what came, and whether the port asked for input.
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "device/serial.h"

#define BASE 0x3f8

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

#define NO_IRQ    0x01
#define IRQ_MODEM 0x00
#define IRQ_THRE  0x02
#define IRQ_RX    0x04
#define IRQ_LINE  0x06
#define IRQ_TIME  0x0c
#define FIFO      0xc0 /* in IIR */

struct console {
	struct console_peer *peer;
	char sent[256];
	size_t len;
	size_t room;
	unsigned int wanted;
};

struct port {
	struct bus *bus;
	struct serial *serial;
	struct console console;
	struct irq_line line;
	bool level;
	unsigned int edges;
};

bool console_put(struct console *console, uint8_t byte)
{
	if (!console->room)
		return false;
	console->room--;
	console->sent[console->len++] = (char)byte;
	return true;
}

void console_input_wanted(struct console *console)
{
	console->wanted++;
}

void console_set_peer(struct console *console, struct console_peer *peer)
{
	console->peer = peer;
}

static void line_set(struct irq_line *line, bool level)
{
	struct port *p = container_of(line, struct port, line);

	p->edges += level && !p->level;
	p->level = level;
}

static int setup(void **state)
{
	struct port *p = calloc(1, sizeof(*p));
	struct serial_options options = {.base = BASE, .irq = &p->line, .console = &p->console};

	p->line.set = line_set;
	p->console.room = 200;
	assert_ok(bus_create("port", &p->bus));
	options.bus = p->bus;
	assert_ok(serial_create(&options, &p->serial));
	assert_non_null(p->console.peer);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct port *p = *state;

	device_free(serial_device(p->serial));
	assert_null(p->console.peer);
	assert_int_equal(bus_read(p->bus, BASE + LSR, 1), 0xff);
	bus_free(p->bus);
	free(p);
	return 0;
}

static uint8_t in(struct port *p, unsigned int reg)
{
	return (uint8_t)bus_read(p->bus, BASE + reg, 1);
}

static void out(struct port *p, unsigned int reg, uint8_t value)
{
	bus_write(p->bus, BASE + reg, 1, value);
}

static size_t type(struct port *p, const char *text)
{
	return p->console.peer->receive(p->console.peer, (const uint8_t *)text, strlen(text));
}

static void assert_sent(struct port *p, const char *text)
{
	assert_int_equal(p->console.len, strlen(text));
	assert_memory_equal(p->console.sent, text, strlen(text));
}

static void test_registers_after_power_on(void **state)
{
	struct port *p = *state;
	static const uint8_t expected[] = {0, 0, NO_IRQ, 0, 0, 0x60, 0xb0, 0};

	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(in(p, i), expected[i]);
	assert_false(p->level);
}

static void test_scratch_and_line_control_hold_what_is_written(void **state)
{
	struct port *p = *state;

	out(p, SCR, 0xa5);
	out(p, LCR, 0x1b);
	assert_int_equal(in(p, SCR), 0xa5);
	assert_int_equal(in(p, LCR), 0x1b);
	out(p, LSR, 0xff);
	out(p, MSR, 0xff);
	assert_int_equal(in(p, LSR), 0x60);
	assert_int_equal(in(p, MSR), 0xb0);
}

static void test_the_divisor_is_behind_dlab(void **state)
{
	struct port *p = *state;

	out(p, IER, 0xff);
	assert_int_equal(in(p, IER), 0x0f);
	out(p, LCR, 0x80);
	assert_int_equal(in(p, DATA), 12);
	assert_int_equal(in(p, IER), 0);
	out(p, DATA, 0x34);
	out(p, IER, 0x12);
	assert_int_equal(in(p, DATA), 0x34);
	assert_int_equal(in(p, IER), 0x12);
	out(p, LCR, 0x03);
	assert_int_equal(in(p, IER), 0x0f);
	assert_sent(p, "");
}

static void test_wide_accesses_are_one_to_each_register(void **state)
{
	struct port *p = *state;

	bus_write(p->bus, BASE + LCR, 2, 0x0b1b);
	assert_int_equal(bus_read(p->bus, BASE + LCR, 4), 0xb0600b1bu);
	bus_write(p->bus, BASE + MSR, 2, 0x77ff);
	assert_int_equal(in(p, SCR), 0x77);
	/* Across the end: nobody there. */
	assert_int_equal(bus_read(p->bus, BASE + SCR, 2), 0xffff);
}

static void test_output_without_interrupts(void **state)
{
	struct port *p = *state;

	out(p, DATA, 'o');
	assert_int_equal(in(p, LSR), 0x60);
	out(p, DATA, 'k');
	assert_sent(p, "ok");
	assert_int_equal(p->edges, 0);
}

static void test_the_transmitter_interrupts_when_enabled_and_after_each_byte(void **state)
{
	struct port *p = *state;

	out(p, IER, 0x02);
	assert_true(p->level);
	assert_int_equal(in(p, IIR), IRQ_THRE);
	/* Reading IIR acknowledged it. */
	assert_false(p->level);
	assert_int_equal(in(p, IIR), NO_IRQ);
	out(p, DATA, 'a');
	assert_true(p->level);
	assert_int_equal(p->edges, 2);
	/* A driver that does not look at IIR gets an edge nevertheless. */
	out(p, DATA, 'b');
	assert_true(p->level);
	assert_int_equal(p->edges, 3);
	out(p, IER, 0);
	assert_false(p->level);
	assert_sent(p, "ab");
}

static void test_a_full_console_makes_the_transmitter_busy(void **state)
{
	struct port *p = *state;

	p->console.room = 1;
	out(p, IER, 0x02);
	out(p, DATA, 'a');
	assert_int_equal(in(p, LSR), 0x60);
	assert_int_equal(in(p, IIR), IRQ_THRE);
	out(p, DATA, 'b');
	assert_int_equal(in(p, LSR), 0);
	assert_int_equal(in(p, IIR), NO_IRQ);
	assert_false(p->level);
	p->console.room = 10;
	p->console.peer->writable(p->console.peer);
	assert_sent(p, "ab");
	assert_int_equal(in(p, LSR), 0x60);
	assert_int_equal(in(p, IIR), IRQ_THRE);
	p->console.peer->writable(p->console.peer); /* nothing to send: no interrupt */
	assert_int_equal(in(p, IIR), NO_IRQ);
}

/* A driver looks at THRE, then writes sixteen bytes: the console may become full between them. */
static void test_a_burst_is_not_lost_when_the_console_becomes_full(void **state)
{
	static const char burst[] = "0123456789abcdef";
	struct port *p = *state;

	out(p, FCR, 0x01);
	for (size_t room = 0; room <= 16; room++) {
		p->console.len = 0;
		p->console.room = room;
		assert_int_equal(in(p, LSR), 0x60);
		for (unsigned int i = 0; i < 16; i++)
			out(p, DATA, (uint8_t)burst[i]);
		assert_int_equal(in(p, LSR), room == 16 ? 0x60 : 0);
		p->console.room += 1; /* it drains bit by bit */
		p->console.peer->writable(p->console.peer);
		p->console.room += 16;
		p->console.peer->writable(p->console.peer);
		assert_sent(p, burst);
	}
}

static void test_pending_output_outlives_a_reset_and_the_fifo_control(void **state)
{
	struct port *p = *state;

	out(p, FCR, 0x01);
	p->console.room = 0;
	out(p, DATA, 'x');
	out(p, DATA, 'y');
	out(p, FCR, 0x07);
	out(p, FCR, 0x00);
	out(p, DATA, '!'); /* the one-byte holding register has two: lost, by the driver's fault */
	device_reset(serial_device(p->serial));
	assert_int_equal(in(p, LSR), 0);
	p->console.room = 10;
	p->console.peer->writable(p->console.peer);
	assert_sent(p, "xy");
	assert_int_equal(in(p, LSR), 0x60);
}

static void test_input_without_fifo_is_taken_byte_by_byte(void **state)
{
	struct port *p = *state;

	out(p, IER, 0x01);
	assert_int_equal(type(p, "ab"), 1);
	assert_true(p->level);
	assert_int_equal(in(p, LSR), 0x61);
	assert_int_equal(in(p, IIR), IRQ_RX);
	assert_int_equal(p->console.wanted, 0);
	assert_int_equal(in(p, DATA), 'a');
	assert_false(p->level);
	assert_int_equal(in(p, LSR), 0x60);
	assert_int_equal(p->console.wanted, 1); /* for the b */
	assert_int_equal(type(p, "b"), 1);
	assert_int_equal(in(p, DATA), 'b');
	assert_int_equal(p->console.wanted, 1); /* there was no more */
	assert_int_equal(in(p, DATA), 0);
}

static void test_the_fifo_holds_sixteen_bytes(void **state)
{
	struct port *p = *state;

	out(p, FCR, 0x01);
	assert_int_equal(in(p, IIR), FIFO | NO_IRQ);
	/* Over the ring's end, too. */
	for (unsigned int round = 0; round < 3; round++) {
		assert_int_equal(type(p, "0123456789abcdefXYZ"), 16);
		assert_int_equal(in(p, LSR), 0x61); /* no overrun: the rest waits */
		for (unsigned int i = 0; i < 16; i++)
			assert_int_equal(in(p, DATA), "0123456789abcdef"[i]);
		assert_int_equal(p->console.wanted, round + 1);
		assert_int_equal(type(p, "12345"), 5);
		for (unsigned int i = 0; i < 5; i++)
			assert_int_equal(in(p, DATA), "12345"[i]);
	}
}

static void test_trigger_levels(void **state)
{
	static const unsigned int levels[] = {1, 4, 8, 14};
	struct port *p = *state;

	out(p, IER, 0x01);
	for (unsigned int i = 0; i < 4; i++) {
		out(p, FCR, (uint8_t)(0x03 | i << 6));
		for (unsigned int n = 1; n <= 16; n++) {
			assert_int_equal(type(p, "x"), 1);
			/* Below the level: the time-out, at once. Either way an interrupt. */
			assert_int_equal(in(p, IIR), FIFO | (n >= levels[i] ? IRQ_RX : IRQ_TIME));
			assert_true(p->level);
		}
	}
}

/* Else the rest of what was typed before the driver came would never arrive, nor anything after. */
static void test_clearing_the_fifo_asks_for_the_input_that_waits(void **state)
{
	struct port *p = *state;

	out(p, FCR, 0x01);
	assert_int_equal(type(p, "0123456789abcdefXYZ"), 16);
	out(p, FCR, 0x03);
	assert_int_equal(in(p, LSR), 0x60);
	assert_int_equal(p->console.wanted, 1);
	assert_int_equal(type(p, "0123456789abcdefXYZ"), 16);
	out(p, FCR, 0x00); /* switching it off clears, too */
	assert_int_equal(in(p, LSR), 0x60);
	assert_int_equal(p->console.wanted, 2);
	assert_int_equal(type(p, "XYZ"), 1);
	device_reset(serial_device(p->serial));
	assert_int_equal(p->console.wanted, 3);
	assert_int_equal(in(p, LSR), 0x60);
}

static void test_loopback_receives_what_it_sends(void **state)
{
	struct port *p = *state;

	out(p, FCR, 0x01);
	out(p, MCR, 0x10);
	out(p, DATA, 'l');
	assert_int_equal(in(p, LSR), 0x61);
	assert_int_equal(in(p, DATA), 'l');
	assert_sent(p, "");
	/* The line is cut: input waits until the loop is open. */
	assert_int_equal(type(p, "in"), 0);
	assert_int_equal(p->console.wanted, 0);
	out(p, MCR, 0x00);
	assert_int_equal(p->console.wanted, 1);
	assert_int_equal(type(p, "in"), 2);
}

static void test_overrun_is_a_line_status_interrupt(void **state)
{
	struct port *p = *state;

	out(p, IER, 0x05);
	out(p, MCR, 0x10);
	out(p, DATA, '1');
	assert_int_equal(in(p, IIR), IRQ_RX);
	out(p, DATA, '2');
	assert_int_equal(in(p, IIR), IRQ_LINE);
	assert_int_equal(in(p, LSR), 0x63);
	assert_int_equal(in(p, LSR), 0x61); /* reading cleared it */
	assert_int_equal(in(p, IIR), IRQ_RX);
}

static void test_loopback_wires_modem_control_to_modem_status(void **state)
{
	static const uint8_t wires[][2] = {{0x01, 0x20}, {0x02, 0x10}, {0x04, 0x40}, {0x08, 0x80}};
	struct port *p = *state;

	out(p, MCR, 0x10);
	(void)in(p, MSR);
	for (unsigned int i = 0; i < 4; i++) {
		uint8_t line = wires[i][1];
		bool ring = line == 0x40;

		out(p, MCR, 0x10 | wires[i][0]);
		assert_int_equal(in(p, MCR), 0x10 | wires[i][0]);
		/* A change is told once; of the ring indicator only its end. */
		assert_int_equal(in(p, MSR), line | (ring ? 0 : line >> 4));
		assert_int_equal(in(p, MSR), line);
		out(p, MCR, 0x10);
		assert_int_equal(in(p, MSR), line >> 4);
		assert_int_equal(in(p, MSR), 0);
	}
}

static void test_modem_status_interrupt_is_the_last(void **state)
{
	struct port *p = *state;

	out(p, IER, 0x0f);
	out(p, MCR, 0x10);
	assert_int_equal(in(p, IIR), IRQ_THRE);
	assert_int_equal(in(p, IIR), IRQ_MODEM);
	assert_true(p->level);
	assert_int_equal(in(p, MSR), 0x0b);
	assert_int_equal(in(p, IIR), NO_IRQ);
	assert_false(p->level);
}

static void test_reset_restores_the_registers(void **state)
{
	struct port *p = *state;

	out(p, IER, 0x0f);
	out(p, FCR, 0xc1);
	out(p, LCR, 0x03);
	out(p, MCR, 0x1f);
	out(p, SCR, 0x55);
	(void)type(p, "x");
	assert_true(p->level);
	device_reset(serial_device(p->serial));
	assert_false(p->level);
	test_registers_after_power_on(state);
	out(p, LCR, 0x80);
	assert_int_equal(in(p, DATA), 12);
}

#define SERIAL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERIAL_TEST(test_registers_after_power_on),
		SERIAL_TEST(test_scratch_and_line_control_hold_what_is_written),
		SERIAL_TEST(test_the_divisor_is_behind_dlab),
		SERIAL_TEST(test_wide_accesses_are_one_to_each_register),
		SERIAL_TEST(test_output_without_interrupts),
		SERIAL_TEST(test_the_transmitter_interrupts_when_enabled_and_after_each_byte),
		SERIAL_TEST(test_a_full_console_makes_the_transmitter_busy),
		SERIAL_TEST(test_a_burst_is_not_lost_when_the_console_becomes_full),
		SERIAL_TEST(test_pending_output_outlives_a_reset_and_the_fifo_control),
		SERIAL_TEST(test_input_without_fifo_is_taken_byte_by_byte),
		SERIAL_TEST(test_the_fifo_holds_sixteen_bytes),
		SERIAL_TEST(test_trigger_levels),
		SERIAL_TEST(test_clearing_the_fifo_asks_for_the_input_that_waits),
		SERIAL_TEST(test_loopback_receives_what_it_sends),
		SERIAL_TEST(test_overrun_is_a_line_status_interrupt),
		SERIAL_TEST(test_loopback_wires_modem_control_to_modem_status),
		SERIAL_TEST(test_modem_status_interrupt_is_the_last),
		SERIAL_TEST(test_reset_restores_the_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
