/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF kernels: a Linux vmlinux by its 64-bit entry, and anything with a PVH note (Xen,
 * docs/misc/pvh.pandoc; public/arch-x86/hvm/start_info.h).
 */
#include "loader/loader_internal.h"

#include <errno.h>

#include "base/endian.h"
#include "base/strbuf.h"

#define PVH_MAGIC       0x336ec578u
#define PVH_INFO_SIZE   56
#define PVH_MODULE_SIZE 32
#define PVH_RANGE_SIZE  24

static struct err *elf_load_segment(const struct loader_state *state, const struct elf_segment *s)
{
	struct ram *ram = state->layout->ram;
	int fd = state->loader->kernel.fd;
	int ret;

	if (s->paddr < state->layout->low_base || s->paddr > state->kernel_limit ||
		s->memsz > state->kernel_limit - s->paddr)
		return err_new(ENOMEM,
			"A segment of %llu KiB at %#llx does not fit between %#llx and %#llx",
			(unsigned long long)(s->memsz >> 10), (unsigned long long)s->paddr,
			(unsigned long long)state->layout->low_base,
			(unsigned long long)state->kernel_limit);
	/* Mapping clears the rest of the last page, which is only sure to be the segment's own
	 * where that begins with a page; copying touches nothing else. */
	if (s->paddr % 4096 || s->offset % 4096)
		ret = ram_read_file(ram, s->paddr, fd, s->offset, s->filesz);
	else
		ret = ram_map_file(ram, s->paddr, fd, s->offset, s->filesz);
	return ret ? err_new(-ret, "Cannot read a segment") : NULL;
}

static struct err *elf_load(struct loader_state *state)
{
	const struct elf_image *elf = &state->loader->elf;

	for (unsigned int i = 0; i < elf->n; i++) {
		struct err *err = elf_load_segment(state, &elf->segments[i]);

		if (err)
			return err;
	}
	state->end = elf->end;
	return NULL;
}

struct err *vmlinux_load(struct loader_state *state)
{
	const struct elf_image *elf = &state->loader->elf;
	uint64_t entry = elf->entry;

	/* Linux gives the physical address; others the virtual one of the segment that holds it. */
	for (unsigned int i = 0; i < elf->n; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (entry >= s->vaddr && entry - s->vaddr < s->memsz && s->vaddr >= elf->end) {
			entry = s->paddr + (entry - s->vaddr);
			break;
		}
	}
	if (entry < elf->base || entry >= elf->end)
		return err_new(ENOEXEC, "The entry point, %#llx, is outside of the image",
			(unsigned long long)elf->entry);
	state->rip = entry;
	return elf_load(state);
}

/* hvm_start_info, then the modules, then the memory map, all in the page of the parameters. */
static void pvh_build(const struct loader_state *state, struct strbuf *sb)
{
	const struct loader_layout *layout = state->layout;
	bool has_initrd = state->initrd_size;
	uint64_t modules = layout->params_base + PVH_INFO_SIZE;
	uint64_t map = modules + (has_initrd ? PVH_MODULE_SIZE : 0);

	strbuf_le32(sb, PVH_MAGIC);
	strbuf_le32(sb, 1); /* version */
	strbuf_le32(sb, 0); /* flags */
	strbuf_le32(sb, has_initrd);
	strbuf_le64(sb, has_initrd ? modules : 0);
	strbuf_le64(sb, layout->cmdline_base);
	strbuf_le64(sb, layout->rsdp);
	strbuf_le64(sb, map);
	strbuf_le32(sb, layout->n_ranges);
	strbuf_le32(sb, 0);
	if (has_initrd) {
		strbuf_le64(sb, state->initrd);
		strbuf_le64(sb, state->initrd_size);
		strbuf_le64(sb, 0); /* command line of the module */
		strbuf_le64(sb, 0);
	}
	for (unsigned int i = 0; i < layout->n_ranges; i++) {
		strbuf_le64(sb, layout->ranges[i].base);
		strbuf_le64(sb, layout->ranges[i].size);
		strbuf_le32(sb, (uint32_t)layout->ranges[i].type);
		strbuf_le32(sb, 0);
	}
}

struct err *pvh_load(struct loader_state *state)
{
	auto_strbuf struct strbuf sb = STRBUF_INIT(state->layout->params_size);
	const struct elf_image *elf = &state->loader->elf;

	if (elf->pvh_entry < elf->base || elf->pvh_entry >= elf->end)
		return err_new(ENOEXEC, "The PVH entry point, %#x, is outside of the image",
			elf->pvh_entry);
	pvh_build(state, &sb);
	if (sb.failed)
		return err_new(ENOSPC, "The memory map does not fit in the PVH start information");
	if (ram_write(state->layout->ram, state->layout->params_base, sb.data, sb.len))
		return err_new(EFAULT, "The PVH start information does not fit in RAM");
	state->rip = elf->pvh_entry;
	return elf_load(state);
}
