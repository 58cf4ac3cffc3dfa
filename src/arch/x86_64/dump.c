/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register dump.
 */
#define LOG_MODULE "arch"
#include "arch/x86_64/dump.h"

#include <inttypes.h>
#include <pthread.h>

#include "base/log.h"
#include "base/strbuf.h"

#define DUMP_INSN_BYTES 16u
#define DUMP_INSN_TEXT  48u /* three characters each */

/* Bytes at cs:rip up to the end of the page; how many. */
static unsigned int dump_fetch(
	struct hv_vcpu *vcpu, const struct ram *ram, uint64_t linear, uint8_t insn[DUMP_INSN_BYTES])
{
	unsigned int n = MIN(DUMP_INSN_BYTES, 4096 - (unsigned int)(linear & 4095));
	uint64_t gpa;

	if (!ram || hv_x86_translate(vcpu, linear, &gpa) || ram_read(ram, gpa, insn, n))
		return 0;
	return n;
}

static void dump_reason(const struct hv_exit *exit)
{
	char name[16] = "";

	pthread_getname_np(pthread_self(), name, sizeof(name));
	if (exit->reason == HV_EXIT_FAILED)
		log_error("%s stopped: %s (code 0x%" PRIx64 ")", name, exit->u.failed.what,
			exit->u.failed.code);
	else if (exit->reason == HV_EXIT_SHUTDOWN)
		log_error("%s stopped: triple fault", name);
	else
		log_error("%s stopped: exit %d", name, (int)exit->reason);
}

/* AMD's KVM resets a vCPU that shut down, before anybody can look at it. */
static void dump_note_if_reset(const struct hv_x86_regs *regs, const struct hv_x86_sregs *sregs)
{
	if (regs->rip == 0xfff0 && sregs->cs.base == 0xffff0000)
		log_error(
			"the hypervisor reset the vCPU: the registers do not show what went wrong");
}

static void dump_regs(const struct hv_x86_regs *r)
{
	log_error("rip %016" PRIx64 " rsp %016" PRIx64 " rbp %016" PRIx64 " rflags %08" PRIx64,
		r->rip, r->rsp, r->rbp, r->rflags);
	log_error("rax %016" PRIx64 " rbx %016" PRIx64 " rcx %016" PRIx64 " rdx %016" PRIx64,
		r->rax, r->rbx, r->rcx, r->rdx);
	log_error("rsi %016" PRIx64 " rdi %016" PRIx64 " r8  %016" PRIx64 " r9  %016" PRIx64,
		r->rsi, r->rdi, r->r8, r->r9);
	log_error("r10 %016" PRIx64 " r11 %016" PRIx64 " r12 %016" PRIx64 " r13 %016" PRIx64,
		r->r10, r->r11, r->r12, r->r13);
	log_error("r14 %016" PRIx64 " r15 %016" PRIx64, r->r14, r->r15);
}

static void dump_segment(const char *name, const struct hv_x86_segment *s)
{
	log_error("%s  %04x base %016" PRIx64 " limit %08x access %04x%s", name, s->selector,
		s->base, s->limit, s->access, s->unusable ? " (unusable)" : "");
}

static void dump_sregs(const struct hv_x86_sregs *s)
{
	log_error("cr0 %08" PRIx64 " cr2 %016" PRIx64 " cr3 %016" PRIx64 " cr4 %08" PRIx64
		  " cr8 %" PRIx64 " efer %04" PRIx64,
		s->cr0, s->cr2, s->cr3, s->cr4, s->cr8, s->efer);
	dump_segment("cs", &s->cs);
	dump_segment("ds", &s->ds);
	dump_segment("es", &s->es);
	dump_segment("ss", &s->ss);
	dump_segment("fs", &s->fs);
	dump_segment("gs", &s->gs);
	dump_segment("tr", &s->tr);
	log_error("gdt %016" PRIx64 " limit %04x idt %016" PRIx64
		  " limit %04x apic base %08" PRIx64,
		s->gdt.base, s->gdt.limit, s->idt.base, s->idt.limit, s->apic_base);
}

static void dump_insn(const uint8_t *insn, unsigned int n)
{
	auto_strbuf struct strbuf text = STRBUF_INIT(DUMP_INSN_TEXT);

	for (unsigned int i = 0; i < n; i++)
		strbuf_printf(&text, " %02x", insn[i]);
	log_error("instruction bytes at rip:%s", n ? strbuf_text(&text) : " not readable");
}

void x86_dump_vcpu(struct hv_vcpu *vcpu, const struct hv_exit *exit, const struct ram *ram)
{
	struct hv_x86_regs regs;
	struct hv_x86_sregs sregs;
	uint8_t insn[DUMP_INSN_BYTES];
	struct err *err;

	dump_reason(exit);
	err = hv_x86_get_regs(vcpu, &regs);
	if (!err)
		err = hv_x86_get_sregs(vcpu, &sregs);
	if (err) {
		log_err_free(LOG_ERROR, LOG_MODULE,
			err_wrap(err, "Registers of the vCPU cannot be read"));
		return;
	}
	dump_note_if_reset(&regs, &sregs);
	dump_regs(&regs);
	dump_sregs(&sregs);
	if (exit->reason == HV_EXIT_FAILED && exit->u.failed.insn_len)
		dump_insn(exit->u.failed.insn,
			MIN((unsigned int)exit->u.failed.insn_len, DUMP_INSN_BYTES));
	else
		dump_insn(insn, dump_fetch(vcpu, ram, sregs.cs.base + regs.rip, insn));
}
