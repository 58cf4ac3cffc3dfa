/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x86_64 state on the real /dev/kvm: what is set is read back.
 */
#include "hv/guest.h"

static void test_regs(void **state)
{
	const struct hv_x86_regs regs = {
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0x1234, 0x246};
	struct hv_x86_regs back = {0};
	struct hv_vcpu *vcpu;
	struct guest guest;

	guest_create(&guest, "\xf4", 1);
	vcpu = guest_vcpu(&guest, 0);
	assert_ok(hv_x86_set_regs(vcpu, &regs));
	assert_ok(hv_x86_get_regs(vcpu, &back));
	assert_memory_equal(&regs, &back, sizeof(regs));
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

static void assert_segment_equal(const struct hv_x86_segment *a, const struct hv_x86_segment *b)
{
	assert_int_equal(a->base, b->base);
	assert_int_equal(a->limit, b->limit);
	assert_int_equal(a->selector, b->selector);
	assert_int_equal(a->access, b->access);
	assert_int_equal(a->unusable, b->unusable);
}

static void test_sregs(void **state)
{
	struct hv_x86_sregs back;
	struct hv_x86_sregs sregs;
	struct hv_vcpu *vcpu;
	struct guest guest;

	guest_create(&guest, "\xf4", 1);
	vcpu = guest_vcpu(&guest, 0);
	assert_ok(hv_x86_get_sregs(vcpu, &sregs));
	/* 64-bit mode, each segment with bits of its own. */
	sregs.cs = (struct hv_x86_segment){.limit = 0xffffffff, .selector = 0x10, .access = 0xa09b};
	sregs.ss = (struct hv_x86_segment){.limit = 0xffffffff, .selector = 0x18, .access = 0xc093};
	sregs.ds = (struct hv_x86_segment){.limit = 0xfffff, .selector = 0x23, .access = 0x50f3};
	sregs.es = (struct hv_x86_segment){.limit = 0xffff, .selector = 0x28, .access = 0x0091};
	sregs.fs = (struct hv_x86_segment){.base = 0xffff888000000000,
		.limit = 0xffffffff,
		.selector = 0x18,
		.access = 0xc093};
	sregs.gs = sregs.ss;
	sregs.gs.base = 0x7f0000001000;
	sregs.tr = (struct hv_x86_segment){
		.base = 0x5000, .limit = 0x67, .selector = 0x20, .access = 0x008b};
	sregs.ldt = (struct hv_x86_segment){
		.limit = 0xf, .base = 0x6000, .selector = 0x28, .access = 0x0082};
	sregs.gdt = (struct hv_x86_dtable){.base = 0x500, .limit = 0x2f};
	sregs.idt = (struct hv_x86_dtable){.base = 0x600, .limit = 0xfff};
	sregs.cr0 = 0x80050033;
	sregs.cr2 = 0xdeadb000;
	sregs.cr3 = 0x3000;
	sregs.cr4 = 0x20;
	sregs.cr8 = 5;
	sregs.efer = 0xd00;
	assert_ok(hv_x86_set_sregs(vcpu, &sregs));
	assert_ok(hv_x86_get_sregs(vcpu, &back));
	assert_segment_equal(&sregs.cs, &back.cs);
	assert_segment_equal(&sregs.ss, &back.ss);
	assert_segment_equal(&sregs.ds, &back.ds);
	assert_segment_equal(&sregs.es, &back.es);
	assert_segment_equal(&sregs.fs, &back.fs);
	assert_segment_equal(&sregs.gs, &back.gs);
	assert_segment_equal(&sregs.tr, &back.tr);
	assert_segment_equal(&sregs.ldt, &back.ldt);
	assert_int_equal(sregs.gdt.base, back.gdt.base);
	assert_int_equal(sregs.gdt.limit, back.gdt.limit);
	assert_int_equal(sregs.idt.base, back.idt.base);
	assert_int_equal(sregs.idt.limit, back.idt.limit);
	assert_int_equal(sregs.cr0, back.cr0);
	assert_int_equal(sregs.cr2, back.cr2);
	assert_int_equal(sregs.cr3, back.cr3);
	assert_int_equal(sregs.cr4, back.cr4);
	assert_int_equal(sregs.cr8, back.cr8);
	assert_int_equal(sregs.efer, back.efer);
	assert_int_equal(sregs.apic_base, back.apic_base);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

/* More MSRs than one call of KVM's takes here, and one that does not exist among them. */
static void test_msrs(void **state)
{
	struct hv_x86_msr msrs[200];
	struct hv_vcpu *vcpu;
	struct guest guest;

	guest_create(&guest, "\xf4", 1);
	vcpu = guest_vcpu(&guest, 0);
	/* Three SYSENTER MSRs in turn; the last value of each stays. */
	for (uint32_t i = 0; i < ARRAY_SIZE(msrs); i++)
		msrs[i] = (struct hv_x86_msr){.index = 0x174 + i % 3, .value = 0x1000 + i};
	assert_ok(hv_x86_set_msrs(vcpu, msrs, ARRAY_SIZE(msrs)));
	for (uint32_t i = 0; i < ARRAY_SIZE(msrs); i++)
		msrs[i].value = 0;
	assert_ok(hv_x86_get_msrs(vcpu, msrs, ARRAY_SIZE(msrs)));
	for (uint32_t i = 0; i < ARRAY_SIZE(msrs); i++)
		assert_int_equal(msrs[i].value, 0x1000 + ARRAY_SIZE(msrs) - 1 - (199 - i % 3) % 3);
	/* A reserved bit of EFER, behind more than one batch. */
	msrs[150] = (struct hv_x86_msr){.index = 0xc0000080, .value = 1ULL << 63};
	assert_err(hv_x86_set_msrs(vcpu, msrs, ARRAY_SIZE(msrs)), "MSR 0xc0000080 of vCPU 0");
	assert_ok(hv_x86_set_msrs(vcpu, NULL, 0));
	assert_ok(hv_x86_get_msrs(vcpu, NULL, 0));
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

static void test_cpuid(void **state)
{
	/* xor %eax,%eax; cpuid; mov %ebx,%eax; out %eax,$0x40 */
	static const uint8_t code[] = {
		0x66, 0x31, 0xc0, 0x0f, 0xa2, 0x66, 0x89, 0xd8, 0x66, 0xe7, 0x40};
	struct hv_x86_cpuid *cpuid = calloc(1, sizeof(*cpuid));
	struct hv_vcpu *vcpu;
	struct hv_exit exit;
	struct guest guest;

	guest_create(&guest, code, sizeof(code));
	vcpu = guest_vcpu(&guest, 0);
	assert_ok(hv_x86_supported_cpuid(guest.vm, cpuid));
	assert_true(cpuid->n > 10);
	for (unsigned int i = 0; i < cpuid->n; i++)
		if (cpuid->entries[i].function == 0)
			cpuid->entries[i].ebx = 0x41424344;
	assert_ok(hv_x86_set_cpuid(vcpu, cpuid));
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_IO);
	assert_int_equal(exit.u.io.size, 4);
	assert_memory_equal(exit.u.io.data, "DCBA", 4);
	free(cpuid);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

/* Page tables that map 2 MiB at linear 0x40000000 to 0. */
static void test_translate(void **state)
{
	struct hv_x86_sregs sregs;
	struct hv_vcpu *vcpu;
	struct guest guest;
	uint64_t gpa = 0;

	guest_create(&guest, "\xf4", 1);
	vcpu = guest_vcpu(&guest, 0);
	assert_int_equal(hv_x86_translate(vcpu, 0x1234, &gpa), 0);
	assert_int_equal(gpa, 0x1234);
	memcpy(guest.ram + 0x3000, &(uint64_t){0x4003}, 8);
	memcpy(guest.ram + 0x4000 + 8, &(uint64_t){0x5003}, 8);
	memcpy(guest.ram + 0x5000, &(uint64_t){0x83}, 8);
	assert_ok(hv_x86_get_sregs(vcpu, &sregs));
	sregs.cs = (struct hv_x86_segment){.limit = 0xffffffff, .selector = 0x10, .access = 0xa09b};
	sregs.cr0 |= 0x80000001;
	sregs.cr3 = 0x3000;
	sregs.cr4 = 0x20;
	sregs.efer = 0x500;
	assert_ok(hv_x86_set_sregs(vcpu, &sregs));
	assert_int_equal(hv_x86_translate(vcpu, 0x40001234, &gpa), 0);
	assert_int_equal(gpa, 0x1234);
	assert_int_equal(hv_x86_translate(vcpu, 0x80001234, &gpa), -EFAULT);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_regs),
		cmocka_unit_test(test_sregs),
		cmocka_unit_test(test_msrs),
		cmocka_unit_test(test_cpuid),
		cmocka_unit_test(test_translate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
