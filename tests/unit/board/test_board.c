/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine as the guest and the host see it, on the fake hypervisor: limits of the host, memory,
 * what a reboot makes anew.
 */
#include "vm/machine.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/endian.h"

/* ---- Limits ---- */

static void expect_refused(unsigned int n_vcpus, const char *memory, const char *part)
{
	const char *const options[] = {"memory", memory, NULL};
	struct machine m;

	assert_err(machine_try(&m, n_vcpus, memory ? options : NULL), part);
	assert_null(m.vm);
	machine_free(&m);
}

static void test_more_vcpus_than_the_host_has_are_refused(void **state)
{
	expect_refused(1025, NULL, "this host allows 1024");
}

static void test_more_memory_than_addresses_is_refused(void **state)
{
	expect_refused(1, "size=256T", "address bits");
	expect_refused(1, "size=0xfffffffffffff000", "address bits");
}

/* ---- Memory ---- */

static void test_memory_is_below_and_above_the_hole(void **state)
{
	static const char *const options[] = {"memory", "size=2052M", NULL};
	struct hv_fake_map map;
	struct machine m;

	machine_create(&m, 1, options);
	assert_true(hv_fake_find_map(m.hv, 0, &map));
	assert_int_equal(map.size, X86_RAM_LOW_END);
	assert_false(map.readonly);
	assert_false(hv_fake_find_map(m.hv, X86_RAM_LOW_END, &map));
	assert_true(hv_fake_find_map(m.hv, X86_RAM_HIGH_BASE, &map));
	assert_int_equal(map.size, MIB(4));
	machine_free(&m);
}

static uint64_t entry_at(struct machine *m, uint64_t entry, unsigned int off)
{
	return load_le64(machine_ram(m, X86_BOOT_PARAMS_BASE) + 0x2d0 + 20 * entry + off);
}

/* A file is a slot of its own above RAM, of which no memory map tells; two share no section of
 * Linux's. */
static void test_persistent_memory_is_above_ram(void **state)
{
	const char *options[] = {"memory", "size=2052M", "pmem", NULL, "pmem", NULL, NULL};
	char first[] = "/tmp/alioth-board-XXXXXX";
	char second[] = "/tmp/alioth-board-XXXXXX";
	int fds[2] = {mkstemp(first), mkstemp(second)};
	struct hv_fake_map map;
	struct machine m;

	assert_int_equal(ftruncate(fds[0], (off_t)MIB(2)), 0);
	assert_int_equal(ftruncate(fds[1], (off_t)MIB(4)), 0);
	options[3] = first;
	options[5] = second;
	machine_create(&m, 1, options);
	assert_true(hv_fake_find_map(m.hv, X86_RAM_HIGH_BASE + MIB(128), &map));
	assert_int_equal(map.size, MIB(2));
	assert_false(map.readonly);
	assert_int_equal((uintptr_t)map.hva % MIB(2), 0);
	assert_true(hv_fake_find_map(m.hv, X86_RAM_HIGH_BASE + MIB(256), &map));
	assert_int_equal(map.size, MIB(4));
	for (unsigned int i = 0; i < *machine_ram(&m, X86_BOOT_PARAMS_BASE + 0x1e8); i++)
		assert_true(entry_at(&m, i, 0) + entry_at(&m, i, 8) <= X86_RAM_HIGH_BASE + MIB(4));
	machine_free(&m);
	(void)unlink(first);
	(void)unlink(second);
	close(fds[0]);
	close(fds[1]);
}

/* What the guest reads there, in the end. */
static void expect_read(struct machine *m, uint64_t gpa, uint32_t value)
{
	hv_fake_push_mmio(m->vcpus[0], gpa, false, 4, 0);
	while ((uint32_t)hv_fake_last_read(m->vcpus[0]) != value)
		sched_yield();
}

static void expect_bar(struct machine *m, unsigned int slot, uint64_t addr)
{
	const uint64_t bar = X86_ECAM_BASE + (slot << 15) + 0x18;

	expect_read(m, bar, (uint32_t)addr | 0xc);
	expect_read(m, bar + 4, (uint32_t)(addr >> 32));
}

static void try_pmem(struct machine *m, const char *first_size, const char *second_size)
{
	char names[2][32] = {"/tmp/alioth-board-XXXXXX", "/tmp/alioth-board-XXXXXX"};
	char values[2][64];
	const char *const options[] = {
		"memory", "size=2052M", "pmem", values[0], "pmem", values[1], NULL};

	for (unsigned int i = 0; i < 2; i++) {
		close(mkstemp(names[i]));
		(void)snprintf(values[i], sizeof(values[i]), "path=%s,size=%s", names[i],
			i ? second_size : first_size);
	}
	machine_create(m, 1, options);
	assert_ok(vm_boot(m->vm));
	(void)unlink(names[0]);
	(void)unlink(names[1]);
}

static void test_persistent_memory_is_in_bars(void **state)
{
	struct hv_fake_map map;
	struct machine m;

	try_pmem(&m, "2M", "130M");
	expect_bar(&m, 1, X86_RAM_HIGH_BASE + MIB(128));
	expect_bar(&m, 2, X86_RAM_HIGH_BASE + MIB(256));
	assert_true(hv_fake_find_map(m.hv, X86_RAM_HIGH_BASE + MIB(256), &map));
	assert_int_equal(map.gpa, X86_RAM_HIGH_BASE + MIB(256));
	assert_int_equal(map.size, MIB(130));
	machine_free(&m);
}

/* 40 GiB fit below 64 GiB, a BAR of that size, on a multiple of it, does not. */
static void test_where_bars_do_not_fit_it_is_memory_all_the_same(void **state)
{
	struct hv_fake_map map;
	struct machine m;

	machine_address_bits = 36;
	try_pmem(&m, "2M", "40G");
	machine_address_bits = 48;
	assert_true(hv_fake_find_map(m.hv, X86_RAM_HIGH_BASE + MIB(256), &map));
	assert_int_equal(map.size, GIB(40));
	expect_read(&m, X86_ECAM_BASE + (2u << 15), 0x105b1af4);
	expect_read(&m, X86_ECAM_BASE + (2u << 15) + 0x18, 0);
	expect_read(&m, X86_ECAM_BASE + (1u << 15), 0x105b1af4);
	expect_read(&m, X86_ECAM_BASE + (1u << 15) + 0x18, 0);
	machine_free(&m);
}

static void expect_new_memory(const char *memory)
{
	const char *const options[] = {"memory", memory, NULL};
	uint8_t tables[TINY_KERNEL_PAGE];
	struct machine m;

	machine_create(&m, 2, options);
	memcpy(tables, machine_ram(&m, X86_ACPI_BASE), sizeof(tables));
	assert_memory_equal(tables, "RSD PTR ", 8);
	memset(machine_ram(&m, 0x1000), 0xee, MIB(4) - 0x1000);
	assert_ok(vm_boot(m.vm));
	machine_reset(&m, 1);
	machine_await_resets(&m, 1, 1);
	assert_ok(vm_pause(m.vm));
	assert_int_equal(*machine_ram(&m, TINY_KERNEL_BASE), 0xf4);
	assert_int_equal(*machine_ram(&m, TINY_KERNEL_BASE + 1000), 0);
	assert_memory_equal(machine_ram(&m, X86_ACPI_BASE), tables, sizeof(tables));
	for (uint64_t gpa = TINY_KERNEL_BASE + TINY_KERNEL_PAGE; gpa < MIB(4); gpa += 512)
		assert_int_equal(*machine_ram(&m, gpa), 0);
	machine_free(&m);
}

static void test_a_reboot_empties_memory_of_every_kind(void **state)
{
	expect_new_memory("size=4M");
	expect_new_memory("size=4M,shared=on");
	expect_new_memory("size=4M,backend=memfd");
	expect_new_memory("size=4M,prealloc=on");
}

/* Linux jumps there to reset: mov dx, 0x604; mov al, 'r'; out dx, al. */
static void test_the_reset_vector_resets(void **state)
{
	static const uint8_t code[] = {0xba, 0x04, 0x06, 0xb0, 0x72, 0xee};
	struct machine m;

	machine_create(&m, 1, NULL);
	assert_memory_equal(machine_ram(&m, 0xffff0), code, sizeof(code));
	machine_free(&m);
}

/* What was mapped from the file must not be touched when the file is shorter by now. */
static void test_a_kernel_that_was_cut_ends_the_vm_at_a_reboot(void **state)
{
	enum vm_end end = VM_END_STOPPED;
	struct machine m;

	machine_create(&m, 1, NULL);
	assert_ok(vm_boot(m.vm));
	assert_int_equal(ftruncate(m.kernel.fd, TINY_KERNEL_PAGE), 0);
	machine_reset(&m, 0);
	assert_err(vm_wait(m.vm, 10000, &end), "Failed to reboot the VM");
	assert_int_equal(end, VM_END_ERROR);
	machine_free(&m);
}

/* ---- Interrupts ---- */

/* A device's interrupt that is pending at a reset is gone, and its pin works again afterwards. */
static void test_a_reboot_leaves_no_interrupt(void **state)
{
	/* With a time-out the button would be pressed again after the reset. */
	static const char *const options[] = {"power-button-timeout", "0", NULL};
	struct machine m;

	machine_create(&m, 1, options);
	assert_ok(vm_boot(m.vm));
	assert_ok(vm_power_button(m.vm)); /* raises the pin of the GED, which is masked */
	machine_reset(&m, 0);
	machine_await_resets(&m, 0, 1);
	hv_fake_push_mmio(m.vcpus[0], X86_IOAPIC_BASE, true, 4, 0x10 + 2 * X86_GSI_GED);
	hv_fake_push_mmio(m.vcpus[0], X86_IOAPIC_BASE + 0x10, true, 4, 0x8000 | 0x30);
	hv_fake_push_mmio(m.vcpus[0], X86_IOAPIC_BASE + 0x10, false, 4, 0);
	while (hv_fake_last_read(m.vcpus[0]) != (0x8000 | 0x30))
		sched_yield();
	assert_int_equal(hv_fake_messages(m.hv, NULL, 0), 0);
	assert_ok(vm_power_button(m.vm));
	while (!hv_fake_messages(m.hv, NULL, 0))
		sched_yield();
	machine_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_more_vcpus_than_the_host_has_are_refused),
		cmocka_unit_test(test_more_memory_than_addresses_is_refused),
		cmocka_unit_test(test_memory_is_below_and_above_the_hole),
		cmocka_unit_test(test_persistent_memory_is_above_ram),
		cmocka_unit_test(test_persistent_memory_is_in_bars),
		cmocka_unit_test(test_where_bars_do_not_fit_it_is_memory_all_the_same),
		cmocka_unit_test(test_a_reboot_empties_memory_of_every_kind),
		cmocka_unit_test(test_the_reset_vector_resets),
		cmocka_unit_test(test_a_kernel_that_was_cut_ends_the_vm_at_a_reboot),
		cmocka_unit_test(test_a_reboot_leaves_no_interrupt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
