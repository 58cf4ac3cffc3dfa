/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ISA bridge and power management function.
 */
#include "pci/piix4.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/endian.h"

#define PM_CONTROL_OFF        4 /* PM1a control (ACPI 6.5, 4.8.3.2.1) */
#define PM_CONTROL_SIZE       2
#define PM_CONTROL_SLEEP_TYPE 0x1c00u /* 0 is S5 */
#define PM_CONTROL_SLEEP      0x2000u

#define PM_CONFIG_BASE        0x40 /* bit 0: I/O space */
#define PM_CONFIG_APMC        0x5b /* bit 1: writes to port 0xb2 are management interrupts */
#define PM_CONFIG_MISC        0x80 /* bit 0: the block is enabled */

struct piix4_pm {
	struct pci_dev pci;
	struct io_region control;
	struct bus *pio;
	struct machine_events *events;
	_Atomic uint16_t value; /* of the control register */
};

/* ---- ISA bridge ---- */

static void piix4_isa_reset(struct device *device)
{
	pci_dev_reset(container_of(device, struct pci_dev, device));
}

static void piix4_isa_free(struct device *device)
{
	struct pci_dev *dev = container_of(device, struct pci_dev, device);

	pci_dev_deinit(dev);
	free(dev);
}

static const struct device_ops piix4_isa_ops = {.reset = piix4_isa_reset, .free = piix4_isa_free};

struct err *piix4_isa_create(struct pci_dev **ret_dev)
{
	static const struct pci_ids ids = {
		.vendor = 0x8086, .device = 0x7000, .class_code = 0x060100};
	struct pci_dev *dev = new0(struct pci_dev);

	if (!dev)
		return err_new(ENOMEM, "Cannot create the ISA bridge");
	dev->device = (struct device){.ops = &piix4_isa_ops, .name = "isa-bridge"};
	pci_dev_init(dev, &ids, NULL, false);
	*ret_dev = dev;
	return NULL;
}

/* ---- Power management ---- */

static uint64_t piix4_pm_read(struct io_region *region, uint64_t off, unsigned int size)
{
	return container_of(region, struct piix4_pm, control)->value >> (8 * off);
}

static void piix4_pm_write(
	struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct piix4_pm *pm = container_of(region, struct piix4_pm, control);

	if (size != PM_CONTROL_SIZE)
		return;
	pm->value = (uint16_t)value & (uint16_t)~PM_CONTROL_SLEEP;
	if ((value & PM_CONTROL_SLEEP) && !(value & PM_CONTROL_SLEEP_TYPE))
		machine_events_report(pm->events, MACHINE_POWER_OFF, "PM1 control register");
}

static void piix4_pm_reset(struct device *device)
{
	struct piix4_pm *pm = container_of(device, struct piix4_pm, pci.device);

	pm->value = 0;
	pci_dev_reset(&pm->pci);
}

static void piix4_pm_free(struct device *device)
{
	struct piix4_pm *pm = container_of(device, struct piix4_pm, pci.device);

	bus_remove(pm->pio, &pm->control);
	pci_dev_deinit(&pm->pci);
	free(pm);
}

static const struct device_ops piix4_pm_ops = {.reset = piix4_pm_reset, .free = piix4_pm_free};
static const struct io_ops piix4_pm_io_ops = {.read = piix4_pm_read, .write = piix4_pm_write};

struct err *piix4_pm_create(
	struct bus *pio, struct machine_events *events, struct pci_dev **ret_dev)
{
	/* Revision 3: the timer of older ones has to be read three times. */
	static const struct pci_ids ids = {
		.vendor = 0x8086, .device = 0x7113, .class_code = 0x068000, .revision = 3};
	struct piix4_pm *pm = new0(struct piix4_pm);
	struct err *err;

	if (!pm)
		return err_new(ENOMEM, "Cannot create the power management function");
	pm->pci.device = (struct device){.ops = &piix4_pm_ops, .name = "piix4-pm"};
	pm->control = (struct io_region){
		.ops = &piix4_pm_io_ops, .name = "pm1-control", .size = PM_CONTROL_SIZE};
	pm->pio = pio;
	pm->events = events;
	pci_dev_init(&pm->pci, &ids, NULL, false);
	store_le32(pm->pci.config + PM_CONFIG_BASE, PIIX4_PM_BASE | 1);
	/* There is no system management mode; who finds it set up leaves it alone (SeaBIOS). */
	pm->pci.config[PM_CONFIG_APMC] = 2;
	pm->pci.config[PM_CONFIG_MISC] = 1;
	err = bus_add_at(pio, &pm->control, PIIX4_PM_BASE + PM_CONTROL_OFF);
	if (err) {
		piix4_pm_free(&pm->pci.device);
		return err;
	}
	*ret_dev = &pm->pci;
	return NULL;
}
