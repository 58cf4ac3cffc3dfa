/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile driver of the watchdog, among timers, pauses and resets. Records of 8 bytes: action,
 * width, register (2), value (4).
 */
#include <stdlib.h>

#include "base/endian.h"
#include "event/loop.h"
#include "hv/fake/hv_fake.h"
#include "pci/i6300esb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_ECAM 0xe0000000u
#define FUZZ_MEM  0x80000000u
#define RECORD    8
#define RECORDS   256

struct fuzz {
	struct hv_vm *hv;
	struct bus *mmio, *pio;
	struct pci_segment *pci;
	struct pci_dev *dev;
	struct loop *loop;
	struct machine_events events;
	unsigned int told;
};

static void on_event(struct machine_events *events, enum machine_event event, const char *source)
{
	container_of(events, struct fuzz, events)->told++;
}

static void fuzz_create(struct fuzz *f)
{
	struct i6300esb_options options = {.events = &f->events, .action = MACHINE_RESET};
	struct pci_segment_options segment = {
		.windows = {.io_base = 0x1000,
			.io_end = 0x10000,
			.mem32_base = FUZZ_MEM,
			.mem32_end = FUZZ_ECAM},
		.ecam_base = FUZZ_ECAM,
		.n_buses = 1,
	};

	f->events.report = on_event;
	err_free(loop_create(&f->loop));
	err_free(hv_fake_create(&f->hv));
	err_free(bus_create("mmio", &f->mmio));
	err_free(bus_create("pio", &f->pio));
	segment.mmio = f->mmio;
	segment.pio = f->pio;
	segment.vm = f->hv;
	err_free(pci_segment_create(&segment, &f->pci));
	options.loop = f->loop;
	err_free(i6300esb_create(&options, &f->dev));
	err_free(pci_segment_add(f->pci, f->dev));
	err_free(pci_segment_place(f->pci));
	bus_write(f->mmio, FUZZ_ECAM + 4, 2, 2);
}

static void fuzz_free(struct fuzz *f)
{
	device_free(&f->dev->device);
	pci_segment_free(f->pci);
	bus_free(f->pio);
	bus_free(f->mmio);
	hv_vm_free(f->hv);
	loop_free(f->loop);
}

/* What is due, and no more. */
static void fuzz_run_loop(struct fuzz *f)
{
	loop_stop(f->loop);
	loop_run(f->loop);
}

static void fuzz_unlocked(struct fuzz *f, unsigned int reg, unsigned int width, uint32_t value)
{
	bus_write(f->mmio, FUZZ_MEM + 0xc, 2, 0x80);
	bus_write(f->mmio, FUZZ_MEM + 0xc, 2, 0x86);
	bus_write(f->mmio, FUZZ_MEM + reg, width, value);
}

static void fuzz_step(struct fuzz *f, const uint8_t *r)
{
	unsigned int width = 1u << (r[1] & 3);
	unsigned int reg = load_le16(r + 2);
	uint32_t value = load_le32(r + 4);

	switch (r[0] % 8) {
	case 0:
		bus_write(f->mmio, FUZZ_ECAM + (reg & 0xff), width, value);
		break;
	case 1:
		(void)bus_read(f->mmio, FUZZ_ECAM + (reg & 0xff), width);
		break;
	case 2:
		bus_write(f->mmio, FUZZ_MEM + (reg & 0xf), width, value);
		break;
	case 3:
		(void)bus_read(f->mmio, FUZZ_MEM + (reg & 0xf), width);
		break;
	case 4:
		fuzz_unlocked(f, reg & 0xf, width, value);
		break;
	case 5:
		fuzz_run_loop(f);
		break;
	case 6:
		(reg & 1 ? device_quiesce : device_resume)(&f->dev->device);
		break;
	default:
		device_reset(&f->dev->device);
		bus_write(f->mmio, FUZZ_ECAM + 4, 2, 2);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = {0};

	fuzz_create(&f);
	for (size_t i = 0; i + RECORD <= size && i < (size_t)RECORD * RECORDS; i += RECORD)
		fuzz_step(&f, data + i);
	fuzz_run_loop(&f);
	fuzz_free(&f);
	return 0;
}
