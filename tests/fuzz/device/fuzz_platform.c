/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's accesses to the platform's ports: PM timer, ACPI registers, keyboard controller, reset
 * control. Records of 8 bytes: action, width, port (2), value (4).
 */
#include <stdlib.h>

#include "base/endian.h"
#include "device/acpi_pm.h"
#include "device/i8042.h"
#include "device/pm_timer.h"
#include "device/reset_control.h"

#define RECORD_SIZE 8
#define RECORDS_MAX 512
#define GED_PORT    0x60c

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fixture {
	struct bus *pio;
	struct machine_events events;
	struct irq_line line;
	bool level;
	unsigned int reports;
	struct device *timer, *kbc;
	struct acpi_pm *pm;
	struct reset_control *control;
};

static void must(struct err *err)
{
	if (err)
		abort();
}

static void count_report(
	struct machine_events *events, enum machine_event event, const char *source)
{
	if (event != MACHINE_RESET && event != MACHINE_POWER_OFF)
		abort();
	container_of(events, struct fixture, events)->reports++;
}

static void set_line(struct irq_line *line, bool level)
{
	container_of(line, struct fixture, line)->level = level;
}

static void act(struct fixture *f, const uint8_t *record)
{
	static const uint8_t widths[] = {1, 2, 4, 8};
	static const uint16_t bases[] = {0x60, 0x64, 0x600, 0x604, 0x608, GED_PORT, 0xcf8, 0};
	unsigned int width = widths[record[1] & 3];
	uint16_t port = (uint16_t)(bases[record[1] >> 2 & 7] + (load_le16(record + 2) & 7));
	uint32_t value = load_le32(record + 4);

	switch (record[0] & 7) {
	case 0:
		acpi_pm_power_button(f->pm);
		break;
	case 1:
		device_reset(acpi_pm_device(f->pm));
		device_reset(reset_control_device(f->control));
		device_reset(f->kbc);
		device_reset(f->timer);
		break;
	case 2:
	case 3:
		bus_read(f->pio, port, width);
		break;
	default:
		bus_write(f->pio, port, width, value);
		break;
	}
}

/* One access reports at most once, and the line is high exactly while an event is pending. */
static void check(struct fixture *f)
{
	if (f->reports > 1 || f->level != (bus_read(f->pio, GED_PORT, 4) != 0))
		abort();
	f->reports = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fixture f = {.events.report = count_report, .line.set = set_line};
	struct acpi_pm_options options = {.sleep_control = 0x600,
		.reset = 0x604,
		.reset_value = 'r',
		.ged = GED_PORT,
		.irq = &f.line,
		.events = &f.events};

	must(bus_create("pio", &f.pio));
	options.pio = f.pio;
	must(pm_timer_create(f.pio, 0x608, &f.timer));
	must(i8042_create(f.pio, &f.events, false, &f.kbc));
	must(acpi_pm_create(&options, &f.pm));
	must(reset_control_create(&f.events, &f.control));
	must(bus_add_at(f.pio, reset_control_region(f.control), 0xcf9));
	for (size_t i = 0; i < RECORDS_MAX && size >= RECORD_SIZE; i++) {
		act(&f, data);
		check(&f);
		data += RECORD_SIZE;
		size -= RECORD_SIZE;
	}
	bus_remove(f.pio, reset_control_region(f.control));
	device_free(reset_control_device(f.control));
	device_free(acpi_pm_device(f.pm));
	device_free(f.kbc);
	device_free(f.timer);
	bus_free(f.pio);
	return 0;
}
