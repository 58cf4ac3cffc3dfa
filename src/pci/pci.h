/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI functions as the machine sees them, and what a device model needs to be one. PCI Local Bus
 * Specification 3.0, chapter 6; PCI Express Base Specification (ECAM, 7.2.2).
 *
 * Theory of operation. A `pci_dev` has 256 bytes of configuration space with a write mask and a
 * write-1-to-clear mask a byte, so that every access width and alignment is handled by one loop. A
 * device declares its BARs and capabilities before pci_bus_add(). The host side gives each BAR its
 * first address (board); the guest may move it: a BAR is live on the MMIO or port bus only while
 * the command register enables its space and the address is sane; otherwise it answers nothing. All
 * config accesses are made with the segment's lock held; BAR and MSI-X callbacks are called under
 * that lock too.
 */
#pragma once

#include <pthread.h>

#include "base/err.h"
#include "device/device.h"
#include "device/irq.h"
#include "mem/bus.h"

#define PCI_CONFIG_SIZE                                                                            \
	256 /* the conventional part; the extended one reads as zeros: no capabilities there */
#define PCI_NUM_BARS 6

struct pci_dev;
struct pci_segment;
struct pci_msix;
struct hv_vm;

enum pci_bar_type { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64, PCI_BAR_MEM64_PREF };

struct pci_bar {
	enum pci_bar_type type;
	uint64_t size; /* a power of two, >= 16 (memory) or 4 (I/O) */
	/* What answers accesses (with host memory there: those outside of it); ops and name set by
	 * the device. */
	struct io_region region;
	bool live;
};

struct pci_dev_ops {
	/* After the guest (or the board) moved, enabled or disabled a BAR; optional. [vcpu] */
	void (*bar_changed)(struct pci_dev *dev, unsigned int bar, bool live, uint64_t addr);
	/* The guest took away the right to be a bus master: no access to memory from now on;
	 * optional. [vcpu] */
	void (*master_lost)(struct pci_dev *dev);
	/*
	 * Reads and writes of device-specific config registers (virtio's PCI_CFG capability):
	 * called before a read (to refresh bytes of dev->config) and after a write of [off, off +
	 * size). Optional. [vcpu]
	 */
	void (*config_read)(struct pci_dev *dev, unsigned int off, unsigned int size);
	void (*config_written)(struct pci_dev *dev, unsigned int off, unsigned int size);
};

struct pci_dev {
	struct device device; /* name, reset, free */
	const struct pci_dev_ops *ops;
	struct pci_segment *segment; /* NULL until added */
	struct pci_msix *msix;       /* NULL without MSI-X; owned */
	struct irq_line *intx;       /* routed by the board; NULL without INTx */
	uint8_t bus, slot, function;
	struct pci_dev *beside; /* function 0 of its slot, if the board chose that; else NULL */
	uint16_t next_cap;      /* where the next capability goes; PCI_CONFIG_SIZE: nowhere */
	struct pci_bar bars[PCI_NUM_BARS];
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t wmask[PCI_CONFIG_SIZE];        /* bits that the guest may change */
	uint8_t w1cmask[PCI_CONFIG_SIZE];      /* bits that a 1 clears */
	uint8_t reset_config[PCI_CONFIG_SIZE]; /* what pci_dev_reset() restores */

	pthread_mutex_t irq_lock; /* guards what follows and msix; lock order 50 */
	bool intx_level;          /* what the device asserts */
	bool intx_disabled;       /* by the command register */
};

struct pci_ids {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class_code; /* 24 bits: class, subclass, interface */
	uint8_t revision;
};

/* Fills the header; no BARs, no capabilities yet. `has_intx`: pin A. [main] */
void pci_dev_init(struct pci_dev *dev, const struct pci_ids *ids, const struct pci_dev_ops *ops,
	bool has_intx);
/* Frees what pci_dev_init() and pci_msix_add() made (not the object). */
void pci_dev_deinit(struct pci_dev *dev);
/* Command, BAR addresses, MSI-X and writable registers as after power-on (BARs as the board placed
 * them). [main] */
void pci_dev_reset(struct pci_dev *dev);

/* Declares a BAR; a MEM64 type uses bar and bar + 1. Before pci_segment_add(). */
void pci_dev_add_bar(struct pci_dev *dev, unsigned int bar, enum pci_bar_type type, uint64_t size,
	const struct io_ops *ops, const char *name);
/* Its first address, inside the windows and a multiple of its size, which no other BAR gets. Those
 * without one are placed by pci_segment_place(). */
void pci_dev_set_bar_address(struct pci_dev *dev, unsigned int bar, uint64_t addr);
/* Adds a capability of len bytes (its 2-byte header included); the offset, or 0 if there is no
 * room. */
uint8_t must_check pci_dev_add_cap(struct pci_dev *dev, uint8_t id, const void *body, uint8_t len);

/* Level of INTx; the pin shows it unless the guest disabled it or enabled MSI-X, the status bit
 * always. [any] */
void pci_dev_set_intx(struct pci_dev *dev, bool level);

/*
 * MSI-X (PCI 3.0, 6.8.2): table at `table_off` and pending bits at `pba_off` of BAR `bar`. The
 * device's BAR handler passes accesses in these ranges to pci_msix_read/write. Signals of a masked
 * vector become pending bits and are delivered at unmask. A vector is delivered as a message by the
 * device's thread, until it gets an irqfd by pci_msix_fd(). [main]
 */
struct err *must_check pci_msix_add(struct pci_dev *dev, struct hv_vm *vm, unsigned int n_vectors,
	unsigned int bar, uint32_t table_off, uint32_t pba_off);
/* true if off of the MSI-X BAR belongs to the table or the pending bits (and the access was
 * handled). */
bool pci_msix_read(struct pci_dev *dev, uint64_t off, unsigned int size, uint64_t *ret_value);
bool pci_msix_write(struct pci_dev *dev, uint64_t off, unsigned int size, uint64_t value);
/* true while the guest has MSI-X enabled (then INTx is not used). [any] */
bool pci_msix_enabled(const struct pci_dev *dev);
/* Raises a vector; out of range or NO_VECTOR (0xffff): nothing. Thread-safe, cheap. [any] */
void pci_msix_signal(struct pci_dev *dev, unsigned int vector);
/* The eventfd that raises the vector without the monitor (vhost); -errno. Owned by the device.
 * [loop] */
int pci_msix_fd(struct pci_dev *dev, unsigned int vector);

/* The windows that BARs are placed in by the board; all ends exclusive. */
struct pci_windows {
	uint64_t io_base, io_end;
	uint64_t mem32_base, mem32_end;
	uint64_t mem64_base, mem64_end;
	/* From here on BARs are placed in the 64-bit window; what is below has its address from the
	 * device (pci_dev_set_bar_address()). 0: all of it. */
	uint64_t mem64_free;
	/* Nothing is placed here, but a guest may do so. Empty: none. */
	uint64_t high32_base, high32_end;
};

/* Gives a function the line of its pin (0 .. 3, INTA# first); called by pci_segment_place(). */
struct pci_intx_router {
	struct irq_line *(*route)(
		struct pci_intx_router *router, const struct pci_dev *dev, unsigned int pin);
};

struct pci_segment_options {
	struct pci_intx_router *intx; /* NULL: no INTx */
	struct bus *mmio;
	struct bus *pio; /* NULL: no port I/O (arm64) */
	struct hv_vm *vm;
	/* Takes the byte accesses to port 0xcf9, inside CF8's four (device/reset_control.h). NULL:
	 * nothing there. */
	struct io_region *reset_control;
	struct pci_windows windows;
	uint64_t ecam_base;   /* 1 MiB a bus */
	unsigned int n_buses; /* 1 .. 256 */
	/* Functions answer and are bus masters from the start, as a BIOS leaves them for what
	 * boots: small firmware without a PCI driver of its own (rust-hypervisor-firmware) relies
	 * on it. */
	bool enabled;
};

/* Registers ECAM (and CF8/CFC if pio) and owns the root complex. [main] */
struct err *must_check pci_segment_create(
	const struct pci_segment_options *options, struct pci_segment **ret_segment);
/* Frees the segment, not the devices. */
void pci_segment_free(struct pci_segment *segment);

/*
 * Registers a device; pci_segment_place() then gives all of them their addresses in the order of
 * addition (BDF order = order of addition). Up to 32 devices: function 0 of slots 0, 1, 2 ... of
 * bus 0. More: the last slots become multifunction, as many as it takes. -ENOSPC beyond 256. [main]
 */
struct err *must_check pci_segment_add(struct pci_segment *segment, struct pci_dev *dev);
/* Registers a device as function 1 .. 7 of the slot that `first`, which was registered, will have.
 * [main] */
struct err *must_check pci_segment_add_function(struct pci_segment *segment, struct pci_dev *dev,
	struct pci_dev *first, unsigned int function);
/* Assigns BDFs and places the BARs in the windows; once, before the guest runs. [main] */
struct err *must_check pci_segment_place(struct pci_segment *segment);
void pci_segment_remove(struct pci_segment *segment, struct pci_dev *dev);
/* By its host bridge, firmware tells machines apart. */
enum pci_host_bridge {
	PCI_HOST_BRIDGE_GENERIC, /* 1022:1480: nobody's special case */
	PCI_HOST_BRIDGE_I440FX,  /* 8086:1237: with pci/piix4.h, what UEFI firmware runs on */
};

/* The root complex's host bridge (00:00.0), freed by the caller as a device. */
struct err *must_check pci_host_bridge_create(enum pci_host_bridge model, struct pci_dev **ret_dev);
