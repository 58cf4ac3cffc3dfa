/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pvpanic: the device by which a guest tells that its kernel panicked (QEMU, docs/specs/pvpanic).
 */
#pragma once

#include "device/machine_events.h"
#include "pci/pci.h"

/* The caller adds it to a segment and owns it as a device. [main] */
struct err *must_check pvpanic_create(struct machine_events *events, struct pci_dev **ret_dev);
