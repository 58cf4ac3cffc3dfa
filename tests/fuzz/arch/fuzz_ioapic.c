/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's accesses to the I/O APIC, among lines that rise and fall and EOIs. Records of 8 bytes:
 * action, argument, offset (2), value (4); see act().
 */
#include <stdlib.h>

#include "arch/x86_64/ioapic.h"
#include "arch/x86_64/layout.h"
#include "base/endian.h"
#include "hv/fake/hv_fake.h"

#define RECORD_SIZE 8
#define RECORDS_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fixture {
	struct hv_vm *vm;
	struct bus *mmio;
	struct ioapic *ioapic;
	struct ioapic_source shared;
};

static void must(struct err *err)
{
	if (err)
		abort();
}

static void act(struct fixture *f, const uint8_t *record)
{
	static const uint8_t widths[] = {1, 2, 4, 8};
	uint64_t addr = X86_IOAPIC_BASE + (load_le16(record + 2) & 0x7f);
	uint32_t value = load_le32(record + 4);

	switch (record[0] & 7) {
	case 0:
		bus_write(f->mmio, addr, widths[record[1] & 3], value);
		break;
	case 1:
		bus_read(f->mmio, addr, widths[record[1] & 3]);
		break;
	case 2:
	case 3: /* a register through its index, which plain accesses rarely hit */
		bus_write(f->mmio, X86_IOAPIC_BASE, 4, record[1]);
		bus_write(f->mmio, X86_IOAPIC_BASE + 0x10, 4, value);
		break;
	case 4:
		irq_line_set(ioapic_pin(f->ioapic, record[1] % IOAPIC_NUM_PINS), value & 1);
		break;
	case 5:
		irq_line_set(&f->shared.line, value & 1);
		break;
	case 6:
		ioapic_eoi(f->ioapic, record[1]);
		break;
	default:
		if (record[1] == 0xff)
			device_reset(ioapic_device(f->ioapic));
		else
			hv_fake_fail_next(f->vm, HV_FAKE_SIGNAL_MSI, 1);
		break;
	}
}

/* One action delivers at most once a pin, only to local APICs, and routes are level-triggered. */
static void check(struct fixture *f)
{
	struct hv_fake_msi messages[IOAPIC_NUM_PINS];
	unsigned int n = hv_fake_messages(f->vm, messages, IOAPIC_NUM_PINS);

	if (n > IOAPIC_NUM_PINS)
		abort();
	for (unsigned int i = 0; i < n; i++)
		if (messages[i].addr >> 20 != 0xfee || messages[i].data & ~0xc7ffu)
			abort();
	hv_fake_clear_messages(f->vm);
	for (unsigned int pin = 0; pin < IOAPIC_NUM_PINS; pin++) {
		struct hv_fake_msi route;

		if (hv_fake_ioapic_route(f->vm, pin, &route) && (route.data & 0xc000) != 0xc000)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fixture f = {0};

	must(hv_fake_create(&f.vm));
	must(bus_create("mmio", &f.mmio));
	must(ioapic_create(f.vm, f.mmio, &f.ioapic));
	ioapic_source_init(&f.shared, f.ioapic, 16);
	for (size_t i = 0; i < RECORDS_MAX && size >= RECORD_SIZE; i++) {
		act(&f, data);
		check(&f);
		data += RECORD_SIZE;
		size -= RECORD_SIZE;
	}
	device_free(ioapic_device(f.ioapic));
	bus_free(f.mmio);
	hv_vm_free(f.vm);
	return 0;
}
