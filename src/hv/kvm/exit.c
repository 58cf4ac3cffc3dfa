/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM's exits in the terms of hv.h. [vcpu]
 */
#include <string.h>

#include "hv/kvm/kvm_internal.h"

static void kvm_exit_fail(struct hv_exit *exit, const char *what, uint64_t code)
{
	exit->reason = HV_EXIT_FAILED;
	exit->u.failed.what = what;
	exit->u.failed.code = code;
	exit->u.failed.insn_len = 0;
}

static const char *kvm_suberror_text(uint32_t suberror)
{
	switch (suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		return "internal error: emulation failed";
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		return "internal error: simultaneous exceptions";
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		return "internal error: unexpected exit while an event was delivered";
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		return "internal error: unexpected exit of the processor";
	default:
		return "internal error";
	}
}

static void kvm_exit_internal_error(const struct kvm_run *run, struct hv_exit *exit)
{
	kvm_exit_fail(exit, kvm_suberror_text(run->internal.suberror), run->internal.suberror);
	/* ndata counts the 64-bit words: flags, then size and bytes of the instruction. */
	if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION ||
		run->emulation_failure.ndata < 3 ||
		!(run->emulation_failure.flags &
			KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return;
	exit->u.failed.insn_len = run->emulation_failure.insn_size;
	if (exit->u.failed.insn_len > sizeof(run->emulation_failure.insn_bytes))
		exit->u.failed.insn_len = sizeof(run->emulation_failure.insn_bytes);
	memcpy(exit->u.failed.insn, run->emulation_failure.insn_bytes, exit->u.failed.insn_len);
}

static void kvm_exit_io(struct kvm_run *run, struct hv_exit *exit)
{
	exit->reason = HV_EXIT_IO;
	exit->u.io.port = run->io.port;
	exit->u.io.write = run->io.direction == KVM_EXIT_IO_OUT;
	exit->u.io.size = run->io.size;
	exit->u.io.count = run->io.count;
	exit->u.io.data = (uint8_t *)run + run->io.data_offset;
}

static void kvm_exit_mmio(struct kvm_run *run, struct hv_exit *exit)
{
	exit->reason = HV_EXIT_MMIO;
	exit->u.mmio.gpa = run->mmio.phys_addr;
	exit->u.mmio.write = run->mmio.is_write;
	exit->u.mmio.size = (uint8_t)MIN(run->mmio.len, (uint32_t)sizeof(run->mmio.data));
	exit->u.mmio.data = run->mmio.data;
}

static void kvm_exit_system_event(const struct kvm_run *run, struct hv_exit *exit)
{
	exit->reason = HV_EXIT_SYSTEM_EVENT;
	switch (run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		exit->u.system_event = HV_SYSTEM_OFF;
		break;
	case KVM_SYSTEM_EVENT_RESET:
		exit->u.system_event = HV_SYSTEM_RESET;
		break;
	case KVM_SYSTEM_EVENT_CRASH:
		exit->u.system_event = HV_SYSTEM_CRASH;
		break;
	default:
		kvm_exit_fail(exit, "unknown system event", run->system_event.type);
	}
}

bool kvm_exit_decode(struct kvm_run *run, struct hv_exit *exit)
{
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		kvm_exit_io(run, exit);
		return true;
	case KVM_EXIT_MMIO:
		kvm_exit_mmio(run, exit);
		return true;
	case KVM_EXIT_IOAPIC_EOI:
		exit->reason = HV_EXIT_IOAPIC_EOI;
		exit->u.eoi.vector = run->eoi.vector;
		break;
	case KVM_EXIT_SHUTDOWN:
		exit->reason = HV_EXIT_SHUTDOWN;
		break;
	case KVM_EXIT_HLT:
		exit->reason = HV_EXIT_HALTED;
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		kvm_exit_system_event(run, exit);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		kvm_exit_internal_error(run, exit);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		kvm_exit_fail(exit, "the processor refused to enter the guest",
			run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_UNKNOWN:
		kvm_exit_fail(exit, "unknown exit of the processor", run->hw.hardware_exit_reason);
		break;
	default:
		kvm_exit_fail(exit, "unexpected exit of KVM", run->exit_reason);
	}
	return false;
}
