/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The menu on the console.
 */
#pragma once

#include "volumes.h"

enum menu_choice { MENU_BOOT, MENU_SHELL, MENU_REBOOT, MENU_POWER_OFF };

/*
 * Shows the entries and waits for a choice. After `seconds` without a key it is `fallback`; of
 * MENU_BOOT, the entry *index. Without entries that is never the choice. *index is the entry to
 * boot.
 */
enum menu_choice menu_ask(const struct volumes *volumes, const struct boot_menu *menu,
	unsigned int seconds, enum menu_choice fallback, unsigned int *index);
