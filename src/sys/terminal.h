/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioctls of terminals. 0 or -errno. [any]
 */
#pragma once

#include "base/macros.h"

int must_check sys_terminal_get_size(int fd, uint16_t *ret_columns, uint16_t *ret_rows);
