/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest is told when its vCPU did not run for long, because its thread was in the monitor: a stop
 * of the process (SIGSTOP) may find it there.
 */
#include <unistd.h>

#include "hv/guest.h"

/* Of KVM's system time (Linux Documentation/virt/kvm/x86/msr.rst), which the guest has at TIME. */
#define TIME          0x2000U
#define TIME_FLAGS    29
#define GUEST_STOPPED 2

static bool is_told(const struct guest *guest)
{
	return *(volatile uint8_t *)(guest->ram + TIME + TIME_FLAGS) & GUEST_STOPPED;
}

/* So many of the guest's writes to a port. */
static void run(struct hv_vcpu *vcpu, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct hv_exit exit;

		assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
		assert_int_equal(exit.reason, HV_EXIT_IO);
	}
}

static void test_time_outside_the_guest_is_told(void **state)
{
	static const uint8_t code[] = {
		0x66, 0xb9, 0x01, 0x4d, 0x56, 0x4b, /* mov ecx, 0x4b564d01: system time */
		0x66, 0xb8, 0x01, 0x20, 0x00, 0x00, /* mov eax, TIME | 1 */
		0x66, 0x31, 0xd2,                   /* xor edx, edx */
		0x0f, 0x30,                         /* wrmsr */
		0xe6, 0x80,                         /* again: out 0x80, al */
		0xeb, 0xfc,                         /* jmp again */
	};
	struct hv_vcpu *vcpu;
	struct guest guest;

	guest_create(&guest, code, sizeof(code));
	vcpu = guest_vcpu(&guest, 0);
	run(vcpu, 3);
	assert_false(is_told(&guest));
	usleep(1500000);
	run(vcpu, 2);
	assert_true(is_told(&guest));
	/* As the guest does when it has seen it. */
	guest.ram[TIME + TIME_FLAGS] &= (uint8_t)~GUEST_STOPPED;
	run(vcpu, 100);
	assert_false(is_told(&guest));
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time_outside_the_guest_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
