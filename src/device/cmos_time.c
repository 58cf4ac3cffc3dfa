/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time and date in the registers of an MC146818, binary or BCD, 12 or 24 hours (Motorola's data
 * sheet, "Time, calendar, and alarm locations").
 */
#include "device/cmos_time.h"

#include "base/calendar.h"

#define HOURS_PM        0x80u
#define ALARM_ANY       0xc0u /* both upper bits: every value matches */
#define ALARM_STEPS_MAX 300   /* hours, minutes and seconds that a search passes, twice */

/* ---- Formats ---- */

static uint8_t cmos_encode(const uint8_t *regs, int64_t value)
{
	unsigned int v = (unsigned int)value % 100;

	return (uint8_t)(regs[CMOS_B] & CMOS_B_BINARY ? v : v / 10 << 4 | v % 10);
}

static int cmos_decode(const uint8_t *regs, uint8_t reg)
{
	return regs[CMOS_B] & CMOS_B_BINARY ? reg : (reg >> 4) * 10 + (reg & 0xf);
}

static uint8_t cmos_encode_hour(const uint8_t *regs, int64_t hour)
{
	int64_t half = hour % 12 ? hour % 12 : 12;

	if (regs[CMOS_B] & CMOS_B_24H)
		return cmos_encode(regs, hour);
	return (uint8_t)(cmos_encode(regs, half) | (hour >= 12 ? HOURS_PM : 0));
}

static int cmos_decode_hour(const uint8_t *regs, uint8_t reg)
{
	if (regs[CMOS_B] & CMOS_B_24H)
		return cmos_decode(regs, reg);
	return cmos_decode(regs, (uint8_t)(reg & ~HOURS_PM)) % 12 + (reg & HOURS_PM ? 12 : 0);
}

/* ---- Time and date ---- */

void cmos_time_store(uint8_t regs[CMOS_SIZE], int64_t time)
{
	int64_t days = calendar_floor(time, CALENDAR_SECONDS_A_DAY);
	int64_t seconds = calendar_mod(time, CALENDAR_SECONDS_A_DAY);
	struct calendar_date date = calendar_date(days);

	regs[CMOS_SECONDS] = cmos_encode(regs, seconds % 60);
	regs[CMOS_MINUTES] = cmos_encode(regs, seconds / 60 % 60);
	regs[CMOS_HOURS] = cmos_encode_hour(regs, seconds / 3600);
	regs[CMOS_WEEKDAY] = cmos_encode(regs, calendar_mod(days + 4, 7) + 1); /* 1: Sunday */
	regs[CMOS_DAY] = cmos_encode(regs, date.day);
	regs[CMOS_MONTH] = cmos_encode(regs, date.month);
	regs[CMOS_YEAR] = cmos_encode(regs, calendar_mod(date.year, 100));
	regs[CMOS_CENTURY] = cmos_encode(regs, calendar_mod(calendar_floor(date.year, 100), 100));
}

int64_t cmos_time_load(const uint8_t regs[CMOS_SIZE])
{
	int64_t year =
		cmos_decode(regs, regs[CMOS_CENTURY]) * 100LL + cmos_decode(regs, regs[CMOS_YEAR]);
	int64_t days = calendar_days(
		year, cmos_decode(regs, regs[CMOS_MONTH]), cmos_decode(regs, regs[CMOS_DAY]));

	return days * CALENDAR_SECONDS_A_DAY + cmos_decode_hour(regs, regs[CMOS_HOURS]) * 3600LL +
	       cmos_decode(regs, regs[CMOS_MINUTES]) * 60LL + cmos_decode(regs, regs[CMOS_SECONDS]);
}

/* ---- Alarm ---- */

static bool cmos_alarm_matches(uint8_t reg, int64_t decoded, int64_t value)
{
	return (reg & ALARM_ANY) == ALARM_ANY || decoded == value;
}

int64_t cmos_time_next_alarm(const uint8_t regs[CMOS_SIZE], int64_t after)
{
	int hour = cmos_decode_hour(regs, regs[CMOS_HOURS_ALARM]);
	int minute = cmos_decode(regs, regs[CMOS_MINUTES_ALARM]);
	int second = cmos_decode(regs, regs[CMOS_SECONDS_ALARM]);
	int64_t t = after + 1;

	for (int i = 0; i < ALARM_STEPS_MAX; i++) {
		if (!cmos_alarm_matches(regs[CMOS_HOURS_ALARM], hour,
			    calendar_mod(t, CALENDAR_SECONDS_A_DAY) / 3600))
			t += 3600 - calendar_mod(t, 3600);
		else if (!cmos_alarm_matches(
				 regs[CMOS_MINUTES_ALARM], minute, calendar_mod(t, 3600) / 60))
			t += 60 - calendar_mod(t, 60);
		else if (!cmos_alarm_matches(regs[CMOS_SECONDS_ALARM], second, calendar_mod(t, 60)))
			t++;
		else
			return t;
	}
	return INT64_MAX;
}
