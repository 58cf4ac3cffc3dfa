/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/strbuf.h"

static void test_append_keeps_text_terminated(void **state)
{
	struct strbuf sb = STRBUF_INIT(100);

	(void)state;
	assert_string_equal(strbuf_text(&sb), "");
	strbuf_puts(&sb, "ab");
	strbuf_printf(&sb, "%d", 42);
	assert_string_equal(strbuf_text(&sb), "ab42");
	strbuf_consume(&sb, 3);
	assert_string_equal(strbuf_text(&sb), "2");
	strbuf_le32(&sb, 0x01020304);
	assert_memory_equal(strbuf_text(&sb), "2\4\3\2\1", 6);
	strbuf_deinit(&sb);
}

static void test_limit_is_sticky_and_keeps_content(void **state)
{
	struct strbuf sb = STRBUF_INIT(4);
	char *text;

	(void)state;
	strbuf_puts(&sb, "abcd");
	assert_false(sb.failed);
	strbuf_puts(&sb, "e");
	assert_true(sb.failed);
	assert_string_equal(strbuf_text(&sb), "abcd");
	text = strbuf_steal(&sb);
	assert_null(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append_keeps_text_terminated),
		cmocka_unit_test(test_limit_is_sticky_and_keeps_content),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
