/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Years begin in March here, so that the day that comes and goes is the last one; 400 of them have
 * 146097 days, and the five months from March to July, and from August on, 153.
 */
#include "base/calendar.h"

#define DAYS_400_YEARS 146097
#define DAYS_TO_1970   719468 /* from the 1st of March of the year 0 */

int64_t calendar_days(int64_t year, int64_t month, int64_t day)
{
	int64_t from_march = calendar_mod(month + 9, 12);
	int64_t y = year + calendar_floor(month - 3, 12);
	int64_t in_era = calendar_mod(y, 400);

	return calendar_floor(y, 400) * DAYS_400_YEARS + in_era * 365 + in_era / 4 - in_era / 100 +
	       (153 * from_march + 2) / 5 + day - 1 - DAYS_TO_1970;
}

struct calendar_date calendar_date(int64_t days)
{
	int64_t shifted = days + DAYS_TO_1970;
	int64_t in_era = calendar_mod(shifted, DAYS_400_YEARS);
	int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
	int64_t from_march = (5 * in_year + 2) / 153;

	year += 400 * calendar_floor(shifted, DAYS_400_YEARS) + (from_march >= 10);
	return (struct calendar_date){.year = year,
		.month = (int)((from_march + 2) % 12 + 1),
		.day = (int)(in_year - (153 * from_march + 2) / 5 + 1)};
}
