/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every unit test includes: cmocka with its prerequisites in the right order.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"

/* Fails the test, with the chain printed, if err is not NULL; frees it. */
#define assert_ok(expr)                                                                            \
	do {                                                                                       \
		struct err *err_ = (expr);                                                         \
		if (err_) {                                                                        \
			char *text_ = err_format(err_);                                            \
			print_error("%s", text_);                                                  \
			free(text_);                                                               \
			err_free(err_);                                                            \
			fail_msg("%s", #expr);                                                     \
		}                                                                                  \
	} while (0)

/* The expression must fail with an outermost or innermost text that contains `part`. */
#define assert_err(expr, part)                                                                     \
	do {                                                                                       \
		struct err *err_ = (expr);                                                         \
		char *text_;                                                                       \
		assert_non_null(err_);                                                             \
		text_ = err_format(err_);                                                          \
		if (!strstr(text_, (part)))                                                        \
			fail_msg("'%s' is not in: %s", (part), text_);                             \
		free(text_);                                                                       \
		err_free(err_);                                                                    \
	} while (0)
