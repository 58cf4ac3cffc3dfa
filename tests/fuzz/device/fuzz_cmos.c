/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real-time clock under any sequence of register accesses, pauses, resets and leaps of the
 * host's clock. Records of 4 bytes. The interrupt is high exactly while an enabled flag is set.
 */
#include <stdlib.h>

#include "base/endian.h"
#include "device/cmos.h"
#include "device/cmos_time.h"
#include "event/loop.h"

#define RECORD_SIZE 4
#define RECORDS_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fixture {
	struct bus *pio;
	struct loop *loop;
	struct irq_line line;
	bool level;
	bool paused;
	struct device *cmos;
};

static int64_t fuzz_now;

static int64_t fuzz_clock(void)
{
	return fuzz_now;
}

static void set_line(struct irq_line *line, bool level)
{
	container_of(line, struct fixture, line)->level = level;
}

static void must(struct err *err)
{
	if (err)
		abort();
}

static void act(struct fixture *f, const uint8_t *record)
{
	switch (record[0] & 7) {
	case 0:
		fuzz_now += (int64_t)(int16_t)load_le16(record + 2) * 10000000 * (record[1] + 1);
		break;
	case 1:
		device_reset(f->cmos);
		break;
	case 2:
		if (f->paused)
			device_resume(f->cmos);
		else
			device_quiesce(f->cmos);
		f->paused = !f->paused;
		break;
	case 3:
		(void)bus_read(f->pio, 0x70 + (record[1] & 1), 1u << (record[1] >> 1 & 3));
		break;
	case 4:
		bus_write(f->pio, 0x70 + (record[1] & 1), 1u << (record[1] >> 1 & 3),
			load_le16(record + 2));
		break;
	default:
		bus_write(f->pio, 0x70, 2, load_le16(record + 2));
		break;
	}
}

/* What a driver does with an interrupt. */
static void check(struct fixture *f)
{
	if (!f->level || f->paused)
		return;
	bus_write(f->pio, 0x70, 1, CMOS_C);
	if (!(bus_read(f->pio, 0x71, 1) & 0x80) || f->level)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fixture f = {.line.set = set_line};
	struct cmos_options options = {
		.irq = &f.line, .ram_low = MIB(1), .n_cpus = 1, .clock = fuzz_clock};

	fuzz_now = 1700000000000000000;
	must(bus_create("pio", &f.pio));
	must(loop_create(&f.loop));
	options.pio = f.pio;
	options.loop = f.loop;
	must(cmos_create(&options, &f.cmos));
	for (size_t i = 0; i < RECORDS_MAX && size >= RECORD_SIZE; i++) {
		act(&f, data);
		check(&f);
		data += RECORD_SIZE;
		size -= RECORD_SIZE;
	}
	/* What it posted is served. */
	loop_stop(f.loop);
	loop_run(f.loop);
	device_free(f.cmos);
	loop_free(f.loop);
	bus_free(f.pio);
	return 0;
}
