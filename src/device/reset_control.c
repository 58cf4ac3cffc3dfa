/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reset control register.
 */
#include "device/reset_control.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/alloc.h"

#define RESET_CONTROL_CPU      0x04u /* 0 to 1: reset now */
#define RESET_CONTROL_WRITABLE 0x0eu

struct reset_control {
	struct device device;
	struct io_region region;
	struct machine_events *events;
	_Atomic uint8_t value;
};

static uint64_t reset_control_read(struct io_region *region, uint64_t off, unsigned int size)
{
	return container_of(region, struct reset_control, region)->value;
}

static void reset_control_write(
	struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct reset_control *control = container_of(region, struct reset_control, region);
	uint8_t before =
		atomic_exchange(&control->value, (uint8_t)(value & RESET_CONTROL_WRITABLE));

	if ((value & RESET_CONTROL_CPU) && !(before & RESET_CONTROL_CPU))
		machine_events_report(control->events, MACHINE_RESET, "port 0xcf9");
}

static void reset_control_reset(struct device *device)
{
	container_of(device, struct reset_control, device)->value = 0;
}

static void reset_control_free(struct device *device)
{
	free(container_of(device, struct reset_control, device));
}

static const struct device_ops reset_control_device_ops = {
	.reset = reset_control_reset, .free = reset_control_free};
static const struct io_ops reset_control_io_ops = {
	.read = reset_control_read, .write = reset_control_write};

struct err *reset_control_create(struct machine_events *events, struct reset_control **ret_control)
{
	struct reset_control *control = new0(struct reset_control);

	if (!control)
		return err_new(ENOMEM, "Failed to create the reset control register");
	control->device =
		(struct device){.ops = &reset_control_device_ops, .name = "reset-control"};
	control->region = (struct io_region){
		.ops = &reset_control_io_ops, .name = "reset-control", .size = 1};
	control->events = events;
	*ret_control = control;
	return NULL;
}

struct device *reset_control_device(struct reset_control *control)
{
	return &control->device;
}

struct io_region *reset_control_region(struct reset_control *control)
{
	return &control->region;
}
