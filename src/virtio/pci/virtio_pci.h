/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio over PCI (virtio 1.3, 4.1), modern devices only.
 */
#pragma once

#include "pci/pci.h"
#include "virtio/virtio.h"

struct hv_vm;

struct virtio_pci_options {
	struct hv_vm *hv;
	const struct ram *ram;
};

/*
 * Wraps a device model, which it owns from then on (also after an error), as a PCI function, to be
 * added to a segment and owned as a device. [main]
 */
struct err *must_check virtio_pci_create(
	const struct virtio_pci_options *options, struct virtio_dev *dev, struct pci_dev **ret_dev);
