/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "arch/x86_64/topology.h"

static struct x86_topology topology(struct x86_topology_request request)
{
	struct x86_topology t;

	assert_ok(x86_topology_init(&request, &t));
	return t;
}

static void test_ids_of_six_cores_on_two_sockets(void **state)
{
	struct x86_topology t = topology(
		(struct x86_topology_request){.count = 24, .cores = 6, .sockets = 2, .smt = true});

	assert_int_equal(x86_topology_apic_id(&t, 5), 10);
	assert_int_equal(x86_topology_apic_id(&t, 11), 26);
	assert_int_equal(x86_topology_apic_id(&t, 14), 5);
	assert_int_equal(x86_topology_apic_id(&t, 23), 27);
	assert_int_equal(x86_topology_max_apic_id(&t), 27);
	assert_int_equal(t.package_shift, 4);
}

static void test_contiguous_threads_share_a_core(void **state)
{
	struct x86_topology t = topology((struct x86_topology_request){
		.count = 8, .sockets = 2, .smt = true, .thread_contiguous = true});
	struct x86_cpu_place place = x86_topology_place(&t, 5);

	assert_int_equal(t.cores, 2);
	assert_int_equal(place.socket, 1);
	assert_int_equal(place.core, 0);
	assert_int_equal(place.thread, 1);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(x86_topology_apic_id(&t, i), i);
}

static void test_place_and_index_are_inverse(void **state)
{
	for (unsigned int contiguous = 0; contiguous < 2; contiguous++) {
		struct x86_topology t = topology((struct x86_topology_request){
			.count = 42, .sockets = 3, .smt = true, .thread_contiguous = contiguous});
		uint32_t seen = 0;

		for (unsigned int i = 0; i < 42; i++) {
			struct x86_cpu_place place = x86_topology_place(&t, i);

			assert_int_equal(x86_topology_index(&t, place), i);
			seen = MAX(seen, x86_topology_apic_id(&t, i));
		}
		assert_int_equal(x86_topology_max_apic_id(&t), seen);
	}
}

static void test_defaults_make_one_socket_of_cores(void **state)
{
	struct x86_topology t = topology((struct x86_topology_request){.count = 5});

	assert_int_equal(t.sockets, 1);
	assert_int_equal(t.cores, 5);
	assert_int_equal(t.threads, 1);
	assert_int_equal(x86_topology_max_apic_id(&t), 4);
	t = topology((struct x86_topology_request){.count = 65535, .sockets = 255});
	assert_int_equal(x86_topology_count(&t), 65535);
	assert_int_equal(x86_topology_max_apic_id(&t), 254 << 9 | 256);
}

static void test_what_does_not_multiply_out_is_refused(void **state)
{
	static const struct x86_topology_request bad[] = {
		{.count = 1, .smt = true},
		{.count = 5, .sockets = 2},
		{.count = 4, .cores = 3},
		{.count = 2, .sockets = 3},
		/* Products that are 4 in 16 and in 32 bits. */
		{.count = 4, .cores = 0x8002, .sockets = 0x8000, .smt = true},
		{.count = 4, .cores = 0x40000001, .sockets = 4},
		{.count = 1, .cores = UINT32_MAX, .sockets = UINT32_MAX},
	};
	struct x86_topology t;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_err(x86_topology_init(&bad[i], &t), "does not make count=");
	assert_err(x86_topology_init(&(struct x86_topology_request){.count = 0}, &t),
		"count=0 is not between");
	assert_err(x86_topology_init(&(struct x86_topology_request){.count = 65536}, &t),
		"count=65536 is not between");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids_of_six_cores_on_two_sockets),
		cmocka_unit_test(test_contiguous_threads_share_a_core),
		cmocka_unit_test(test_place_and_index_are_inverse),
		cmocka_unit_test(test_defaults_make_one_socket_of_cores),
		cmocka_unit_test(test_what_does_not_multiply_out_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
