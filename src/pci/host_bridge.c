/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host bridge at 00:00.0: identification only.
 */
#include "pci/pci.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"

static void host_bridge_reset(struct device *device)
{
	pci_dev_reset(container_of(device, struct pci_dev, device));
}

static void host_bridge_free(struct device *device)
{
	struct pci_dev *dev = container_of(device, struct pci_dev, device);

	pci_dev_deinit(dev);
	free(dev);
}

static const struct device_ops host_bridge_ops = {
	.reset = host_bridge_reset, .free = host_bridge_free};

struct err *pci_host_bridge_create(enum pci_host_bridge model, struct pci_dev **ret_dev)
{
	static const struct pci_ids ids[] = {
		[PCI_HOST_BRIDGE_GENERIC] = {.vendor = 0x1022,
			.device = 0x1480,
			.class_code = 0x060000},
		[PCI_HOST_BRIDGE_I440FX] = {.vendor = 0x8086,
			.device = 0x1237,
			.class_code = 0x060000,
			.revision = 2},
	};
	struct pci_dev *dev = new0(struct pci_dev);

	if (!dev)
		return err_new(ENOMEM, "Cannot create the host bridge");
	dev->device = (struct device){.ops = &host_bridge_ops, .name = "host-bridge"};
	pci_dev_init(dev, &ids[model], NULL, false);
	*ret_dev = dev;
	return NULL;
}
