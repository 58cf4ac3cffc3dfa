/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership by scope: auto_free, auto_close, and the helpers that pass ownership on.
 * Checked multiplication for arrays. All functions [any].
 */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include "base/macros.h"

static inline void auto_free_cleanup(void *pp)
{
	void **slot = pp;

	free(*slot);
}

static inline void auto_close_cleanup(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* The variable's memory is freed at the end of its scope. */
#define auto_free __attribute__((cleanup(auto_free_cleanup)))
/* The variable's file descriptor is closed at the end of its scope; -1 means none. */
#define auto_close __attribute__((cleanup(auto_close_cleanup)))

/* Takes the pointer out of a variable, which becomes NULL. */
#define steal_ptr(pp)                                                                              \
	__extension__({                                                                            \
		__typeof__(*(pp)) stolen_ = *(pp);                                                 \
		*(pp) = NULL;                                                                      \
		stolen_;                                                                           \
	})

/* Takes the file descriptor out of a variable, which becomes -1. */
static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

/* Zeroed object of the given type, or NULL. The caller frees it. */
#define new0(type) ((type *)calloc(1, sizeof(type)))
/* Zeroed array, or NULL, also when the size overflows. The caller frees it. */
#define new0_array(type, n) ((type *)calloc((n), sizeof(type)))
