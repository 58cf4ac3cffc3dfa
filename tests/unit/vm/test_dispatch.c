/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accesses of the guest on their way to the devices.
 */
#include "machine.h"

/* Boots, lets vCPU 0 do what was pushed, and gives what it read last. */
static uint64_t run(struct machine *m)
{
	uint64_t value;

	machine_power_off(m, 0);
	assert_ok(vm_boot(m->vm));
	machine_expect_end(m, VM_END_POWER_OFF);
	value = hv_fake_last_read(m->vcpus[0]);
	machine_free(m);
	return value;
}

static void push_string(struct machine *m, uint16_t port, bool write, uint8_t size, uint32_t count,
	const void *data)
{
	struct hv_exit exit = {.reason = HV_EXIT_IO,
		.u.io = {.port = port, .write = write, .size = size, .count = count}};

	hv_fake_push(m->vcpus[0], &exit, data);
}

static void test_a_string_goes_out_in_order(void **state)
{
	const char *options[] = {"console", NULL, NULL};
	int fd = memfd_create("console", MFD_CLOEXEC);
	char text[8] = "";
	char spec[64];
	struct machine m;

	(void)snprintf(spec, sizeof(spec), "log,path=/proc/self/fd/%d", fd);
	options[1] = spec;
	machine_create(&m, 1, options);
	push_string(&m, X86_PORT_COM1, true, 1, 5, "abcde");
	(void)run(&m);
	assert_int_equal(pread(fd, text, sizeof(text), 0), 5);
	assert_string_equal(text, "abcde");
	close(fd);
}

static void test_a_string_comes_in_element_by_element(void **state)
{
	struct machine m;

	machine_create(&m, 1, NULL);
	machine_out(&m, 0, X86_PORT_COM1 + 7, 0x5a);
	push_string(&m, X86_PORT_COM1 + 7, false, 1, 3, NULL);
	assert_int_equal(run(&m), 0x5a5a5a);
	machine_create(&m, 1, NULL);
	push_string(&m, 0x8000, false, 2, 2, NULL);
	assert_int_equal(run(&m), 0xffffffff);
}

/* An instruction that crosses a page comes as pieces of any size. */
static void test_memory_accesses_have_any_size(void **state)
{
	for (uint8_t size = 1; size <= 8; size++) {
		struct machine m;

		machine_create(&m, 1, NULL);
		hv_fake_push_mmio(m.vcpus[0], X86_PCI_MEM32_END - size, true, size, 0);
		hv_fake_push_mmio(m.vcpus[0], X86_PCI_MEM32_END - size, false, size, 0);
		assert_int_equal(run(&m), UINT64_MAX >> (64 - 8 * size));
	}
}

/* The host bridge's identification, by ports and by memory, in halves and whole. */
static void test_values_are_little_endian(void **state)
{
	struct machine m;

	machine_create(&m, 1, NULL);
	hv_fake_push_io(m.vcpus[0], X86_PORT_PCI_ADDRESS, true, 4, 0x80000000);
	hv_fake_push_io(m.vcpus[0], X86_PORT_PCI_DATA, false, 4, 0);
	assert_int_equal(run(&m), 0x14801022);
	machine_create(&m, 1, NULL);
	hv_fake_push_mmio(m.vcpus[0], X86_ECAM_BASE + 2, false, 2, 0);
	assert_int_equal(run(&m), 0x1480);
	machine_create(&m, 1, NULL);
	hv_fake_push_mmio(m.vcpus[0], X86_ECAM_BASE + 1, false, 3, 0);
	assert_int_equal(run(&m), 0x148010);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_string_goes_out_in_order),
		cmocka_unit_test(test_a_string_comes_in_element_by_element),
		cmocka_unit_test(test_memory_accesses_have_any_size),
		cmocka_unit_test(test_values_are_little_endian),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
