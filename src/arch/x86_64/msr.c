/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSRs of a machine without firmware.
 */
#include "arch/x86_64/msr.h"

#include "arch/x86_64/layout.h"

#define MSR_IA32_APIC_BASE      0x1bu
#define MSR_IA32_MISC_ENABLE    0x1a0u
#define MSR_IA32_PAT            0x277u
#define MSR_IA32_MTRRDEFTYPE    0x2ffu
#define APIC_BASE_BSP           (1u << 8)
#define APIC_BASE_EXTD          (1u << 10)
#define APIC_BASE_EN            (1u << 11)
#define MISC_ENABLE_FAST_STRING 1u
/* SDM 3A, 12.12.4: PA0-7 = WB, WT, UC-, UC, and the same again. */
#define PAT_POWER_ON 0x0007040600070406ull
/* MTRRs on, no ranges, write-back by default: a kernel that finds them off would run uncached. */
#define MTRRDEFTYPE_ENABLED_WB 0x806u

bool x86_needs_x2apic(uint32_t max_apic_id)
{
	return max_apic_id > 254; /* 255 is xAPIC's broadcast */
}

uint64_t x86_apic_base(bool bsp, bool x2apic)
{
	return X86_LOCAL_APIC_BASE | APIC_BASE_EN | (x2apic ? APIC_BASE_EXTD : 0) |
	       (bsp ? APIC_BASE_BSP : 0);
}

unsigned int x86_boot_msrs(bool bsp, bool x2apic, struct hv_x86_msr msrs[X86_BOOT_MSRS_MAX])
{
	unsigned int n = 0;

	msrs[n++] = (struct hv_x86_msr){MSR_IA32_MISC_ENABLE, MISC_ENABLE_FAST_STRING};
	msrs[n++] = (struct hv_x86_msr){MSR_IA32_PAT, PAT_POWER_ON};
	msrs[n++] = (struct hv_x86_msr){MSR_IA32_MTRRDEFTYPE, MTRRDEFTYPE_ENABLED_WB};
	if (x2apic)
		msrs[n++] = (struct hv_x86_msr){MSR_IA32_APIC_BASE, x86_apic_base(bsp, true)};
	return n;
}
