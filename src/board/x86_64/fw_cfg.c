/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in the x86_64 board's fw_cfg. The device exists if somebody has a use for it: firmware,
 * or the user, who gave items.
 */
#define LOG_MODULE "board"
#include "board/x86_64/board_internal.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "device/fw_cfg.h"
#include "loader/linux_params.h"

#define FW_CFG_E820_SIZE 20u

static struct err *board_fw_cfg_machine(struct board *board)
{
	uint16_t cpus = board->config->cpu.count;
	struct err *err =
		fw_cfg_add_int(board->fw_cfg, FW_CFG_RAM_SIZE, board->config->memory.size, 8);

	if (!err)
		err = fw_cfg_add_int(board->fw_cfg, FW_CFG_NB_CPUS, cpus, 2);
	if (!err)
		err = fw_cfg_add_int(board->fw_cfg, FW_CFG_MAX_CPUS, cpus, 2);
	/* There is no screen: firmware talks to the serial port. */
	if (!err)
		err = fw_cfg_add_int(board->fw_cfg, FW_CFG_NOGRAPHIC, 1, 2);
	if (!err)
		err = fw_cfg_add_int(board->fw_cfg, FW_CFG_BOOT_MENU, 0, 2);
	return err;
}

static void board_e820_entry(struct strbuf *sb, uint64_t base, uint64_t size)
{
	strbuf_le64(sb, base);
	strbuf_le64(sb, size);
	strbuf_le32(sb, LOADER_RANGE_RAM);
}

/* RAM as it is: what the firmware puts into it is the firmware's to tell. */
static struct err *board_fw_cfg_e820(struct board *board)
{
	auto_strbuf struct strbuf sb = STRBUF_INIT((size_t)2 * FW_CFG_E820_SIZE);
	uint64_t low = MIN(board->config->memory.size, (uint64_t)X86_RAM_LOW_END);
	uint64_t high = board->config->memory.size - low;

	board_e820_entry(&sb, 0, low);
	if (high)
		board_e820_entry(&sb, X86_RAM_HIGH_BASE, high);
	if (sb.failed)
		return err_new(ENOMEM, "Cannot make the memory map");
	return fw_cfg_add_file(board->fw_cfg, "etc/e820",
		&(struct fw_cfg_content){.data = sb.data, .size = sb.len});
}

/* A file in two items: its size as 32 bits, and what is in it. */
static struct err *board_fw_cfg_sized(struct board *board, enum fw_cfg_key size_key,
	enum fw_cfg_key data_key, const struct fw_cfg_content *content)
{
	struct err *err;

	if (content->size > UINT32_MAX)
		return err_new(EFBIG, "It has 4 GiB or more, which fw_cfg cannot tell");
	err = fw_cfg_add_int(board->fw_cfg, size_key, content->size, 4);
	return err ? err : fw_cfg_add(board->fw_cfg, data_key, content);
}

/* Bytes of the real-mode part of a bzImage; another file has none. What firmware is to start is
 * checked, as of what it cannot start it says nothing: the loader has seen any other kernel. */
static struct err *board_kernel_setup_size(
	const struct board *board, int fd, uint64_t size, uint64_t *ret_setup)
{
	uint8_t head[LINUX_MAGIC + 4] = {0};
	struct linux_setup setup = {0};
	struct err *err = NULL;
	int ret;

	if (!size)
		return err_new(ENOEXEC, "It is empty");
	ret = fd_pread_full(fd, head, MIN(size, (uint64_t)sizeof(head)), 0);
	if (ret)
		return err_new(-ret, "It cannot be read");
	if (!memcmp(head + LINUX_MAGIC, "HdrS", 4))
		err = linux_setup_read(fd, size, &setup);
	else if (board->rom.code && memcmp(head, "MZ", 2))
		err = err_new(ENOEXEC, "It is neither a bzImage nor an EFI program");
	*ret_setup = setup.code_offset;
	return err;
}

static struct err *board_fw_cfg_kernel(struct board *board, const char *path)
{
	auto_close int fd = -1;
	uint64_t size, setup = 0;
	struct err *err = fd_open_regular(path, "kernel", &fd, &size);

	if (!err)
		err = board_kernel_setup_size(board, fd, size, &setup);
	if (!err)
		err = board_fw_cfg_sized(board, FW_CFG_SETUP_SIZE, FW_CFG_SETUP_DATA,
			&(struct fw_cfg_content){.fd = fd, .size = setup});
	if (!err)
		err = board_fw_cfg_sized(board, FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA,
			&(struct fw_cfg_content){.fd = fd, .offset = setup, .size = size - setup});
	return err_wrap(err, "Cannot pass the kernel \"%s\"", path);
}

static struct err *board_fw_cfg_initramfs(struct board *board, const char *path)
{
	auto_close int fd = -1;
	uint64_t size;
	struct err *err = fd_open_regular(path, "initramfs", &fd, &size);

	if (!err)
		err = board_fw_cfg_sized(board, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA,
			&(struct fw_cfg_content){.fd = fd, .size = size});
	return err_wrap(err, "Cannot pass the initramfs \"%s\"", path);
}

static struct err *board_fw_cfg_payload(struct board *board)
{
	const struct vm_config *config = board->config;
	const char *kernel = config->kernel ? config->kernel : config->pvh;
	const char *cmdline = config->cmdline ? config->cmdline : "";
	struct err *err = NULL;

	if (!kernel)
		return NULL;
	err = board_fw_cfg_kernel(board, kernel);
	if (!err)
		err = board_fw_cfg_sized(board, FW_CFG_CMDLINE_SIZE, FW_CFG_CMDLINE_DATA,
			&(struct fw_cfg_content){.data = cmdline, .size = strlen(cmdline) + 1});
	if (!err && config->initramfs)
		err = board_fw_cfg_initramfs(board, config->initramfs);
	return err;
}

static struct err *board_fw_cfg_user(struct board *board, const struct fw_cfg_config *item)
{
	struct fw_cfg_content content = {.data = item->string};
	auto_close int fd = -1;
	struct err *err = NULL;

	if (strncmp(item->name, "opt/", 4))
		log_warn(
			"The fw_cfg item \"%s\" does not begin with \"opt/\": it may be taken for the machine's own",
			item->name);
	if (item->string)
		content.size = strlen(item->string);
	else
		err = fd_open_regular(item->file, "fw_cfg item", &fd, &content.size);
	content.fd = fd;
	return err ? err : fw_cfg_add_file(board->fw_cfg, item->name, &content);
}

struct err *board_create_fw_cfg(struct board *board)
{
	struct fw_cfg_options options = {
		.pio = board->pio, .ram = board->ram, .port = X86_PORT_FW_CFG};
	struct err *err;

	if (!board->config->n_fw_cfg && !board->config->firmware.given)
		return NULL;
	err = fw_cfg_create(&options, &board->fw_cfg);
	if (err)
		return err;
	board_own(board, fw_cfg_device(board->fw_cfg));
	err = board_fw_cfg_machine(board);
	if (!err)
		err = board_fw_cfg_e820(board);
	if (!err)
		err = board_fw_cfg_payload(board);
	/* Firmware that the loader starts finds the tables in RAM. */
	if (!err && board->rom.code)
		err = board_fw_cfg_tables(board);
	for (size_t i = 0; !err && i < board->config->n_fw_cfg; i++)
		err = board_fw_cfg_user(board, &board->config->fw_cfg[i]);
	return err;
}
