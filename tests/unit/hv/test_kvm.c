/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KVM backend with guests of a few instructions on the real /dev/kvm: exits, memory, resets.
 */
#include "hv/guest.h"

static void run(struct hv_vcpu *vcpu, struct hv_exit *exit)
{
	assert_int_equal(hv_vcpu_run(vcpu, exit), 0);
}

static void test_port_io(void **state)
{
	/* mov $0x3f8,%dx; mov $'A',%al; out %al,%dx; in (%dx),%al; out %al,$0x10 */
	static const uint8_t code[] = {0xba, 0xf8, 0x03, 0xb0, 'A', 0xee, 0xec, 0xe6, 0x10};
	struct hv_exit exit;
	struct hv_vcpu *vcpu;
	struct guest guest;

	guest_create(&guest, code, sizeof(code));
	vcpu = guest_vcpu(&guest, 0);
	run(vcpu, &exit);
	assert_int_equal(exit.reason, HV_EXIT_IO);
	assert_int_equal(exit.u.io.port, 0x3f8);
	assert_true(exit.u.io.write);
	assert_int_equal(exit.u.io.size, 1);
	assert_int_equal(exit.u.io.count, 1);
	assert_int_equal(exit.u.io.data[0], 'A');
	run(vcpu, &exit);
	assert_int_equal(exit.reason, HV_EXIT_IO);
	assert_false(exit.u.io.write);
	exit.u.io.data[0] = 0x5a;
	run(vcpu, &exit);
	assert_int_equal(exit.u.io.port, 0x10);
	assert_int_equal(exit.u.io.data[0], 0x5a);
	hv_vcpu_free(vcpu);
	guest_free(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_port_io),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
