/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which file system a partition has. Offsets: Linux Documentation/filesystems/ext4 (super block at
 * 1024), Microsoft's FAT specification (boot sector), XFS's on-disk format (sb at 0).
 */
#include "fs_identity.h"

#include <stdio.h>
#include <string.h>

static void fs_format_uuid(const uint8_t *u, char *out, size_t size)
{
	(void)snprintf(out, size,
		"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
		u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
		u[15]);
}

static bool fs_is_fat(const uint8_t *data, const uint8_t **ret_serial)
{
	bool is_32 = !memcmp(data + 82, "FAT32   ", 8);

	if (data[510] != 0x55 || data[511] != 0xaa || (!is_32 && memcmp(data + 54, "FAT", 3)))
		return false;
	*ret_serial = data + (is_32 ? 67 : 39);
	return true;
}

bool fs_identify(const uint8_t *data, size_t len, struct fs_identity *ret_identity)
{
	const uint8_t *serial;
	struct fs_identity id = {0};

	if (len < FS_IDENTITY_BYTES)
		return false;
	if (data[1024 + 0x38] == 0x53 && data[1024 + 0x39] == 0xef) {
		id.type = "ext4";
		id.options = "noload,errors=continue";
		fs_format_uuid(data + 1024 + 0x68, id.uuid, sizeof(id.uuid));
	} else if (!memcmp(data, "XFSB", 4)) {
		id.type = "xfs";
		id.options = "norecovery,nouuid";
		fs_format_uuid(data + 32, id.uuid, sizeof(id.uuid));
	} else if (fs_is_fat(data, &serial)) {
		id.type = "vfat";
		id.options = "";
		(void)snprintf(id.uuid, sizeof(id.uuid), "%02X%02X-%02X%02X", serial[3], serial[2],
			serial[1], serial[0]);
	} else {
		return false;
	}
	*ret_identity = id;
	return true;
}
