/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF kernels: segments in their places with zeros behind them, 64-bit and PVH entries, and the PVH
 * start information.
 */
#include "unit.h"

#include "loader_fixture.h"

#define FILE_SIZE 0x8000u
#define TEXT_AT   0x1000u /* offsets in the file */
#define OTHER_AT  0x4000u
#define NOTE_AT   0x800u
#define INFO_SIZE 56u /* hvm_start_info */

/* Text of 0x1800 bytes at PREF with .bss up to 0x3000; 0x77 wherever no segment of the file is. */
static struct blob make_elf(void)
{
	struct blob file = {.data = malloc(FILE_SIZE), .size = FILE_SIZE};

	assert_non_null(file.data);
	memset(file.data, 0x77, FILE_SIZE);
	memset(file.data, 0, NOTE_AT);
	put_elf_header(file.data, PREF + ENTRY, 3);
	put_phdr(file.data, 0, TEXT_AT, PREF, 0x1800, 0x3000);
	memset(file.data + TEXT_AT, 0x90, 0x1800);
	return file;
}

/* Another segment, of 0xda. */
static void put_other(
	struct blob *file, uint64_t off, uint64_t paddr, uint64_t filesz, uint64_t memsz)
{
	put_phdr(file->data, 1, off, paddr, filesz, memsz);
	memset(file->data + off, 0xda, filesz);
}

static void put_note(struct blob *file, uint32_t entry)
{
	uint8_t *note = file->data + NOTE_AT;
	uint8_t *p = file->data + ELF_HEADER_SIZE + 2 * ELF_PHDR_SIZE;

	store_le32(note, 4);
	store_le32(note + 4, 4);
	store_le32(note + 8, 18);
	memcpy(note + 12, "Xen", 4);
	store_le32(note + 16, entry);
	store_le32(p, PT_NOTE);
	store_le64(p + 8, NOTE_AT);
	store_le64(p + 32, 20);
}

static void assert_text(const struct fixture *f)
{
	assert_true(guest_is(f, PREF, 0x1800, 0x90));
	assert_true(guest_is(f, PREF + 0x1800, 0x1800, 0));
}

/* ---- 64-bit entry ---- */

static void segments_are_in_their_places_with_zeros_behind(void **state)
{
	static const enum ram_backend backends[] = {RAM_ANON, RAM_MEMFD};
	struct fixture *f = *state;
	struct blob file = make_elf();

	put_other(&file, OTHER_AT, PREF + 0x4000, 0x1001, 0x2000);
	put_kernel(f, file);
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		make_ram(f, backends[i], GUEST_SIZE);
		start(f);
		assert_int_equal(f->entry.kind, LOADER_LINUX64);
		assert_int_equal(f->entry.rip, PREF + ENTRY);
		assert_int_equal(f->entry.map_end, PREF + 0x6000);
		assert_text(f);
		assert_true(guest_is(f, PREF + 0x4000, 0x1001, 0xda));
		assert_true(guest_is(f, PREF + 0x5001, MIB(1) - 0x1001, 0));
		assert_true(guest_is(f, MIB(1), PREF - MIB(1), 0));
		assert_int_equal(guest_le(f, PARAMS + LINUX_MAGIC, 4), 0x53726448);
		assert_int_equal(guest_le(f, PARAMS + LINUX_ACPI_RSDP, 8), RSDP);
	}
}

/* One that begins inside a page keeps what is before and behind it in its pages. */
static void segments_that_share_pages_do_not_wipe_each_other(void **state)
{
	struct fixture *f = *state;
	struct blob file = make_elf();

	put_phdr(file.data, 0, TEXT_AT, PREF, 0x1800, 0x1800);
	put_other(&file, OTHER_AT + 0x800, PREF + 0x1800, 0x900, 0x900);
	put_kernel(f, file);
	start(f);
	assert_true(guest_is(f, PREF, 0x1800, 0x90));
	assert_true(guest_is(f, PREF + 0x1800, 0x900, 0xda));
	assert_true(guest_is(f, PREF + 0x2100, 0x2000, 0));
}

static void a_segment_up_to_the_initramfs_leaves_it_alone(void **state)
{
	struct fixture *f = *state;
	struct blob file = make_elf();
	uint64_t initrd = GUEST_SIZE - 8192;

	put_other(&file, OTHER_AT + 0x800, initrd - 0x800, 0x800, 0x800);
	put_kernel(f, file);
	put_initramfs(f, 8192);
	start(f);
	assert_text(f);
	assert_true(guest_is(f, initrd - 0x800, 0x800, 0xda));
	assert_true(guest_is(f, initrd, 8192, 0x1f));
}

static void a_segment_up_to_the_end_of_memory_loads(void **state)
{
	struct fixture *f = *state;
	struct blob file = make_elf();

	put_other(&file, OTHER_AT + 0x10, GUEST_SIZE - 0x800, 0x800, 0x800);
	put_kernel(f, file);
	start(f);
	assert_true(guest_is(f, GUEST_SIZE - 0x800, 0x800, 0xda));
}

static void the_entry_may_be_virtual(void **state)
{
	struct fixture *f = *state;
	struct blob file = make_elf();

	store_le64(file.data + 24, LINK + 0x123);
	put_kernel(f, file);
	start(f);
	assert_int_equal(f->entry.rip, PREF + 0x123);
}

static void an_entry_outside_of_the_image_is_refused(void **state)
{
	static const uint64_t wild[] = {
		0, PREF - 1, PREF + 0x3000, LINK - 1, LINK + 0x3000, UINT64_MAX};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(wild); i++) {
		struct blob file = make_elf();

		store_le64(file.data + 24, wild[i]);
		put_kernel(f, file);
		start_fails(f, "is outside of the image");
	}
}

/* Nothing of the guest's start-up structures below 1 MiB, of the initramfs, or outside of RAM. */
static void segments_outside_of_the_kernel_s_memory_are_refused(void **state)
{
	static const struct {
		uint64_t paddr, memsz;
	} wild[] = {{0, 16}, {PARAMS, 16}, {CMDLINE, 16}, {MIB(1) - 1, 16},
		{GUEST_SIZE - 4096 - 15, 16}, {GUEST_SIZE, 16}, {GIB(4), 16}, {1ull << 63, 16},
		{PREF + 0x10000, GIB(64)}, {PREF + 0x10000, UINT64_MAX - PREF - 0x10000}};
	struct fixture *f = *state;

	put_initramfs(f, 4096);
	for (size_t i = 0; i < ARRAY_SIZE(wild); i++) {
		struct blob file = make_elf();

		put_other(&file, OTHER_AT, wild[i].paddr, 16, wild[i].memsz);
		put_kernel(f, file);
		start_fails(f, "does not fit between 0x100000 and 0x3fff000");
	}
}

static void the_command_line_of_a_vmlinux_has_2047_bytes(void **state)
{
	struct fixture *f = *state;
	char line[2049];

	put_kernel(f, make_elf());
	memset(line, 'c', sizeof(line));
	line[2048] = 0;
	f->options.cmdline = line;
	start_fails(f, "The command line has 2048 bytes; this kernel takes 2047");
	line[2047] = 0;
	start(f);
	assert_true(guest_is(f, CMDLINE, 2047, 'c'));
}

static void an_elf_truncated_while_it_is_open_is_an_error(void **state)
{
	static const enum ram_backend backends[] = {RAM_ANON, RAM_MEMFD};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		make_ram(f, backends[i], GUEST_SIZE);
		put_kernel(f, make_elf());
		assert_ok(open_kernel(f));
		assert_int_equal(truncate(f->kernel, TEXT_AT + 16), 0);
		assert_err(load_kernel(f), f->kernel);
	}
}

/* ---- PVH ---- */

static void a_kernel_with_both_entries_is_entered_as_asked(void **state)
{
	struct fixture *f = *state;
	struct blob file = make_elf();

	put_note(&file, PREF + 0x80);
	put_kernel(f, file);
	start(f);
	assert_int_equal(f->entry.kind, LOADER_LINUX64);
	assert_int_equal(f->entry.rip, PREF + ENTRY);
	f->options.pvh = true;
	start(f);
	assert_int_equal(f->entry.kind, LOADER_PVH);
	assert_int_equal(f->entry.rip, PREF + 0x80);
	assert_text(f);
}

/* Linked at low addresses: no Linux, and no 64-bit page tables of its own to be entered with. */
static void a_low_kernel_with_a_note_is_entered_by_it(void **state)
{
	struct fixture *f = *state;
	struct blob file = make_elf();

	put_note(&file, PREF + 0x80);
	store_le64(file.data + ELF_HEADER_SIZE + 16, PREF);
	put_kernel(f, file);
	start(f);
	assert_int_equal(f->entry.kind, LOADER_PVH);
}

static void without_a_note_there_is_no_pvh(void **state)
{
	struct fixture *f = *state;

	put_kernel(f, make_elf());
	f->options.pvh = true;
	start_fails(f, "It has no PVH note");
}

static void a_pvh_entry_outside_of_the_image_is_refused(void **state)
{
	static const uint32_t wild[] = {1, PREF - 1, PREF + 0x3000, UINT32_MAX};
	struct fixture *f = *state;

	f->options.pvh = true;
	for (size_t i = 0; i < ARRAY_SIZE(wild); i++) {
		struct blob file = make_elf();

		put_note(&file, wild[i]);
		put_kernel(f, file);
		start_fails(f, "The PVH entry point");
	}
}

static void put_pvh(struct fixture *f)
{
	struct blob file = make_elf();

	put_note(&file, PREF);
	put_kernel(f, file);
	f->options.pvh = true;
}

/* Xen, public/arch-x86/hvm/start_info.h. */
static void the_start_information_names_everything(void **state)
{
	struct fixture *f = *state;
	uint64_t module = PARAMS + INFO_SIZE;
	uint64_t map = module + 32;

	put_pvh(f);
	put_initramfs(f, 5000);
	start(f);
	assert_int_equal(f->entry.params, PARAMS);
	assert_int_equal(guest_le(f, PARAMS, 4), 0x336ec578);
	assert_int_equal(guest_le(f, PARAMS + 4, 4), 1); /* version */
	assert_int_equal(guest_le(f, PARAMS + 8, 4), 0); /* flags */
	assert_int_equal(guest_le(f, PARAMS + 12, 4), 1);
	assert_int_equal(guest_le(f, PARAMS + 16, 8), module);
	assert_int_equal(guest_le(f, PARAMS + 24, 8), CMDLINE);
	assert_int_equal(guest_le(f, PARAMS + 32, 8), RSDP);
	assert_int_equal(guest_le(f, PARAMS + 40, 8), map);
	assert_int_equal(guest_le(f, PARAMS + 48, 4), 2);
	assert_int_equal(guest_le(f, module, 8), GUEST_SIZE - 8192);
	assert_int_equal(guest_le(f, module + 8, 8), 5000);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(guest_le(f, map + i * 24, 8), f->ranges[i].base);
		assert_int_equal(guest_le(f, map + i * 24 + 8, 8), f->ranges[i].size);
		assert_int_equal(guest_le(f, map + i * 24 + 16, 8), f->ranges[i].type);
	}
	assert_true(guest_is(f, map + 48, PARAMS + 0x1000 - map - 48, 0));
	assert_true(guest_is(f, GUEST_SIZE - 8192, 5000, 0x1f));
}

static void without_an_initramfs_there_is_no_module(void **state)
{
	struct fixture *f = *state;

	put_pvh(f);
	start(f);
	assert_int_equal(guest_le(f, PARAMS + 12, 4), 0);
	assert_int_equal(guest_le(f, PARAMS + 16, 8), 0);
	assert_int_equal(guest_le(f, PARAMS + 40, 8), PARAMS + INFO_SIZE);
}

static void a_memory_map_larger_than_its_page_is_refused(void **state)
{
	static struct loader_range many[169];
	struct fixture *f = *state;

	put_pvh(f);
	f->layout.ranges = many;
	f->layout.n_ranges = 168; /* (4096 - 56) / 24 */
	start(f);
	f->layout.n_ranges = 169;
	start_fails(f, "The memory map does not fit in the PVH start information");
}

static void pvh_takes_as_much_command_line_as_there_is_room(void **state)
{
	static char line[CMDLINE_ROOM + 1];
	struct fixture *f = *state;

	put_pvh(f);
	memset(line, 'c', CMDLINE_ROOM);
	f->options.cmdline = line;
	start_fails(f, "The command line has 65536 bytes; this kernel takes 65535");
	line[CMDLINE_ROOM - 1] = 0;
	start(f);
	assert_true(guest_is(f, CMDLINE, CMDLINE_ROOM - 1, 'c'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(segments_are_in_their_places_with_zeros_behind),
		FIXTURE_TEST(segments_that_share_pages_do_not_wipe_each_other),
		FIXTURE_TEST(a_segment_up_to_the_initramfs_leaves_it_alone),
		FIXTURE_TEST(a_segment_up_to_the_end_of_memory_loads),
		FIXTURE_TEST(the_entry_may_be_virtual),
		FIXTURE_TEST(an_entry_outside_of_the_image_is_refused),
		FIXTURE_TEST(segments_outside_of_the_kernel_s_memory_are_refused),
		FIXTURE_TEST(the_command_line_of_a_vmlinux_has_2047_bytes),
		FIXTURE_TEST(an_elf_truncated_while_it_is_open_is_an_error),
		FIXTURE_TEST(a_kernel_with_both_entries_is_entered_as_asked),
		FIXTURE_TEST(a_low_kernel_with_a_note_is_entered_by_it),
		FIXTURE_TEST(without_a_note_there_is_no_pvh),
		FIXTURE_TEST(a_pvh_entry_outside_of_the_image_is_refused),
		FIXTURE_TEST(the_start_information_names_everything),
		FIXTURE_TEST(without_an_initramfs_there_is_no_module),
		FIXTURE_TEST(a_memory_map_larger_than_its_page_is_refused),
		FIXTURE_TEST(pvh_takes_as_much_command_line_as_there_is_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
