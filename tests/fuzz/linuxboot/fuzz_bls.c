/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile loader entries: the input up to the first zero byte is a file's name and a default, the
 * rest are entries, each up to the next zero byte.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct boot_menu menu = {0};
	struct vars vars = {0};
	char *name = strndup((const char *)data, size);
	char *pattern = bls_parse_default((const char *)data, size);
	const uint8_t *end = data + size;

	for (const uint8_t *p = data; name && p < end;) {
		const uint8_t *zero = memchr(p, 0, (size_t)(end - p));
		size_t len = (size_t)((zero ? zero : end) - p);

		bls_parse_entry((const char *)p, len, name, &vars, &menu);
		p += len + 1;
	}
	bls_sort(&menu, 0);
	for (unsigned int i = 0; i < menu.n; i++) {
		if (!menu.entries[i]->id || strlen(menu.entries[i]->options) >= BOOT_OPTIONS_MAX)
			abort();
	}
	if (pattern && strlen(pattern) < 100)
		(void)boot_menu_find(&menu, 0, pattern);
	boot_menu_deinit(&menu);
	free(pattern);
	free(name);
	return 0;
}
