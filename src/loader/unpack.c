/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host unpacks a bzImage: payload to vmlinux in guest RAM, relocations, KASLR. What the guest's
 * unpacker would do: Linux, arch/x86/boot/compressed/misc.c (parse_elf, handle_relocations) and
 * kaslr.c (choose_random_location).
 *
 * The payload is an ELF file followed by the relocation table. It is unpacked so that the first
 * segment, by far the largest, lands where it runs; the others are moved behind it. No byte of
 * the large one is touched twice.
 */
#define LOG_MODULE "loader"
#include "loader/loader_internal.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/fd.h"
#include "base/log.h"
#include "loader/cache.h"
#include "loader/decompress.h"
#include "loader/relocate.h"
#include "loader/unpack.h"

#define UNPACK_KERNEL_MAP  0xffffffff80000000ull /* __START_KERNEL_map */
#define UNPACK_IMAGE_SPACE GIB(1)                /* KERNEL_IMAGE_SIZE: virtual room above it */
#define UNPACK_FIRST       MIB(2) /* file offset of the first segment in all that ld makes for x86-64 */
#define UNPACK_SIZE_MAX    GIB(1)
#define UNPACK_PAYLOAD_MAX MIB(128) /* of our own memory, for a moment */

/* The compressed payload in memory of our own. */
struct unpack_buffer {
	uint8_t *data;
	uint64_t size;
};

/* ---- KASLR ---- */

uint64_t unpack_random_below(uint64_t n)
{
	uint64_t value;

	if (n < 2 || getrandom(&value, sizeof(value), 0) != (ssize_t)sizeof(value))
		return 0;
	return value % n;
}

/* A multiple of align in [low, high - size], at random; low (aligned) if there is no choice; 0: no
 * room. */
static uint64_t unpack_choose(
	uint64_t low, uint64_t high, uint64_t size, uint64_t align, bool random)
{
	uint64_t first = align_up(low, align);

	if (first > high || size > high - first)
		return 0;
	return first +
	       (random ? unpack_random_below((high - first - size) / align + 1) * align : 0);
}

uint64_t unpack_choose_virtual(const struct unpack_plan *plan)
{
	uint64_t at = unpack_choose(
		plan->pref, UNPACK_IMAGE_SPACE, plan->image_size, plan->align, plan->kaslr);

	return at ? at - plan->pref : 0;
}

uint64_t unpack_choose_physical(const struct loader_state *state, uint64_t size)
{
	const struct linux_setup *setup = &state->loader->setup;
	uint64_t low = MAX(state->layout->low_base + UNPACK_FIRST, setup->pref_address);

	/* Anywhere in low RAM; what is below the preferred address stays free. */
	return unpack_choose(
		low, state->kernel_limit, size, setup->alignment, state->loader->kaslr);
}

/* ---- From the payload ---- */

static int unpack_read_ram(const struct elf_source *source, uint64_t off, void *buf, size_t len)
{
	const struct unpack_ram *ram = container_of_const(source, struct unpack_ram, source);

	if (!range_fits(off, len, source->size))
		return -EFAULT;
	memcpy(buf, ram->data + off, len);
	return 0;
}

/* Bytes that the payload unpacks to, as the kernel build notes at its end. */
static int unpack_payload_size(const struct loader *loader, uint64_t *ret_size)
{
	const struct linux_setup *setup = &loader->setup;
	uint8_t last[4];

	if (setup->payload_size < 16 || setup->payload_size > UNPACK_PAYLOAD_MAX ||
		fd_pread_full(loader->kernel.fd, last, sizeof(last),
			setup->payload_offset + setup->payload_size - sizeof(last)))
		return -EINVAL;
	*ret_size = load_le32(last);
	return *ret_size > ELF_HEADER_SIZE && *ret_size <= UNPACK_SIZE_MAX ? 0 : -EINVAL;
}

/*
 * A window of guest RAM as one piece of host memory. The guest does not run yet, so that nothing
 * in it changes under us.
 */
static uint8_t *unpack_window(const struct loader_state *state, uint64_t gpa, uint64_t size)
{
	struct iovec iov;

	if (ram_iov(state->layout->ram, gpa, size, &iov, 1) != 1)
		return NULL;
	return iov.iov_base;
}

/* Would moving segment i overwrite a segment that has not been moved yet? */
static bool unpack_in_the_way(const struct elf_image *elf, unsigned int i, uint32_t moved)
{
	const struct elf_segment *s = &elf->segments[i];
	uint64_t to = UNPACK_FIRST + (s->paddr - elf->base);

	for (unsigned int k = 0; k < elf->n; k++) {
		const struct elf_segment *other = &elf->segments[k];

		if (k != i && !(moved & 1u << k) &&
			ranges_overlap(to, s->filesz, other->offset, other->filesz))
			return true;
	}
	return false;
}

/*
 * Moves the segments from where they are in the file to where they run. Some move up and some down,
 * each as soon as nothing is in its way; false if they are so interleaved that this never ends.
 */
static bool unpack_place(const struct elf_image *elf, uint8_t *file)
{
	uint32_t all = (1u << elf->n) - 1;
	uint32_t moved = 0;

	for (unsigned int round = 0; round < elf->n && moved != all; round++) {
		for (unsigned int i = 0; i < elf->n; i++) {
			const struct elf_segment *s = &elf->segments[i];

			if (moved & 1u << i || unpack_in_the_way(elf, i, moved))
				continue;
			memmove(file + UNPACK_FIRST + (s->paddr - elf->base), file + s->offset,
				s->filesz);
			moved |= 1u << i;
		}
	}
	return moved == all;
}

/* What lies between the segments, and behind them, was part of the file: the guest sees zeros
 * there. */
static void unpack_clear_gaps(const struct elf_image *elf, uint8_t *image, uint64_t dirty_size)
{
	uint64_t at = 0;

	for (unsigned int i = 0; i <= elf->n; i++) {
		const struct elf_segment *s = &elf->segments[i];
		uint64_t end = MIN(dirty_size, i < elf->n ? s->paddr - elf->base : dirty_size);

		if (end > at)
			memset(image + at, 0, end - at);
		if (i < elf->n)
			at = s->paddr - elf->base + s->filesz;
	}
}

static bool unpack_sane(
	const struct linux_setup *setup, const struct elf_image *elf, const char **ret_why)
{
	const struct elf_segment *first = &elf->segments[0];

	*ret_why = "its ELF headers are not what the kernel build makes";
	if (first->offset != UNPACK_FIRST || elf->base != setup->pref_address ||
		elf->entry < elf->base || elf->entry >= elf->end ||
		first->vaddr != UNPACK_KERNEL_MAP + elf->base)
		return false;
	*ret_why = "its image is larger than its header says";
	return elf->end - elf->base <= setup->init_size;
}

/*
 * The relocation table, copied out to where the payload was, as placing the segments overwrites it.
 * false if it does not fit there: it is a tenth of the payload in real kernels. A kernel that
 * cannot be relocated has none.
 */
static bool unpack_copy_table(const struct elf_image *elf, const struct unpack_ram *file,
	const struct unpack_buffer *payload, struct relocate_table *ret_table)
{
	uint64_t size = file->source.size;
	uint64_t start = align_up(elf->file_end, 4);

	size = size > start ? (size - start) & ~3ull : 0;
	if (size > payload->size)
		return false;
	memcpy(payload->data, file->data + file->source.size - size, size);
	*ret_table = (struct relocate_table){.words = payload->data, .n = size / 4};
	return true;
}

/* Puts the unpacked file's segments in their places and moves them in virtual memory by *ret_delta
 * bytes. */
static bool unpack_file(struct loader_state *state, const struct unpack_plan *plan,
	const struct unpack_ram *file, const struct unpack_buffer *payload, uint64_t *ret_delta,
	const char **ret_why)
{
	struct relocate_image image = {.data = file->data + UNPACK_FIRST,
		.size = plan->image_size,
		.link_vaddr = UNPACK_KERNEL_MAP + plan->pref};
	struct relocate_table table;
	struct elf_image elf;
	struct err *err = elf_inspect(&file->source, &elf);

	if (err) {
		err_free(err);
		*ret_why = "the payload is not an ELF file";
		return false;
	}
	if (!unpack_sane(&state->loader->setup, &elf, ret_why))
		return false;
	*ret_why = "its relocations are not in a known form";
	if (!unpack_copy_table(&elf, file, payload, &table))
		return false;
	*ret_delta = 0;
	if (plan->kaslr && table.n) {
		if (!relocate_check(&table, &image))
			return false;
		*ret_delta = unpack_choose_virtual(plan);
	}
	*ret_why = "its segments are in an unusual order";
	if (!unpack_place(&elf, file->data))
		return false;
	unpack_clear_gaps(&elf, image.data, MAX(file->source.size, UNPACK_FIRST) - UNPACK_FIRST);
	if (*ret_delta)
		relocate_apply(&table, &image, *ret_delta);
	state->rip = plan->base + (elf.entry - elf.base);
	return true;
}

/* Where the image runs, physically. */
static bool unpack_plan(
	const struct loader_state *state, uint64_t file_size, struct unpack_plan *plan)
{
	const struct linux_setup *setup = &state->loader->setup;

	plan->pref = setup->pref_address;
	plan->align = setup->alignment;
	plan->image_size = setup->init_size;
	plan->kaslr = state->loader->kaslr;
	plan->base = unpack_choose_physical(state, MAX(setup->init_size, file_size));
	return plan->base && setup->relocatable && setup->alignment % UNPACK_FIRST == 0 &&
	       setup->pref_address % setup->alignment == 0;
}

/* Unpacks at plan->base; *ret_delta tells the virtual displacement. What a failed attempt wrote is
 * taken back. */
static bool unpack_payload(struct loader_state *state, const struct unpack_plan *plan,
	const struct unpack_buffer *payload, uint64_t file_size, uint64_t *ret_delta,
	const char **ret_why)
{
	uint64_t gpa = plan->base - UNPACK_FIRST;
	uint64_t size = MAX(file_size, UNPACK_FIRST + plan->image_size);
	struct unpack_ram file = {.source = {.read = unpack_read_ram, .size = file_size},
		.data = unpack_window(state, gpa, size)};
	const char *format = decompress_format(payload->data, payload->size);

	*ret_why = "there is no memory in one piece for it";
	if (!file.data)
		return false;
	*ret_why = "the payload is of an unknown format";
	if (!format)
		return false;
	log_debug("Unpacking the kernel (%s)", format);
	*ret_why = "the payload is corrupt";
	if (decompress(payload->data, payload->size, file.data, file_size) == (int64_t)file_size &&
		unpack_file(state, plan, &file, payload, ret_delta, ret_why))
		return true;
	memset(file.data, 0, size);
	return false;
}

/*
 * The payload is read, not mapped: a file that somebody truncates or writes to meanwhile must
 * neither end this process by SIGBUS nor change under a decompressor that has checked it.
 */
static bool unpack_planned(struct loader_state *state, const struct unpack_plan *plan,
	uint64_t file_size, uint64_t *ret_delta, const char **ret_why)
{
	const struct linux_setup *setup = &state->loader->setup;
	struct unpack_buffer payload = {.size = setup->payload_size};
	bool done = false;

	*ret_why = "its payload cannot be read";
	payload.data = mmap(NULL, payload.size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (payload.data == MAP_FAILED)
		return false;
	if (!fd_pread_full(
		    state->loader->kernel.fd, payload.data, payload.size, setup->payload_offset))
		done = unpack_payload(state, plan, &payload, file_size, ret_delta, ret_why);
	(void)munmap(payload.data, payload.size);
	return done;
}

static bool unpack_fresh(struct loader_state *state, uint64_t *ret_delta, struct unpack_plan *plan,
	const char **ret_why)
{
	uint64_t file_size;

	*ret_why = "the size of its payload is not known or not sane";
	if (unpack_payload_size(state->loader, &file_size))
		return false;
	*ret_why = "there is not enough memory for it, or its addresses are unusual";
	if (!unpack_plan(state, file_size, plan))
		return false;
	return unpack_planned(state, plan, file_size, ret_delta, ret_why);
}

bool bzimage_unpack(struct loader_state *state, const char **ret_why)
{
	auto_close int cache = -1;
	struct unpack_plan plan;
	uint64_t delta;

	*ret_why = "its header does not name the payload";
	if (!state->loader->setup.payload_offset)
		return false;
	/* The guest's unpacker knows which memory is left then; its rules are not repeated here. */
	*ret_why = "its command line says what memory there is";
	if (state->loader->memory_told)
		return false;
	cache = cache_open(state->loader);
	if (cache_load(state, cache))
		return true;
	if (!unpack_fresh(state, &delta, &plan, ret_why))
		return false;
	state->end = plan.base + plan.image_size;
	state->kaslr_applied = plan.kaslr;
	log_debug("Unpacked the kernel on the host: physical %#llx, virtual displacement %#llx",
		(unsigned long long)plan.base, (unsigned long long)delta);
	cache_store(state, cache, &plan);
	return true;
}
