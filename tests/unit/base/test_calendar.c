/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calendar, against libc's.
 */
#include <stdlib.h>
#include <time.h>

#include "base/calendar.h"
#include "unit.h"

static void same_as_libc(int64_t days)
{
	struct tm tm = {.tm_mday = 1, .tm_mon = 0, .tm_year = 70};
	struct calendar_date date = calendar_date(days);

	tm.tm_mday += (int)days; /* timegm() makes a date of any day */
	(void)timegm(&tm);
	assert_int_equal(date.year, tm.tm_year + 1900);
	assert_int_equal(date.month, tm.tm_mon + 1);
	assert_int_equal(date.day, tm.tm_mday);
	assert_int_equal(calendar_days(date.year, date.month, date.day), days);
}

static void test_four_centuries(void **state)
{
	for (int64_t days = -80000; days < 80000; days++)
		same_as_libc(days);
}

static void test_known_days(void **state)
{
	assert_int_equal(calendar_days(1970, 1, 1), 0);
	assert_int_equal(calendar_days(2000, 2, 29), 11016);
	assert_int_equal(calendar_days(2000, 3, 1), 11017);
	assert_int_equal(calendar_days(1999, 13, 1), calendar_days(2000, 1, 1));
	assert_int_equal(calendar_days(2001, 0, 1), calendar_days(2000, 12, 1));
}

static void test_rounding_down(void **state)
{
	assert_int_equal(calendar_floor(-1, CALENDAR_SECONDS_A_DAY), -1);
	assert_int_equal(calendar_mod(-1, CALENDAR_SECONDS_A_DAY), CALENDAR_SECONDS_A_DAY - 1);
	assert_int_equal(calendar_floor(CALENDAR_SECONDS_A_DAY, CALENDAR_SECONDS_A_DAY), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_four_centuries),
		cmocka_unit_test(test_known_days),
		cmocka_unit_test(test_rounding_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
