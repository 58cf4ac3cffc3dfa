/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules between options, shared by the files that have them.
 */
#pragma once

#include "config/vm_config.h"

/* 1 to max letters, digits, dashes, dots and underscores? */
bool vm_config_is_id(const char *id, size_t max);

/* vm_config_console.c */
struct err *must_check vm_config_check_consoles(const struct vm_config *config);
