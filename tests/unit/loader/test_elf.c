/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF inspection: which files are kernels, where their segments and the PVH note are, and which
 * lies are refused.
 */
#include "unit.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "base/overflow.h"
#include "loader/elf.h"

#define FILE_SIZE  8192u
#define NOTE_AT    0x800u
#define SEGMENT_AT 0x1000u

struct file {
	struct elf_source source;
	uint8_t *bytes; /* of its exact size, for the sanitizer */
};

static int file_read(const struct elf_source *source, uint64_t off, void *buf, size_t len)
{
	const struct file *file = container_of_const(source, struct file, source);

	assert_true(range_fits(off, len, source->size));
	memcpy(buf, file->bytes + off, len);
	return 0;
}

static uint8_t *phdr(struct file *file, unsigned int i)
{
	return file->bytes + ELF_HEADER_SIZE + (size_t)i * ELF_PHDR_SIZE;
}

static void put_phdr(struct file *file, unsigned int i, uint32_t type, const struct elf_segment *s)
{
	uint8_t *p = phdr(file, i);

	store_le32(p, type);
	store_le64(p + 8, s->offset);
	store_le64(p + 16, s->vaddr);
	store_le64(p + 24, s->paddr);
	store_le64(p + 32, s->filesz);
	store_le64(p + 40, s->memsz);
}

static void put_note(struct file *file, uint32_t name, uint32_t desc, uint32_t type)
{
	store_le32(file->bytes + NOTE_AT, name);
	store_le32(file->bytes + NOTE_AT + 4, desc);
	store_le32(file->bytes + NOTE_AT + 8, type);
	memcpy(file->bytes + NOTE_AT + 12, "Xen", 4);
	store_le32(file->bytes + NOTE_AT + 16, 0x100040);
	put_phdr(file, 1, PT_NOTE, &(struct elf_segment){.offset = NOTE_AT, .filesz = 20});
}

/* One segment of 0x1000 bytes in the file and 0x3000 in memory at 1 MiB; room for 64 headers. */
static int make_file(void **state)
{
	struct file *file = calloc(1, sizeof(*file));
	uint8_t *h;

	if (!file)
		return -1;
	file->source = (struct elf_source){.read = file_read, .size = FILE_SIZE};
	file->bytes = h = calloc(1, FILE_SIZE);
	store_le32(h, ELF_MAGIC);
	h[EI_CLASS] = ELFCLASS64;
	h[EI_DATA] = ELFDATA2LSB;
	store_le16(h + 16, ET_EXEC);
	store_le16(h + 18, EM_X86_64);
	store_le64(h + 24, 0x100010);
	store_le64(h + 32, ELF_HEADER_SIZE);
	store_le16(h + 54, ELF_PHDR_SIZE);
	store_le16(h + 56, 3);
	put_phdr(file, 0, PT_LOAD,
		&(struct elf_segment){SEGMENT_AT, 0x100000, 0x100000, 0x1000, 0x3000});
	*state = file;
	return 0;
}

static int free_file(void **state)
{
	struct file *file = *state;

	free(file->bytes);
	free(file);
	return 0;
}

static void refused(struct file *file, const char *why)
{
	struct elf_image image;

	assert_err(elf_inspect(&file->source, &image), why);
}

static struct elf_image accepted(struct file *file)
{
	struct elf_image image;

	assert_ok(elf_inspect(&file->source, &image));
	return image;
}

static void a_kernel_has_its_segments_in_order(void **state)
{
	struct file *file = *state;
	struct elf_image image;

	put_phdr(file, 1, PT_LOAD, &(struct elf_segment){0x1800, 0x80000, 0x80000, 0x10, 0x10});
	put_phdr(file, 2, PT_LOAD, &(struct elf_segment){0, 0x103000, 0x103000, 0, 0x20});
	image = accepted(file);
	assert_int_equal(image.n, 3);
	assert_int_equal(image.segments[0].paddr, 0x80000);
	assert_int_equal(image.segments[1].paddr, 0x100000);
	assert_int_equal(image.segments[1].memsz, 0x3000);
	assert_int_equal(image.segments[2].paddr, 0x103000);
	assert_int_equal(image.base, 0x80000);
	assert_int_equal(image.end, 0x103020);
	assert_int_equal(image.entry, 0x100010);
	assert_int_equal(image.file_end, 0x2000);
	assert_int_equal(image.pvh_entry, 0);
}

static void other_files_are_told_apart(void **state)
{
	struct file *file = *state;
	uint8_t *h = file->bytes;

	h[EI_CLASS] = ELFCLASS32;
	refused(file, "64-bit little-endian");
	h[EI_CLASS] = ELFCLASS64;
	h[EI_DATA] = ELFDATA2MSB;
	refused(file, "64-bit little-endian");
	h[EI_DATA] = ELFDATA2LSB;
	store_le16(h + 18, EM_AARCH64);
	refused(file, "another machine (183)");
	store_le16(h + 18, EM_X86_64);
	store_le16(h + 16, ET_REL);
	refused(file, "not executable");
	store_le16(h + 16, ET_DYN);
	(void)accepted(file);
}

static void the_number_and_size_of_program_headers_is_bounded(void **state)
{
	struct file *file = *state;
	uint8_t *h = file->bytes;

	store_le16(h + 56, 0);
	refused(file, "bad program headers (0 of 56 bytes)");
	store_le16(h + 56, ELF_HEADERS_MAX);
	(void)accepted(file);
	store_le16(h + 56, ELF_HEADERS_MAX + 1);
	refused(file, "bad program headers (65 of 56 bytes)");
	store_le16(h + 56, PN_XNUM);
	refused(file, "bad program headers");
	store_le16(h + 56, 1);
	store_le16(h + 54, 32);
	refused(file, "bad program headers (1 of 32 bytes)");
}

static void program_headers_outside_of_the_file_are_refused(void **state)
{
	static const uint64_t wild[] = {FILE_SIZE - ELF_PHDR_SIZE + 1, FILE_SIZE, 1ull << 63,
		UINT64_MAX, UINT64_MAX - ELF_PHDR_SIZE + 1};
	struct file *file = *state;

	for (size_t i = 0; i < ARRAY_SIZE(wild); i++) {
		store_le64(file->bytes + 32, wild[i]);
		refused(file, "program header 0 is not there");
	}
	store_le64(file->bytes + 32, FILE_SIZE - 2 * ELF_PHDR_SIZE);
	refused(file, "program header 2 is not there");
}

static void a_file_shorter_than_its_header_is_refused(void **state)
{
	struct file *file = *state;

	for (file->source.size = 0; file->source.size < ELF_HEADER_SIZE; file->source.size++)
		refused(file, "truncated");
}

static void segments_that_lie_about_the_file_are_refused(void **state)
{
	static const struct elf_segment lies[] = {
		{FILE_SIZE - 0xfff, 0, 0x100000, 0x1000, 0x1000},
		{UINT64_MAX, 0, 0x100000, 0x1000, 0x1000},
		{UINT64_MAX - 0xfff, 0, 0x100000, 0x1000, 0x1000},
		{0, 0x100000, 0, UINT64_MAX, UINT64_MAX},
		{0, 0x100000, 0, 0x1001, 0x1000}, /* more in the file than in memory */
	};
	struct file *file = *state;

	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		put_phdr(file, 0, PT_LOAD, &lies[i]);
		refused(file, "reaches beyond the end of the file");
	}
}

static void segments_may_not_wrap_or_overlap(void **state)
{
	struct file *file = *state;

	put_phdr(file, 1, PT_LOAD, &(struct elf_segment){0, 0x102fff, 0, 1, 1});
	refused(file, "overlap");
	put_phdr(file, 1, PT_LOAD, &(struct elf_segment){0, 0xff000, 0, 1, 0x1001});
	refused(file, "overlap");
	put_phdr(file, 1, PT_LOAD, &(struct elf_segment){0, 0x100000, 0, 1, 1});
	refused(file, "overlap");
	put_phdr(file, 1, PT_LOAD, &(struct elf_segment){0, UINT64_MAX, 0, 1, 2});
	refused(file, "overflow");
	put_phdr(file, 1, PT_LOAD, &(struct elf_segment){0, 0x103000, 0, 1, 1});
	(void)accepted(file);
}

static void a_file_without_anything_to_load_is_refused(void **state)
{
	struct file *file = *state;

	put_phdr(file, 0, PT_LOAD, &(struct elf_segment){0});
	refused(file, "nothing to load");
}

static void there_are_at_most_16_segments(void **state)
{
	struct file *file = *state;

	store_le16(file->bytes + 56, ELF_SEGMENTS_MAX + 1);
	for (unsigned int i = 0; i < ELF_SEGMENTS_MAX; i++)
		put_phdr(file, i, PT_LOAD,
			&(struct elf_segment){0, 0x200000 - i * 0x1000ull, 0, 16, 16});
	assert_int_equal(accepted(file).n, ELF_SEGMENTS_MAX);
	put_phdr(file, ELF_SEGMENTS_MAX, PT_LOAD, &(struct elf_segment){0, 0x300000, 0, 16, 16});
	refused(file, "More than 16 segments");
}

static void the_note_of_either_width_gives_the_pvh_entry(void **state)
{
	struct file *file = *state;

	put_note(file, 4, 4, 18);
	assert_int_equal(accepted(file).pvh_entry, 0x100040);
	put_note(file, 4, 8, 18);
	store_le64(phdr(file, 1) + 32, 24);
	assert_int_equal(accepted(file).pvh_entry, 0x100040);
}

/* As in Linux, where others come first. */
static void the_note_is_found_behind_others(void **state)
{
	struct file *file = *state;

	put_note(file, 4, 5, 6); /* 5 bytes take 8 */
	memcpy(file->bytes + NOTE_AT + 24, file->bytes + NOTE_AT, 20);
	store_le32(file->bytes + NOTE_AT + 24 + 4, 4);
	store_le32(file->bytes + NOTE_AT + 24 + 8, 18);
	store_le64(phdr(file, 1) + 32, 44);
	assert_int_equal(accepted(file).pvh_entry, 0x100040);
}

static void a_truncated_or_foreign_note_is_no_note(void **state)
{
	struct file *file = *state;

	put_note(file, 4, 4, 18);
	for (unsigned int size = 0; size < 20; size++) {
		store_le64(phdr(file, 1) + 32, size);
		assert_int_equal(accepted(file).pvh_entry, 0);
	}
	store_le64(phdr(file, 1) + 32, UINT64_MAX);
	assert_int_equal(accepted(file).pvh_entry, 0);
	store_le64(phdr(file, 1) + 32, 20);
	store_le64(phdr(file, 1) + 8, FILE_SIZE - 19);
	assert_int_equal(accepted(file).pvh_entry, 0);
	put_note(file, 4, 2, 18);
	assert_int_equal(accepted(file).pvh_entry, 0);
	put_note(file, UINT32_MAX, UINT32_MAX, 18);
	assert_int_equal(accepted(file).pvh_entry, 0);
	put_note(file, 4, 4, 17);
	assert_int_equal(accepted(file).pvh_entry, 0);
	put_note(file, 4, 4, 18);
	memcpy(file->bytes + NOTE_AT + 12, "GNU", 4);
	assert_int_equal(accepted(file).pvh_entry, 0);
}

/* Relocations are looked for behind them. */
static void section_headers_count_to_the_file_where_they_are_inside(void **state)
{
	struct file *file = *state;

	store_le16(file->bytes + 58, 64);
	store_le16(file->bytes + 60, 2);
	store_le64(file->bytes + 40, FILE_SIZE - 128);
	assert_int_equal(accepted(file).file_end, FILE_SIZE);
	store_le64(file->bytes + 40, FILE_SIZE - 127);
	assert_int_equal(accepted(file).file_end, 0x2000);
	store_le64(file->bytes + 40, UINT64_MAX);
	assert_int_equal(accepted(file).file_end, 0x2000);
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, make_file, free_file)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILE_TEST(a_kernel_has_its_segments_in_order),
		FILE_TEST(other_files_are_told_apart),
		FILE_TEST(the_number_and_size_of_program_headers_is_bounded),
		FILE_TEST(program_headers_outside_of_the_file_are_refused),
		FILE_TEST(a_file_shorter_than_its_header_is_refused),
		FILE_TEST(segments_that_lie_about_the_file_are_refused),
		FILE_TEST(segments_may_not_wrap_or_overlap),
		FILE_TEST(a_file_without_anything_to_load_is_refused),
		FILE_TEST(there_are_at_most_16_segments),
		FILE_TEST(the_note_of_either_width_gives_the_pvh_entry),
		FILE_TEST(the_note_is_found_behind_others),
		FILE_TEST(a_truncated_or_foreign_note_is_no_note),
		FILE_TEST(section_headers_count_to_the_file_where_they_are_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
