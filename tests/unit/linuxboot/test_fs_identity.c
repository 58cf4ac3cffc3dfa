/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File systems told apart by their first bytes.
 */
#include "unit.h"

#include <string.h>

#include "fs_identity.h"

static void test_ext4(void **state)
{
	uint8_t data[FS_IDENTITY_BYTES] = {0};
	struct fs_identity id;

	data[1024 + 0x38] = 0x53;
	data[1024 + 0x39] = 0xef;
	for (unsigned int i = 0; i < 16; i++)
		data[1024 + 0x68 + i] = (uint8_t)(i * 0x11);
	assert_true(fs_identify(data, sizeof(data), &id));
	assert_string_equal(id.type, "ext4");
	assert_string_equal(id.options, "noload,errors=continue");
	assert_string_equal(id.uuid, "00112233-4455-6677-8899-aabbccddeeff");
	assert_false(fs_identify(data, sizeof(data) - 1, &id));
}

static void test_xfs_and_fat(void **state)
{
	uint8_t data[FS_IDENTITY_BYTES] = {'X', 'F', 'S', 'B'};
	struct fs_identity id;

	assert_true(fs_identify(data, sizeof(data), &id));
	assert_string_equal(id.type, "xfs");
	assert_string_equal(id.options, "norecovery,nouuid");
	memset(data, 0, sizeof(data));
	data[510] = 0x55;
	data[511] = 0xaa;
	assert_false(fs_identify(data, sizeof(data), &id)); /* a partition table has that too */
	memcpy(data + 54, "FAT16   ", 8);
	memcpy(data + 39, "\xcf\xdd\x8f\x58", 4);
	assert_true(fs_identify(data, sizeof(data), &id));
	assert_string_equal(id.type, "vfat");
	assert_string_equal(id.uuid, "588F-DDCF");
	memcpy(data + 82, "FAT32   ", 8);
	memcpy(data + 67, "\x01\x02\x03\x04", 4);
	assert_true(fs_identify(data, sizeof(data), &id));
	assert_string_equal(id.uuid, "0403-0201");
}

static void test_others(void **state)
{
	uint8_t data[FS_IDENTITY_BYTES] = {0};
	struct fs_identity id;

	assert_false(fs_identify(data, sizeof(data), &id));
	memset(data, 0xff, sizeof(data));
	assert_false(fs_identify(data, sizeof(data), &id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ext4),
		cmocka_unit_test(test_xfs_and_fat),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
