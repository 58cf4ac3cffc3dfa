/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>

#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/layout.h"

#define LEAF(f, a, b, c, d)                                                                        \
	{                                                                                          \
		.function = f, .eax = a, .ebx = b, .ecx = c, .edx = d                              \
	}
#define SUBLEAF(f, i, a, b, c, d)                                                                  \
	{                                                                                          \
		.function = f, .index = i, .indexed = true, .eax = a, .ebx = b, .ecx = c, .edx = d \
	}

/* As KVM gives them on a processor with 8 cores of 2 threads, the host's topology in places. */
static const struct hv_x86_cpuid amd = {
	.n = 21,
	.entries = {LEAF(0, 0x10, 0x68747541, 0x444d4163, 0x69746e65),
		LEAF(1, 0xb00f21, 0x05100800, 0x81202000, 0x078bfbff), LEAF(2, 0, 0, 0, 0),
		LEAF(6, 0x77, 1, 9, 0), SUBLEAF(7, 0, 1, 0x01800006, 0x40000104, 0x20000000),
		LEAF(0xa, 0, 4, 0, 0), SUBLEAF(0xb, 0, 0, 0, 0, 1),
		SUBLEAF(0xd, 0, 0xe7, 0x980, 0x980, 0),
		LEAF(0x40000000, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d),
		LEAF(0x40000001, 0x01007efb, 0, 0, 0), LEAF(0x80000000, 0x80000021, 0, 0, 0),
		LEAF(0x80000001, 0xb00f21, 0x40000000, 0x00400393, 0x27d3fbff),
		LEAF(0x80000005, 0xff60ff40, 1, 2, 3),
		LEAF(0x80000008, 0x00003030, 0x50020005, 0x00007001, 0),
		SUBLEAF(0x8000001d, 0, 0x4121, 0x02c0003f, 0x3f, 0),
		SUBLEAF(0x8000001d, 1, 0x4122, 0x01c0003f, 0x3f, 0),
		SUBLEAF(0x8000001d, 2, 0x4143, 0x03c0003f, 0x3ff, 2),
		SUBLEAF(0x8000001d, 3, 0x3c163, 0x03c0003f, 0x7fff, 1),
		LEAF(0x8000001e, 9, 9, 9, 9), LEAF(0x8000001f, 0x1f, 0x173, 0x1f, 1),
		LEAF(0x80000021, 0x204, 0, 6, 0)},
};

static const struct hv_x86_cpuid intel = {
	.n = 13,
	.entries = {LEAF(0, 0x1f, 0x756e6547, 0x6c65746e, 0x49656e69),
		LEAF(1, 0x806f8, 0x12400800, 0x81202001, 0x1f8bfbff),
		SUBLEAF(4, 0, 0xfc004121, 0x02c0003f, 0x3f, 0),
		SUBLEAF(4, 2, 0xfc01c143, 0x04c0003f, 0x7ff, 0),
		SUBLEAF(4, 3, 0xfc1fc163, 0x0380003f, 0x1bfff, 4), SUBLEAF(4, 4, 0, 0, 0, 0),
		LEAF(0xa, 0x08300802, 0, 0, 0x604), SUBLEAF(0x12, 0, 1, 0, 0, 0),
		LEAF(0x40000000, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d),
		LEAF(0x40000001, 0x01007efb, 0, 0, 0), LEAF(0x80000000, 0x80000008, 0, 0, 0),
		LEAF(0x80000001, 0, 0, 0x121, 0x2c100800), LEAF(0x80000008, 0x302e34, 0, 0, 0)},
};

static unsigned int host_calls;

static struct x86_cpuid_regs host(uint32_t function)
{
	host_calls++;
	return (struct x86_cpuid_regs){.eax = function, .ebx = 0x62646e61};
}

static struct x86_topology topology(unsigned int count, unsigned int sockets, bool smt)
{
	struct x86_topology_request request = {.count = count, .sockets = sockets, .smt = smt};
	struct x86_topology t;

	assert_ok(x86_topology_init(&request, &t));
	return t;
}

static void make(const struct hv_x86_cpuid *supported, const struct x86_topology *t,
	unsigned int index, struct hv_x86_cpuid *ret)
{
	struct x86_cpuid_options options = {
		.topology = t, .tsc_khz = 2596122, .tsc_deadline = true, .host = host};

	host_calls = 0;
	assert_ok(x86_cpuid_template(supported, &options, ret));
	x86_cpuid_patch(ret, t, index);
}

static struct hv_x86_cpuid_entry leaf(
	const struct hv_x86_cpuid *cpuid, uint32_t function, uint32_t index)
{
	const struct hv_x86_cpuid_entry *e = x86_cpuid_find(cpuid, function, index);

	return e ? *e : (struct hv_x86_cpuid_entry){0};
}

static bool has(const struct hv_x86_cpuid *cpuid, uint32_t function)
{
	return x86_cpuid_find(cpuid, function, 0);
}

static void test_leaf_1_counts_the_guests_processors(void **state)
{
	struct x86_topology t = topology(24, 2, true);
	struct hv_x86_cpuid c;

	make(&amd, &t, 23, &c);
	assert_int_equal(leaf(&c, 1, 0).ebx, 27u << 24 | 12 << 16 | 0x0800);
	assert_int_equal(leaf(&c, 1, 0).ecx, 0x81202000 | 1u << 24);
	assert_int_equal(leaf(&c, 1, 0).edx, 0x178bfbff);
	make(&intel, &t, 23, &c);
	assert_int_equal(leaf(&c, 1, 0).ebx, 27u << 24 | 16 << 16 | 0x0800);

	t = topology(1, 1, false);
	make(&intel, &t, 0, &c);
	assert_int_equal(leaf(&c, 1, 0).ebx, 1 << 16 | 0x0800);
	assert_int_equal(leaf(&c, 1, 0).edx & 1u << 28, 0);
}

static void test_ids_of_more_than_8_bits_do_not_spill(void **state)
{
	struct x86_topology t = topology(1000, 1, false);
	struct hv_x86_cpuid c;

	make(&amd, &t, 999, &c);
	assert_int_equal(leaf(&c, 1, 0).ebx, (999u & 0xff) << 24 | 255 << 16 | 0x0800);
	assert_int_equal(leaf(&c, 0xb, 0).edx, 999);
	assert_int_equal(leaf(&c, 0x8000001e, 0).eax, 999);
	assert_int_equal(leaf(&c, 0x80000008, 0).ecx, 10 << 12 | 255);
	t = topology(65535, 1, false);
	make(&amd, &t, 65534, &c);
	assert_int_equal(leaf(&c, 0x80000008, 0).ecx, 15 << 12 | 255);
	make(&intel, &t, 65534, &c);
	assert_int_equal(leaf(&c, 4, 3).eax, 63u << 26 | 4095 << 14 | 0x163);
}

static void test_extended_topology_agrees_with_apic_ids(void **state)
{
	struct x86_topology t = topology(24, 2, true);
	struct hv_x86_cpuid c;

	make(&intel, &t, 11, &c);
	for (uint32_t function = 0xb; function <= 0x1f; function += 0x14) {
		struct hv_x86_cpuid_entry smt = leaf(&c, function, 0);
		struct hv_x86_cpuid_entry core = leaf(&c, function, 1);
		struct hv_x86_cpuid_entry end = leaf(&c, function, 2);

		assert_int_equal(smt.eax, 1);
		assert_int_equal(smt.ebx, 2);
		assert_int_equal(smt.ecx, 0x100);
		assert_int_equal(core.eax, 4);
		assert_int_equal(core.ebx, 12);
		assert_int_equal(core.ecx, 0x201);
		assert_int_equal(end.eax | end.ebx, 0);
		assert_int_equal(end.ecx, 2);
		assert_int_equal(smt.edx, 26);
		assert_int_equal(core.edx, 26);
		assert_int_equal(end.edx, 26);
	}
	assert_false(has(&c, 0x80000026));
	make(&amd, &t, 11, &c);
	assert_int_equal(leaf(&c, 0xb, 1).edx, 26);
	assert_false(has(&c, 0x1f));
}

static void test_amd_topology_leaves(void **state)
{
	struct x86_topology t = topology(24, 2, true);
	struct hv_x86_cpuid no_topoext = amd;
	struct hv_x86_cpuid c;

	make(&amd, &t, 23, &c); /* socket 1, core 5, thread 1 */
	assert_int_equal(leaf(&c, 0x8000001e, 0).eax, 27);
	assert_int_equal(leaf(&c, 0x8000001e, 0).ebx, 0x105);
	assert_int_equal(leaf(&c, 0x8000001e, 0).ecx, 1);
	assert_int_equal(leaf(&c, 0x80000008, 0).ecx, 4 << 12 | 11);
	assert_int_equal(leaf(&c, 0x80000001, 0).ecx & 2, 2);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(leaf(&c, 0x80000026, i).eax, i ? 4 : 1);
		assert_int_equal(leaf(&c, 0x80000026, i).ebx, i ? 12 : 2);
		assert_int_equal(leaf(&c, 0x80000026, i).ecx, (i + 1) << 8 | i);
		assert_int_equal(leaf(&c, 0x80000026, i).edx, 27);
	}
	assert_int_equal(leaf(&c, 0x80000000, 0).eax, 0x80000026);

	no_topoext.entries[11].ecx &= ~(1u << 22);
	make(&no_topoext, &t, 0, &c);
	assert_false(has(&c, 0x8000001e));
	assert_false(has(&c, 0x80000026));
}

static void test_caches_are_shared_as_the_guest_is_built(void **state)
{
	struct x86_topology t = topology(12, 1, true);
	struct hv_x86_cpuid c;

	make(&amd, &t, 0, &c);
	assert_int_equal(leaf(&c, 0x8000001d, 0).eax, 1 << 14 | 0x121);
	assert_int_equal(leaf(&c, 0x8000001d, 2).eax, 1 << 14 | 0x143);
	assert_int_equal(leaf(&c, 0x8000001d, 3).eax, 15 << 14 | 0x163);
	assert_int_equal(leaf(&c, 0x8000001d, 3).ecx, 0x7fff);
	make(&intel, &t, 0, &c);
	assert_int_equal(leaf(&c, 4, 0).eax, 7 << 26 | 1 << 14 | 0x121);
	assert_int_equal(leaf(&c, 4, 3).eax, 7 << 26 | 15 << 14 | 0x163);
	t = topology(1, 1, false);
	make(&intel, &t, 0, &c);
	assert_int_equal(leaf(&c, 4, 0).eax, 0x121);
	assert_int_equal(leaf(&c, 4, 3).eax, 0x163);
}

static void test_frequencies_only_where_they_are_known(void **state)
{
	struct x86_topology t = topology(1, 1, false);
	struct x86_cpuid_options unknown = {.topology = &t, .host = host};
	struct hv_x86_cpuid c;
	struct hv_x86_cpuid_entry e;

	make(&intel, &t, 0, &c);
	assert_int_equal(leaf(&c, 0x40000000, 0).eax, 0x40000010);
	assert_int_equal(leaf(&c, 0x40000010, 0).eax, 2596122);
	assert_int_equal(leaf(&c, 0x40000010, 0).ebx, 1000000);
	e = leaf(&c, 0x15, 0); /* crystal * ebx / eax is the TSC's frequency */
	assert_int_equal((uint64_t)e.ecx * e.ebx / e.eax, 2596122000ull);
	make(&amd, &t, 0, &c);
	assert_false(has(&c, 0x15));

	assert_ok(x86_cpuid_template(&intel, &unknown, &c));
	assert_false(has(&c, 0x15));
	assert_false(has(&c, 0x40000010));
	assert_int_equal(leaf(&c, 0x40000000, 0).eax, 0x40000001);
	assert_int_equal(leaf(&c, 1, 0).ecx & 1u << 24, 0);
}

static void test_features_that_need_more_are_hidden(void **state)
{
	struct x86_topology t = topology(1, 1, false);
	struct hv_x86_cpuid c;

	make(&amd, &t, 0, &c);
	assert_int_equal(leaf(&c, 7, 0).ebx, 0x01800002);
	assert_int_equal(leaf(&c, 7, 0).ecx, 0x104);
	assert_false(has(&c, 0x8000001f));
	assert_false(has(&c, 2));
	assert_false(has(&c, 0xa)); /* version 0: no counters */
	assert_int_equal(leaf(&c, 6, 0).eax, 4);
	assert_int_equal(leaf(&c, 6, 0).ecx, 0);
	assert_int_equal(leaf(&c, 0x40000001, 0).eax, 0x01007efb | 1 << 15);
	assert_int_equal(leaf(&c, 0xd, 0).ecx, 0x980);
	make(&intel, &t, 0, &c);
	assert_false(has(&c, 0x12));
	assert_int_equal(leaf(&c, 0xa, 0).eax, 0x08300802);
}

static void test_brand_comes_from_the_host(void **state)
{
	struct x86_topology t = topology(1, 1, false);
	struct hv_x86_cpuid c;

	make(&amd, &t, 0, &c);
	assert_int_equal(leaf(&c, 0x80000003, 0).eax, 0x80000003);
	assert_int_equal(leaf(&c, 0x80000005, 0).eax, 0xff60ff40); /* KVM's, as it has one */
	assert_int_equal(leaf(&c, 0x80000006, 0).eax, 0x80000006);
	assert_int_equal(host_calls, 4);
}

static void test_one_template_serves_all_vcpus(void **state)
{
	struct x86_topology t = topology(24, 2, true);
	struct hv_x86_cpuid a, b;

	make(&amd, &t, 7, &a);
	x86_cpuid_patch(&a, &t, 23);
	b = amd;
	make(&b, &t, 23, &b); /* in place */
	assert_int_equal(a.n, b.n);
	for (unsigned int i = 0; i < a.n; i++) {
		assert_int_equal(a.entries[i].function, b.entries[i].function);
		assert_int_equal(a.entries[i].index, b.entries[i].index);
		assert_int_equal(a.entries[i].indexed, b.entries[i].indexed);
		assert_int_equal(a.entries[i].eax, b.entries[i].eax);
		assert_int_equal(a.entries[i].ebx, b.entries[i].ebx);
		assert_int_equal(a.entries[i].ecx, b.entries[i].ecx);
		assert_int_equal(a.entries[i].edx, b.entries[i].edx);
	}
}

static void test_unusable_input_is_refused(void **state)
{
	struct x86_topology t = topology(1, 1, false);
	struct x86_cpuid_options options = {.topology = &t, .host = host};
	struct hv_x86_cpuid c = {0};
	struct hv_x86_cpuid full = amd;

	assert_err(x86_cpuid_template(&c, &options, &c), "lacks a basic leaf");
	for (; full.n < HV_X86_CPUID_MAX; full.n++)
		full.entries[full.n] = (struct hv_x86_cpuid_entry)SUBLEAF(0xd, full.n, 1, 1, 1, 1);
	assert_err(x86_cpuid_template(&full, &options, &c), "more than 256 entries");
}

static void test_address_bits(void **state)
{
	struct hv_x86_cpuid c = {0};

	assert_int_equal(x86_cpuid_phys_bits(&c), 36);
	assert_false(x86_cpuid_has_gib_pages(&c));
	assert_int_equal(x86_cpuid_phys_bits(&amd), 48);
	assert_true(x86_cpuid_has_gib_pages(&amd));
	assert_int_equal(x86_cpuid_phys_bits(&intel), 48); /* 52, but the hypervisor can use 48 */
	c = (struct hv_x86_cpuid){.n = 1, .entries = {LEAF(0x80000008, 0xff, 0, 0, 0)}};
	assert_int_equal(x86_cpuid_phys_bits(&c), 36);
}

static void test_pci_window_stays_below_the_address_width(void **state)
{
	uint64_t base, end;

	assert_true(x86_pci64_window(GIB(5), 48, &base, &end));
	assert_int_equal(base, GIB(8));
	assert_int_equal(end, GIB(8) + GIB(1024));
	assert_true(x86_pci64_window(MIB(512), 39, &base, &end));
	assert_int_equal(base, GIB(4));
	assert_int_equal(end, GIB(512));
	assert_true(
		x86_pci64_window(GIB(40) + 4096, 36, &base, &end)); /* no power of two is left */
	assert_int_equal(base, GIB(41));
	assert_int_equal(end, GIB(64));
	assert_false(x86_pci64_window(GIB(64) - 4096, 36, &base, &end));
	assert_false(x86_pci64_window(GIB(64), 36, &base, &end));
	assert_false(x86_pci64_window(UINT64_MAX, 64, &base, &end));
	assert_false(x86_pci64_window(0, 32, &base, &end));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leaf_1_counts_the_guests_processors),
		cmocka_unit_test(test_ids_of_more_than_8_bits_do_not_spill),
		cmocka_unit_test(test_extended_topology_agrees_with_apic_ids),
		cmocka_unit_test(test_amd_topology_leaves),
		cmocka_unit_test(test_caches_are_shared_as_the_guest_is_built),
		cmocka_unit_test(test_frequencies_only_where_they_are_known),
		cmocka_unit_test(test_features_that_need_more_are_hidden),
		cmocka_unit_test(test_brand_comes_from_the_host),
		cmocka_unit_test(test_one_template_serves_all_vcpus),
		cmocka_unit_test(test_unusable_input_is_refused),
		cmocka_unit_test(test_address_bits),
		cmocka_unit_test(test_pci_window_stays_below_the_address_width),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
