/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KVM backend with guests of a few instructions on the real /dev/kvm: exits and memory.
 */
#include "hv/guest.h"

static void expect_io(struct hv_vcpu *vcpu, struct hv_exit *exit, uint16_t port, bool write)
{
	assert_int_equal(hv_vcpu_run(vcpu, exit), 0);
	assert_int_equal(exit->reason, HV_EXIT_IO);
	assert_int_equal(exit->u.io.port, port);
	assert_int_equal(exit->u.io.write, write);
}

static void test_port_io(void **state)
{
	/* mov $0x3f8,%dx; mov $'A',%al; out %al,%dx; in (%dx),%al; out %al,$0x10; in $0x20,%ax; out
	 * %ax,$0x22 */
	static const uint8_t code[] = {
		0xba, 0xf8, 0x03, 0xb0, 'A', 0xee, 0xec, 0xe6, 0x10, 0xe5, 0x20, 0xe7, 0x22};
	struct hv_exit exit;
	struct hv_vcpu *vcpu;
	struct guest guest;

	guest_create(&guest, code, sizeof(code));
	vcpu = guest_vcpu(&guest, 0);
	expect_io(vcpu, &exit, 0x3f8, true);
	assert_int_equal(exit.u.io.size, 1);
	assert_int_equal(exit.u.io.count, 1);
	assert_int_equal(exit.u.io.data[0], 'A');
	expect_io(vcpu, &exit, 0x3f8, false);
	exit.u.io.data[0] = 0x5a;
	expect_io(vcpu, &exit, 0x10, true);
	assert_int_equal(exit.u.io.data[0], 0x5a);
	expect_io(vcpu, &exit, 0x20, false);
	assert_int_equal(exit.u.io.size, 2);
	memcpy(exit.u.io.data, "\x34\x12", 2);
	expect_io(vcpu, &exit, 0x22, true);
	assert_memory_equal(exit.u.io.data, "\x34\x12", 2);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

/* However KVM cuts a string instruction into exits, all the bytes come, in order. */
static void test_string_out(void **state)
{
	/* cld; mov $msg,%si; mov $10,%cx; mov $0x3f8,%dx; rep outsb; out %al,$0x99 */
	static const uint8_t code[] = {
		0xfc, 0xbe, 0x20, 0x10, 0xb9, 0x0a, 0x00, 0xba, 0xf8, 0x03, 0xf3, 0x6e, 0xe6, 0x99};
	char text[16] = {0};
	unsigned int n = 0;
	struct hv_exit exit;
	struct hv_vcpu *vcpu;
	struct guest guest;

	guest_create(&guest, code, sizeof(code));
	memcpy(guest.ram + 0x1020, "0123456789", 10);
	vcpu = guest_vcpu(&guest, 0);
	for (;;) {
		assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
		assert_int_equal(exit.reason, HV_EXIT_IO);
		if (exit.u.io.port == 0x99)
			break;
		assert_int_equal(exit.u.io.size, 1);
		assert_in_range(exit.u.io.count, 1, 10 - n);
		memcpy(text + n, exit.u.io.data, exit.u.io.count);
		n += exit.u.io.count;
	}
	assert_string_equal(text, "0123456789");
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

static void test_string_in(void **state)
{
	/* cld; mov $0x2000,%di; mov $100,%cx; mov $0x60,%dx; rep insw; out %al,$0x99 */
	static const uint8_t code[] = {
		0xfc, 0xbf, 0x00, 0x20, 0xb9, 0x64, 0x00, 0xba, 0x60, 0x00, 0xf3, 0x6d, 0xe6, 0x99};
	uint16_t next = 0;
	struct hv_exit exit;
	struct hv_vcpu *vcpu;
	struct guest guest;

	guest_create(&guest, code, sizeof(code));
	vcpu = guest_vcpu(&guest, 0);
	for (;;) {
		assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
		assert_int_equal(exit.reason, HV_EXIT_IO);
		if (exit.u.io.port == 0x99)
			break;
		assert_int_equal(exit.u.io.size, 2);
		for (uint32_t i = 0; i < exit.u.io.count; i++, next++)
			memcpy(exit.u.io.data + 2 * i, &next, 2);
	}
	/* KVM may read ahead of what the instruction then uses. */
	assert_true(next >= 100);
	for (uint16_t i = 0; i < 100; i++)
		assert_memory_equal(guest.ram + 0x2000 + 2 * i, &i, 2);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

static void test_mmio(void **state)
{
	/* mov $0x3000,%ax; mov %ax,%ds; movw $0xbeef,(0x10); mov (0x20),%bx; mov %bx,%ax; out
	 * %ax,$0x99 */
	static const uint8_t code[] = {0xb8, 0x00, 0x30, 0x8e, 0xd8, 0xc7, 0x06, 0x10, 0x00, 0xef,
		0xbe, 0x8b, 0x1e, 0x20, 0x00, 0x89, 0xd8, 0xe7, 0x99};
	struct hv_exit exit;
	struct hv_vcpu *vcpu;
	struct guest guest;

	guest_create(&guest, code, sizeof(code));
	vcpu = guest_vcpu(&guest, 0);
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_MMIO);
	assert_int_equal(exit.u.mmio.gpa, 0x30010);
	assert_int_equal(exit.u.mmio.size, 2);
	assert_true(exit.u.mmio.write);
	assert_memory_equal(exit.u.mmio.data, "\xef\xbe", 2);
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_MMIO);
	assert_int_equal(exit.u.mmio.gpa, 0x30020);
	assert_false(exit.u.mmio.write);
	memcpy(exit.u.mmio.data, "\xad\xde", 2);
	expect_io(vcpu, &exit, 0x99, true);
	assert_memory_equal(exit.u.io.data, "\xad\xde", 2);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

/* A write to read-only memory is an exit, and changes nothing; reads see it. */
static void test_readonly_memory(void **state)
{
	/* mov $0x2000,%ax; mov %ax,%ds; movw $0xbeef,(0); mov (0),%ax; out %ax,$0x99 */
	static const uint8_t code[] = {0xb8, 0x00, 0x20, 0x8e, 0xd8, 0xc7, 0x06, 0x00, 0x00, 0xef,
		0xbe, 0xa1, 0x00, 0x00, 0xe7, 0x99};
	struct hv_exit exit;
	struct hv_vcpu *vcpu;
	struct guest guest;
	uint8_t *rom;

	guest_create(&guest, code, sizeof(code));
	rom = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(rom, "\x11\x22", 2);
	assert_ok(hv_vm_map(guest.vm, 0x20000, 0x1000, rom, true));
	vcpu = guest_vcpu(&guest, 0);
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_MMIO);
	assert_true(exit.u.mmio.write);
	assert_int_equal(exit.u.mmio.gpa, 0x20000);
	expect_io(vcpu, &exit, 0x99, true);
	assert_memory_equal(exit.u.io.data, "\x11\x22", 2);
	guest_vcpu_free(vcpu);
	assert_ok(hv_vm_unmap(guest.vm, 0x20000, 0x1000));
	munmap(rom, 0x1000);
	guest_free(&guest);
}

static void test_triple_fault(void **state)
{
	struct hv_x86_sregs sregs;
	struct hv_exit exit;
	struct hv_vcpu *vcpu;
	struct guest guest;

	/* Paging with an empty page table and no IDT: the first fetch faults, and so does all that
	 * follows. */
	guest_create(&guest, "\xf4", 1);
	vcpu = guest_vcpu(&guest, 0);
	assert_ok(hv_x86_get_sregs(vcpu, &sregs));
	sregs.cr0 |= 0x80000001;
	sregs.cr3 = 0x4000;
	sregs.idt.limit = 0;
	assert_ok(hv_x86_set_sregs(vcpu, &sregs));
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_SHUTDOWN);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

/* What KVM cannot execute ends in a failure that names it; code in an MMIO region is such a thing.
 */
static void test_emulation_failure(void **state)
{
	/* ljmp $0x3000:0 */
	static const uint8_t code[] = {0xea, 0x00, 0x00, 0x00, 0x30};
	struct hv_exit exit;
	struct hv_vcpu *vcpu;
	struct guest guest;

	guest_create(&guest, code, sizeof(code));
	vcpu = guest_vcpu(&guest, 0);
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_FAILED);
	assert_string_equal(exit.u.failed.what, "internal error: emulation failed");
	assert_int_equal(exit.u.failed.code, 1);
	assert_true(exit.u.failed.insn_len <= sizeof(exit.u.failed.insn));
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

static void test_memory_arguments(void **state)
{
	struct guest guest;

	guest_create(&guest, "\xf4", 1);
	assert_err(hv_vm_map(guest.vm, 0x100000, 0, guest.ram, false), "whole pages");
	assert_err(hv_vm_map(guest.vm, 0x100800, 0x1000, guest.ram, false), "whole pages");
	assert_err(
		hv_vm_map(guest.vm, UINT64_MAX - 0xfff, 0x1000, guest.ram, false), "whole pages");
	assert_err(hv_vm_map(guest.vm, 0x100000, 0x1000, guest.ram + 8, false), "page aligned");
	/* Overlaps the RAM at 0. */
	assert_err(hv_vm_map(guest.vm, 0x1000, 0x1000, guest.ram, false), "Cannot map");
	assert_err(hv_vm_unmap(guest.vm, 0x1000, 0x1000), "No guest memory");
	/* A slot number is used again. */
	for (int i = 0; i < 40000; i += 1000) {
		assert_ok(hv_vm_map(guest.vm, 0x100000, 0x1000, guest.ram, false));
		assert_ok(hv_vm_unmap(guest.vm, 0x100000, 0x1000));
	}
	guest_free(&guest);
}

static void test_no_device(void **state)
{
	struct hv_vm_options options = {.device = "/nonexistent/kvm"};
	struct hv_vm *vm = NULL;

	assert_err(hv_kvm_create(&options, &vm), "Cannot open \"/nonexistent/kvm\"");
	options.device = "/dev/null";
	assert_err(hv_kvm_create(&options, &vm), "not a KVM device");
	options.device = "/";
	assert_err(hv_kvm_create(&options, &vm), "Cannot open \"/\"");
	assert_null(vm);
}

static void test_vcpu_id_limit(void **state)
{
	struct hv_vm_options options = {.device = "/dev/kvm", .max_vcpu_id = 1U << 30};
	struct hv_vm *vm = NULL;
	struct hv_vcpu *vcpu = NULL;

	guest_need_kvm();
	assert_err(hv_kvm_create(&options, &vm), "ids end at");
	options.max_vcpu_id = 0;
	assert_ok(hv_kvm_create(&options, &vm));
	assert_err(hv_vcpu_create(vm, 1U << 30, &vcpu), "ids of this hypervisor end at");
	assert_ok(hv_vcpu_create(vm, 0, &vcpu));
	hv_vcpu_free(vcpu);
	assert_err(hv_vcpu_create(vm, 0, &vcpu), "cannot make vCPU 0");
	hv_vm_free(vm);
}

/* Nothing is shared between two machines of one process. */
static void test_two_machines(void **state)
{
	static const uint8_t code[2][4] = {{0xe6, 0x11, 0xe6, 0x12}, {0xe6, 0x21, 0xe6, 0x22}};
	struct hv_vcpu *vcpus[2];
	struct guest guests[2];
	struct hv_exit exit;

	for (int i = 0; i < 2; i++) {
		guest_create(&guests[i], code[i], sizeof(code[i]));
		vcpus[i] = guest_vcpu(&guests[i], 0);
	}
	expect_io(vcpus[0], &exit, 0x11, true);
	expect_io(vcpus[1], &exit, 0x21, true);
	hv_vcpu_kick(vcpus[0]);
	expect_io(vcpus[1], &exit, 0x22, true);
	assert_int_equal(hv_vcpu_run(vcpus[0], &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_KICKED);
	expect_io(vcpus[0], &exit, 0x12, true);
	for (int i = 0; i < 2; i++) {
		guest_vcpu_free(vcpus[i]);
		guest_free(&guests[i]);
	}
}

static void test_caps(void **state)
{
	struct guest guest;
	const struct hv_caps *caps;

	guest_create(&guest, "\xf4", 1);
	caps = hv_vm_caps(guest.vm);
	assert_true(caps->max_vcpus >= 1);
	assert_true(caps->max_vcpu_ids >= caps->max_vcpus);
	assert_true(caps->max_slots >= 32);
	assert_true(caps->max_irq_routes > HV_IOAPIC_PINS);
	assert_in_range(caps->phys_bits, 36, 52);
	guest_free(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_port_io),
		cmocka_unit_test(test_string_out),
		cmocka_unit_test(test_string_in),
		cmocka_unit_test(test_mmio),
		cmocka_unit_test(test_readonly_memory),
		cmocka_unit_test(test_triple_fault),
		cmocka_unit_test(test_emulation_failure),
		cmocka_unit_test(test_memory_arguments),
		cmocka_unit_test(test_no_device),
		cmocka_unit_test(test_vcpu_id_limit),
		cmocka_unit_test(test_two_machines),
		cmocka_unit_test(test_caps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
