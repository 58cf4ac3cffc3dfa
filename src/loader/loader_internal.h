/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loader's parts.
 */
#pragma once

#include <time.h>

#include "loader/elf.h"
#include "loader/linux_params.h"
#include "loader/loader.h"

enum loader_image { LOADER_IMAGE_BZIMAGE, LOADER_IMAGE_ELF };

struct loader_file {
	int fd; /* -1: none */
	uint64_t size;
};

struct loader {
	const char *what; /* a literal */
	char *kernel_path;
	char *initramfs_path; /* or NULL */
	char *cmdline;
	char *cache; /* directory or NULL */
	struct loader_file kernel;
	struct loader_file initramfs;
	enum loader_image image;
	bool pvh; /* enter by the note */
	bool unpack;
	bool kaslr;               /* not `nokaslr` */
	bool memory_told;         /* the command line says what memory there is */
	struct timespec changed;  /* the kernel's ctime when it was opened */
	struct linux_setup setup; /* bzImage */
	struct elf_image elf;     /* ELF */
};

/* Where things went during one loader_load(). */
struct loader_state {
	struct loader *loader;
	const struct loader_layout *layout;
	uint64_t initrd, initrd_size;
	uint64_t kernel_limit; /* exclusive: the initramfs begins here, or RAM ends */
	uint64_t end;          /* of the kernel */
	uint64_t rip;
	bool kaslr_applied;
};

/* bzimage.c: the guest's own unpacker. */
struct err *must_check bzimage_load(struct loader_state *state);
/* unpack.c: the kernel inside; false (and *ret_why, static text): not possible, RAM is as before.
 */
bool must_check bzimage_unpack(struct loader_state *state, const char **ret_why);
/* vmlinux, 64-bit entry. */
struct err *must_check vmlinux_load(struct loader_state *state);
/* PVH. */
struct err *must_check pvh_load(struct loader_state *state);
