/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and loading: which files are refused and how that reads, the command line's limits, the
 * place of the initramfs, and the zero page.
 */
#include "unit.h"

#include <errno.h>

#include "loader_fixture.h"

static struct blob good(void)
{
	return make_packed_bzimage(PACK_GZIP, three_lists, ARRAY_SIZE(three_lists));
}

/* ---- Files ---- */

/* The whole error, without the places in the source. */
static void assert_chain(struct fixture *f, const char *const *texts, size_t n)
{
	struct err *err = open_kernel(f);
	const char *text, *file;
	unsigned int i = 0;
	int line;

	if (!err)
		err = load_kernel(f);
	assert_non_null(err);
	for (; err_frame(err, i, &text, &file, &line); i++) {
		assert_true(i < n);
		assert_string_equal(text, texts[i]);
	}
	assert_int_equal(i, n);
	err_free(err);
}

/* The chain has one frame. */
static void assert_one_error(
	struct fixture *f, const char *before, const char *path, const char *after)
{
	char text[256];
	const char *texts[] = {text};

	(void)snprintf(text, sizeof(text), "%s \"%s\"%s", before, path, after);
	assert_chain(f, texts, 1);
}

/* The chain has two frames, and the outer one names the kernel. */
static void assert_kernel_error(struct fixture *f, const char *what, const char *why)
{
	char text[256];
	const char *texts[] = {why, text};

	(void)snprintf(text, sizeof(text), "Cannot %s the kernel \"%s\"", what, f->kernel);
	assert_chain(f, texts, 2);
}

static void what_is_no_regular_file_is_refused_by_name(void **state)
{
	struct fixture *f = *state;

	assert_one_error(f, "Cannot open the kernel", f->kernel, "");
	assert_int_equal(mkdir(f->kernel, 0700), 0);
	assert_one_error(f, "The kernel", f->kernel, " is a directory, not a regular file");
	assert_int_equal(rmdir(f->kernel), 0);
	assert_int_equal(mkfifo(f->kernel, 0600), 0); /* without a writer, which does not block */
	assert_one_error(f, "The kernel", f->kernel, " is a FIFO, not a regular file");
	f->options.kernel = "/dev/zero";
	assert_one_error(f, "The kernel", "/dev/zero", " is a device, not a regular file");
}

static void an_initramfs_that_is_no_regular_file_is_refused_by_name(void **state)
{
	struct fixture *f = *state;

	put_default_kernel(f);
	f->options.initramfs = f->initramfs;
	assert_one_error(f, "Cannot open the initramfs", f->initramfs, "");
	assert_int_equal(mkdir(f->initramfs, 0700), 0);
	assert_one_error(f, "The initramfs", f->initramfs, " is a directory, not a regular file");
	assert_int_equal(rmdir(f->initramfs), 0);
	assert_int_equal(mkfifo(f->initramfs, 0600), 0);
	assert_one_error(f, "The initramfs", f->initramfs, " is a FIFO, not a regular file");
}

static void files_without_permission_are_refused_by_name(void **state)
{
	struct fixture *f = *state;
	bool root = !geteuid();
	struct err *first, *second;

	put_default_kernel(f);
	put_initramfs(f, 4096);
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(chmod(f->kernel, 0), 0);
	assert_int_equal(chmod(f->initramfs, 0), 0);
	assert_int_equal(root ? seteuid(65534) : 0, 0);
	first = open_kernel(f);
	assert_int_equal(root ? seteuid(0) : 0, 0);
	assert_int_equal(chmod(f->kernel, 0644), 0);
	assert_int_equal(root ? seteuid(65534) : 0, 0);
	second = open_kernel(f);
	assert_int_equal(root ? seteuid(0) : 0, 0);
	assert_int_equal(err_code(first), EACCES);
	assert_int_equal(err_code(second), EACCES);
	assert_err(first, f->kernel);
	assert_err(second, f->initramfs);
}

static void what_is_no_kernel_is_refused_by_name(void **state)
{
	static const struct {
		size_t size;
		const char *why;
	} files[] = {
		{0, "It is empty"},
		{1, "It is neither a bzImage nor an ELF file"},
		{4096, "It is neither a bzImage nor an ELF file"},
	};
	struct fixture *f = *state;
	uint8_t junk[4096];

	memset(junk, 'x', sizeof(junk));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		put_file(f->kernel, junk, files[i].size);
		assert_kernel_error(f, "use", files[i].why);
	}
	store_le32(junk, ELF_MAGIC);
	put_file(f->kernel, junk, 4);
	assert_kernel_error(f, "use", "The ELF file is truncated");
}

static void a_bzimage_cut_at_any_length_is_refused(void **state)
{
	struct fixture *f = *state;
	struct blob file = good();

	for (size_t size = 1; size < file.size; size += 1 + size / 32) {
		put_file(f->kernel, file.data, size);
		assert_err(open_kernel(f), size < LINUX_MAGIC + 4 ? "neither" : "truncated");
	}
	put_file(f->kernel, file.data, file.size - 16);
	assert_err(open_kernel(f), "truncated");
	put_kernel(f, file);
	start(f);
}

static void a_bzimage_is_not_entered_by_pvh(void **state)
{
	struct fixture *f = *state;

	put_default_kernel(f);
	f->options.pvh = true;
	assert_kernel_error(f, "use", "A bzImage cannot be entered by a PVH note; use --kernel");
}

/* ---- Header lies ---- */

static void lies(
	struct fixture *f, unsigned int at, uint64_t value, unsigned int size, const char *why)
{
	struct blob file = good();

	store_le(file.data + at, value, size);
	put_kernel(f, file);
	assert_err(open_kernel(f), why);
}

static void headers_that_lie_are_refused(void **state)
{
	struct fixture *f = *state;

	lies(f, LINUX_VERSION, 0x020b, 2, "boot protocol 2.11 is older than 2.12");
	lies(f, LINUX_XLOADFLAGS, 0xfffe, 2, "no 64-bit entry");
	lies(f, LINUX_JUMP, 0x61, 1, "bad length");
	lies(f, LINUX_JUMP, 0xff, 1, "bad length");
	lies(f, LINUX_SETUP_SECTS, 0xff, 1, "its setup part says 255 sectors");
	lies(f, LINUX_SYSSIZE, UINT32_MAX, 4, "truncated");
	lies(f, LINUX_ALIGNMENT, 0, 4, "alignment, 0, is not sane");
	lies(f, LINUX_ALIGNMENT, 0x200001, 4, "alignment, 0x200001, is not sane");
	lies(f, LINUX_ALIGNMENT, 0x800, 4, "alignment, 0x800, is not sane");
	lies(f, LINUX_ALIGNMENT, 0x80000000, 4, "alignment, 0x80000000, is not sane");
	lies(f, LINUX_PREF_ADDRESS, PREF + 1, 8, "load address, 0x1000001, is not sane");
	lies(f, LINUX_PREF_ADDRESS, UINT64_MAX - 4095, 8, "load address");
	lies(f, LINUX_PREF_ADDRESS, GIB(512) + 4096, 8, "load address");
}

static void headers_that_lie_about_memory_load_or_fail_but_stay_inside(void **state)
{
	struct fixture *f = *state;
	struct blob file = good();
	size_t size = file.size;

	/* setup_sects 0 means 4, which is more than there is in front of the code here. */
	file.data[LINUX_SETUP_SECTS] = 0;
	store_le32(file.data + LINUX_SYSSIZE, 0);
	put_kernel(f, file);
	start(f);
	assert_int_equal(f->entry.rip, PREF + 0x200);
	assert_int_equal(guest_le(f, PREF + size - 5 * 512 - 4, 4), 0x11223344);
	file = good(); /* no size: then what the file has */
	store_le32(file.data + LINUX_INIT_SIZE, 0);
	store_le32(file.data + LINUX_PAYLOAD_LENGTH, 0);
	put_kernel(f, file);
	start(f);
	assert_int_equal(f->entry.map_end, PREF + size - SETUP_SIZE);
	file = good();
	store_le32(file.data + LINUX_INIT_SIZE, UINT32_MAX);
	put_kernel(f, file);
	start_fails(f, "The kernel needs 4194303 KiB");
	file = good(); /* a preferred address behind all memory */
	store_le64(file.data + LINUX_PREF_ADDRESS, GIB(512));
	put_kernel(f, file);
	start(f);
	assert_int_equal(f->entry.rip, MIB(2) + 0x200);
}

/* ---- Command line ---- */

/* A command line of n bytes. */
static char *line(size_t n)
{
	char *text = malloc(n + 1);

	assert_non_null(text);
	memset(text, 'c', n);
	text[n] = 0;
	return text;
}

static void cmdline_fits_up_to(struct fixture *f, size_t max)
{
	char *text = line(max);
	char why[96];

	f->options.cmdline = text;
	start(f);
	assert_true(guest_is(f, CMDLINE, max, 'c'));
	assert_int_equal(guest_le(f, CMDLINE + max, 1), 0);
	free(text);
	text = line(max + 1);
	f->options.cmdline = text;
	(void)snprintf(why, sizeof(why), "The command line has %zu bytes; this kernel takes %zu",
		max + 1, max);
	assert_kernel_error(f, "load", why);
	free(text);
}

static void the_command_line_is_as_long_as_the_kernel_says(void **state)
{
	struct fixture *f = *state;
	struct blob file = good();

	put_default_kernel(f);
	cmdline_fits_up_to(f, 2047);
	store_le32(file.data + LINUX_CMDLINE_SIZE, 255);
	put_kernel(f, file);
	cmdline_fits_up_to(f, 255);
}

static void no_kernel_gets_more_command_line_than_there_is_room(void **state)
{
	struct fixture *f = *state;
	struct blob file = good();

	store_le32(file.data + LINUX_CMDLINE_SIZE, UINT32_MAX);
	put_kernel(f, file);
	cmdline_fits_up_to(f, CMDLINE_ROOM - 1);
}

static void no_command_line_is_an_empty_one(void **state)
{
	struct fixture *f = *state;

	put_default_kernel(f);
	f->options.cmdline = NULL;
	start(f);
	assert_int_equal(guest_le(f, CMDLINE, 1), 0);
	assert_int_equal(guest_le(f, PARAMS + LINUX_CMDLINE, 4), CMDLINE);
}

/* ---- Initramfs ---- */

static uint64_t initrd(const struct fixture *f)
{
	return guest_le(f, PARAMS + LINUX_RAMDISK, 4) | guest_le(f, PARAMS + LINUX_EXT_RAMDISK, 4)
								<< 32;
}

static uint64_t initrd_size(const struct fixture *f)
{
	return guest_le(f, PARAMS + LINUX_RAMDISK_SIZE, 4) |
	       guest_le(f, PARAMS + LINUX_EXT_RAMDISK_SIZE, 4) << 32;
}

static void the_initramfs_is_page_aligned_at_the_top_and_padded_with_zeros(void **state)
{
	static const size_t sizes[] = {1, 4095, 4096, 4097, 1000000};
	static const enum ram_backend backends[] = {RAM_ANON, RAM_MEMFD};
	struct fixture *f = *state;

	put_default_kernel(f);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		size_t size = sizes[i / 2];

		make_ram(f, backends[i % 2], GUEST_SIZE);
		put_initramfs(f, size);
		start(f);
		assert_int_equal(initrd(f), GUEST_SIZE - align_up(size, 4096));
		assert_int_equal(initrd_size(f), size);
		assert_int_equal(f->entry.map_end, initrd(f) + size);
		assert_true(guest_is(f, initrd(f), size, 0x1f));
		assert_true(guest_is(f, initrd(f) + size, align_up(size, 4096) - size, 0));
		assert_image(f, true);
	}
}

static void the_initramfs_is_below_what_the_kernel_can_address(void **state)
{
	struct fixture *f = *state;
	struct blob file = good();

	store_le32(file.data + LINUX_INITRD_MAX, (uint32_t)MIB(32) + 100);
	put_kernel(f, file);
	put_initramfs(f, 5000);
	start(f);
	assert_int_equal(initrd(f), MIB(32) - 8192);
}

/* The pages of the boot parameters are not for it, whatever the header says. */
static void an_initramfs_limit_in_low_memory_is_refused(void **state)
{
	static const uint32_t limits[] = {1, 4095, 0x1fff, 0xffff, 0xfffff};
	struct fixture *f = *state;

	put_initramfs(f, 4096);
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct blob file = good();

		store_le32(file.data + LINUX_INITRD_MAX, limits[i]);
		put_kernel(f, file);
		start_fails(f, "The initramfs has 4 KiB; there are 0 KiB of memory for it");
	}
}

static void an_initramfs_larger_than_memory_is_refused_by_name(void **state)
{
	struct fixture *f = *state;
	char outer[256];
	const char *texts[] = {
		"The initramfs has 64513 KiB; there are 64512 KiB of memory for it", outer};

	put_default_kernel(f);
	put_initramfs(f, 1);
	(void)snprintf(outer, sizeof(outer), "Cannot load the initramfs \"%s\"", f->initramfs);
	assert_int_equal(truncate(f->initramfs, (off_t)(GUEST_SIZE - MIB(1) + 1024)), 0);
	assert_chain(f, texts, 2);
	assert_int_equal(truncate(f->initramfs, (off_t)GIB(4096)), 0);
	texts[0] = "The initramfs has 4294967296 KiB; there are 64512 KiB of memory for it";
	assert_chain(f, texts, 2);
	/* It fits, but nothing else does. */
	assert_int_equal(truncate(f->initramfs, (off_t)(GUEST_SIZE - MIB(1))), 0);
	assert_kernel_error(f, "load",
		"The kernel needs 64 KiB from 0x200000 on; free memory ends at 0x100000");
}

static void an_initramfs_truncated_while_it_is_open_is_refused_by_name(void **state)
{
	static const enum ram_backend backends[] = {RAM_ANON, RAM_MEMFD};
	struct fixture *f = *state;

	put_default_kernel(f);
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		make_ram(f, backends[i], GUEST_SIZE);
		put_initramfs(f, 10000);
		assert_ok(open_kernel(f));
		assert_int_equal(truncate(f->initramfs, 4096), 0);
		assert_err(load_kernel(f), f->initramfs);
	}
}

static void an_empty_initramfs_is_none(void **state)
{
	struct fixture *f = *state;

	put_default_kernel(f);
	put_initramfs(f, 0);
	start(f);
	assert_int_equal(initrd(f), 0);
	assert_int_equal(initrd_size(f), 0);
}

/* ---- The zero page ---- */

static void the_zero_page_has_the_header_the_map_and_nothing_else(void **state)
{
	static const struct loader_range ranges[] = {
		{0, 0x80000, LOADER_RANGE_RAM},
		{0x80000, 0x20000, LOADER_RANGE_ACPI},
		{0xa0000, 0x60000, LOADER_RANGE_RESERVED},
		{0x100000000, 0x123456789000, LOADER_RANGE_RAM},
	};
	struct fixture *f = *state;
	struct blob file = good();

	memset(file.data, 0x77, LINUX_SETUP_SECTS); /* the old boot sector */
	memset(file.data + 0x26c, 0x77, 0x40);      /* behind the header */
	put_kernel(f, file);
	f->layout.ranges = ranges;
	f->layout.n_ranges = ARRAY_SIZE(ranges);
	start(f);
	assert_true(guest_is(f, PARAMS, LINUX_ACPI_RSDP, 0));
	assert_int_equal(guest_le(f, PARAMS + LINUX_ACPI_RSDP, 8), RSDP);
	assert_true(guest_is(f, PARAMS + 0x78, LINUX_E820_ENTRIES - 0x78, 0));
	assert_int_equal(guest_le(f, PARAMS + LINUX_E820_ENTRIES, 1), ARRAY_SIZE(ranges));
	/* 0x1ef is the sentinel: with another value Linux clears what we say. */
	assert_true(guest_is(f, PARAMS + 0x1e9, LINUX_SETUP_SECTS - 0x1e9, 0));
	assert_int_equal(guest_le(f, PARAMS + LINUX_SETUP_SECTS, 1), 1);
	assert_int_equal(guest_le(f, PARAMS + LINUX_BOOT_FLAG, 2), 0xaa55);
	assert_int_equal(guest_le(f, PARAMS + LINUX_MAGIC, 4), 0x53726448);
	assert_int_equal(guest_le(f, PARAMS + LINUX_TYPE_OF_LOADER, 1), 0xff);
	assert_int_equal(guest_le(f, PARAMS + LINUX_LOADFLAGS, 1), LINUX_LOADED_HIGH);
	assert_int_equal(guest_le(f, PARAMS + LINUX_CMDLINE, 4), CMDLINE);
	assert_int_equal(guest_le(f, PARAMS + LINUX_INIT_SIZE, 4), INIT_SIZE);
	assert_true(guest_is(f, PARAMS + 0x26c, LINUX_E820_TABLE - 0x26c, 0));
	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++) {
		uint64_t at = PARAMS + LINUX_E820_TABLE + i * 20;

		assert_int_equal(guest_le(f, at, 8), ranges[i].base);
		assert_int_equal(guest_le(f, at + 8, 8), ranges[i].size);
		assert_int_equal(guest_le(f, at + 16, 4), ranges[i].type);
	}
	assert_true(guest_is(f, PARAMS + LINUX_E820_TABLE + 4 * 20,
		LINUX_PARAMS_SIZE - LINUX_E820_TABLE - 4 * 20, 0));
}

static void a_flag_of_the_file_does_not_claim_kaslr(void **state)
{
	struct fixture *f = *state;
	struct blob file = good();

	file.data[LINUX_LOADFLAGS] |= LINUX_KASLR_FLAG;
	put_kernel(f, file);
	start(f);
	assert_int_equal(guest_le(f, PARAMS + LINUX_LOADFLAGS, 1), LINUX_LOADED_HIGH);
}

static void the_memory_map_has_at_most_128_entries(void **state)
{
	static struct loader_range many[LINUX_E820_MAX + 1];
	struct fixture *f = *state;

	put_default_kernel(f);
	f->layout.ranges = many;
	f->layout.n_ranges = LINUX_E820_MAX;
	start(f);
	assert_int_equal(guest_le(f, PARAMS + LINUX_E820_ENTRIES, 1), 128);
	f->layout.n_ranges++;
	start_fails(f, "The memory map has more than 128 entries");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(what_is_no_regular_file_is_refused_by_name),
		FIXTURE_TEST(an_initramfs_that_is_no_regular_file_is_refused_by_name),
		FIXTURE_TEST(files_without_permission_are_refused_by_name),
		FIXTURE_TEST(what_is_no_kernel_is_refused_by_name),
		FIXTURE_TEST(a_bzimage_cut_at_any_length_is_refused),
		FIXTURE_TEST(a_bzimage_is_not_entered_by_pvh),
		FIXTURE_TEST(headers_that_lie_are_refused),
		FIXTURE_TEST(headers_that_lie_about_memory_load_or_fail_but_stay_inside),
		FIXTURE_TEST(the_command_line_is_as_long_as_the_kernel_says),
		FIXTURE_TEST(no_kernel_gets_more_command_line_than_there_is_room),
		FIXTURE_TEST(no_command_line_is_an_empty_one),
		FIXTURE_TEST(the_initramfs_is_page_aligned_at_the_top_and_padded_with_zeros),
		FIXTURE_TEST(the_initramfs_is_below_what_the_kernel_can_address),
		FIXTURE_TEST(an_initramfs_limit_in_low_memory_is_refused),
		FIXTURE_TEST(an_initramfs_larger_than_memory_is_refused_by_name),
		FIXTURE_TEST(an_initramfs_truncated_while_it_is_open_is_refused_by_name),
		FIXTURE_TEST(an_empty_initramfs_is_none),
		FIXTURE_TEST(the_zero_page_has_the_header_the_map_and_nothing_else),
		FIXTURE_TEST(a_flag_of_the_file_does_not_claim_kaslr),
		FIXTURE_TEST(the_memory_map_has_at_most_128_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
