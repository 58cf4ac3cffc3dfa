/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unified kernel images (UAPI.5): a PE file whose sections are a kernel, its initramfs and its
 * command line; in /EFI/Linux they are entries of the Boot Loader Specification, type 2. All
 * functions [any].
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "entry.h"

/* The headers are in the first bytes of the file: enough for 96 sections behind a small stub. */
#define UKI_HEADERS_MAX 8192
/* Of what is text: command line, version, os-release. */
#define UKI_TEXT_MAX 16384

/* Sections in the file; of size 0 where there is none. */
struct uki {
	struct boot_part kernel;
	struct boot_part ucode;
	struct boot_part initrd;
	struct boot_part cmdline;
	struct boot_part uname;
	struct boot_part osrel;
};

/* Reads the headers; false if this is no PE file with a kernel in it. */
bool uki_parse(const void *headers, size_t len, struct uki *ret_uki);

/* What the text sections say, NUL-terminated; "" where there is none. */
struct uki_texts {
	char *cmdline;
	char *uname;
	char *osrel;
};

/* Adds the entry of an image to menu. path: in its file system, of which the last part is the id,
 * without a counter of tries. */
void uki_add_entry(const struct uki *uki, const struct uki_texts *texts, const char *path,
	struct boot_menu *menu);
