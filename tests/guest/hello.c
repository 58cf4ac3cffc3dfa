/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says hello: loading, the console and power-off work.
 */
#include "guest.h"

void guest_main(void)
{
	print("hello from the guest\n");
	print("boot: %s\n", guest_boot_kind() == GUEST_BOOT_PVH ? "pvh" : "linux64");
	print("cmdline: %s\n", guest_cmdline());
	pass();
}
