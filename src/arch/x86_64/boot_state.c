/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry states of the boot processor.
 */
#include "arch/x86_64/boot_state.h"

#include <errno.h>

#include "arch/x86_64/layout.h"
#include "arch/x86_64/msr.h"

#define CR0_PE          (1u << 0)
#define CR0_ET          (1u << 4)
#define CR0_NE          (1u << 5)
#define CR0_PG          (1u << 31)
#define CR4_PAE         (1u << 5)
#define EFER_LME        (1u << 8)
#define EFER_LMA        (1u << 10)
#define RFLAGS_RESERVED (1u << 1) /* always 1 */

/* Selectors of both protocols: code 0x10 and data 0x18 are fixed by Linux. The TSS takes two
 * entries. */
#define GDT_CODE           2u
#define GDT_DATA           3u
#define GDT_TSS            4u
#define GDT_ENTRIES        6u

#define ACCESS_CODE64      0xa09bu /* G, L, present, execute/read, accessed */
#define ACCESS_CODE32      0xc09bu /* G, D */
#define ACCESS_DATA        0xc093u /* G, B, present, read/write, accessed */
#define ACCESS_TSS_BUSY    0x008bu
#define ACCESS_GRANULARITY (1u << 15)

#define PTE_PRESENT_WRITE  0x3ull
#define PTE_LARGE          (1ull << 7)
#define PTES_PER_PAGE      512u
#define PAGE_TABLE_SIZE    4096u

static struct hv_x86_segment boot_segment(unsigned int entry, uint32_t limit, uint16_t access)
{
	return (struct hv_x86_segment){
		.limit = limit, .selector = (uint16_t)(entry * 8), .access = access};
}

/* The descriptor of a segment with base 0 (SDM 3A, 3.4.5). */
static uint64_t boot_descriptor(const struct hv_x86_segment *segment)
{
	uint64_t limit =
		segment->access & ACCESS_GRANULARITY ? segment->limit >> 12 : segment->limit;

	return (limit & 0xffff) | (limit >> 16 & 0xf) << 48 | (uint64_t)segment->access << 40;
}

/* Segments that are the same in both protocols but for the code's access rights; and their GDT. */
static struct err *boot_segments(struct ram *ram, uint16_t code_access, struct hv_x86_sregs *sregs)
{
	le64 gdt[GDT_ENTRIES] = {{0}};
	int r;

	sregs->cs = boot_segment(GDT_CODE, UINT32_MAX, code_access);
	sregs->ds = boot_segment(GDT_DATA, UINT32_MAX, ACCESS_DATA);
	sregs->es = sregs->fs = sregs->gs = sregs->ss = sregs->ds;
	sregs->tr = boot_segment(GDT_TSS, 0x67, ACCESS_TSS_BUSY);
	sregs->ldt = (struct hv_x86_segment){.unusable = true};
	gdt[GDT_CODE] = le64_make(boot_descriptor(&sregs->cs));
	gdt[GDT_DATA] = le64_make(boot_descriptor(&sregs->ds));
	gdt[GDT_TSS] = le64_make(boot_descriptor(&sregs->tr));
	sregs->gdt = (struct hv_x86_dtable){.base = X86_GDT_BASE, .limit = sizeof(gdt) - 1};
	r = ram_write(ram, X86_GDT_BASE, gdt, sizeof(gdt));
	return r ? err_new(-r, "The GDT at 0x%x is not in RAM", X86_GDT_BASE) : NULL;
}

/* One page of entries at `gpa`: n of them, `step` apart from `first`. */
static int boot_page_table(struct ram *ram, uint64_t gpa, uint64_t first, uint64_t step, uint64_t n)
{
	le64 table[PTES_PER_PAGE] = {{0}};

	assert(n <= PTES_PER_PAGE);
	for (uint64_t i = 0; i < n; i++)
		table[i] = le64_make(first + i * step);
	return ram_write(ram, gpa, table, sizeof(table));
}

/* PML4 and PDPT, and below them 1 GiB pages or directories of 2 MiB pages for `gib` GiB. */
static int boot_identity_map(struct ram *ram, uint64_t gib, bool gib_pages)
{
	const uint64_t pdpt = X86_PAGE_TABLES_BASE + PAGE_TABLE_SIZE;
	const uint64_t directories = pdpt + PAGE_TABLE_SIZE;
	int r = boot_page_table(ram, X86_PAGE_TABLES_BASE, pdpt | PTE_PRESENT_WRITE, 0, 1);

	if (r)
		return r;
	if (gib_pages)
		return boot_page_table(ram, pdpt, PTE_PRESENT_WRITE | PTE_LARGE, GIB(1), gib);
	r = boot_page_table(ram, pdpt, directories | PTE_PRESENT_WRITE, PAGE_TABLE_SIZE, gib);
	for (uint64_t i = 0; !r && i < gib; i++)
		r = boot_page_table(ram, directories + i * PAGE_TABLE_SIZE,
			GIB(i) | PTE_PRESENT_WRITE | PTE_LARGE, MIB(2), PTES_PER_PAGE);
	return r;
}

static struct err *boot_paging(struct ram *ram, const struct x86_linux64_entry *entry)
{
	const uint64_t max_gib = entry->gib_pages ? PTES_PER_PAGE : 4;
	uint64_t gib = MAX((entry->map_end >> 30) + !!(entry->map_end & (GIB(1) - 1)), (uint64_t)4);
	int r;

	static_assert((2 + 4) * PAGE_TABLE_SIZE <= X86_PAGE_TABLES_SIZE, "page tables do not fit");
	if (gib > max_gib)
		return err_new(EFBIG,
			"The kernel's start-up map ends at %llu GiB, but something it needs ends at 0x%llx",
			(unsigned long long)max_gib, (unsigned long long)entry->map_end);
	r = boot_identity_map(ram, gib, entry->gib_pages);
	return r ? err_new(-r, "The page tables at 0x%x are not in RAM", X86_PAGE_TABLES_BASE)
		 : NULL;
}

struct err *x86_boot_linux64(
	struct ram *ram, const struct x86_linux64_entry *entry, struct x86_boot_state *ret_state)
{
	struct x86_boot_state state = {
		.regs = {.rip = entry->rip, .rsi = entry->boot_params, .rflags = RFLAGS_RESERVED},
		.sregs =
			{
				.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG,
				.cr3 = X86_PAGE_TABLES_BASE,
				.cr4 = CR4_PAE,
				.efer = EFER_LME | EFER_LMA,
				.apic_base = x86_apic_base(true, entry->x2apic),
			},
	};
	struct err *err = boot_segments(ram, ACCESS_CODE64, &state.sregs);

	if (!err)
		err = boot_paging(ram, entry);
	if (err)
		return err_wrap(err, "Failed to prepare the kernel's 64-bit entry");
	*ret_state = state;
	return NULL;
}

struct err *x86_boot_pvh(struct ram *ram, uint32_t eip, uint32_t start_info, bool x2apic,
	struct x86_boot_state *ret_state)
{
	struct x86_boot_state state = {
		.regs = {.rip = eip, .rbx = start_info, .rflags = RFLAGS_RESERVED},
		.sregs =
			{
				.cr0 = CR0_PE | CR0_ET,
				.apic_base = x86_apic_base(true, x2apic),
			},
	};
	struct err *err = boot_segments(ram, ACCESS_CODE32, &state.sregs);

	if (err)
		return err_wrap(err, "Failed to prepare the kernel's PVH entry");
	*ret_state = state;
	return NULL;
}
