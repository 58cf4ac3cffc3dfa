/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the guest library and start.S share.
 */
#pragma once

#include "guest.h"

/* Called by start.S. */
void guest_start(unsigned int kind, uint32_t info);
void guest_ap_start(unsigned int number);
void guest_interrupt(struct interrupt_frame *frame);

void *memset(void *dst, int c, size_t n);
void *memcpy(void *dst, const void *src, size_t n);

/* Builds the IDT, and loads it on this processor. */
void interrupts_init(void);
void interrupts_load(void);
