/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel relocations: a table that passes the check touches nothing outside the image.
 */
#include <stdlib.h>

#include "loader/relocate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct relocate_table table = {.words = data, .n = size / 4};
	struct relocate_image image = {.size = 4096, .link_vaddr = 0xffffffff81000000ull};

	image.data = calloc(1,
		image.size); /* of its exact size, so that a sanitizer sees what passes its end */
	if (image.data && relocate_check(&table, &image))
		relocate_apply(&table, &image, 0x200000);
	free(image.data);
	return 0;
}
