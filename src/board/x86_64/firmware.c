/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables that tell the guest what the x86_64 board has.
 */
#include "board/x86_64/board_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "device/cmos_time.h"
#include "tables/acpi/acpi.h"
#include "tables/smbios/smbios.h"

static struct err *firmware_put(struct board *board, uint64_t gpa, const struct strbuf *sb)
{
	int ret = ram_write(board->ram, gpa, sb->data, sb->len);

	return ret ? err_new(-ret, "The tables at %#llx are not in RAM", (unsigned long long)gpa)
		   : NULL;
}

static struct err *firmware_acpi(struct board *board, const uint32_t *apic_ids)
{
	auto_strbuf struct strbuf sb = STRBUF_INIT(X86_ACPI_SIZE);
	struct acpi_facts facts = {
		.base = X86_ACPI_BASE,
		.size = X86_ACPI_SIZE,
		.apic_ids = apic_ids,
		.n_cpus = board->config->cpu.count,
		.local_apic = X86_LOCAL_APIC_BASE,
		.ioapic = X86_IOAPIC_BASE,
		.com1_port = X86_PORT_COM1,
		.com1_irq = X86_GSI_COM1,
		.rtc_port = board->config->rtc ? X86_PORT_RTC : 0,
		.rtc_irq = X86_GSI_RTC,
		.rtc_century = CMOS_CENTURY,
		.fw_cfg_port = board->fw_cfg ? X86_PORT_FW_CFG : 0,
		.sleep_control = X86_PORT_SLEEP_CONTROL,
		.reset_port = X86_PORT_RESET,
		.reset_value = X86_RESET_VALUE,
		.pm_timer = X86_PORT_PM_TIMER,
		.ged_port = X86_PORT_GED,
		.ged_gsi = X86_GSI_GED,
		.ecam = X86_ECAM_BASE,
		.pci_config_port = X86_PORT_PCI_ADDRESS,
		.pci_buses = BOARD_PCI_BUSES,
		.pci_io_first = X86_PCI_IO_BASE,
		.pci_io_last = X86_PCI_IO_END - 1,
		.pci_mem32_first = X86_PCI_MEM32_BASE,
		.pci_mem32_last = X86_PCI_MEM32_END - 1,
		.intx_gsi = X86_GSI_PCI_INTX,
		.intx_n = X86_GSI_PCI_INTX_N,
	};
	struct err *err;

	if (board->windows.mem64_end > board->windows.mem64_base) {
		facts.pci_mem64_first = board->windows.mem64_base;
		facts.pci_mem64_last = board->windows.mem64_end - 1;
	}
	err = acpi_build(&facts, &sb);
	return err ? err : firmware_put(board, X86_ACPI_BASE, &sb);
}

static struct err *firmware_smbios(struct board *board)
{
	auto_strbuf struct strbuf sb = STRBUF_INIT(X86_SMBIOS_SIZE);
	uint64_t size = board->config->memory.size;
	uint64_t low = MIN(size, (uint64_t)X86_RAM_LOW_END);
	struct smbios_facts facts = {
		.base = X86_SMBIOS_BASE,
		.size = X86_SMBIOS_SIZE,
		.sockets = board->topology.sockets,
		.cores = board->topology.cores,
		.threads = board->topology.threads,
		.ram = {{0, low}, {X86_RAM_HIGH_BASE, size - low}},
		.version = ALIOTH_VERSION,
		.oem_strings = (const char *const *)board->oem_strings,
	};
	struct err *err = smbios_build(&facts, &sb);

	return err ? err : firmware_put(board, X86_SMBIOS_BASE, &sb);
}

/*
 * Linux that finds hardware-reduced ACPI without EFI resets by a jump to the BIOS, in real mode
 * (arch/x86/kernel/reboot.c: BOOT_EFI, then BOOT_BIOS), and would run through empty memory for
 * ever.
 */
static struct err *firmware_reset_vector(struct board *board)
{
	static const uint8_t code[] = {
		0xba, (uint8_t)X86_PORT_RESET, X86_PORT_RESET >> 8, /* mov dx, X86_PORT_RESET */
		0xb0, X86_RESET_VALUE,                              /* mov al, X86_RESET_VALUE */
		0xee,                                               /* out dx, al */
		0xfa,                                               /* cli */
		0xf4,                                               /* hlt */
		0xeb, 0xfd,                                         /* jmp to hlt */
	};
	int ret = ram_write(board->ram, X86_RESET_VECTOR, code, sizeof(code));

	return ret ? err_new(-ret, "There is no RAM at the reset vector") : NULL;
}

struct err *board_write_tables(struct board *board)
{
	unsigned int n = board->config->cpu.count;
	auto_free uint32_t *apic_ids = new0_array(uint32_t, n);
	struct err *err;

	if (!apic_ids)
		return err_new(ENOMEM, "Cannot build the firmware tables");
	for (unsigned int i = 0; i < n; i++)
		apic_ids[i] = x86_topology_apic_id(&board->topology, i);
	err = firmware_acpi(board, apic_ids);
	if (!err)
		err = firmware_smbios(board);
	return err ? err : firmware_reset_vector(board);
}
