/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables that tell the guest what the x86_64 board has.
 */
#include "board/x86_64/board_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/strbuf.h"
#include "device/cmos_time.h"
#include "device/fw_cfg.h"
#include "tables/acpi/acpi.h"
#include "tables/smbios/smbios.h"

#define FIRMWARE_SMBIOS_MAX MIB(2) /* credentials and all */

static struct err *firmware_put(struct board *board, uint64_t gpa, const struct strbuf *sb)
{
	int ret = ram_write(board->ram, gpa, sb->data, sb->len);

	return ret ? err_new(-ret, "The tables at %#llx are not in RAM", (unsigned long long)gpa)
		   : NULL;
}

static struct acpi_facts firmware_acpi_facts(const struct board *board, const uint32_t *apic_ids)
{
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

	if (board->windows.mem64_end > board->windows.mem64_base) {
		facts.pci_mem64_first = board->windows.mem64_base;
		facts.pci_mem64_last = board->windows.mem64_end - 1;
	}
	return facts;
}

static struct err *firmware_acpi(struct board *board, const uint32_t *apic_ids)
{
	auto_strbuf struct strbuf sb = STRBUF_INIT(X86_ACPI_SIZE);
	struct acpi_facts facts = firmware_acpi_facts(board, apic_ids);
	struct err *err = acpi_build(&facts, &sb);

	return err ? err : firmware_put(board, X86_ACPI_BASE, &sb);
}

static struct err *firmware_build_smbios(
	const struct board *board, uint64_t room, struct strbuf *sb)
{
	uint64_t size = board->config->memory.size;
	uint64_t low = MIN(size, (uint64_t)X86_RAM_LOW_END);
	struct smbios_facts facts = {
		.base = X86_SMBIOS_BASE,
		.size = room,
		.sockets = board->topology.sockets,
		.cores = board->topology.cores,
		.threads = board->topology.threads,
		.ram = {{0, low}, {X86_RAM_HIGH_BASE, size - low}},
		.version = ALIOTH_VERSION,
		.oem_strings = (const char *const *)board->oem_strings,
	};

	return smbios_build(&facts, sb);
}

static struct err *firmware_smbios(struct board *board)
{
	auto_strbuf struct strbuf sb = STRBUF_INIT(X86_SMBIOS_SIZE);
	struct err *err = firmware_build_smbios(board, X86_SMBIOS_SIZE, &sb);

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

/* The APIC ids of all vCPUs; the caller frees them. */
static struct err *firmware_apic_ids(const struct board *board, uint32_t **ret_ids)
{
	unsigned int n = board->config->cpu.count;
	uint32_t *ids = new0_array(uint32_t, n);

	if (!ids)
		return err_new(ENOMEM, "Cannot build the firmware tables");
	for (unsigned int i = 0; i < n; i++)
		ids[i] = x86_topology_apic_id(&board->topology, i);
	*ret_ids = ids;
	return NULL;
}

struct err *board_write_tables(struct board *board)
{
	auto_free uint32_t *apic_ids = NULL;
	struct err *err = firmware_apic_ids(board, &apic_ids);

	if (!err)
		err = firmware_acpi(board, apic_ids);
	if (!err)
		err = firmware_smbios(board);
	return err ? err : firmware_reset_vector(board);
}

/* ---- For firmware that puts the tables somewhere itself ---- */

static struct err *firmware_add_file(
	struct board *board, const char *name, const char *data, size_t size)
{
	return fw_cfg_add_file(
		board->fw_cfg, name, &(struct fw_cfg_content){.data = data, .size = size});
}

static struct err *firmware_add_acpi(struct board *board, const uint32_t *apic_ids)
{
	struct acpi_facts facts = firmware_acpi_facts(board, apic_ids);
	struct acpi_loader loader;
	struct err *err = acpi_build_loader(&facts, &loader);

	if (!err)
		err = firmware_add_file(
			board, "etc/acpi/tables", loader.tables.data, loader.tables.len);
	if (!err)
		err = firmware_add_file(board, "etc/acpi/rsdp", loader.rsdp.data, loader.rsdp.len);
	if (!err)
		err = firmware_add_file(
			board, "etc/table-loader", loader.script.data, loader.script.len);
	acpi_loader_deinit(&loader);
	return err;
}

static struct err *firmware_add_smbios(struct board *board)
{
	auto_strbuf struct strbuf sb = STRBUF_INIT(FIRMWARE_SMBIOS_MAX);
	struct err *err = firmware_build_smbios(board, FIRMWARE_SMBIOS_MAX, &sb);

	if (!err)
		err = firmware_add_file(
			board, "etc/smbios/smbios-anchor", sb.data, SMBIOS_ENTRY_SIZE);
	if (!err)
		err = firmware_add_file(board, "etc/smbios/smbios-tables",
			sb.data + SMBIOS_TABLE_AT, sb.len - SMBIOS_TABLE_AT);
	return err;
}

/* UEFI firmware puts its 64-bit PCI window behind this address: into ours. */
static struct err *firmware_add_memory_end(struct board *board)
{
	char end[8];

	if (!board->windows.mem64_base)
		return NULL;
	store_le64(end, board->windows.mem64_base);
	return firmware_add_file(board, "etc/reserved-memory-end", end, sizeof(end));
}

struct err *board_fw_cfg_tables(struct board *board)
{
	auto_free uint32_t *apic_ids = NULL;
	struct err *err = firmware_apic_ids(board, &apic_ids);

	if (!err)
		err = firmware_add_acpi(board, apic_ids);
	if (!err)
		err = firmware_add_smbios(board);
	return err ? err : firmware_add_memory_end(board);
}
