/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GRUB's environment block, where `grub-reboot` leaves an entry for one start: what is started must
 * be forgotten first, or a system that does not come up would be started for ever.
 */
#pragma once

#include <stdbool.h>

#include "volumes.h"

/*
 * Takes next_entry out of the block at `path`, on the disk: like GRUB, in the sector that it is in,
 * without the file system, which stays mounted read-only. false, after a line that says why, if it
 * is still there.
 */
bool grubenv_forget_next(const struct volume *volume, const char *path);
