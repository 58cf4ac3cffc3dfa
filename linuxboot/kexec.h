/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads the kernel of an entry and starts it in place of this one.
 */
#pragma once

#include <stdbool.h>

#include "volumes.h"

/* Loads the entry's files into memory; false, with a line that says why, if that does not work. */
bool kexec_load(const struct volumes *volumes, const struct boot_entry *entry);

/* Starts what was loaded. Returns only if that fails, with a line. */
void kexec_start(void);
