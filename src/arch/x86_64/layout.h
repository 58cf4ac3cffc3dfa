/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The physical map, the ports and the interrupt lines of the x86_64 machine. Constants only.
 *
 *   0x00000000  low memory: start-up structures below, ACPI tables, SMBIOS
 *   0x01000000  where a kernel goes by default
 *   0x80000000  end of low RAM, 32-bit PCI windows
 *   0xe0000000  ECAM
 *   0xfec00000  I/O APIC, 0xfee00000 local APICs
 *   4 GiB       high RAM, persistent memory, then the 64-bit PCI window (x86_pci64_window()), which
 *               begins with persistent memory where that is BARs too (board/x86_64/pmem.c)
 */
#pragma once

#include "base/macros.h"

/* Start-up structures in the first 64 KiB. They are the guest's to overwrite once it runs. */
#define X86_GDT_BASE         0x500u
#define X86_BOOT_PARAMS_BASE 0x1000u /* struct boot_params, or hvm_start_info with its arrays */
#define X86_BOOT_PARAMS_SIZE 0x1000u
#define X86_PAGE_TABLES_BASE 0x3000u
#define X86_PAGE_TABLES_SIZE 0x6000u /* PML4, PDPT, 4 page directories */
/* A place of its own with room for any kernel's limit; the classic 4 KiB at 0x2000 would cap it. */
#define X86_CMDLINE_BASE 0x20000u
#define X86_CMDLINE_SIZE 0x10000u
#define X86_LOW_RAM_END  0x80000u /* e820: RAM from 0 to here */

/* ACPI tables, the RSDP first (e820: ACPI data). */
#define X86_ACPI_BASE 0x80000u
#define X86_ACPI_SIZE 0x20000u
/*
 * Backed by RAM but reserved in e820: a guest that was not told otherwise scans 0xf0000-0xfffff for
 * the SMBIOS entry point, so that must not be memory which its allocator hands out.
 */
#define X86_LEGACY_HOLE_BASE 0xa0000u
#define X86_LEGACY_HOLE_END  0x100000u
#define X86_SMBIOS_BASE      0xf0000u
#define X86_SMBIOS_SIZE      0xfff0u
/* Where a BIOS begins: a few instructions that reset the machine. */
#define X86_RESET_VECTOR     0xffff0u

#define X86_HIGH_MEMORY_BASE 0x100000u
#define X86_KERNEL_BASE      0x1000000u

#define X86_RAM_LOW_END      0x80000000u
#define X86_PCI_MEM32_BASE   0x80000000u
#define X86_PCI_MEM32_END    0xe0000000u
#define X86_ECAM_BASE        0xe0000000u
#define X86_ECAM_SIZE        0x10000000u /* 256 buses */
#define X86_KVM_TSS_BASE     0xf0000000u /* hypervisor's own pages on processors that need them */
#define X86_KVM_TSS_SIZE     0x4000u
#define X86_IOAPIC_BASE      0xfec00000u
#define X86_IOAPIC_SIZE      0x1000u
#define X86_LOCAL_APIC_BASE  0xfee00000u
#define X86_LOCAL_APIC_SIZE  0x100000u /* with the MSI address range */
#define X86_RAM_HIGH_BASE    0x100000000u
#define X86_PCI_MEM64_MAX    (1ull << 40) /* largest 64-bit window */

#define X86_ROM_END          0x100000000u
#define X86_ROM_MAX          0x1000000u /* code and variables */
#define X86_ROM_ALIAS_END    0x100000u  /* its last 128 KiB are here too */
#define X86_ROM_ALIAS_SIZE   0x20000u

/* Ports. */
#define X86_PORT_I8042_DATA    0x60
#define X86_PORT_I8042_COMMAND 0x64
#define X86_PORT_RTC           0x70 /* index, data */
#define X86_PORT_COM1          0x3f8
#define X86_PORT_DEBUG         0x402 /* of firmware */
#define X86_PORT_FW_CFG        0x510 /* 12 ports */
#define X86_PORT_SLEEP_CONTROL 0x600
#define X86_PORT_SLEEP_STATUS  0x601
#define X86_PORT_RESET         0x604
#define X86_RESET_VALUE        0x72 /* 'r', FADT RESET_VALUE */
#define X86_PORT_PM_TIMER      0x608
#define X86_PORT_GED           0x60c /* event status, 32 bits */
#define X86_PORT_PCI_ADDRESS   0xcf8
#define X86_PORT_RESET_CONTROL 0xcf9
#define X86_PORT_PCI_DATA      0xcfc
#define X86_PCI_IO_BASE        0x1000
#define X86_PCI_IO_END         0x10000

/* Global system interrupts (I/O APIC pins). */
#define X86_GSI_COM1       4  /* edge */
#define X86_GSI_RTC        8  /* edge */
#define X86_GSI_GED        9  /* level */
#define X86_GSI_PCI_INTX   16 /* level, INTA# .. INTD# on 16 .. 19 */
#define X86_GSI_PCI_INTX_N 4
