/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile unified kernel images: the input is the headers, and each text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "uki.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct uki_texts texts = {text, text, text};
	struct uki uki = {.kernel = {.size = 1}};
	struct boot_menu menu = {0};

	if (!text)
		return 0;
	if (uki_parse(data, size, &uki) && !uki.kernel.size)
		abort();
	uki_add_entry(&uki, &texts, text, &menu);
	if (menu.n && strlen(menu.entries[0]->options) >= BOOT_OPTIONS_MAX)
		abort();
	boot_menu_deinit(&menu);
	free(text);
	return 0;
}
