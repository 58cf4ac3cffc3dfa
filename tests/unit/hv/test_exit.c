/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How KVM's exits are told to the layers above: those that no small guest can cause, from shared
 * areas that the test fills in.
 */
#include <string.h>

#include "hv/kvm/kvm_internal.h"
#include "unit.h"

static struct kvm_run run;
static struct hv_exit out;

static int setup(void **state)
{
	memset(&run, 0, sizeof(run));
	memset(&out, 0xee, sizeof(out));
	return 0;
}

static void expect_failure(const char *what, uint64_t code)
{
	assert_false(kvm_exit_decode(&run, &out));
	assert_int_equal(out.reason, HV_EXIT_FAILED);
	assert_string_equal(out.u.failed.what, what);
	assert_int_equal(out.u.failed.code, code);
}

static void test_failed_entry(void **state)
{
	run.exit_reason = KVM_EXIT_FAIL_ENTRY;
	run.fail_entry.hardware_entry_failure_reason = 0x80000021;
	expect_failure("the processor refused to enter the guest", 0x80000021);
	assert_int_equal(out.u.failed.insn_len, 0);
}

static void test_unknown_exit(void **state)
{
	run.exit_reason = KVM_EXIT_UNKNOWN;
	run.hw.hardware_exit_reason = 77;
	expect_failure("unknown exit of the processor", 77);
	run.exit_reason = 12345;
	expect_failure("unexpected exit of KVM", 12345);
}

static void test_internal_errors(void **state)
{
	static const char *const texts[] = {
		"internal error",
		"internal error: emulation failed",
		"internal error: simultaneous exceptions",
		"internal error: unexpected exit while an event was delivered",
		"internal error: unexpected exit of the processor",
		"internal error",
	};

	run.exit_reason = KVM_EXIT_INTERNAL_ERROR;
	for (uint32_t i = 0; i < ARRAY_SIZE(texts); i++) {
		run.internal.suberror = i;
		run.internal.ndata = 16;
		memset(run.internal.data, 0xff, sizeof(run.internal.data));
		expect_failure(texts[i], i);
		/* Only an emulation failure carries the instruction. */
		assert_int_equal(out.u.failed.insn_len, i == KVM_INTERNAL_ERROR_EMULATION ? 15 : 0);
	}
}

static void test_instruction_bytes(void **state)
{
	run.exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run.emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run.emulation_failure.ndata = 3;
	run.emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	run.emulation_failure.insn_size = 3;
	memcpy(run.emulation_failure.insn_bytes, "\x0f\x0b\x90", 3);
	expect_failure("internal error: emulation failed", 1);
	assert_int_equal(out.u.failed.insn_len, 3);
	assert_memory_equal(out.u.failed.insn, "\x0f\x0b\x90", 3);
	/* KVM does not say that they are there, or too little of them is. */
	run.emulation_failure.flags = 0;
	expect_failure("internal error: emulation failed", 1);
	assert_int_equal(out.u.failed.insn_len, 0);
	run.emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	run.emulation_failure.ndata = 2;
	expect_failure("internal error: emulation failed", 1);
	assert_int_equal(out.u.failed.insn_len, 0);
}

static void test_system_events(void **state)
{
	static const struct {
		uint32_t type;
		enum hv_system_event event;
	} events[] = {
		{KVM_SYSTEM_EVENT_SHUTDOWN, HV_SYSTEM_OFF},
		{KVM_SYSTEM_EVENT_RESET, HV_SYSTEM_RESET},
		{KVM_SYSTEM_EVENT_CRASH, HV_SYSTEM_CRASH},
	};

	run.exit_reason = KVM_EXIT_SYSTEM_EVENT;
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		run.system_event.type = events[i].type;
		assert_false(kvm_exit_decode(&run, &out));
		assert_int_equal(out.reason, HV_EXIT_SYSTEM_EVENT);
		assert_int_equal(out.u.system_event, events[i].event);
	}
	run.system_event.type = KVM_SYSTEM_EVENT_SEV_TERM;
	expect_failure("unknown system event", KVM_SYSTEM_EVENT_SEV_TERM);
}

static void test_plain_exits(void **state)
{
	run.exit_reason = KVM_EXIT_HLT;
	assert_false(kvm_exit_decode(&run, &out));
	assert_int_equal(out.reason, HV_EXIT_HALTED);
	run.exit_reason = KVM_EXIT_SHUTDOWN;
	assert_false(kvm_exit_decode(&run, &out));
	assert_int_equal(out.reason, HV_EXIT_SHUTDOWN);
	run.exit_reason = KVM_EXIT_MMIO;
	run.mmio.phys_addr = 0xfec00000;
	run.mmio.len = 200;
	assert_true(kvm_exit_decode(&run, &out));
	assert_int_equal(out.u.mmio.gpa, 0xfec00000);
	assert_int_equal(out.u.mmio.size, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_failed_entry, setup),
		cmocka_unit_test_setup(test_unknown_exit, setup),
		cmocka_unit_test_setup(test_internal_errors, setup),
		cmocka_unit_test_setup(test_instruction_bytes, setup),
		cmocka_unit_test_setup(test_system_events, setup),
		cmocka_unit_test_setup(test_plain_exits, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
