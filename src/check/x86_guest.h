/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest of x86_guest.S and its monitor agree on. Included by assembly code too.
 */
#pragma once

/* Guest physical addresses. */
#define CHECK_GDT     0x0500
#define CHECK_IDT     0x1000
#define CHECK_PML4    0x2000
#define CHECK_PDPT    0x3000
#define CHECK_PD      0x4000
#define CHECK_SCRATCH 0x5000
#define CHECK_STACK   0x7000
#define CHECK_CODE    0x8000
#define CHECK_RAM     0x10000

#define CHECK_PORT    0x80

/* In r15: what the processor has. */
#define CHECK_HAS_CX16 1
#define CHECK_HAS_BMI2 2

/* On the port: what was done last. */
#define CHECK_STEP_INT3       1
#define CHECK_STEP_CMPXCHG16B 2
#define CHECK_STEP_SHLX       3
#define CHECK_STEP_RDTSC      4
#define CHECK_STEP_LOOP_START 5
#define CHECK_STEP_LOOP_END   6
#define CHECK_STEP_FAILED     255
