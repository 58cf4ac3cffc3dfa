/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of the UAPI group's Boot Loader Specification, type 1, as systemd-boot and Fedora's GRUB
 * read them: one file each in loader/entries. All functions [any].
 */
#pragma once

#include <stddef.h>

#include "entry.h"
#include "vars.h"

/*
 * Adds the entry of one file to menu. name: the file's, with .conf. vars: GRUB's variables, which
 * Fedora's entries use in their options; others are empty.
 */
void bls_parse_entry(const char *text, size_t len, const char *name, const struct vars *vars,
	struct boot_menu *menu);

/* The value of `default` in a loader.conf, owned by the caller; NULL if there is none. */
char *bls_parse_default(const char *text, size_t len);

/*
 * Sorts the entries from index `first` on as the specification says: those with tries left first,
 * those with a sort key, by that and their machines; then the newest version, then by id,
 * descending.
 */
void bls_sort(struct boot_menu *menu, unsigned int first);

/*
 * Gives positions to loader entries, which are sorted and begin at `bls_first`, where GRUB has them
 * in its menu: `at` of its entries come before them. The others, of those from `first` on, move.
 */
void bls_number(
	struct boot_menu *menu, unsigned int first, unsigned int bls_first, unsigned int at);
