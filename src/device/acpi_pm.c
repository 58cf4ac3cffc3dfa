/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleep control, reset register and Generic Event Device.
 */
#include "device/acpi_pm.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/thread.h"

/* Sleep control register (ACPI 6.5, table 4.26); the status register has only a wake bit, ours
 * never wakes. */
#define SLEEP_TYPE_SHIFT 2
#define SLEEP_TYPE_MASK  7u
#define SLEEP_ENABLE     (1u << 5)
#define SLEEP_SIZE       2 /* control, status */

#define RESET_SIZE       1
#define GED_SIZE         4

struct acpi_pm {
	struct device device;
	struct io_region sleep, reset, ged;
	struct bus *pio;
	struct irq_line *irq;
	struct machine_events *events;
	uint8_t reset_value;
	pthread_mutex_t lock; /* pending, and the line follows it; lock order 40 */
	uint32_t pending;
};

static uint64_t acpi_pm_read_zero(struct io_region *region, uint64_t off, unsigned int size)
{
	return 0;
}

static void acpi_pm_write_sleep(
	struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct acpi_pm *pm = container_of(region, struct acpi_pm, sleep);

	if (off == 0 && (value & SLEEP_ENABLE) &&
		(value >> SLEEP_TYPE_SHIFT & SLEEP_TYPE_MASK) == ACPI_PM_SLEEP_TYPE_S5)
		machine_events_report(pm->events, MACHINE_POWER_OFF, "ACPI sleep control register");
}

static void acpi_pm_write_reset(
	struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct acpi_pm *pm = container_of(region, struct acpi_pm, reset);

	if ((uint8_t)value == pm->reset_value)
		machine_events_report(pm->events, MACHINE_RESET, "ACPI reset register");
}

static void acpi_pm_change_locked(struct acpi_pm *pm, uint32_t pending)
{
	pm->pending = pending;
	irq_line_set(pm->irq, pending != 0);
}

static uint64_t acpi_pm_read_ged(struct io_region *region, uint64_t off, unsigned int size)
{
	struct acpi_pm *pm = container_of(region, struct acpi_pm, ged);

	auto_lock(&pm->lock);
	return pm->pending >> (8 * off);
}

static void acpi_pm_write_ged(
	struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct acpi_pm *pm = container_of(region, struct acpi_pm, ged);

	auto_lock(&pm->lock);
	acpi_pm_change_locked(pm, pm->pending & ~(uint32_t)(value << (8 * off)));
}

void acpi_pm_power_button(struct acpi_pm *pm)
{
	auto_lock(&pm->lock);
	acpi_pm_change_locked(pm, pm->pending | ACPI_PM_GED_POWER_BUTTON);
}

static void acpi_pm_reset(struct device *device)
{
	struct acpi_pm *pm = container_of(device, struct acpi_pm, device);

	auto_lock(&pm->lock);
	acpi_pm_change_locked(pm, 0);
}

static void acpi_pm_free(struct device *device)
{
	struct acpi_pm *pm = container_of(device, struct acpi_pm, device);

	bus_remove(pm->pio, &pm->sleep);
	bus_remove(pm->pio, &pm->reset);
	bus_remove(pm->pio, &pm->ged);
	pthread_mutex_destroy(&pm->lock);
	free(pm);
}

static const struct device_ops acpi_pm_device_ops = {.reset = acpi_pm_reset, .free = acpi_pm_free};
static const struct io_ops acpi_pm_sleep_ops = {
	.read = acpi_pm_read_zero, .write = acpi_pm_write_sleep};
static const struct io_ops acpi_pm_reset_ops = {
	.read = acpi_pm_read_zero, .write = acpi_pm_write_reset};
static const struct io_ops acpi_pm_ged_ops = {.read = acpi_pm_read_ged, .write = acpi_pm_write_ged};

static struct err *acpi_pm_add_regions(struct acpi_pm *pm, const struct acpi_pm_options *options)
{
	struct err *err;

	pm->sleep = (struct io_region){
		.ops = &acpi_pm_sleep_ops, .name = "acpi-sleep", .size = SLEEP_SIZE};
	pm->reset = (struct io_region){
		.ops = &acpi_pm_reset_ops, .name = "acpi-reset", .size = RESET_SIZE};
	pm->ged = (struct io_region){.ops = &acpi_pm_ged_ops, .name = "acpi-ged", .size = GED_SIZE};
	err = bus_add_at(pm->pio, &pm->sleep, options->sleep_control);
	if (!err)
		err = bus_add_at(pm->pio, &pm->reset, options->reset);
	if (!err)
		err = bus_add_at(pm->pio, &pm->ged, options->ged);
	return err;
}

struct err *acpi_pm_create(const struct acpi_pm_options *options, struct acpi_pm **ret_pm)
{
	struct acpi_pm *pm = new0(struct acpi_pm);
	struct err *err;

	if (!pm)
		return err_new(ENOMEM, "Failed to create the ACPI registers");
	pm->device = (struct device){.ops = &acpi_pm_device_ops, .name = "acpi-pm"};
	pm->pio = options->pio;
	pm->irq = options->irq;
	pm->events = options->events;
	pm->reset_value = options->reset_value;
	pthread_mutex_init(&pm->lock, NULL);
	err = acpi_pm_add_regions(pm, options);
	if (err) {
		acpi_pm_free(&pm->device);
		return err_wrap(err, "Failed to create the ACPI registers");
	}
	*ret_pm = pm;
	return NULL;
}

struct device *acpi_pm_device(struct acpi_pm *pm)
{
	return &pm->device;
}
