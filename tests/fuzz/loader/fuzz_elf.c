/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF headers and notes: whatever elf_inspect() accepts has segments inside the file, in order,
 * without overlap.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/overflow.h"
#include "loader/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_source {
	struct elf_source source;
	const uint8_t *data;
};

static int fuzz_read(const struct elf_source *source, uint64_t off, void *buf, size_t len)
{
	const struct fuzz_source *s = container_of_const(source, struct fuzz_source, source);

	if (!range_fits(off, len, source->size))
		return -ENODATA;
	memcpy(buf, s->data + off, len);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_source source = {.source = {.read = fuzz_read, .size = size}, .data = data};
	struct elf_image image;
	struct err *err = elf_inspect(&source.source, &image);

	for (unsigned int i = 0; !err && i < image.n; i++) {
		const struct elf_segment *s = &image.segments[i];

		if (!range_fits(s->offset, s->filesz, size) || s->filesz > s->memsz ||
			(i && image.segments[i - 1].paddr + image.segments[i - 1].memsz > s->paddr))
			abort();
	}
	err_free(err);
	return 0;
}
