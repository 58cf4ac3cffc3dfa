/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firmware in flash. Its code is a private mapping of the file that the guest has as read-only
 * memory; its variables are a flash of their own (device/flash.h), whose file belongs to one
 * machine. Both are mapped, so that starting costs nothing for what the firmware does not touch.
 */
#define LOG_MODULE "board"
#include "board/x86_64/board_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/overflow.h"
#include "block/file.h"
#include "device/pm_timer.h"
#include "device/silence.h"
#include "loader/elf.h"
#include "pci/piix4.h"

#define ROM_PATIENCE_MS   20000 /* UEFI writes its first byte within 5 s, on an emulated host */
#define ROM_PAGE          4096u
#define ROM_VOLUME_HEADER 48 /* PI 1.7, volume 3, 3.2.1: EFI_FIRMWARE_VOLUME_HEADER */
#define ROM_VOLUME_LENGTH 32
#define ROM_VOLUME_SIGN   40
#define ROM_VECTOR_SIZE   16 /* from the reset vector to 4 GiB */

static struct err *rom_check_size(const char *what, const char *path, uint64_t size)
{
	if (!size || size % ROM_PAGE || size > X86_ROM_MAX)
		return err_new(0,
			"The size of the %s \"%s\", %llu bytes, is not a multiple of 4 KiB up to %u MiB",
			what, path, (unsigned long long)size, X86_ROM_MAX >> 20);
	return NULL;
}

static struct err *rom_map(const char *path, int fd, uint64_t size, uint8_t **ret_map)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	if (map == MAP_FAILED)
		return err_new(errno, "Cannot map \"%s\"", path);
	*ret_map = map;
	return NULL;
}

/* ---- Code ---- */

/* A processor that starts in erased or empty flash says nothing for ever. */
static struct err *rom_check_vector(const struct board_rom *rom, const char *path)
{
	const uint8_t *vector = rom->code + (rom->code_size - ROM_VECTOR_SIZE);
	bool same = !memcmp(vector, vector + 1, ROM_VECTOR_SIZE - 1);

	if (same && (*vector == 0xff || !*vector))
		return err_new(0,
			"The firmware \"%s\" has no code at the reset vector, its last 16 bytes: are image and variables swapped?",
			path);
	return NULL;
}

/* UEFI looks for a kernel in fw_cfg; a BIOS needs an option ROM for that, which is not here. */
static void rom_warn_of_kernel(const struct board_rom *rom, const struct vm_config *config)
{
	if (config->kernel && memcmp(rom->code + ROM_VOLUME_SIGN, "_FVH", 4))
		log_warn(
			"The firmware \"%s\" is no UEFI image: it may ignore --kernel, as SeaBIOS does",
			config->firmware.path);
}

static struct err *rom_open_code(struct board *board, const char *path)
{
	struct board_rom *rom = &board->rom;
	auto_close int fd = -1;
	uint8_t magic[4] = {0};
	struct stat st;
	struct err *err = fd_open_regular(path, "firmware", &fd, &rom->code_size);
	int ret;

	if (err)
		return err;
	if (fstat(fd, &st))
		return err_new(errno, "Cannot read the firmware \"%s\"", path);
	rom->code_device = st.st_dev;
	rom->code_inode = st.st_ino;
	ret = fd_pread_full(fd, magic, MIN(rom->code_size, (uint64_t)sizeof(magic)), 0);
	if (ret)
		return err_new(-ret, "Cannot read the firmware \"%s\"", path);
	if (load_le32(magic) == ELF_MAGIC) {
		rom->is_pvh = true;
		return NULL;
	}
	err = rom_check_size("firmware", path, rom->code_size);
	if (!err)
		err = rom_map(path, fd, rom->code_size, &rom->code);
	rom->code_fd = steal_fd(&fd);
	return err ? err : rom_check_vector(rom, path);
}

/* ---- Variables ---- */

/*
 * Images are built with their variables, and cut in two: together they are a power of two. A pair
 * that is none would leave the firmware looking for its variables where they are not.
 */
static struct err *rom_check_vars(const struct board_rom *rom, const char *path)
{
	uint8_t header[ROM_VOLUME_HEADER];
	uint64_t length;
	struct err *err = rom_check_size("firmware's variables", path, rom->vars_size);
	int ret;

	if (err)
		return err;
	if (!is_pow2(rom->code_size + rom->vars_size) ||
		rom->code_size + rom->vars_size > X86_ROM_MAX)
		return err_new(0,
			"The variables \"%s\" are not those of this firmware: with %llu and %llu bytes the two do not make up a flash",
			path, (unsigned long long)rom->vars_size,
			(unsigned long long)rom->code_size);
	ret = fd_pread_full(rom->vars_fd, header, sizeof(header), 0);
	if (ret)
		return err_new(-ret, "Cannot read the firmware's variables \"%s\"", path);
	length = load_le64(header + ROM_VOLUME_LENGTH);
	if (!memcmp(header + ROM_VOLUME_SIGN, "_FVH", 4) && length > rom->vars_size)
		return err_new(0, "The variables \"%s\" were cut: %llu bytes of %llu are there",
			path, (unsigned long long)rom->vars_size, (unsigned long long)length);
	return NULL;
}

static struct err *rom_lock_vars(struct board_rom *rom, const char *path)
{
	struct err *err = block_file_open(path, false, 0, &rom->vars_fd);

	if (err_code(err) != ENOENT)
		return err_wrap(err, "Cannot write the firmware's variables");
	err_free(err);
	return err_new(0,
		"There are no variables \"%s\": copy the image's template there, such as /usr/share/OVMF/OVMF_VARS_4M.fd",
		path);
}

static struct err *rom_open_vars(struct board_rom *rom, const char *path)
{
	struct stat st;
	struct err *err = rom_lock_vars(rom, path);

	if (err)
		return err;
	if (fstat(rom->vars_fd, &st))
		return err_new(errno, "Cannot read the size of \"%s\"", path);
	if (!S_ISREG(st.st_mode))
		return err_new(0, "The firmware's variables \"%s\" are not a regular file", path);
	if (st.st_dev == rom->code_device && st.st_ino == rom->code_inode)
		return err_new(0,
			"\"%s\" is the firmware itself: its variables need a file of their own",
			path);
	rom->vars_size = (uint64_t)st.st_size;
	err = rom_check_vars(rom, path);
	return err ? err : rom_map(path, rom->vars_fd, rom->vars_size, &rom->vars);
}

struct err *board_open_rom(struct board *board)
{
	const struct firmware_config *config = &board->config->firmware;
	struct err *err;

	if (!config->given)
		return NULL;
	err = rom_open_code(board, config->path);
	if (err)
		return err_wrap(err, "--firmware path=%s", config->path);
	if (board->rom.is_pvh && (config->vars || board->config->kernel))
		return err_new(0,
			"The firmware \"%s\" is an ELF file: it takes neither variables nor a kernel",
			config->path);
	if (board->rom.code)
		rom_warn_of_kernel(&board->rom, board->config);
	return config->vars ? err_wrap(rom_open_vars(&board->rom, config->vars),
				      "--firmware vars=%s", config->vars)
			    : NULL;
}

void board_close_rom(struct board *board)
{
	struct board_rom *rom = &board->rom;

	if (rom->code)
		munmap(rom->code, rom->code_size);
	if (rom->vars)
		munmap(rom->vars, rom->vars_size);
	auto_close_cleanup(&rom->code_fd);
	auto_close_cleanup(&rom->vars_fd);
}

/* ---- In the machine ---- */

static uint64_t rom_vars_base(const struct board_rom *rom)
{
	return X86_ROM_END - rom->code_size - rom->vars_size;
}

static bool rom_show_vars(struct flash_memory *memory, bool shown)
{
	struct board_rom *rom = container_of(memory, struct board_rom, memory);
	struct board *board = container_of(rom, struct board, rom);
	uint64_t base = rom_vars_base(rom);
	struct err *err = shown ? hv_vm_map(board->hv, base, rom->vars_size, rom->vars, true)
				: hv_vm_unmap(board->hv, base, rom->vars_size);
	bool failed = err;

	log_err_free(LOG_WARN, LOG_MODULE, err);
	return shown && !failed;
}

static const struct flash_memory_ops rom_memory_ops = {.show = rom_show_vars};

static struct err *rom_create_flash(struct board *board)
{
	struct board_rom *rom = &board->rom;
	struct flash_options options = {
		.mmio = board->mmio,
		.base = rom_vars_base(rom),
		.data = rom->vars,
		.size = rom->vars_size,
		.fd = rom->vars_fd,
		.memory = &rom->memory,
		.loop = board->env.loop,
	};
	struct device *device;
	struct err *err;

	rom->memory.ops = &rom_memory_ops;
	err = flash_create(&options, &device);
	if (!err)
		board_own(board, device);
	return err;
}

static struct err *rom_create_silence(struct board *board)
{
	struct silence_options options = {
		.loop = board->env.loop,
		.console = board->consoles[0],
		.path = board->config->firmware.path,
		.patience_ms = ROM_PATIENCE_MS,
	};
	struct device *device;
	struct err *err = silence_create(&options, &device);

	if (!err)
		board_own(board, device);
	return err;
}

/* After the serial port. */
struct err *board_create_rom(struct board *board)
{
	struct board_rom *rom = &board->rom;
	struct device *timer;
	struct err *err;

	if (!rom->code)
		return NULL;
	err = hv_vm_map(board->hv, X86_ROM_END - rom->code_size, rom->code_size, rom->code, true);
	if (!err)
		err = pm_timer_create(board->pio, PIIX4_PM_TIMER, &timer);
	if (err)
		return err_wrap(err, "Failed to create the firmware's memory");
	board_own(board, timer);
	err = rom_create_silence(board);
	if (!err && rom->vars)
		err = rom_create_flash(board);
	return err;
}

/* Where a PC of old had its BIOS: some firmware goes on there. At a reset the file may be shorter
 * than it was, and its mapping must not be touched. */
struct err *board_load_rom(struct board *board)
{
	const struct board_rom *rom = &board->rom;
	uint64_t size = MIN(rom->code_size, (uint64_t)X86_ROM_ALIAS_SIZE);
	int ret = ram_read_file(
		board->ram, X86_ROM_ALIAS_END - size, rom->code_fd, rom->code_size - size, size);

	return ret ? err_new(-ret, "Cannot load the firmware \"%s\"", board->config->firmware.path)
		   : NULL;
}
