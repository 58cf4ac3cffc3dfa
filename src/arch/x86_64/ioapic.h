/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O APIC: 24 inputs, Intel 82093AA with the EOI register of version 0x20 (ICH10, 13.5). It
 * delivers by MSI to the local APICs, which are the hypervisor's (split irqchip). Destinations have
 * 15 bits (KVM_FEATURE_MSI_EXT_DEST_ID).
 */
#pragma once

#include "device/device.h"
#include "device/irq.h"
#include "hv/hv.h"
#include "mem/bus.h"

#define IOAPIC_NUM_PINS HV_IOAPIC_PINS /* 24 */

struct ioapic;

/*
 * One source of a pin. A pin is high while any of its sources is. Embedded in the owner's object;
 * stays as long as the I/O APIC.
 */
struct ioapic_source {
	struct irq_line line; /* what the device gets */
	struct ioapic *ioapic;
	uint8_t pin;
	bool level;
};

/* Registers itself at X86_IOAPIC_BASE on the bus. [main] */
struct err *must_check ioapic_create(
	struct hv_vm *vm, struct bus *mmio, struct ioapic **ret_ioapic);
/*
 * For the machine's list: reset masks all pins and forgets what was delivered; the inputs keep the
 * level that their devices give them. device_free() frees the I/O APIC.
 */
struct device *ioapic_device(struct ioapic *ioapic);

/* The pin's own source, for a device that does not share it. n < IOAPIC_NUM_PINS. [main] */
struct irq_line *ioapic_pin(struct ioapic *ioapic, unsigned int n);
/* Adds one more source to a (level-triggered) pin; low at first. [main] */
void ioapic_source_init(struct ioapic_source *source, struct ioapic *ioapic, unsigned int n);

/*
 * HV_EXIT_IOAPIC_EOI: a local APIC ended a level-triggered interrupt; pins that are still high
 * deliver again. [vcpu]
 */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);
