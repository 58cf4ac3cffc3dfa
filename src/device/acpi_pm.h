/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hardware-reduced ACPI leaves of power management (ACPI 6.5, 4.1, 4.8.3.7, 5.6.9): sleep
 * control and status, the reset register, and a Generic Event Device with a power button.
 *
 * The GED's event register is 32 bits wide: a bit is 1 while its event is pending. The guest's _EVT
 * method reads it, and writes ones to clear what it has taken. The interrupt line is high while any
 * bit is set.
 */
#pragma once

#include "device/device.h"
#include "device/irq.h"
#include "device/machine_events.h"
#include "mem/bus.h"

#define ACPI_PM_SLEEP_TYPE_S5    5u /* SLP_TYP of \_S5 */
#define ACPI_PM_GED_POWER_BUTTON 0x1u

struct acpi_pm;

struct acpi_pm_options {
	struct bus *pio;
	uint16_t sleep_control; /* one port; sleep status is the next one */
	uint16_t reset;         /* one port */
	uint8_t reset_value;
	uint16_t ged;         /* four ports */
	struct irq_line *irq; /* of the GED, level */
	struct machine_events *events;
};

struct err *must_check acpi_pm_create(
	const struct acpi_pm_options *options, struct acpi_pm **ret_pm);
/* For the machine's list; device_free() frees the object. */
struct device *acpi_pm_device(struct acpi_pm *pm);

/* Presses the power button: the guest is told, and may or may not power off. [any] */
void acpi_pm_power_button(struct acpi_pm *pm);
