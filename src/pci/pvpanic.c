/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pvpanic, PCI form: one register of a byte.
 */
#include "pci/pvpanic.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"

#define PVPANIC_PANICKED     0x1
#define PVPANIC_CRASH_LOADED 0x2
#define PVPANIC_SHUTDOWN     0x4 /* the last resort of a guest that wants to be powered off */
#define PVPANIC_EVENTS       (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED | PVPANIC_SHUTDOWN)
#define PVPANIC_BAR_SIZE     4096

struct pvpanic {
	struct pci_dev pci;
	struct machine_events *events;
};

static uint64_t pvpanic_read(struct io_region *region, uint64_t off, unsigned int size)
{
	return off ? 0 : PVPANIC_EVENTS;
}

/* With a crash kernel loaded the guest goes on into that, and must not be disturbed. */
static void pvpanic_write(struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct pvpanic *pvpanic = container_of(region, struct pvpanic, pci.bars[0].region);

	if (off)
		return;
	if (value & PVPANIC_CRASH_LOADED)
		machine_events_report(pvpanic->events, MACHINE_CRASH_LOADED, "pvpanic");
	else if (value & PVPANIC_PANICKED)
		machine_events_report(pvpanic->events, MACHINE_PANIC, "pvpanic");
	else if (value & PVPANIC_SHUTDOWN)
		machine_events_report(pvpanic->events, MACHINE_POWER_OFF, "pvpanic");
}

static const struct io_ops pvpanic_io_ops = {.read = pvpanic_read, .write = pvpanic_write};

static void pvpanic_reset(struct device *device)
{
	pci_dev_reset(container_of(device, struct pci_dev, device));
}

static void pvpanic_free(struct device *device)
{
	struct pvpanic *pvpanic = container_of(device, struct pvpanic, pci.device);

	pci_dev_deinit(&pvpanic->pci);
	free(pvpanic);
}

static const struct device_ops pvpanic_device_ops = {.reset = pvpanic_reset, .free = pvpanic_free};

struct err *pvpanic_create(struct machine_events *events, struct pci_dev **ret_dev)
{
	static const struct pci_ids ids = {.vendor = 0x1b36,
		.device = 0x0011,
		.subsystem_vendor = 0x1af4,
		.subsystem = 0x1100,
		.class_code = 0x088000,
		.revision = 1};
	struct pvpanic *pvpanic = new0(struct pvpanic);

	if (!pvpanic)
		return err_new(ENOMEM, "Cannot create pvpanic");
	pvpanic->events = events;
	pvpanic->pci.device = (struct device){.ops = &pvpanic_device_ops, .name = "pvpanic"};
	pci_dev_init(&pvpanic->pci, &ids, NULL, false);
	pci_dev_add_bar(
		&pvpanic->pci, 0, PCI_BAR_MEM32, PVPANIC_BAR_SIZE, &pvpanic_io_ops, "pvpanic");
	*ret_dev = &pvpanic->pci;
	return NULL;
}
