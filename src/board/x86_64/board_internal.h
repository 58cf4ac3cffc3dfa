/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The x86_64 board's parts, shared by the files of this folder.
 */
#pragma once

#include "arch/x86_64/boot_state.h"
#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/ioapic.h"
#include "arch/x86_64/layout.h"
#include "arch/x86_64/topology.h"
#include "board/board.h"
#include "config/vm_config.h"
#include "device/acpi_pm.h"
#include "device/console.h"
#include "device/device.h"
#include "device/flash.h"
#include "device/machine_events.h"
#include "device/reset_control.h"
#include "device/serial.h"
#include "loader/loader.h"
#include "mem/bus.h"
#include "mem/ram.h"
#include "pci/pci.h"
#include "virtio/dev/console.h"

#define BOARD_RANGES_MAX 16
#define BOARD_PCI_BUSES  1

/* The serial port's, and those of the virtio console. */
#define BOARD_CONSOLES_MAX (1 + VIRTIO_CONSOLE_PORTS_MAX)
static_assert(BOARD_CONSOLES_MAX <= CONSOLE_CLOSE_MAX, "they are closed at once");

struct board_pmem;
struct virtio_dev;

/* Firmware in flash: an image that ends at 4 GiB, below it its variables. */
struct board_rom {
	uint8_t *code; /* mapped; NULL: no such firmware */
	uint64_t code_size;
	int code_fd;
	dev_t code_device; /* which file it is, with code_inode */
	ino_t code_inode;
	uint8_t *vars; /* mapped; NULL: none */
	uint64_t vars_size;
	int vars_fd;
	bool is_pvh; /* the firmware is an ELF file instead, which the loader starts */
	struct flash_memory memory; /* shows the variables to the guest */
};

struct board {
	struct board_env env;
	const struct vm_config *config;
	struct hv_vm *hv;
	struct ram *ram;
	struct ram_listener ram_to_hv; /* RAM regions become memory slots */
	struct bus *mmio;
	struct bus *pio;
	struct x86_topology topology;
	struct hv_x86_cpuid *cpuid; /* template; constant once vCPUs are being created */
	unsigned int phys_bits;
	bool gib_pages;
	bool x2apic;
	struct loader *loader; /* NULL: the firmware loads */
	struct board_rom rom;
	struct loader_range ranges[BOARD_RANGES_MAX]; /* the guest's memory map */
	unsigned int n_ranges;
	struct x86_boot_state boot; /* of vCPU 0, made by board_load() */
	struct device *devices;     /* in order of creation */
	struct device **devices_end;
	struct ioapic *ioapic;
	struct acpi_pm *acpi_pm;
	struct reset_control *reset_control;
	struct console *consoles[BOARD_CONSOLES_MAX]; /* the serial port's first */
	unsigned int n_consoles;
	struct virtio_balloon *balloon; /* NULL: none */
	struct fw_cfg *fw_cfg;          /* NULL: none */
	char **oem_strings;             /* NULL-terminated; NULL: none */
	size_t n_oem_strings;
	struct virtio_dev **disks; /* in their order; owned by their transports */
	unsigned int n_disks;
	struct board_pmem *pmem; /* as many as the configuration has, or NULL */
	bool pmem_in_bars;
	struct pci_segment *pci;
	struct pci_windows windows;
	struct pci_intx_router intx_router;
	struct ioapic_source intx[32][8]; /* [slot][function]: each one's own source of its pin */
};

/* Appends a device to the board's list, which owns it. */
void board_own(struct board *board, struct device *device);

/* devices.c: what board_populate() creates, besides PCI. */
struct err *must_check board_create_platform(struct board *board);
/* devices.c: the host's side of a console; `label` for log lines, or NULL. The board frees it. */
struct err *must_check board_open_console(struct board *board, const struct console_config *config,
	const char *label, struct console **ret_console);
/* fw_cfg.c: the device and what it holds, if there is a use for it. */
struct err *must_check board_create_fw_cfg(struct board *board);
/* oem_strings.c: what the user passes by SMBIOS. */
struct err *must_check board_open_oem_strings(struct board *board);
void board_free_oem_strings(struct board *board);
/* rom.c: checks and maps the firmware's files; shows them to the guest; puts into RAM what belongs
 * there. */
struct err *must_check board_open_rom(struct board *board);
void board_close_rom(struct board *board);
struct err *must_check board_create_rom(struct board *board);
struct err *must_check board_load_rom(struct board *board);
/* pci.c: the PCI segment and the functions on it. */
struct err *must_check board_create_pci(struct board *board);
/* The board owns the function; the segment gives it an address. */
struct err *must_check board_add_pci(struct board *board, struct pci_dev *dev);
/* virtio.c: the virtio devices, in the order of their addresses. */
struct err *must_check board_add_virtio_devices(struct board *board);
/* pmem.c: opens and maps all of it from `base` on, where nothing is; the end of the last one. */
struct err *must_check board_map_pmem(struct board *board, uint64_t base, uint64_t *ret_end);
/* true if all of it is BARs too, from *ret_base to that end. */
bool board_pmem_bars(const struct board *board, uint64_t *ret_base);
/* The device of one. */
struct err *must_check board_create_pmem(
	struct board *board, unsigned int index, struct virtio_dev **ret_dev);
void board_free_pmem(struct board *board);
/* firmware.c: ACPI and SMBIOS into RAM; or as items of fw_cfg. */
struct err *must_check board_fw_cfg_tables(struct board *board);
struct err *must_check board_write_tables(struct board *board);
