/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of values and JSON with a schema that has every kind of field. An input that starts
 * with '{' is JSON; otherwise each line but the last is an object, and the last one the value. What
 * was understood must print as JSON that says the same.
 */
#include <stdlib.h>
#include <string.h>

#include "../../unit/config/sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct err *fuzz_text(char *text, struct sample *sample)
{
	struct config_objects objects = {0};
	char *rest = text;
	char *line = strsep(&rest, "\n");
	struct err *err;

	while (rest) {
		err_free(config_objects_add(&objects, line));
		line = strsep(&rest, "\n");
	}
	err = config_parse_text(&sample_field, &objects, line, sample);
	config_objects_deinit(&objects);
	return err;
}

static struct err *fuzz_json(const char *text, struct sample *sample)
{
	uint64_t seen = 0;

	return config_parse_json(&sample_schema, &seen, text, sample);
}

static void fuzz_start(struct sample *sample)
{
	memset(sample, 0, sizeof(*sample));
	if (config_defaults(&sample_schema, sample))
		abort();
}

static void fuzz_round_trip(const struct sample *sample)
{
	struct sample other;
	char *json = NULL;
	char *again = NULL;
	struct err *err = config_print_json(&sample_schema, sample, &json);

	if (!err) {
		fuzz_start(&other);
		if (fuzz_json(json, &other) || config_print_json(&sample_schema, &other, &again) ||
			strcmp(json, again))
			abort();
		config_deinit(&sample_schema, &other);
	}
	err_free(err);
	free(json);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct sample sample;
	struct err *err;

	fuzz_start(&sample);
	err = *text == '{' ? fuzz_json(text, &sample) : fuzz_text(text, &sample);
	if (!err)
		fuzz_round_trip(&sample);
	err_free(err);
	config_deinit(&sample_schema, &sample);
	free(text);
	return 0;
}
