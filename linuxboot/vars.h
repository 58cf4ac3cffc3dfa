/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Variables of a boot loader's configuration: GRUB's, with its environment block. Few and short: a
 * set that would be too much is dropped. All functions [any]; a set belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define VARS_MAX       128
#define VARS_VALUE_MAX 4096

struct vars {
	struct {
		char *name;
		char *value;
	} list[VARS_MAX];
	unsigned int n;
};

void vars_deinit(struct vars *vars);

/* Sets or replaces; copies both. */
void vars_set(struct vars *vars, const char *name, const char *value);

/* The value, "" where there is none; lives until the variable is set again. */
const char *vars_get(const struct vars *vars, const char *name);

/* Reads a GRUB environment block: lines of name=value, with a backslash before a backslash. */
void vars_load_env(struct vars *vars, const char *text, size_t len);

/*
 * Takes a variable's lines out of an environment block, as GRUB does: what follows moves up, and
 * the end is filled with '#'. false if there was none, or if this is no environment block.
 */
bool vars_remove_env(char *block, size_t len, const char *name);
