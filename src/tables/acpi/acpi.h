/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI tables of a hardware-reduced x86 machine (ACPI 6.5): pure functions of facts that the board
 * owns.
 */
#pragma once

#include "base/strbuf.h"

struct err;

struct acpi_facts {
	uint64_t base; /* physical address of the tables, the RSDP first */
	uint64_t size; /* room there */
	const uint32_t *apic_ids;
	unsigned int n_cpus;
	uint32_t local_apic;
	uint32_t ioapic;
	uint16_t com1_port;
	uint8_t com1_irq;
	uint16_t fw_cfg_port; /* 0: none */
	uint16_t rtc_port;    /* 0: none */
	uint8_t rtc_irq;
	uint8_t rtc_century;    /* the register in its RAM */
	uint16_t sleep_control; /* sleep status is the next port */
	uint16_t reset_port;
	uint8_t reset_value;
	uint16_t pm_timer;
	uint16_t ged_port; /* 32-bit event status, write 1 to clear; bit 0 is the power button */
	uint8_t ged_gsi;   /* level */
	uint64_t ecam;
	uint16_t pci_config_port; /* address and data, 8 ports */
	uint16_t pci_buses;
	uint16_t pci_io_first, pci_io_last;
	uint32_t pci_mem32_first, pci_mem32_last;
	uint64_t pci_mem64_first, pci_mem64_last; /* equal: none */
	uint8_t intx_gsi; /* pin p of slot s is wired to intx_gsi + (s + p) % intx_n */
	uint8_t intx_n;
};

/*
 * All tables as one blob to be written at facts->base. An error if they do not fit. [any]
 */
struct err *must_check acpi_build(const struct acpi_facts *facts, struct strbuf *out);

/* What firmware is given to put the tables wherever it likes (QEMU, docs/specs/fw_cfg.rst, and
 * hw/acpi/bios-linker-loader.c). Zero-initialised but for the strbufs' limits. */
struct acpi_loader {
	struct strbuf tables; /* etc/acpi/tables */
	struct strbuf rsdp;   /* etc/acpi/rsdp */
	struct strbuf script; /* etc/table-loader */
};

/* The tables for firmware; facts->base does not count. [any] */
struct err *must_check acpi_build_loader(const struct acpi_facts *facts, struct acpi_loader *out);
void acpi_loader_deinit(struct acpi_loader *loader);
