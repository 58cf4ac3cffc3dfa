/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials as OEM strings.
 */
#include "tables/smbios/smbios.h"

#include <string.h>

#define CREDENTIAL_TEXT   "io.systemd.credential:"
#define CREDENTIAL_BASE64 "io.systemd.credential.binary:"

static bool credential_is_text(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] < ' ' || data[i] > '~')
			return false;
	}
	return true;
}

/* RFC 4648, chapter 4. */
static void credential_base64(struct strbuf *sb, const uint8_t *data, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		size_t n = MIN(len - i, (size_t)3);
		uint32_t bits = (uint32_t)data[i] << 16 | (n > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
				(n > 2 ? data[i + 2] : 0);
		char group[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
			n > 1 ? digits[bits >> 6 & 63] : '=', n > 2 ? digits[bits & 63] : '='};

		strbuf_append(sb, group, sizeof(group));
	}
}

char *smbios_credential(const char *name, const void *data, size_t len)
{
	auto_strbuf struct strbuf sb = STRBUF_INIT(SIZE_MAX);
	bool text = credential_is_text(data, len);

	strbuf_puts(&sb, text ? CREDENTIAL_TEXT : CREDENTIAL_BASE64);
	strbuf_puts(&sb, name);
	strbuf_puts(&sb, "=");
	if (text)
		strbuf_append(&sb, data, len);
	else
		credential_base64(&sb, data, len);
	return strbuf_steal(&sb);
}
