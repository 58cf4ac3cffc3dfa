/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splits the words of a command line. Keeps no state of its own, unlike getopt().
 */
#include "cli/args.h"

#include <string.h>

/* Two characters at least: "--k" is not "-k". */
static bool cli_is_long(const char *word)
{
	return word[0] == '-' && word[1] == '-' && word[2] && word[2] != '=' && word[3] &&
	       word[3] != '=';
}

static bool cli_is_short(const char *word)
{
	return word[0] == '-' && word[1] && word[1] != '-';
}

static void cli_split_long(const char *word, struct cli_option *option)
{
	const char *name = word + 2;
	size_t len = strcspn(name, "=");
	size_t kept = MIN(len, sizeof(option->name) - 1);

	memcpy(option->name, name, kept);
	option->name[kept] = '\0';
	option->value = name[len] ? name + len + 1 : NULL;
}

static void cli_split_short(const char *word, struct cli_option *option)
{
	option->name[0] = word[1];
	option->name[1] = '\0';
	if (word[2] == '=')
		option->value = word + 3;
	else
		option->value = word[2] ? word + 2 : NULL;
}

bool cli_args_next(struct cli_args *args, struct cli_option *ret_option)
{
	const char *word = cli_args_rest(args);

	if (!word || (!cli_is_long(word) && !cli_is_short(word)))
		return false;
	if (cli_is_long(word))
		cli_split_long(word, ret_option);
	else
		cli_split_short(word, ret_option);
	args->next++;
	return true;
}

const char *cli_args_value(struct cli_args *args, const struct cli_option *option)
{
	if (option->value || args->next == args->argc)
		return option->value;
	return args->argv[args->next++];
}

const char *cli_args_optional_value(struct cli_args *args, const struct cli_option *option)
{
	const char *word = cli_args_rest(args);

	return option->value || !word || word[0] == '-' ? option->value
							: cli_args_value(args, option);
}

const char *cli_args_rest(const struct cli_args *args)
{
	return args->next < args->argc ? args->argv[args->next] : NULL;
}

/* Is it a word that names an option, rather than a value that begins with a dash? */
static bool cli_is_option_of(const struct config_struct *schema, const char *word)
{
	struct cli_option option;

	if (cli_is_long(word))
		cli_split_long(word, &option);
	else if (cli_is_short(word) && !word[2])
		cli_split_short(word, &option);
	else
		return false;
	return config_option_find(schema, option.name) || !strcmp(option.name, "help");
}

const char *cli_args_field_value(struct cli_args *args, const struct config_struct *schema,
	const struct config_field *field, const struct cli_option *option)
{
	const char *word = cli_args_rest(args);

	if (option->value || !field || field->kind == CONFIG_BOOL)
		return option->value;
	if (config_is_switch(field))
		return cli_args_optional_value(args, option);
	return word && cli_is_option_of(schema, word) ? NULL : cli_args_value(args, option);
}

struct err *cli_args_parse(struct cli_args *args, const struct config_struct *schema, void *object)
{
	struct cli_option option;
	struct err *err = NULL;
	uint64_t seen = 0;

	while (!err && cli_args_next(args, &option)) {
		const char *value = cli_args_field_value(
			args, schema, config_option_find(schema, option.name), &option);

		err = config_option_set(schema, NULL, &seen, option.name, value, object);
	}
	return err;
}
