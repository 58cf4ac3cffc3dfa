/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fw_cfg: the items and their directory.
 */
#define LOG_MODULE "fw_cfg"
#include "device/fw_cfg_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fd.h"

#define FW_CFG_FEATURE_PORTS 0x1u
#define FW_CFG_FEATURE_DMA   0x2u

#define FW_CFG_DIR_COUNT     4  /* be32, before the entries */
#define FW_CFG_DIR_ENTRY     64 /* be32 size, be16 key, 2 reserved, name with its terminator */
#define FW_CFG_DIR_KEY       4
#define FW_CFG_DIR_NAME      8
static_assert(FW_CFG_DIR_NAME + FW_CFG_NAME_MAX + 1 == FW_CFG_DIR_ENTRY, "ABI");

const struct fw_cfg_item *fw_cfg_find(const struct fw_cfg *fw, uint16_t key)
{
	if (key == FW_CFG_FILE_DIR)
		return &fw->dir;
	for (size_t i = 0; i < fw->n_items; i++) {
		if (fw->items[i].key == key)
			return &fw->items[i];
	}
	return NULL;
}

int fw_cfg_item_read(const struct fw_cfg_item *item, uint64_t off, void *dst, size_t len)
{
	if (!item->data)
		return fd_pread_full(item->fd, dst, len, item->fd_offset + off);
	memcpy(dst, item->data + off, len);
	return 0;
}

int fw_cfg_item_to_ram(const struct fw_cfg_item *item, uint64_t off, const struct ram *ram,
	uint64_t gpa, size_t len)
{
	if (!item->data)
		return ram_read_file(ram, gpa, item->fd, item->fd_offset + off, len);
	return ram_write(ram, gpa, item->data + off, len);
}

static struct err *fw_cfg_take_content(
	struct fw_cfg_item *item, const struct fw_cfg_content *content)
{
	item->fd = -1;
	item->size = content->size;
	if (content->data || !content->size) {
		item->data = malloc(content->size ? content->size : 1);
		if (!item->data)
			return err_new(ENOMEM, "There is no memory for %llu bytes",
				(unsigned long long)content->size);
		if (content->size)
			memcpy(item->data, content->data, content->size);
		return NULL;
	}
	item->fd_offset = content->offset;
	item->fd = fcntl(content->fd, F_DUPFD_CLOEXEC, 0);
	return item->fd < 0 ? err_new(errno, "Its file cannot be kept open") : NULL;
}

static struct err *fw_cfg_append(
	struct fw_cfg *fw, uint16_t key, const struct fw_cfg_content *content)
{
	struct fw_cfg_item *items = reallocarray(fw->items, fw->n_items + 1, sizeof(*items));
	struct err *err;

	if (!items)
		return err_new(ENOMEM, "There is no memory for another item");
	fw->items = items;
	items[fw->n_items] = (struct fw_cfg_item){.key = key};
	err = fw_cfg_take_content(&items[fw->n_items], content);
	if (err)
		return err;
	fw->n_items++;
	/* The selected item may have moved with the others. */
	fw->item = &fw->items[0];
	fw->offset = 0;
	return NULL;
}

struct err *fw_cfg_add(struct fw_cfg *fw, enum fw_cfg_key key, const struct fw_cfg_content *content)
{
	if (fw_cfg_find(fw, (uint16_t)key))
		return err_new(EEXIST, "fw_cfg has an item %#x already", (unsigned int)key);
	return err_wrap(fw_cfg_append(fw, (uint16_t)key, content), "Cannot add item %#x to fw_cfg",
		(unsigned int)key);
}

struct err *fw_cfg_add_int(
	struct fw_cfg *fw, enum fw_cfg_key key, uint64_t value, unsigned int size)
{
	uint8_t bytes[8];

	store_le(bytes, value, size);
	return fw_cfg_add(fw, key, &(struct fw_cfg_content){.data = bytes, .size = size});
}

/* ---- Directory ---- */

static uint8_t *fw_cfg_dir_entry(struct fw_cfg *fw, size_t i)
{
	return fw->dir.data + FW_CFG_DIR_COUNT + i * FW_CFG_DIR_ENTRY;
}

static struct err *fw_cfg_check_file(struct fw_cfg *fw, const char *name, uint64_t size)
{
	size_t len = strlen(name);

	if (!len || len > FW_CFG_NAME_MAX)
		return err_new(EINVAL, "The name has %zu bytes; 1 to %d are possible", len,
			FW_CFG_NAME_MAX);
	if (size > UINT32_MAX)
		return err_new(EFBIG, "It has %llu bytes; less than 4 GiB are possible",
			(unsigned long long)size);
	if (fw->n_files == FW_CFG_FILES_MAX)
		return err_new(ENOSPC, "There are %d named items already", FW_CFG_FILES_MAX);
	for (size_t i = 0; i < fw->n_files; i++) {
		if (!strcmp((char *)fw_cfg_dir_entry(fw, i) + FW_CFG_DIR_NAME, name))
			return err_new(EEXIST, "There is one of that name already");
	}
	return NULL;
}

static struct err *fw_cfg_dir_grow(struct fw_cfg_item *dir)
{
	uint8_t *data = realloc(dir->data, dir->size + FW_CFG_DIR_ENTRY);

	if (!data)
		return err_new(ENOMEM, "There is no memory for the directory");
	memset(data + dir->size, 0, FW_CFG_DIR_ENTRY);
	dir->data = data;
	dir->size += FW_CFG_DIR_ENTRY;
	return NULL;
}

static struct err *fw_cfg_add_entry(
	struct fw_cfg *fw, const char *name, const struct fw_cfg_content *content)
{
	uint16_t key = (uint16_t)(FW_CFG_FILE_FIRST + fw->n_files);
	struct err *err = fw_cfg_check_file(fw, name, content->size);
	uint8_t *entry;

	if (!err)
		err = fw_cfg_append(fw, key, content);
	if (!err)
		err = fw_cfg_dir_grow(&fw->dir);
	if (err)
		return err;
	entry = fw_cfg_dir_entry(fw, fw->n_files);
	store_be32(entry, (uint32_t)content->size);
	store_be16(entry + FW_CFG_DIR_KEY, key);
	memcpy(entry + FW_CFG_DIR_NAME, name, strlen(name));
	fw->n_files++;
	store_be32(fw->dir.data, (uint32_t)fw->n_files);
	return NULL;
}

struct err *fw_cfg_add_file(
	struct fw_cfg *fw, const char *name, const struct fw_cfg_content *content)
{
	return err_wrap(fw_cfg_add_entry(fw, name, content), "Cannot add \"%s\" to fw_cfg", name);
}

void fw_cfg_warn_unreadable(struct fw_cfg *fw, const struct fw_cfg_item *item, int error)
{
	const char *why = err_strerror(-error);

	if (item->key >= FW_CFG_FILE_FIRST)
		log_guest(&fw->limit, "fw_cfg: the file of \"%s\" cannot be read: %s",
			(const char *)fw_cfg_dir_entry(fw, item->key - FW_CFG_FILE_FIRST) +
				FW_CFG_DIR_NAME,
			why);
	else
		log_guest(&fw->limit, "fw_cfg: the file of item %#x cannot be read: %s", item->key,
			why);
}

/* ---- Life ---- */

struct err *fw_cfg_init_items(struct fw_cfg *fw)
{
	static const uint8_t empty[FW_CFG_DIR_COUNT];
	struct err *err = fw_cfg_take_content(
		&fw->dir, &(struct fw_cfg_content){.data = empty, .size = sizeof(empty)});

	if (!err)
		err = fw_cfg_add(
			fw, FW_CFG_SIGNATURE, &(struct fw_cfg_content){.data = "QEMU", .size = 4});
	if (!err)
		err = fw_cfg_add_int(fw, FW_CFG_ID, FW_CFG_FEATURE_PORTS | FW_CFG_FEATURE_DMA, 4);
	return err;
}

void fw_cfg_free_items(struct fw_cfg *fw)
{
	for (size_t i = 0; i < fw->n_items; i++) {
		free(fw->items[i].data);
		auto_close_cleanup(&fw->items[i].fd);
	}
	free(fw->items);
	free(fw->dir.data);
}
