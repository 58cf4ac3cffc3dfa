/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the entries of a grub.cfg: enough of GRUB's script language for the menus that
 * distributions write. Words with quotes and variables, set, if with string tests (others are
 * false), menuentry and submenu; of an entry: linux, initrd and search. Functions and loops are
 * read over. Whatever the text says, the work is proportional to its length, blocks nest to
 * GRUB_DEPTH_MAX, and the menu's limits hold.
 */
#pragma once

#include <stddef.h>

#include "entry.h"
#include "vars.h"

#define GRUB_DEPTH_MAX 32

/*
 * Adds the entries of text to menu. vars: what the environment block said; afterwards also what the
 * configuration set, "default" among it. How many entries of its top menu come before the loader
 * entries (bls.h) that it asks for with `blscfg`; -1: it does not. [any]
 */
int grub_parse(const char *text, size_t len, struct vars *vars, struct boot_menu *menu);
