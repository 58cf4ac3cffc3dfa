/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts that the user passes by SMBIOS. Files are read once, before there is a VM, so that a
 * reboot needs nothing of the host.
 */
#include "board/x86_64/board_internal.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "tables/smbios/smbios.h"

#define OEM_FILE_MAX MIB(1) /* more would not fit in the tables anyway */

static struct err *oem_read_file(const char *path, char **ret_data, size_t *ret_len)
{
	auto_free char *data = NULL;
	auto_close int fd = -1;
	uint64_t size;
	struct err *err = fd_open_regular(path, "credential", &fd, &size);
	int ret;

	if (err)
		return err;
	if (size > OEM_FILE_MAX)
		return err_new(EFBIG, "\"%s\" has %llu bytes; a credential has at most 1 MiB", path,
			(unsigned long long)size);
	data = malloc(size + 1);
	if (!data)
		return err_new(ENOMEM, "There is no memory for \"%s\"", path);
	ret = fd_pread_full(fd, data, size, 0);
	if (ret)
		return err_new(-ret, "Cannot read \"%s\"", path);
	*ret_data = steal_ptr(&data);
	*ret_len = size;
	return NULL;
}

static struct err *oem_add(struct board *board, char *text)
{
	if (!text)
		return err_new(ENOMEM, "There is no memory for another OEM string");
	board->oem_strings[board->n_oem_strings++] = text;
	return NULL;
}

static struct err *oem_add_credential(
	struct board *board, const struct credential_config *credential)
{
	auto_free char *data = NULL;
	const char *content = credential->value;
	size_t len = content ? strlen(content) : 0;
	struct err *err = NULL;

	if (!content) {
		err = oem_read_file(credential->file, &data, &len);
		content = data;
	}
	if (!err)
		err = oem_add(board, smbios_credential(credential->name, content, len));
	return err_wrap(err, "Cannot pass the credential %s", credential->name);
}

struct err *board_open_oem_strings(struct board *board)
{
	const struct vm_config *config = board->config;
	size_t n = config->n_oem_string + config->n_credential;
	struct err *err = NULL;

	if (!n)
		return NULL;
	board->oem_strings = new0_array(char *, n + 1);
	if (!board->oem_strings)
		return err_new(ENOMEM, "There is no memory for OEM strings");
	for (size_t i = 0; !err && i < config->n_oem_string; i++)
		err = oem_add(board, strdup(config->oem_string[i]));
	for (size_t i = 0; !err && i < config->n_credential; i++)
		err = oem_add_credential(board, &config->credential[i]);
	return err;
}

void board_free_oem_strings(struct board *board)
{
	for (size_t i = 0; i < board->n_oem_strings; i++)
		free(board->oem_strings[i]);
	free(board->oem_strings);
}
