/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DSDT: PCI root, serial port, power button behind a Generic Event Device, \_S5.
 */
#include "tables/acpi/acpi_internal.h"
#include "tables/acpi/aml.h"

#define DSDT_RESOURCES_MAX 1024

/* e5c937d0-3553-4d7a-9117-ea4d19c3434d: PCI Firmware Specification 3.3, 4.6. */
static const uint8_t dsdt_pci_dsm_uuid[] = {0xd0, 0x37, 0xc9, 0xe5, 0x53, 0x35, 0x7a, 0x4d, 0x91,
	0x17, 0xea, 0x4d, 0x19, 0xc3, 0x43, 0x4d};
/* 33db4d5b-1ff7-401c-9657-7441c03dd766: ACPI 6.5, 6.2.11.3. */
static const uint8_t dsdt_pci_osc_uuid[] = {0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40, 0x96,
	0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66};

static void dsdt_pci_crs(const struct acpi_facts *facts, struct strbuf *sb)
{
	struct strbuf res = STRBUF_INIT(DSDT_RESOURCES_MAX);

	aml_res_bus_window(&res, 0, (uint16_t)(facts->pci_buses - 1));
	aml_res_io(&res, facts->pci_config_port, 8);
	aml_res_io_window(&res, facts->pci_io_first, facts->pci_io_last);
	aml_res_mem32_window(&res, facts->pci_mem32_first, facts->pci_mem32_last);
	if (facts->pci_mem64_last > facts->pci_mem64_first)
		aml_res_mem64_window(&res, facts->pci_mem64_first, facts->pci_mem64_last);
	aml_name_crs(sb, &res);
}

/* Each slot's four pins on GSIs that do not change (ACPI 6.5, 6.2.13). */
static void dsdt_pci_prt(const struct acpi_facts *facts, struct strbuf *sb)
{
	struct aml_mark all;

	aml_name(sb, "_PRT");
	all = aml_open_package(sb, 32 * 4);
	for (unsigned int slot = 0; slot < 32; slot++) {
		for (unsigned int pin = 0; pin < 4; pin++) {
			struct aml_mark entry = aml_open_package(sb, 4);

			aml_int(sb, slot << 16 | 0xffff);
			aml_int(sb, pin);
			aml_int(sb, 0);
			aml_int(sb, facts->intx_gsi + (slot + pin) % facts->intx_n);
			aml_close(sb, entry);
		}
	}
	aml_close(sb, all);
}

/* Function 5 returns 0: the system keeps the BARs where they are. Function 0: 0 and 5 exist. */
static void dsdt_pci_dsm(struct strbuf *sb)
{
	static const uint8_t functions = 0x21;
	static const uint8_t none = 0;
	struct aml_mark method = aml_open_method(sb, "_DSM", 4, true);
	struct aml_mark uuid = aml_open_if(sb);
	struct aml_mark function;

	aml_op_equal(sb);
	aml_arg(sb, 0);
	aml_buffer(sb, dsdt_pci_dsm_uuid, sizeof(dsdt_pci_dsm_uuid));
	function = aml_open_if(sb);
	aml_op_equal(sb);
	aml_arg(sb, 2);
	aml_int(sb, 0);
	aml_op_return(sb);
	aml_buffer(sb, &functions, 1);
	aml_close(sb, function);
	function = aml_open_if(sb);
	aml_op_equal(sb);
	aml_arg(sb, 2);
	aml_int(sb, 5);
	aml_op_return(sb);
	aml_int(sb, 0);
	aml_close(sb, function);
	aml_close(sb, uuid);
	aml_op_return(sb);
	aml_buffer(sb, &none, 1);
	aml_close(sb, method);
}

/*
 * The guest gets every feature that it asks for, as no firmware would keep one to itself. Only a
 * UUID that is not PCI's is refused.
 */
static void dsdt_pci_osc(struct strbuf *sb)
{
	static const uint32_t unrecognized_uuid = 1u << 2;
	struct aml_mark method = aml_open_method(sb, "_OSC", 4, true);
	struct aml_mark uuid = aml_open_if(sb);

	aml_op_equal(sb);
	aml_arg(sb, 0);
	aml_buffer(sb, dsdt_pci_osc_uuid, sizeof(dsdt_pci_osc_uuid));
	aml_op_return(sb);
	aml_arg(sb, 3);
	aml_close(sb, uuid);
	aml_op_dword_field(sb);
	aml_arg(sb, 3);
	aml_int(sb, 0);
	aml_path(sb, "CDW1");
	aml_op_or(sb);
	aml_path(sb, "CDW1");
	aml_int(sb, unrecognized_uuid);
	aml_path(sb, "CDW1");
	aml_op_return(sb);
	aml_arg(sb, 3);
	aml_close(sb, method);
}

static void dsdt_pci(const struct acpi_facts *facts, struct strbuf *sb)
{
	struct aml_mark device = aml_open_device(sb, "PCI0");

	aml_name_eisa(sb, "_HID", "PNP0A08");
	aml_name_eisa(sb, "_CID", "PNP0A03");
	aml_name_int(sb, "_UID", 0);
	aml_name_int(sb, "_SEG", 0);
	aml_name_int(sb, "_BBN", 0);
	aml_name_int(sb, "_CCA", 1);
	dsdt_pci_crs(facts, sb);
	dsdt_pci_prt(facts, sb);
	dsdt_pci_dsm(sb);
	dsdt_pci_osc(sb);
	aml_close(sb, device);
}

/* The registers of ECAM are not for anybody else (PCI Firmware Specification 3.3, 4.1.2). */
static void dsdt_ecam(const struct acpi_facts *facts, struct strbuf *sb)
{
	struct aml_mark device = aml_open_device(sb, "MB00");
	struct strbuf res = STRBUF_INIT(DSDT_RESOURCES_MAX);

	aml_name_eisa(sb, "_HID", "PNP0C02");
	aml_name_int(sb, "_UID", 0);
	aml_res_mem32_fixed(&res, (uint32_t)facts->ecam, (uint32_t)facts->pci_buses << 20);
	aml_name_crs(sb, &res);
	aml_close(sb, device);
}

static void dsdt_com1(const struct acpi_facts *facts, struct strbuf *sb)
{
	struct aml_mark device = aml_open_device(sb, "COM1");
	struct strbuf res = STRBUF_INIT(DSDT_RESOURCES_MAX);

	aml_name_eisa(sb, "_HID", "PNP0501");
	aml_name_int(sb, "_UID", 0);
	aml_res_io(&res, facts->com1_port, 8);
	aml_res_irq_legacy(&res, facts->com1_irq);
	aml_name_crs(sb, &res);
	aml_close(sb, device);
}

static void dsdt_rtc(const struct acpi_facts *facts, struct strbuf *sb)
{
	struct aml_mark device = aml_open_device(sb, "RTC0");
	struct strbuf res = STRBUF_INIT(DSDT_RESOURCES_MAX);

	aml_name_eisa(sb, "_HID", "PNP0B00");
	aml_res_io(&res, facts->rtc_port, 2);
	aml_res_irq_legacy(&res, facts->rtc_irq);
	aml_name_crs(sb, &res);
	aml_close(sb, device);
}

/* Linux: drivers/firmware/qemu_fw_cfg.c. */
static void dsdt_fw_cfg(const struct acpi_facts *facts, struct strbuf *sb)
{
	struct aml_mark device = aml_open_device(sb, "FWCF");
	struct strbuf res = STRBUF_INIT(DSDT_RESOURCES_MAX);

	aml_name_string(sb, "_HID", "QEMU0002");
	aml_name_int(sb, "_STA", 0x0b); /* present and working, not shown to people */
	aml_res_io(&res, facts->fw_cfg_port, 12);
	aml_name_crs(sb, &res);
	aml_close(sb, device);
}

/* Takes the events, and tells the button of its own (ACPI 6.5, 5.6.9.3). */
static void dsdt_ged_evt(struct strbuf *sb)
{
	struct aml_mark method = aml_open_method(sb, "_EVT", 1, true);
	struct aml_mark button;

	aml_op_store(sb);
	aml_path(sb, "ESTS");
	aml_local(sb, 0);
	aml_op_store(sb);
	aml_local(sb, 0);
	aml_path(sb, "ESTS");
	button = aml_open_if(sb);
	aml_op_and(sb);
	aml_local(sb, 0);
	aml_int(sb, 1);
	aml_no_target(sb);
	aml_op_notify(sb);
	aml_path(sb, "\\_SB.PWRB");
	aml_int(sb, 0x80);
	aml_close(sb, button);
	aml_close(sb, method);
}

static void dsdt_power(const struct acpi_facts *facts, struct strbuf *sb)
{
	struct strbuf res = STRBUF_INIT(DSDT_RESOURCES_MAX);
	struct aml_mark device = aml_open_device(sb, "PWRB");

	aml_name_eisa(sb, "_HID", "PNP0C0C");
	aml_name_int(sb, "_UID", 0);
	aml_close(sb, device);
	device = aml_open_device(sb, "GED0");
	aml_name_string(sb, "_HID", "ACPI0013");
	aml_name_int(sb, "_UID", 0);
	aml_res_interrupt(&res, facts->ged_gsi, true);
	aml_name_crs(sb, &res);
	aml_io_field32(sb, "GEDR", facts->ged_port, "ESTS");
	dsdt_ged_evt(sb);
	aml_close(sb, device);
}

size_t acpi_dsdt(const struct acpi_facts *facts, struct strbuf *sb)
{
	size_t at = acpi_open_table(sb, "DSDT", 6);
	struct aml_mark scope = aml_open_scope(sb, "\\_SB");
	struct aml_mark package;

	dsdt_pci(facts, sb);
	dsdt_ecam(facts, sb);
	dsdt_com1(facts, sb);
	if (facts->rtc_port)
		dsdt_rtc(facts, sb);
	if (facts->fw_cfg_port)
		dsdt_fw_cfg(facts, sb);
	dsdt_power(facts, sb);
	aml_close(sb, scope);
	aml_name(sb, "_S5");
	package = aml_open_package(sb, 1);
	aml_int(sb, 5);
	aml_close(sb, package);
	acpi_close_table(sb, at);
	return at;
}
