/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serial port as a stream of register accesses, input, and a console that is full at times. The
 * console is a fake one. Whatever the driver did: what the port took is sent, and a driver that
 * reads on gets all input. Records of 6 bytes.
 */
#include <stdlib.h>

#include "base/endian.h"
#include "device/serial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PORT 0x3f8u
#define DATA 0
#define LCR  3
#define MCR  4
#define LSR  5

struct console {
	struct console_peer *peer;
	unsigned int room;
	unsigned int waiting; /* bytes of input that the port has not taken */
	bool wanted;          /* it asked */
};

bool console_put(struct console *console, uint8_t byte)
{
	if (!console->room)
		return false;
	console->room--;
	return true;
}

void console_input_wanted(struct console *console)
{
	console->wanted = true;
}

void console_set_peer(struct console *console, struct console_peer *peer)
{
	console->peer = peer;
}

static void fuzz_irq_set(struct irq_line *line, bool level)
{
}

/* As the control loop does: what was not taken waits until the port wants it. */
static void fuzz_deliver(struct console *console)
{
	static const uint8_t input[64] = "input";

	console->wanted = false;
	if (console->waiting)
		console->waiting -= (unsigned int)console->peer->receive(
			console->peer, input, console->waiting);
}

static void fuzz_type(struct console *console, unsigned int n)
{
	if (console->waiting)
		return; /* the console reads on only when all is taken */
	console->waiting = n;
	fuzz_deliver(console);
}

static void fuzz_step(struct bus *bus, struct console *console, const uint8_t *r)
{
	unsigned int width = 1u << (r[0] >> 1 & 3);
	uint64_t addr = PORT + r[1] % 10;

	if (r[0] & 0x80) {
		fuzz_type(console, r[1] % 64);
	} else if (r[0] & 0x40) {
		console->room = r[1];
		if (console->room)
			console->peer->writable(console->peer);
	} else if (r[0] & 1) {
		bus_write(bus, addr, width, load_le32(r + 2));
	} else {
		(void)bus_read(bus, addr, width);
	}
	if (console->wanted)
		fuzz_deliver(console);
}

/* A driver that opens the line and reads what is there; a reader that reads on. */
static void fuzz_finish(struct bus *bus, struct console *console)
{
	bus_write(bus, PORT + LCR, 1, 3);
	if (bus_read(bus, PORT + MCR, 1) & 0x10) /* the loop */
		bus_write(bus, PORT + MCR, 1, 0);
	if (console->wanted)
		fuzz_deliver(console);
	for (unsigned int i = 0; i < 100 && bus_read(bus, PORT + LSR, 1) & 1; i++) {
		(void)bus_read(bus, PORT + DATA, 1);
		if (console->wanted)
			fuzz_deliver(console);
	}
	console->room = 100;
	console->peer->writable(console->peer);
	if (console->waiting || !(bus_read(bus, PORT + LSR, 1) & 0x20))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct irq_line irq = {.set = fuzz_irq_set};
	struct console console = {.room = 20};
	struct serial_options options = {.base = PORT, .irq = &irq, .console = &console};
	struct serial *serial;
	struct bus *bus;

	err_free(bus_create("fuzz", &bus));
	options.bus = bus;
	err_free(serial_create(&options, &serial));
	for (size_t i = 0; i + 6 <= size; i += 6)
		fuzz_step(bus, &console, data + i);
	fuzz_finish(bus, &console);
	device_reset(serial_device(serial));
	device_free(serial_device(serial));
	bus_free(bus);
	return 0;
}
