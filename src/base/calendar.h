/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates of the Gregorian calendar, before 1583 too, without libc, whose functions look for the time
 * zone's file. [any]
 */
#pragma once

#include <stdint.h>

#define CALENDAR_SECONDS_A_DAY 86400

struct calendar_date {
	int64_t year;
	int month, day; /* from 1 */
};

/* The rest of a division that rounds down: 0 .. modulus - 1. */
static inline int64_t calendar_mod(int64_t value, int64_t modulus)
{
	int64_t rest = value % modulus;

	return rest < 0 ? rest + modulus : rest;
}

static inline int64_t calendar_floor(int64_t value, int64_t divisor)
{
	return (value - calendar_mod(value, divisor)) / divisor;
}

/* Days since the 1st of January 1970; the month may be any, the 13th is the next January. */
int64_t calendar_days(int64_t year, int64_t month, int64_t day);
/* The date that many days after the 1st of January 1970. */
struct calendar_date calendar_date(int64_t days);
