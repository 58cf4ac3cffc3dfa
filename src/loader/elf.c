/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF64 inspection.
 */
#include "loader/elf.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "base/overflow.h"

#define ELF_NOTE_SIZE_MAX 65536u
#define ELF_NOTE_PVH      18 /* XEN_ELFNOTE_PHYS32_ENTRY */

static struct err *elf_check_header(const uint8_t *h)
{
	if (load_le32(h) != ELF_MAGIC || h[EI_CLASS] != ELFCLASS64 || h[EI_DATA] != ELFDATA2LSB)
		return err_new(ENOEXEC, "Not a 64-bit little-endian ELF file");
	if (load_le16(h + 18) != EM_X86_64)
		return err_new(ENOEXEC, "An ELF file for another machine (%u)", load_le16(h + 18));
	if (load_le16(h + 16) != ET_EXEC && load_le16(h + 16) != ET_DYN)
		return err_new(ENOEXEC, "An ELF file that is not executable");
	if (load_le16(h + 54) != ELF_PHDR_SIZE || !load_le16(h + 56) ||
		load_le16(h + 56) > ELF_HEADERS_MAX)
		return err_new(ENOEXEC, "An ELF file with bad program headers (%u of %u bytes)",
			load_le16(h + 56), load_le16(h + 54));
	return NULL;
}

static struct err *elf_add_segment(
	const struct elf_source *source, const uint8_t *p, struct elf_image *image)
{
	struct elf_segment s = {
		.offset = load_le64(p + 8),
		.vaddr = load_le64(p + 16),
		.paddr = load_le64(p + 24),
		.filesz = load_le64(p + 32),
		.memsz = load_le64(p + 40),
	};
	unsigned int at = image->n;
	uint64_t end;

	if (!s.memsz)
		return NULL;
	if (s.filesz > s.memsz || !range_fits(s.offset, s.filesz, source->size))
		return err_new(ENOEXEC,
			"A segment reaches beyond the end of the file (%#llx bytes at %#llx)",
			(unsigned long long)s.filesz, (unsigned long long)s.offset);
	if (add_overflows(s.paddr, s.memsz, &end))
		return err_new(ENOEXEC, "A segment's addresses overflow");
	if (image->n == ELF_SEGMENTS_MAX)
		return err_new(ENOEXEC, "More than %d segments", ELF_SEGMENTS_MAX);
	for (; at > 0 && image->segments[at - 1].paddr > s.paddr; at--)
		image->segments[at] = image->segments[at - 1];
	image->segments[at] = s;
	image->n++;
	image->file_end = MAX(image->file_end, s.offset + s.filesz);
	return NULL;
}

/* Looks for Xen's PHYS32_ENTRY in one PT_NOTE segment (Xen, public/elfnote.h). */
static void elf_read_notes(
	const struct elf_source *source, uint64_t off, uint64_t size, struct elf_image *image)
{
	if (!range_fits(off, size, source->size) || size > ELF_NOTE_SIZE_MAX)
		return;
	while (size >= 12) {
		uint8_t head[12];
		uint8_t body[12];
		uint64_t name, desc, whole;

		if (source->read(source, off, head, sizeof(head)))
			return;
		name = align_up(load_le32(head), 4);
		desc = load_le32(head + 4);
		whole = 12 + name + align_up(desc, 4);
		if (load_le32(head + 8) == ELF_NOTE_PVH && load_le32(head) == 4 &&
			(desc == 4 || desc == 8) && range_fits(0, 12 + name + desc, size) &&
			!source->read(source, off + 12, body, 4 + (size_t)desc) &&
			!memcmp(body, "Xen", 4))
			image->pvh_entry = load_le32(body + 4);
		if (whole > size)
			return;
		off += whole;
		size -= whole;
	}
}

static struct err *elf_check_segments(struct elf_image *image)
{
	if (!image->n)
		return err_new(ENOEXEC, "The ELF file has nothing to load");
	for (unsigned int i = 1; i < image->n; i++) {
		const struct elf_segment *before = &image->segments[i - 1];

		if (before->paddr + before->memsz > image->segments[i].paddr)
			return err_new(ENOEXEC, "The ELF file's segments overlap");
	}
	image->base = image->segments[0].paddr;
	image->end = image->segments[image->n - 1].paddr + image->segments[image->n - 1].memsz;
	return NULL;
}

/* The section headers follow all segments in what the kernel build makes; relocations come after
 * them. */
static void elf_note_sections(
	const uint8_t *h, const struct elf_source *source, struct elf_image *image)
{
	uint64_t off = load_le64(h + 40);
	uint64_t size = (uint64_t)load_le16(h + 58) * load_le16(h + 60);

	if (off && range_fits(off, size, source->size))
		image->file_end = MAX(image->file_end, off + size);
}

struct err *elf_inspect(const struct elf_source *source, struct elf_image *image)
{
	uint8_t h[ELF_HEADER_SIZE];
	struct err *err;
	uint64_t off;

	*image = (struct elf_image){0};
	if (source->size < sizeof(h) || source->read(source, 0, h, sizeof(h)))
		return err_new(ENOEXEC, "The ELF file is truncated");
	err = elf_check_header(h);
	off = load_le64(h + 32);
	image->entry = load_le64(h + 24);
	for (unsigned int i = 0; !err && i < load_le16(h + 56); i++) {
		uint8_t p[ELF_PHDR_SIZE];

		if (!range_fits(off, sizeof(p), source->size) ||
			source->read(source, off, p, sizeof(p)))
			return err_new(ENOEXEC,
				"The ELF file is truncated: program header %u is not there", i);
		if (load_le32(p) == PT_LOAD)
			err = elf_add_segment(source, p, image);
		else if (load_le32(p) == PT_NOTE)
			elf_read_notes(source, load_le64(p + 8), load_le64(p + 32), image);
		off += sizeof(p);
	}
	if (err)
		return err;
	elf_note_sections(h, source, image);
	return elf_check_segments(image);
}
