/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bzImage that unpacks itself: its protected-mode part at the address that it prefers, or at the
 * lowest possible one if it is relocatable. 64-bit entry at +0x200 (boot.rst, "64-bit Boot
 * Protocol").
 */
#include "loader/loader_internal.h"

#include <errno.h>

#define BZIMAGE_ENTRY64 0x200

struct err *bzimage_load(struct loader_state *state)
{
	const struct linux_setup *setup = &state->loader->setup;
	const struct loader_layout *layout = state->layout;
	uint64_t base = setup->pref_address;
	int ret;

	if (setup->relocatable &&
		(base < layout->low_base || base + setup->init_size > state->kernel_limit))
		base = align_up(layout->low_base, setup->alignment);
	if (base < layout->low_base || base > state->kernel_limit ||
		setup->init_size > state->kernel_limit - base)
		return err_new(ENOMEM,
			"The kernel needs %llu KiB from %#llx on; free memory ends at %#llx",
			(unsigned long long)(setup->init_size >> 10), (unsigned long long)base,
			(unsigned long long)state->kernel_limit);
	ret = ram_map_file(
		layout->ram, base, state->loader->kernel.fd, setup->code_offset, setup->code_size);
	if (ret)
		return err_new(-ret, "Cannot read the kernel");
	state->rip = base + BZIMAGE_ENTRY64;
	state->end = base + setup->init_size;
	return NULL;
}
