/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>

#include "arch/x86_64/dump.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "hv/fake/hv_fake.h"

struct text_sink {
	struct log_sink sink;
	struct strbuf text;
};

static struct hv_vm *vm;
static struct hv_vcpu *vcpu;
static struct ram *ram;
static struct log *vm_log;
static struct text_sink sink;

static void sink_write(
	struct log_sink *base, enum log_level level, const char *module, const char *text)
{
	struct text_sink *s = container_of(base, struct text_sink, sink);

	assert_int_equal(level, LOG_ERROR);
	strbuf_printf(&s->text, "%s: %s\n", module, text);
}

static int setup(void **state)
{
	struct ram_options options = {.backend = RAM_ANON};
	struct hv_x86_regs regs = {.rip = 0x1ff8, .rax = 0x1122334455667788, .r15 = 0xabc};
	struct hv_x86_sregs sregs = {.cr3 = 0x3000, .cs.selector = 0x10, .efer = 0x500};

	sink = (struct text_sink){.sink.write = sink_write, .text = STRBUF_INIT(16384)};
	assert_ok(hv_fake_create(&vm));
	assert_ok(hv_vcpu_create(vm, 0, &vcpu));
	assert_ok(hv_vcpu_bind(vcpu));
	assert_ok(hv_x86_set_regs(vcpu, &regs));
	assert_ok(hv_x86_set_sregs(vcpu, &sregs));
	assert_ok(ram_create(&options, &ram));
	assert_ok(ram_add(ram, 0, 0x2000, "low"));
	assert_int_equal(ram_write(ram, 0x1ff8, "\x0f\x0b\x90\x90\x90\x90\x90\xf4", 8), 0);
	assert_ok(log_create("error", &sink.sink, &vm_log));
	log_bind(vm_log);
	return 0;
}

static int teardown(void **state)
{
	log_bind(NULL);
	log_free(vm_log);
	ram_free(ram);
	hv_vcpu_unbind(vcpu);
	hv_vcpu_free(vcpu);
	hv_vm_free(vm);
	strbuf_deinit(&sink.text);
	return 0;
}

static void expect(const char *part)
{
	if (!strstr(strbuf_text(&sink.text), part))
		fail_msg("'%s' is not in:\n%s", part, strbuf_text(&sink.text));
}

static void test_failed_exit_names_its_reason(void **state)
{
	struct hv_exit exit = {.reason = HV_EXIT_FAILED,
		.u.failed = {.what = "internal error: emulation failed",
			.code = 0x1f,
			.insn = {0x0f, 0xae},
			.insn_len = 2}};

	x86_dump_vcpu(vcpu, &exit, ram);
	expect("stopped: internal error: emulation failed (code 0x1f)");
	expect("rax 1122334455667788");
	expect("r15 0000000000000abc");
	expect("cr3 0000000000003000");
	expect("efer 0500");
	expect("cs  0010 base 0000000000000000");
	expect("instruction bytes at rip: 0f ae\n");
}

static void test_bytes_come_from_memory_up_to_the_page_end(void **state)
{
	struct hv_exit exit = {.reason = HV_EXIT_SHUTDOWN};

	x86_dump_vcpu(vcpu, &exit, ram);
	expect("stopped: triple fault");
	expect("instruction bytes at rip: 0f 0b 90 90 90 90 90 f4\n");
}

static void test_unreadable_bytes(void **state)
{
	struct hv_x86_regs regs = {.rip = UINT64_MAX};
	struct hv_exit exit = {.reason = HV_EXIT_SHUTDOWN};

	assert_ok(hv_x86_set_regs(vcpu, &regs));
	x86_dump_vcpu(vcpu, &exit, ram);
	expect("instruction bytes at rip: not readable\n");
	x86_dump_vcpu(vcpu, &exit, NULL);
}

static void test_registers_after_a_reset_are_called_so(void **state)
{
	struct hv_x86_regs regs = {.rip = 0xfff0};
	struct hv_x86_sregs sregs = {.cs.base = 0xffff0000};
	struct hv_exit exit = {.reason = HV_EXIT_SHUTDOWN};

	x86_dump_vcpu(vcpu, &exit, ram);
	assert_null(strstr(strbuf_text(&sink.text), "reset the vCPU"));
	assert_ok(hv_x86_set_regs(vcpu, &regs));
	assert_ok(hv_x86_set_sregs(vcpu, &sregs));
	x86_dump_vcpu(vcpu, &exit, ram);
	expect("the hypervisor reset the vCPU");
}

static void test_overlong_insn_len_is_cut(void **state)
{
	struct hv_exit exit = {
		.reason = HV_EXIT_FAILED, .u.failed = {.what = "x", .insn_len = 255}};

	x86_dump_vcpu(vcpu, &exit, ram);
	expect("rip: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_failed_exit_names_its_reason, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_bytes_come_from_memory_up_to_the_page_end, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_registers_after_a_reset_are_called_so, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreadable_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overlong_insn_len_is_cut, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
