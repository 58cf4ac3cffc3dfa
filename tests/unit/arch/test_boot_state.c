/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "arch/x86_64/boot_state.h"
#include "arch/x86_64/layout.h"
#include "arch/x86_64/msr.h"

static struct ram *ram;

static int setup(void **state)
{
	struct ram_options options = {.backend = RAM_ANON};

	assert_ok(ram_create(&options, &ram));
	assert_ok(ram_add(ram, 0, 0x100000, "low"));
	/* What was there before must not matter. */
	assert_int_equal(ram_fill(ram, 0, 0xff, 0x100000), 0);
	return 0;
}

static int teardown(void **state)
{
	ram_free(ram);
	return 0;
}

static uint64_t load64(uint64_t gpa)
{
	uint8_t raw[8];

	assert_int_equal(ram_read(ram, gpa, raw, sizeof(raw)), 0);
	return load_le64(raw);
}

/* What the processor makes of a linear address with the tables at cr3; all ones if it would fault.
 */
static uint64_t walk(uint64_t cr3, uint64_t linear)
{
	uint64_t table = cr3;

	for (unsigned int shift = 39; shift >= 12; shift -= 9) {
		uint64_t entry = load64(table + (linear >> shift & 511) * 8);
		uint64_t page = (1ull << shift) - 1;

		if ((entry & 3) != 3)
			return UINT64_MAX;
		if (shift == 12 || (entry & 0x80)) {
			assert_int_equal(
				entry & page & ~0xfffull, 0); /* aligned to the page's size */
			return (entry & ~0xfffull) | (linear & page);
		}
		table = entry & ~0xfffull;
	}
	return UINT64_MAX;
}

static void check_map(uint64_t cr3, uint64_t end)
{
	for (uint64_t gpa = 0x1234; gpa < end; gpa += MIB(2))
		assert_int_equal(walk(cr3, gpa), gpa);
	assert_int_equal(walk(cr3, end - 1), end - 1);
	assert_int_equal(walk(cr3, end), UINT64_MAX);
	assert_int_equal(walk(cr3, 1ull << 39), UINT64_MAX);
}

static void check_segment(const struct hv_x86_sregs *sregs, const struct hv_x86_segment *s)
{
	uint64_t d = load64(sregs->gdt.base + s->selector);
	uint32_t limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000));

	assert_true(s->selector + 7u <= sregs->gdt.limit);
	assert_int_equal(s->base, 0);
	assert_int_equal(d >> 16 & 0xffffff, 0);
	assert_int_equal(d >> 40 & 0xf0ff, s->access);
	assert_int_equal(s->access & 0x8000 ? limit << 12 | 0xfff : limit, s->limit);
}

static void test_linux_enters_in_long_mode(void **state)
{
	struct x86_linux64_entry entry = {
		.rip = 0x1000200, .boot_params = 0x1000, .gib_pages = true};
	struct x86_boot_state s;

	assert_ok(x86_boot_linux64(ram, &entry, &s));
	assert_int_equal(s.regs.rip, 0x1000200);
	assert_int_equal(s.regs.rsi, 0x1000);
	assert_int_equal(s.regs.rflags, 2);
	assert_int_equal(s.sregs.cr0 & 0x80000001, 0x80000001);
	assert_int_equal(s.sregs.cr4, 0x20);
	assert_int_equal(s.sregs.efer, 0x500);
	assert_int_equal(s.sregs.cs.selector, 0x10);
	assert_int_equal(s.sregs.ds.selector, 0x18);
	assert_int_equal(s.sregs.cs.access & 0x6000, 0x2000); /* L, not D */
	assert_int_equal(s.sregs.tr.access & 0xf, 0xb);
	assert_true(s.sregs.ldt.unusable);
	check_segment(&s.sregs, &s.sregs.cs);
	check_segment(&s.sregs, &s.sregs.ds);
	check_segment(&s.sregs, &s.sregs.ss);
	check_segment(&s.sregs, &s.sregs.tr);
	assert_int_equal(load64(s.sregs.gdt.base), 0);
	assert_int_equal(load64(s.sregs.gdt.base + s.sregs.tr.selector + 8), 0);
	assert_int_equal(s.sregs.apic_base, 0xfee00900);
	check_map(s.sregs.cr3, GIB(4));
}

static void test_map_without_gib_pages(void **state)
{
	struct x86_linux64_entry entry = {.rip = 0x1000000, .map_end = GIB(4)};
	struct x86_boot_state s;

	assert_ok(x86_boot_linux64(ram, &entry, &s));
	check_map(s.sregs.cr3, GIB(4));
	entry.map_end = GIB(4) + 1;
	assert_err(x86_boot_linux64(ram, &entry, &s), "ends at 4 GiB");
}

static void test_map_reaches_what_is_loaded(void **state)
{
	struct x86_linux64_entry entry = {.map_end = GIB(9) + 1, .gib_pages = true};
	struct x86_boot_state s;

	assert_ok(x86_boot_linux64(ram, &entry, &s));
	check_map(s.sregs.cr3, GIB(10));
	entry.map_end = GIB(512);
	assert_ok(x86_boot_linux64(ram, &entry, &s));
	assert_int_equal(walk(s.sregs.cr3, GIB(512) - 1), GIB(512) - 1);
	entry.map_end = UINT64_MAX;
	assert_err(x86_boot_linux64(ram, &entry, &s), "ends at 512 GiB");
}

static void test_nothing_else_is_touched(void **state)
{
	struct x86_linux64_entry entry = {.map_end = GIB(4)};
	struct x86_boot_state s;

	assert_ok(x86_boot_linux64(ram, &entry, &s));
	assert_int_equal(load64(X86_GDT_BASE - 8), UINT64_MAX);
	assert_int_equal(load64(X86_BOOT_PARAMS_BASE), UINT64_MAX);
	assert_int_equal(load64(X86_PAGE_TABLES_BASE - 8), UINT64_MAX);
	assert_int_equal(load64(X86_PAGE_TABLES_BASE + X86_PAGE_TABLES_SIZE), UINT64_MAX);
}

static void test_pvh_enters_in_protected_mode(void **state)
{
	struct x86_boot_state s;

	assert_ok(x86_boot_pvh(ram, 0x1000010, 0x1000, false, &s));
	assert_int_equal(s.regs.rip, 0x1000010);
	assert_int_equal(s.regs.rbx, 0x1000);
	assert_int_equal(s.regs.rflags, 2);
	assert_int_equal(s.sregs.cr0, 0x11);
	assert_int_equal(s.sregs.cr4 | s.sregs.efer, 0);
	assert_int_equal(s.sregs.cs.access & 0x6000, 0x4000); /* D, not L */
	assert_int_equal(s.sregs.cs.limit, UINT32_MAX);
	assert_int_equal(s.sregs.tr.limit, 0x67);
	check_segment(&s.sregs, &s.sregs.cs);
	check_segment(&s.sregs, &s.sregs.es);
	check_segment(&s.sregs, &s.sregs.tr);
}

static void test_memory_that_is_missing_is_said(void **state)
{
	struct ram_options options = {.backend = RAM_ANON};
	struct x86_linux64_entry entry = {.gib_pages = true};
	struct x86_boot_state s;
	struct ram *small;

	assert_ok(ram_create(&options, &small));
	assert_err(x86_boot_pvh(small, 0, 0, false, &s), "GDT at 0x500 is not in RAM");
	assert_ok(ram_add(small, 0, 0x1000, "low"));
	assert_err(x86_boot_linux64(small, &entry, &s), "page tables at 0x3000 are not in RAM");
	ram_free(small);
}

static uint64_t msr(const struct hv_x86_msr *msrs, unsigned int n, uint32_t index)
{
	for (unsigned int i = 0; i < n; i++)
		if (msrs[i].index == index)
			return msrs[i].value;
	return 0;
}

static void test_msrs_of_a_machine_without_firmware(void **state)
{
	struct hv_x86_msr msrs[X86_BOOT_MSRS_MAX];
	unsigned int n = x86_boot_msrs(true, false, msrs);

	assert_int_equal(msr(msrs, n, 0x1a0), 1);
	assert_int_equal(msr(msrs, n, 0x2ff), 0x806);
	assert_int_equal(msr(msrs, n, 0x277), 0x0007040600070406ull);
	assert_int_equal(msr(msrs, n, 0x1b), 0);
}

static void test_x2apic_is_on_when_ids_need_it(void **state)
{
	struct hv_x86_msr msrs[X86_BOOT_MSRS_MAX];
	struct x86_linux64_entry entry = {.gib_pages = true, .x2apic = true};
	struct x86_boot_state s;
	unsigned int n;

	assert_false(x86_needs_x2apic(254));
	assert_true(x86_needs_x2apic(255));
	n = x86_boot_msrs(true, true, msrs);
	assert_int_equal(msr(msrs, n, 0x1b), 0xfee00d00);
	n = x86_boot_msrs(false, true, msrs);
	assert_int_equal(msr(msrs, n, 0x1b), 0xfee00c00);
	/* The boot processor's special registers say the same, as they are set later. */
	assert_ok(x86_boot_linux64(ram, &entry, &s));
	assert_int_equal(s.sregs.apic_base, 0xfee00d00);
	assert_ok(x86_boot_pvh(ram, 0, 0, true, &s));
	assert_int_equal(s.sregs.apic_base, 0xfee00d00);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_linux_enters_in_long_mode, setup, teardown),
		cmocka_unit_test_setup_teardown(test_map_without_gib_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_map_reaches_what_is_loaded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_else_is_touched, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pvh_enters_in_protected_mode, setup, teardown),
		cmocka_unit_test(test_memory_that_is_missing_is_said),
		cmocka_unit_test(test_msrs_of_a_machine_without_firmware),
		cmocka_unit_test_setup_teardown(
			test_x2apic_is_on_when_ids_need_it, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
