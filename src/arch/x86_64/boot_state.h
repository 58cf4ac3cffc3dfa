/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state in which the boot processor enters a kernel without firmware, with the GDT and the page
 * tables it needs in guest RAM. Linux, Documentation/arch/x86/boot.rst (64-bit boot protocol); Xen,
 * docs/misc/pvh.pandoc. Other processors wait for SIPI, as the hypervisor makes them. All functions
 * [main].
 */
#pragma once

#include "hv/hv_x86.h"
#include "mem/ram.h"

struct x86_boot_state {
	struct hv_x86_regs regs;
	struct hv_x86_sregs sregs;
};

struct x86_linux64_entry {
	uint64_t rip;         /* startup_64: physical address */
	uint64_t boot_params; /* physical address of struct boot_params */
	/*
	 * The identity map covers the first 4 GiB, and [4 GiB, map_end) where anything that was
	 * loaded lies there. That takes pages of 1 GiB, and ends at 512 GiB.
	 */
	uint64_t map_end;
	bool gib_pages; /* x86_cpuid_has_gib_pages() */
	bool x2apic;    /* x86_needs_x2apic() */
};

/* bzImage and vmlinux: long mode, paging on. Writes X86_GDT_BASE and X86_PAGE_TABLES_BASE. */
struct err *must_check x86_boot_linux64(
	struct ram *ram, const struct x86_linux64_entry *entry, struct x86_boot_state *ret_state);

/* PVH: 32-bit protected mode, paging off, ebx = start_info. Writes X86_GDT_BASE. */
struct err *must_check x86_boot_pvh(struct ram *ram, uint32_t eip, uint32_t start_info, bool x2apic,
	struct x86_boot_state *ret_state);
