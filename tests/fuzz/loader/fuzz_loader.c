/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole kernels, bzImage and ELF, into a guest of 24 MiB: any file loads or is refused. The bits of
 * the first byte: 0 PVH, 1 an initramfs (the same file), 2 nokaslr.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "loader/loader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_load(struct loader *loader)
{
	static const struct ram_options options = {.backend = RAM_ANON};
	static const struct loader_range ranges[] = {{0, MIB(24), LOADER_RANGE_RAM}};
	struct loader_layout layout = {
		.ranges = ranges,
		.n_ranges = 1,
		.low_base = MIB(1),
		.low_end = MIB(24),
		.params_base = 0x1000,
		.params_size = 0x1000,
		.cmdline_base = 0x20000,
		.cmdline_size = 0x1000,
		.rsdp = 0x80000,
	};
	struct loader_entry entry;

	err_free(ram_create(&options, &layout.ram));
	err_free(ram_add(layout.ram, 0, MIB(24), "fuzz"));
	err_free(loader_load(loader, &layout, &entry));
	ram_free(layout.ram);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loader_options options = {.cmdline = "console=ttyS0", .unpack = true};
	struct loader *loader;
	struct err *err;
	char path[64];
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || !size || fd_write_full(fd, data + 1, size - 1)) {
		close(fd);
		return 0;
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	options.kernel = path;
	options.pvh = data[0] & 1;
	options.initramfs = data[0] & 2 ? path : NULL;
	if (data[0] & 4)
		options.cmdline = "nokaslr";
	err = loader_open(&options, &loader);
	if (!err) {
		fuzz_load(loader);
		loader_free(loader);
	}
	err_free(err);
	close(fd);
	return 0;
}
