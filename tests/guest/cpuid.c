/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints what CPUID says on this processor: "cpuid LEAF.INDEX EAX EBX ECX EDX", all in hexadecimal.
 */
#include "guest.h"

static void print_leaf(uint32_t leaf, uint32_t index)
{
	struct cpuid r = cpuid(leaf, index);

	print("cpuid %08x.%u %08x %08x %08x %08x\n", leaf, index, r.eax, r.ebx, r.ecx, r.edx);
}

/* How many indices of a leaf are of interest; the enumerating leaves end by themselves. */
static uint32_t indices(uint32_t leaf)
{
	switch (leaf) {
	case 4:
	case 0xd:
	case 0x8000001d:
		return 6;
	case 7:
	case 0xb:
	case 0x1f:
	case 0x80000026:
		return 3;
	default:
		return 1;
	}
}

static void print_range(uint32_t first)
{
	uint32_t last = cpuid(first, 0).eax;

	expect(last - first < 0x100);
	for (uint32_t leaf = first; leaf <= last; leaf++)
		for (uint32_t index = 0; index < indices(leaf); index++)
			print_leaf(leaf, index);
}

void guest_main(void)
{
	print_range(0);
	print_range(0x80000000);
	print_range(0x40000000);
	pass();
}
