/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Constants that C and assembly code of the guest programs share.
 */
#pragma once

#define GUEST_CODE64_SELECTOR 8
#define GUEST_DATA_SELECTOR   16
#define GUEST_CODE32_SELECTOR 24

#define GUEST_BOOT_LINUX64    1
#define GUEST_BOOT_PVH        2

/* A free page below 1 MiB; its number is the vector of SIPI. */
#define GUEST_TRAMPOLINE 0xa000

/* Application processors, and the stack of each. */
#define GUEST_AP_MAX         255
#define GUEST_AP_STACK_SHIFT 12
