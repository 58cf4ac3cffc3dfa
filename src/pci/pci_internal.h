/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers of the configuration header (PCI 3.0, 6.1), and what the files of this folder share.
 */
#pragma once

#include "pci/pci.h"

#define PCI_VENDOR               0x00
#define PCI_DEVICE               0x02
#define PCI_COMMAND              0x04
#define PCI_STATUS               0x06
#define PCI_REVISION             0x08
#define PCI_CLASS                0x09
#define PCI_HEADER_TYPE          0x0e
#define PCI_BAR0                 0x10
#define PCI_BAR_END              0x28
#define PCI_SUBSYSTEM            0x2c
#define PCI_CAPABILITIES         0x34
#define PCI_INTERRUPT_LINE       0x3c
#define PCI_INTERRUPT_PIN        0x3d
#define PCI_FIRST_CAP            0x40

#define PCI_COMMAND_IO           0x0001
#define PCI_COMMAND_MEMORY       0x0002
#define PCI_COMMAND_MASTER       0x0004
#define PCI_COMMAND_SERR         0x0100
#define PCI_COMMAND_INTX_DISABLE 0x0400
#define PCI_STATUS_INTX          0x0008
#define PCI_STATUS_CAPABILITIES  0x0010
#define PCI_HEADER_MULTIFUNCTION 0x80

struct pci_segment {
	struct pci_segment_options options;
	pthread_mutex_t lock; /* guards configuration space of all devices; lock order 20 */
	struct io_region ecam;
	struct io_region ports;    /* 0xcf8 .. 0xcff */
	uint32_t address;          /* of 0xcf8 */
	unsigned int n;            /* devices added */
	struct pci_dev *devs[256]; /* before place: by order; afterwards by slot << 3 | function */
	bool placed;
	bool has_blocked_bars; /* some BAR may be off because another was in its place */
};

/* One access to configuration space, 1, 2 or 4 bytes inside a dword, at any offset. Segment lock
 * held. */
uint32_t pci_dev_config_read(struct pci_dev *dev, unsigned int off, unsigned int size);
void pci_dev_config_write(struct pci_dev *dev, unsigned int off, unsigned int size, uint32_t value);
/* BAR addresses and command register as they are now, to the buses. Segment lock held, or no vCPU
 * runs. */
void pci_dev_update_bars(struct pci_dev *dev);
/* Switches decoding and bus mastering on. No vCPU runs. */
void pci_dev_enable(struct pci_dev *dev);
/* Makes every BAR known to its bus. */
struct err *must_check pci_dev_register_bars(struct pci_dev *dev);
void pci_dev_unregister_bars(struct pci_dev *dev);
/* What the BAR's registers say. Segment lock held, or no vCPU runs. */
uint64_t pci_dev_bar_address(const struct pci_dev *dev, unsigned int bar);

/* What the function's pin shows, after a change of what it depends on. irq_lock held. */
void pci_dev_update_intx_locked(struct pci_dev *dev);

/* The message control register may have been written. Segment lock held. */
void pci_msix_config_written(struct pci_dev *dev);
bool pci_msix_is_enabled_locked(const struct pci_dev *dev);
void pci_msix_reset(struct pci_dev *dev);
void pci_msix_free(struct pci_dev *dev);
