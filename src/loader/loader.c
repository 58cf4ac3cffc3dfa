/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening, telling images apart, and the order of loading.
 */
#define LOG_MODULE "loader"
#include "loader/loader_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"

/* ---- Opening ---- */

struct loader_elf_file {
	struct elf_source source;
	int fd;
};

static int loader_elf_read(const struct elf_source *source, uint64_t off, void *buf, size_t len)
{
	return fd_pread_full(
		container_of_const(source, struct loader_elf_file, source)->fd, buf, len, off);
}

static struct err *loader_inspect_elf(struct loader *loader)
{
	struct loader_elf_file file = {
		.source = {.read = loader_elf_read, .size = loader->kernel.size},
		.fd = loader->kernel.fd};
	struct err *err = elf_inspect(&file.source, &loader->elf);

	if (err)
		return err;
	loader->image = LOADER_IMAGE_ELF;
	if (loader->pvh && !loader->elf.pvh_entry)
		return err_new(ENOEXEC, "It has no PVH note (CONFIG_PVH)");
	linux_setup_default(&loader->setup);
	/* A Linux vmlinux has both entries; a kernel that runs low or has only the note is entered
	 * by that. */
	if (loader->elf.pvh_entry && loader->elf.segments[0].vaddr < 1ull << 63)
		loader->pvh = true;
	return NULL;
}

static struct err *loader_inspect(struct loader *loader)
{
	uint8_t head[LINUX_MAGIC + 4] = {0};
	int ret;

	if (!loader->kernel.size)
		return err_new(ENOEXEC, "It is empty");
	ret = fd_pread_full(
		loader->kernel.fd, head, MIN(loader->kernel.size, (uint64_t)sizeof(head)), 0);
	if (ret)
		return err_new(-ret, "It cannot be read");
	if (load_le32(head) == ELF_MAGIC)
		return loader_inspect_elf(loader);
	if (memcmp(head + LINUX_MAGIC, "HdrS", 4))
		return err_new(ENOEXEC, "It is neither a bzImage nor an ELF file");
	if (loader->pvh)
		return err_new(ENOEXEC, "A bzImage cannot be entered by a PVH note; use --kernel");
	return linux_setup_read(loader->kernel.fd, loader->kernel.size, &loader->setup);
}

/* As Linux sees it (arch/x86/boot/cmdline.c); the terminator counts too. */
static bool loader_is_space(char c)
{
	return (unsigned char)c <= ' ';
}

/* true if the command line has the word, or a word that begins so if it ends with '='. */
static bool loader_has_word(const char *cmdline, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = strstr(cmdline, word); p; p = strstr(p + 1, word)) {
		if ((p == cmdline || loader_is_space(p[-1])) &&
			(word[len - 1] == '=' || loader_is_space(p[len])))
			return true;
	}
	return false;
}

static struct err *loader_open_files(struct loader *loader, const struct loader_options *options)
{
	struct err *err = fd_open_regular(
		options->kernel, loader->what, &loader->kernel.fd, &loader->kernel.size);
	struct stat st;

	/* Before anything is read: what changes later is then seen by the cache. */
	if (!err && !fstat(loader->kernel.fd, &st))
		loader->changed = st.st_ctim;
	if (!err)
		err = err_wrap(loader_inspect(loader), "Cannot use the %s \"%s\"", loader->what,
			options->kernel);
	if (!err && options->initramfs)
		err = fd_open_regular(options->initramfs, "initramfs", &loader->initramfs.fd,
			&loader->initramfs.size);
	return err;
}

struct err *loader_open(const struct loader_options *options, struct loader **ret_loader)
{
	struct loader *loader = new0(struct loader);
	const char *cmdline = options->cmdline ? options->cmdline : "";
	struct err *err;

	if (!loader)
		return err_new(ENOMEM, "Cannot open the kernel");
	loader->kernel.fd = -1;
	loader->initramfs.fd = -1;
	loader->what = options->what ? options->what : "kernel";
	loader->pvh = options->pvh;
	loader->unpack = options->unpack;
	loader->kaslr = !loader_has_word(cmdline, "nokaslr");
	loader->memory_told =
		loader_has_word(cmdline, "mem=") || loader_has_word(cmdline, "memmap=");
	loader->kernel_path = strdup(options->kernel);
	loader->initramfs_path = options->initramfs ? strdup(options->initramfs) : NULL;
	loader->cmdline = strdup(cmdline);
	loader->cache = options->cache ? strdup(options->cache) : NULL;
	if (!loader->kernel_path || !loader->cmdline || (options->cache && !loader->cache) ||
		(options->initramfs && !loader->initramfs_path))
		err = err_new(ENOMEM, "Cannot open the kernel");
	else
		err = loader_open_files(loader, options);
	if (err) {
		loader_free(loader);
		return err;
	}
	*ret_loader = loader;
	return NULL;
}

void loader_free(struct loader *loader)
{
	if (!loader)
		return;
	auto_close_cleanup(&loader->kernel.fd);
	auto_close_cleanup(&loader->initramfs.fd);
	free(loader->kernel_path);
	free(loader->initramfs_path);
	free(loader->cmdline);
	free(loader->cache);
	free(loader);
}

/* ---- Loading ---- */

static struct err *loader_put_cmdline(
	const struct loader *loader, const struct loader_layout *layout)
{
	uint64_t len = strlen(loader->cmdline);
	uint64_t max = MIN((uint64_t)loader->setup.cmdline_max, layout->cmdline_size - 1);

	if (loader->pvh)
		max = layout->cmdline_size - 1;
	if (len > max)
		return err_new(E2BIG, "The command line has %llu bytes; this kernel takes %llu",
			(unsigned long long)len, (unsigned long long)max);
	if (ram_write(layout->ram, layout->cmdline_base, loader->cmdline, len + 1))
		return err_new(EFAULT, "The command line does not fit in RAM");
	return NULL;
}

/* The initramfs goes to the top of low RAM, below what the kernel says it can address. */
static struct err *loader_put_initramfs(struct loader_state *state)
{
	struct loader *loader = state->loader;
	uint64_t limit = state->layout->low_end;
	uint64_t size = loader->initramfs.size;
	uint64_t room;
	int ret;

	state->kernel_limit = limit;
	if (loader->initramfs.fd < 0 || !size)
		return NULL;
	if (!loader->pvh && loader->setup.initrd_max)
		limit = MIN(limit, align_down(loader->setup.initrd_max + 1, 4096));
	room = limit - MIN(limit, state->layout->low_base);
	if (size > room)
		return err_new(ENOMEM,
			"The initramfs has %llu KiB; there are %llu KiB of memory for it",
			(unsigned long long)(size >> 10), (unsigned long long)(room >> 10));
	state->initrd = align_down(limit - size, 4096);
	state->initrd_size = size;
	state->kernel_limit = state->initrd;
	ret = ram_map_file(state->layout->ram, state->initrd, loader->initramfs.fd, 0, size);
	return ret ? err_new(-ret, "It cannot be read") : NULL;
}

static struct err *loader_put_linux(struct loader_state *state)
{
	struct loader *loader = state->loader;
	const char *why = "it was not asked for";
	struct err *err = NULL;

	if (loader->image == LOADER_IMAGE_ELF) {
		err = vmlinux_load(state);
	} else if (!loader->unpack || !bzimage_unpack(state, &why)) {
		log_debug("The guest unpacks its kernel itself: %s", why);
		err = bzimage_load(state);
	}
	if (err)
		return err;
	return linux_params_write(&(struct linux_params){
		.setup = &loader->setup,
		.layout = state->layout,
		.initrd = state->initrd,
		.initrd_size = state->initrd_size,
		.kaslr = state->kaslr_applied,
	});
}

struct err *loader_load(
	struct loader *loader, const struct loader_layout *layout, struct loader_entry *ret_entry)
{
	struct loader_state state = {.loader = loader, .layout = layout};
	struct err *err = loader_put_initramfs(&state);

	if (err)
		return err_wrap(err, "Cannot load the initramfs \"%s\"", loader->initramfs_path);
	err = loader_put_cmdline(loader, layout);
	if (!err)
		err = loader->pvh ? pvh_load(&state) : loader_put_linux(&state);
	if (err)
		return err_wrap(
			err, "Cannot load the %s \"%s\"", loader->what, loader->kernel_path);
	*ret_entry = (struct loader_entry){
		.kind = loader->pvh ? LOADER_PVH : LOADER_LINUX64,
		.rip = state.rip,
		.params = layout->params_base,
		.map_end = MAX(state.end, state.initrd + state.initrd_size),
	};
	log_debug("Entry at %#llx, kernel up to %#llx, initramfs of %llu bytes at %#llx",
		(unsigned long long)state.rip, (unsigned long long)state.end,
		(unsigned long long)state.initrd_size, (unsigned long long)state.initrd);
	return NULL;
}
