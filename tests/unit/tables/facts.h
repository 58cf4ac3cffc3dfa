/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine for the tests of the tables: the x86_64 board's addresses, with any number of
 * processors.
 */
#pragma once

#include "tables/acpi/acpi.h"

#define FACTS_CPUS_MAX 4096

static inline struct acpi_facts facts_of(uint32_t *apic_ids, unsigned int n_cpus)
{
	struct acpi_facts facts = {
		.base = 0x80000,
		.size = 0x20000,
		.apic_ids = apic_ids,
		.n_cpus = n_cpus,
		.local_apic = 0xfee00000,
		.ioapic = 0xfec00000,
		.com1_port = 0x3f8,
		.com1_irq = 4,
		.fw_cfg_port = 0x510,
		.rtc_port = 0x70,
		.rtc_irq = 8,
		.rtc_century = 0x32,
		.sleep_control = 0x600,
		.reset_port = 0x604,
		.reset_value = 0x72,
		.pm_timer = 0x608,
		.ged_port = 0x60c,
		.ged_gsi = 9,
		.ecam = 0xe0000000,
		.pci_config_port = 0xcf8,
		.pci_buses = 256,
		.pci_io_first = 0x1000,
		.pci_io_last = 0xffff,
		.pci_mem32_first = 0x80000000,
		.pci_mem32_last = 0xdfffffff,
		.pci_mem64_first = 0x4000000000,
		.pci_mem64_last = 0x7fffffffff,
		.intx_gsi = 16,
		.intx_n = 4,
	};

	for (unsigned int i = 0; i < n_cpus; i++)
		apic_ids[i] = i;
	return facts;
}
