/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of `alioth boot` and their JSON form. The first byte chooses: JSON, or an option
 * whose value is the rest; lines before the last one are objects. What was understood must print as
 * JSON that says the same.
 */
#include <stdlib.h>
#include <string.h>

#include "config/vm_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct err *fuzz_text(
	struct vm_config_builder *builder, const struct config_field *field, char *text)
{
	char *rest = text;
	char *line = strsep(&rest, "\n");

	while (rest) {
		err_free(vm_config_set(builder, "object", line));
		line = strsep(&rest, "\n");
	}
	return vm_config_set(builder, field->name, line);
}

static void fuzz_round_trip(struct vm_config_builder *builder)
{
	struct vm_config_builder other = {0};
	char *json = NULL;
	char *again = NULL;
	struct err *err = vm_config_get_json(builder, &json);

	/* Paths need not be UTF-8. */
	if (!err) {
		if (vm_config_set_json(&other, json) || vm_config_get_json(&other, &again) ||
			strcmp(json, again))
			abort();
	}
	err_free(err);
	free(json);
	free(again);
	vm_config_builder_deinit(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vm_config_builder builder = {0};
	unsigned int n = 0;
	struct err *err;
	char *text;

	if (!size)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	while (vm_config_schema.fields[n].name)
		n++;
	if (data[0] % (n + 1) == n)
		err = vm_config_set_json(&builder, text);
	else
		err = fuzz_text(&builder, &vm_config_schema.fields[data[0] % (n + 1)], text);
	if (!err) {
		err_free(vm_config_check(&builder));
		fuzz_round_trip(&builder);
	}
	err_free(err);
	vm_config_builder_deinit(&builder);
	free(text);
	return 0;
}
