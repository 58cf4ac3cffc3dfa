/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile grub.cfg files: the text up to the first zero byte is the environment block, the rest the
 * configuration. What comes out keeps the limits that it promises.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bls.h"
#include "grub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void grub_fuzz_check(const struct boot_menu *menu, const struct vars *vars)
{
	if (menu->n > BOOT_ENTRIES_MAX || vars->n > VARS_MAX)
		abort();
	for (unsigned int i = 0; i < menu->n; i++) {
		const struct boot_entry *e = menu->entries[i];

		if (!e->title || !(e->position || e->is_file) || !e->kernel || !e->options ||
			strlen(e->options) >= BOOT_OPTIONS_MAX || e->n_initrds > BOOT_INITRDS_MAX)
			abort();
		if (e->position && boot_menu_find(menu, 0, e->position) < 0)
			abort();
	}
	for (unsigned int i = 0; i < vars->n; i++) {
		if (strlen(vars->list[i].value) > VARS_VALUE_MAX)
			abort();
	}
	(void)boot_menu_find(menu, 0, vars_get(vars, "default"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *zero = memchr(data, 0, size);
	size_t env = zero ? (size_t)(zero - data) : 0;
	size_t start = zero ? env + 1 : 0;
	struct boot_menu menu = {0};
	struct vars *vars = new0(struct vars);
	unsigned int bls_first;
	int bls_at;

	if (!vars)
		return 0;
	vars_load_env(vars, (const char *)data, env);
	bls_at = grub_parse((const char *)data + start, size - start, vars, &menu);
	grub_fuzz_check(&menu, vars);
	bls_first = menu.n;
	bls_parse_entry((const char *)data, env, "a+1.conf", vars, &menu);
	if (bls_at >= 0)
		bls_number(&menu, 0, bls_first, (unsigned int)bls_at);
	grub_fuzz_check(&menu, vars);
	boot_menu_deinit(&menu);
	vars_deinit(vars);
	free(vars);
	return 0;
}
