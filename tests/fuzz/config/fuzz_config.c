/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option grammar and its JSON form. The first byte chooses: JSON, or an option of `alioth boot`
 * whose value is the rest; lines before the last one are objects.
 */
#include <stdlib.h>
#include <string.h>

#include "config/vm_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_text(
	struct vm_config_builder *builder, const struct config_field *field, char *text)
{
	char *rest = text;
	char *line = strsep(&rest, "\n");

	while (rest) {
		err_free(vm_config_set(builder, "object", line));
		line = strsep(&rest, "\n");
	}
	err_free(vm_config_set(builder, field->name, line));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vm_config_builder builder = {0};
	unsigned int n = 0;
	char *text;

	if (!size)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	while (vm_config_schema.fields[n].name)
		n++;
	if (data[0] % (n + 1) == n)
		err_free(vm_config_set_json(&builder, text));
	else
		fuzz_text(&builder, &vm_config_schema.fields[data[0] % (n + 1)], text);
	err_free(vm_config_check(&builder));
	vm_config_builder_deinit(&builder);
	free(text);
	return 0;
}
