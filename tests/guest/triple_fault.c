/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends in a triple fault.
 */
#include "guest.h"

void guest_main(void)
{
	print("about to triple-fault\n");
	triple_fault();
}
