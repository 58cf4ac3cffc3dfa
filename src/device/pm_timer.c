/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI power management timer.
 */
#include "device/pm_timer.h"

#include <errno.h>

#include "base/alloc.h"
#include "event/loop.h"

#define PM_TIMER_SIZE 4
#define NS_PER_S      1000000000ull

struct pm_timer {
	struct device device;
	struct io_region region;
	struct bus *pio;
	uint64_t start_ns; /* changes only while no vCPU runs */
};

static uint32_t pm_timer_ticks(const struct pm_timer *timer)
{
	uint64_t ns = loop_now_ns() - timer->start_ns;

	/* In two parts, as the product overflows 64 bits after 86 minutes. */
	return (uint32_t)(ns / NS_PER_S * PM_TIMER_HZ + ns % NS_PER_S * PM_TIMER_HZ / NS_PER_S);
}

static uint64_t pm_timer_read(struct io_region *region, uint64_t off, unsigned int size)
{
	return pm_timer_ticks(container_of(region, struct pm_timer, region)) >> (8 * off);
}

static void pm_timer_write(
	struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	/* read-only */
}

static void pm_timer_reset(struct device *device)
{
	container_of(device, struct pm_timer, device)->start_ns = loop_now_ns();
}

static void pm_timer_free(struct device *device)
{
	struct pm_timer *timer = container_of(device, struct pm_timer, device);

	bus_remove(timer->pio, &timer->region);
	free(timer);
}

static const struct device_ops pm_timer_device_ops = {
	.reset = pm_timer_reset, .free = pm_timer_free};
static const struct io_ops pm_timer_io_ops = {.read = pm_timer_read, .write = pm_timer_write};

struct err *pm_timer_create(struct bus *pio, uint16_t port, struct device **ret_device)
{
	struct pm_timer *timer = new0(struct pm_timer);
	struct err *err;

	if (!timer)
		return err_new(ENOMEM, "Failed to create the PM timer");
	timer->device = (struct device){.ops = &pm_timer_device_ops, .name = "pm-timer"};
	timer->region = (struct io_region){
		.ops = &pm_timer_io_ops, .name = timer->device.name, .size = PM_TIMER_SIZE};
	timer->pio = pio;
	timer->start_ns = loop_now_ns();
	err = bus_add_at(pio, &timer->region, port);
	if (err) {
		free(timer);
		return err_wrap(err, "Failed to create the PM timer");
	}
	*ret_device = &timer->device;
	return NULL;
}
