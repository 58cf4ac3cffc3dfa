/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyboard controller without a keyboard. It answers the commands that have an answer, since a
 * driver that probes would wait half a second for each that stays out; its port tests say that
 * nothing is plugged in.
 */
#include "device/i8042.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/thread.h"

#define I8042_PORT_DATA    0x60
#define I8042_PORT_COMMAND 0x64

#define STATUS_OUTPUT_FULL 0x01u
#define STATUS_SYSTEM      0x04u /* self-test passed */
#define STATUS_UNLOCKED    0x10u

#define CMD_READ_CTR       0x20
#define CMD_WRITE_CTR      0x60
#define CMD_TEST_AUX       0xa9
#define CMD_SELF_TEST      0xaa
#define CMD_TEST_KBD       0xab
#define CMD_READ_OUTPUT    0xd0
#define CMD_WRITE_OUTPUT   0xd1
#define CMD_PULSE_FIRST    0xf0 /* to 0xff: pulses low the lines whose bit is 0 */

#define CTR_POWER_ON       0x34u /* system flag, both ports off, no interrupts */
#define SELF_TEST_PASSED   0x55u
#define PORT_CLOCK_STUCK   0x01u
#define OUTPUT_NOT_RESET   0x01u
#define OUTPUT_A20         0x02u

struct i8042 {
	struct device device;
	struct io_region data, command;
	struct bus *pio;
	struct machine_events *events;
	bool hidden;
	pthread_mutex_t lock; /* all below; lock order 40 */
	uint8_t ctr;
	uint8_t output;
	bool output_full;
	uint8_t wants_data; /* the command that takes the next byte, or 0 */
};

static uint64_t i8042_read_status(struct io_region *region, uint64_t off, unsigned int size)
{
	struct i8042 *kbc = container_of(region, struct i8042, command);

	if (kbc->hidden)
		return UINT64_MAX;
	auto_lock(&kbc->lock);
	return STATUS_SYSTEM | STATUS_UNLOCKED | (kbc->output_full ? STATUS_OUTPUT_FULL : 0);
}

static uint64_t i8042_read_data(struct io_region *region, uint64_t off, unsigned int size)
{
	struct i8042 *kbc = container_of(region, struct i8042, data);

	if (kbc->hidden)
		return UINT64_MAX;
	auto_lock(&kbc->lock);
	kbc->output_full = false;
	return kbc->output;
}

static void i8042_answer_locked(struct i8042 *kbc, uint8_t value)
{
	kbc->output = value;
	kbc->output_full = true;
}

static void i8042_set_output_port(struct i8042 *kbc, uint64_t value)
{
	if (!(value & OUTPUT_NOT_RESET))
		machine_events_report(kbc->events, MACHINE_RESET, "keyboard controller");
}

static void i8042_write_data(
	struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct i8042 *kbc = container_of(region, struct i8042, data);

	auto_lock(&kbc->lock);
	if (kbc->wants_data == CMD_WRITE_CTR)
		kbc->ctr = (uint8_t)value;
	else if (kbc->wants_data == CMD_WRITE_OUTPUT)
		i8042_set_output_port(kbc, value);
	kbc->wants_data = 0;
}

static void i8042_write_command(
	struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct i8042 *kbc = container_of(region, struct i8042, command);
	uint8_t command = (uint8_t)value;

	auto_lock(&kbc->lock);
	kbc->wants_data = 0;
	switch (command) {
	case CMD_READ_CTR:
		i8042_answer_locked(kbc, kbc->ctr);
		break;
	case CMD_WRITE_CTR:
	case CMD_WRITE_OUTPUT:
		kbc->wants_data = command;
		break;
	case CMD_SELF_TEST:
		kbc->ctr = CTR_POWER_ON;
		i8042_answer_locked(kbc, SELF_TEST_PASSED);
		break;
	case CMD_TEST_AUX:
	case CMD_TEST_KBD:
		i8042_answer_locked(kbc, PORT_CLOCK_STUCK);
		break;
	case CMD_READ_OUTPUT:
		i8042_answer_locked(kbc, OUTPUT_NOT_RESET | OUTPUT_A20);
		break;
	default:
		if (command >= CMD_PULSE_FIRST)
			i8042_set_output_port(kbc, command);
		break;
	}
}

static void i8042_reset(struct device *device)
{
	struct i8042 *kbc = container_of(device, struct i8042, device);

	auto_lock(&kbc->lock);
	kbc->ctr = CTR_POWER_ON;
	kbc->output = 0;
	kbc->output_full = false;
	kbc->wants_data = 0;
}

static void i8042_free(struct device *device)
{
	struct i8042 *kbc = container_of(device, struct i8042, device);

	bus_remove(kbc->pio, &kbc->data);
	bus_remove(kbc->pio, &kbc->command);
	pthread_mutex_destroy(&kbc->lock);
	free(kbc);
}

static const struct device_ops i8042_device_ops = {.reset = i8042_reset, .free = i8042_free};
static const struct io_ops i8042_data_ops = {.read = i8042_read_data, .write = i8042_write_data};
static const struct io_ops i8042_command_ops = {
	.read = i8042_read_status, .write = i8042_write_command};

struct err *i8042_create(
	struct bus *pio, struct machine_events *events, bool hidden, struct device **ret_device)
{
	struct i8042 *kbc = new0(struct i8042);
	struct err *err;

	if (!kbc)
		return err_new(ENOMEM, "Failed to create the keyboard controller");
	kbc->device = (struct device){.ops = &i8042_device_ops, .name = "i8042"};
	kbc->data = (struct io_region){.ops = &i8042_data_ops, .name = "i8042-data", .size = 1};
	kbc->command =
		(struct io_region){.ops = &i8042_command_ops, .name = "i8042-command", .size = 1};
	kbc->pio = pio;
	kbc->events = events;
	kbc->hidden = hidden;
	kbc->ctr = CTR_POWER_ON;
	pthread_mutex_init(&kbc->lock, NULL);
	err = bus_add_at(pio, &kbc->data, I8042_PORT_DATA);
	if (!err)
		err = bus_add_at(pio, &kbc->command, I8042_PORT_COMMAND);
	if (err) {
		i8042_free(&kbc->device);
		return err_wrap(err, "Failed to create the keyboard controller");
	}
	*ret_device = &kbc->device;
	return NULL;
}
