/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest of 64 MiB, a directory for files, and small kernels as the kernel build makes them: a
 * vmlinux of two segments with relocations, and a bzImage around it.
 *
 *     vmlinux file       physical        content
 *     2 MiB              PREF            code, 0x3000 bytes of 0x90, and the values that move
 *     2 MiB + 0x3000     PREF + 0x8000   data, 0x1800 bytes of 0xda, then 0x2800 of .bss
 *     2 MiB + 0x4800                     relocations
 */
#pragma once

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "loader/elf.h"
#include "loader/linux_params.h"
#include "loader/loader.h"
#include "pack.h"

#define PREF         MIB(16)
#define KERNEL_MAP   0xffffffff80000000ull
#define LINK         (KERNEL_MAP + PREF)
#define GUEST_SIZE   MIB(64)
#define PARAMS       0x1000u
#define CMDLINE      0x20000u
#define CMDLINE_ROOM 0x10000u
#define RSDP         0x80000u

#define ENTRY        0x40u /* offsets in the image */
#define AT_64        0x100u
#define AT_INVERSE   0x200u
#define AT_32        0x300u
#define VALUE_64     (LINK + 0x2000)
#define VALUE_32     0x81002000u
#define DATA         0x8000u
#define CODE_SIZE    0x3000u
#define DATA_SIZE    0x1800u
#define IMAGE_SIZE   0xc000u
#define INIT_SIZE    0x10000u

#define VMLINUX_SIZE (MIB(2) + CODE_SIZE + DATA_SIZE)
#define SETUP_SIZE   1024u /* bzImage: boot sector and one more */
#define PAYLOAD_AT   0x400u

struct blob {
	uint8_t *data;
	size_t size;
};

struct fixture {
	char dir[64];
	char kernel[96], initramfs[96], cache[96];
	struct ram *ram;
	struct loader_range ranges[2];
	struct loader_layout layout;
	struct loader_options options;
	struct loader *loader;
	struct loader_entry entry;
};

/* ---- Files ---- */

static inline void put_file(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, data, size), 0);
	close(fd);
}

static inline void put_phdr(uint8_t *file, unsigned int i, uint64_t off, uint64_t paddr,
	uint64_t filesz, uint64_t memsz)
{
	uint8_t *p = file + ELF_HEADER_SIZE + (size_t)i * ELF_PHDR_SIZE;

	store_le32(p, PT_LOAD);
	store_le64(p + 8, off);
	store_le64(p + 16, KERNEL_MAP + paddr);
	store_le64(p + 24, paddr);
	store_le64(p + 32, filesz);
	store_le64(p + 40, memsz);
}

static inline void put_elf_header(uint8_t *file, uint64_t entry, uint16_t n_phdrs)
{
	store_le32(file, ELF_MAGIC);
	file[EI_CLASS] = ELFCLASS64;
	file[EI_DATA] = ELFDATA2LSB;
	store_le16(file + 16, ET_EXEC);
	store_le16(file + 18, EM_X86_64);
	store_le64(file + 24, entry);
	store_le64(file + 32, ELF_HEADER_SIZE);
	store_le16(file + 54, ELF_PHDR_SIZE);
	store_le16(file + 56, n_phdrs);
}

/* The vmlinux with `n` relocation words behind it. */
static inline struct blob make_vmlinux(const uint32_t *words, size_t n)
{
	struct blob file = {.data = calloc(1, VMLINUX_SIZE + n * 4), .size = VMLINUX_SIZE + n * 4};
	uint8_t *code;

	assert_non_null(file.data);
	code = file.data + MIB(2);
	put_elf_header(file.data, PREF + ENTRY, 2);
	put_phdr(file.data, 0, MIB(2), PREF, CODE_SIZE, CODE_SIZE);
	put_phdr(file.data, 1, MIB(2) + CODE_SIZE, PREF + DATA, DATA_SIZE, IMAGE_SIZE - DATA);
	memset(code, 0x90, CODE_SIZE);
	memset(code + CODE_SIZE, 0xda, DATA_SIZE);
	store_le64(code + AT_64, VALUE_64);
	store_le32(code + AT_INVERSE, VALUE_32);
	store_le32(code + AT_32, VALUE_32);
	for (size_t i = 0; i < n; i++)
		store_le32(file.data + VMLINUX_SIZE + i * 4, words[i]);
	return file;
}

static const uint32_t three_lists[] = {
	0, (uint32_t)LINK + AT_64, 0, (uint32_t)LINK + AT_INVERSE, 0, (uint32_t)LINK + AT_32};
static const uint32_t two_lists[] = {0, (uint32_t)LINK + AT_64, 0, (uint32_t)LINK + AT_32};

/* The setup header that a bzImage has. */
static inline void put_setup(uint8_t *h, size_t code_size, size_t payload_size)
{
	h[LINUX_SETUP_SECTS] = 1;
	store_le32(h + LINUX_SYSSIZE, (uint32_t)(code_size / 16));
	store_le16(h + LINUX_BOOT_FLAG, 0xaa55);
	h[LINUX_JUMP] = 0x6a;
	memcpy(h + LINUX_MAGIC, "HdrS", 4);
	store_le16(h + LINUX_VERSION, 0x020f);
	h[LINUX_LOADFLAGS] = LINUX_LOADED_HIGH;
	store_le32(h + LINUX_INITRD_MAX, 0x7fffffff);
	store_le32(h + LINUX_ALIGNMENT, (uint32_t)MIB(2));
	h[LINUX_RELOCATABLE] = 1;
	store_le16(h + LINUX_XLOADFLAGS, 1);
	store_le32(h + LINUX_CMDLINE_SIZE, 2047);
	store_le32(h + LINUX_PAYLOAD_OFFSET, PAYLOAD_AT);
	store_le32(h + LINUX_PAYLOAD_LENGTH, (uint32_t)payload_size);
	store_le64(h + LINUX_PREF_ADDRESS, PREF);
	store_le32(h + LINUX_INIT_SIZE, INIT_SIZE);
}

/* A bzImage around a payload, which it takes. */
static inline struct blob make_bzimage(struct packed payload)
{
	size_t code_size = align_up(PAYLOAD_AT + payload.size + 4, 16);
	struct blob file = {
		.data = calloc(1, SETUP_SIZE + code_size), .size = SETUP_SIZE + code_size};

	assert_non_null(file.data);
	put_setup(file.data, code_size, payload.size);
	memset(file.data + SETUP_SIZE, 0xb0, PAYLOAD_AT);
	memcpy(file.data + SETUP_SIZE + PAYLOAD_AT, payload.data, payload.size);
	store_le32(file.data + file.size - 4, 0x11223344); /* as it were, the CRC */
	free(payload.data);
	return file;
}

static inline struct blob make_packed_bzimage(
	enum pack_format format, const uint32_t *words, size_t n)
{
	struct blob vmlinux = make_vmlinux(words, n);
	struct blob file = make_bzimage(pack(format, vmlinux.data, vmlinux.size));

	free(vmlinux.data);
	return file;
}

/* Becomes the kernel; the blob is freed. */
static inline void put_kernel(struct fixture *f, struct blob file)
{
	put_file(f->kernel, file.data, file.size);
	free(file.data);
}

static inline void put_default_kernel(struct fixture *f)
{
	put_kernel(f, make_packed_bzimage(PACK_GZIP, three_lists, ARRAY_SIZE(three_lists)));
}

/* An initramfs of `size` bytes of 0x1f. */
static inline void put_initramfs(struct fixture *f, size_t size)
{
	uint8_t *data = malloc(size + !size);

	assert_non_null(data);
	memset(data, 0x1f, size);
	put_file(f->initramfs, data, size);
	f->options.initramfs = f->initramfs;
	free(data);
}

/* ---- The guest ---- */

static inline void make_ram(struct fixture *f, enum ram_backend backend, uint64_t size)
{
	const struct ram_options options = {.backend = backend};

	ram_free(f->ram);
	f->ram = NULL;
	assert_ok(ram_create(&options, &f->ram));
	assert_ok(ram_add(f->ram, 0, size, "test"));
	f->ranges[1].size = size - MIB(1);
	f->layout.ram = f->ram;
	f->layout.low_end = size;
}

static int make_fixture(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	*state = f;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/alioth-loader-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	(void)snprintf(f->kernel, sizeof(f->kernel), "%s/kernel", f->dir);
	(void)snprintf(f->initramfs, sizeof(f->initramfs), "%s/initramfs", f->dir);
	(void)snprintf(f->cache, sizeof(f->cache), "%s/cache", f->dir);
	f->ranges[0] = (struct loader_range){0, RSDP, LOADER_RANGE_RAM};
	f->ranges[1] = (struct loader_range){MIB(1), 0, LOADER_RANGE_RAM};
	f->layout = (struct loader_layout){.ranges = f->ranges,
		.n_ranges = 2,
		.low_base = MIB(1),
		.params_base = PARAMS,
		.params_size = 0x1000,
		.cmdline_base = CMDLINE,
		.cmdline_size = CMDLINE_ROOM,
		.rsdp = RSDP};
	f->options = (struct loader_options){
		.kernel = f->kernel, .cmdline = "nokaslr quiet", .unpack = true};
	make_ram(f, RAM_ANON, GUEST_SIZE);
	return 0;
}

static int free_fixture(void **state)
{
	struct fixture *f = *state;
	char command[96];

	loader_free(f->loader);
	ram_free(f->ram);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	if (system(command))
		return -1;
	free(f);
	return 0;
}

static inline struct err *open_kernel(struct fixture *f)
{
	loader_free(f->loader);
	f->loader = NULL;
	return loader_open(&f->options, &f->loader);
}

static inline struct err *load_kernel(struct fixture *f)
{
	return loader_load(f->loader, &f->layout, &f->entry);
}

/* Opens and loads into RAM that is all zeros, as a new VM would. */
static inline void start(struct fixture *f)
{
	assert_ok(ram_reset(f->ram));
	assert_ok(open_kernel(f));
	assert_ok(load_kernel(f));
}

/* A start that fails in opening or loading, with `part` in the error. */
static inline void start_fails(struct fixture *f, const char *part)
{
	struct err *err;

	assert_ok(ram_reset(f->ram));
	err = open_kernel(f);
	if (!err)
		err = load_kernel(f);
	assert_err(err, part);
}

static inline uint64_t guest_le(const struct fixture *f, uint64_t gpa, unsigned int size)
{
	uint8_t bytes[8];

	assert_int_equal(ram_read(f->ram, gpa, bytes, size), 0);
	return load_le(bytes, size);
}

/* Guest memory [gpa, gpa + len) holds one byte's value throughout. */
static inline bool guest_is(const struct fixture *f, uint64_t gpa, uint64_t len, uint8_t byte)
{
	static uint8_t bytes[65536];
	static uint8_t expected[sizeof(bytes)];
	bool same = true;

	memset(expected, byte, sizeof(expected));
	for (uint64_t at = 0; at < len && same; at += sizeof(bytes)) {
		size_t n = MIN(len - at, (uint64_t)sizeof(bytes));

		assert_int_equal(ram_read(f->ram, gpa + at, bytes, n), 0);
		same = !memcmp(bytes, expected, n);
	}
	return same;
}

static inline uint64_t image_base(const struct fixture *f)
{
	return f->entry.rip - ENTRY;
}

static inline uint64_t image_delta(const struct fixture *f)
{
	return guest_le(f, image_base(f) + AT_64, 8) - VALUE_64;
}

/* The image is at image_base(), with zeros in its gaps, and moved by image_delta(). */
static inline void assert_image(const struct fixture *f, bool has_inverse)
{
	uint64_t base = image_base(f);
	uint32_t delta = (uint32_t)image_delta(f);

	assert_int_equal(guest_le(f, base + AT_32, 4), (uint32_t)(VALUE_32 + delta));
	assert_int_equal(guest_le(f, base + AT_INVERSE, 4),
		has_inverse ? (uint32_t)(VALUE_32 - delta) : VALUE_32);
	assert_true(guest_is(f, base, AT_64, 0x90));
	assert_true(guest_is(f, base + AT_64 + 8, AT_INVERSE - AT_64 - 8, 0x90));
	assert_true(guest_is(f, base + AT_32 + 4, CODE_SIZE - AT_32 - 4, 0x90));
	assert_true(guest_is(f, base + CODE_SIZE, DATA - CODE_SIZE, 0));
	assert_true(guest_is(f, base + DATA, DATA_SIZE, 0xda));
	/* .bss, and what was behind the segments in the file; an initramfs may follow. */
	assert_true(guest_is(f, base + DATA + DATA_SIZE, INIT_SIZE - DATA - DATA_SIZE, 0));
}

/* The guest unpacks the kernel itself, and nothing is left of any other attempt. */
static inline void assert_guest_unpacks(const struct fixture *f, uint64_t base, size_t file_size)
{
	uint64_t code_end = base + file_size - SETUP_SIZE;

	assert_int_equal(f->entry.rip, base + 0x200);
	assert_true(guest_is(f, base, PAYLOAD_AT, 0xb0));
	assert_int_equal(guest_le(f, code_end - 4, 4), 0x11223344);
	assert_true(guest_is(f, MIB(1), base - MIB(1), 0));
	assert_true(guest_is(f, code_end, f->layout.low_end - code_end, 0));
}

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, make_fixture, free_fixture)
