/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs for tests: qemu-img as a judge, rm for a folder.
 */
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Runs a command line of at most 599 bytes; what system() returns. */
static inline int sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline int sh(const char *fmt, ...)
{
	char command[600];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	return system(command); /* NOLINT: paths of our own */
}
