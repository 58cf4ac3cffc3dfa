/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MC146818's registers as points in time: pure functions. Times are seconds since 1970, UTC.
 * Whatever a guest writes into the registers has a meaning, if not a good one. [any]
 */
#pragma once

#include "base/macros.h"

#define CMOS_SIZE          128

#define CMOS_SECONDS       0x00
#define CMOS_SECONDS_ALARM 0x01
#define CMOS_MINUTES       0x02
#define CMOS_MINUTES_ALARM 0x03
#define CMOS_HOURS         0x04
#define CMOS_HOURS_ALARM   0x05
#define CMOS_WEEKDAY       0x06
#define CMOS_DAY           0x07
#define CMOS_MONTH         0x08
#define CMOS_YEAR          0x09
#define CMOS_A             0x0a
#define CMOS_B             0x0b
#define CMOS_C             0x0c
#define CMOS_D             0x0d
#define CMOS_CENTURY       0x32

#define CMOS_B_24H         0x02u
#define CMOS_B_BINARY      0x04u

/* Writes the eight registers of time and date, in the format that register B says. */
void cmos_time_store(uint8_t regs[CMOS_SIZE], int64_t time);
/* What they say. */
int64_t cmos_time_load(const uint8_t regs[CMOS_SIZE]);
/* The first second after `after` at which the alarm registers match; INT64_MAX: never. */
int64_t cmos_time_next_alarm(const uint8_t regs[CMOS_SIZE], int64_t after);
