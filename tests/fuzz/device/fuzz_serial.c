/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serial port as a stream of register accesses and input bytes.
 */
#include "base/endian.h"
#include "device/serial.h"
#include "event/loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_irq_set(struct irq_line *line, bool level)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct console_options null_console = {.kind = CONSOLE_NULL};
	struct irq_line irq = {.set = fuzz_irq_set};
	struct serial_options options = {.base = 0x3f8, .irq = &irq};
	struct serial *serial;
	struct loop *loop;
	struct bus *bus;

	err_free(loop_create(&loop));
	err_free(bus_create("fuzz", &bus));
	err_free(console_create(&null_console, loop, NULL, &options.console));
	options.bus = bus;
	err_free(serial_create(&options, &serial));
	for (size_t i = 0; i + 6 <= size; i += 6) {
		unsigned int width = 1u << (data[i] >> 1 & 3);
		uint64_t addr = 0x3f8 + data[i + 1] % 10;

		if (data[i] & 1)
			bus_write(bus, addr, width, load_le32(data + i + 2));
		else
			(void)bus_read(bus, addr, width);
	}
	device_reset(serial_device(serial));
	device_free(serial_device(serial));
	console_free(options.console);
	bus_free(bus);
	loop_free(loop);
	return 0;
}
