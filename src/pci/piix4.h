/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What firmware for QEMU's i440FX machine expects of its south bridge: an ISA bridge, behind which
 * it finds the serial port, and the power management function, whose control register it powers the
 * machine off with (Intel 82371AB data sheet). The timer behind the same base address is
 * device/pm_timer.h's.
 */
#pragma once

#include "device/machine_events.h"
#include "pci/pci.h"

/* Ports of the power management block: where firmware puts it if nobody has; here it is fixed, as
 * UEFI's shutdown uses the number. */
#define PIIX4_PM_BASE  0xb000
#define PIIX4_PM_TIMER (PIIX4_PM_BASE + 8)

/* For functions 0 and 3 of slot 1; the caller owns both. [main] */
struct err *must_check piix4_isa_create(struct pci_dev **ret_dev);
struct err *must_check piix4_pm_create(
	struct bus *pio, struct machine_events *events, struct pci_dev **ret_dev);
