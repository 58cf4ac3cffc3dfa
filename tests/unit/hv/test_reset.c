/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hv_vcpu_reset() on the real /dev/kvm: whatever was done to a vCPU, its whole state afterwards is
 * the one that it had when it was new. The state is read here with KVM's own ioctls, not with the
 * code under test.
 */
#include "base/alloc.h"
#include "hv/guest.h"
#include "hv/kvm/x86_internal.h"

#define MSRS_MAX 1024

struct state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debugregs;
	struct kvm_xcrs xcrs;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp_state;
	unsigned int n_msrs;
	struct kvm_msr_entry msrs[MSRS_MAX];
	struct kvm_xsave xsave;
};

static int fd_of(struct hv_vcpu *vcpu)
{
	return kvm_vcpu_of(vcpu)->fd;
}

/* The counters go on, and what the guest cannot write is not the reset's business. */
static bool msr_matters(uint32_t msr)
{
	static const uint32_t others[] = {0x10, 0x34, 0x8b, 0xce, 0xcf, 0xe7, 0xe8, 0x10a, 0x345};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (msr == others[i])
			return false;
	return !(msr >= 0x480 && msr <= 0x493) && !(msr >= 0x40000000 && msr <= 0x400001ff);
}

static bool msr_transfer(int fd, bool write, struct kvm_msr_entry *entry)
{
	union {
		struct kvm_msrs msrs;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} one = {.msrs.nmsrs = 1};

	memcpy(one.msrs.entries, entry, sizeof(*entry));
	if ((write ? kvm_set_msrs(fd, &one.msrs) : kvm_get_msrs(fd, &one.msrs)) != 1)
		return false;
	memcpy(entry, one.msrs.entries, sizeof(*entry));
	return true;
}

static void read_msr(struct state *s, int fd, uint32_t index)
{
	struct kvm_msr_entry entry = {.index = index};

	if (msr_matters(index) && s->n_msrs < MSRS_MAX && msr_transfer(fd, false, &entry))
		s->msrs[s->n_msrs++] = entry;
}

static void read_msrs(struct state *s, struct hv_vcpu *vcpu)
{
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + MSRS_MAX * sizeof(list->indices[0]));

	list->nmsrs = MSRS_MAX;
	assert_int_equal(kvm_get_msr_index_list(kvm_vm_of(vcpu->vm)->dev_fd, list), 0);
	for (unsigned int i = 0; i < list->nmsrs; i++)
		read_msr(s, fd_of(vcpu), list->indices[i]);
	free(list);
	/* Not in the list: MTRRs, machine check banks. */
	for (uint32_t msr = 0x200; msr <= 0x2ff; msr++)
		if (msr != 0x277)
			read_msr(s, fd_of(vcpu), msr);
	for (uint32_t msr = 0x400; msr <= 0x47f; msr++)
		read_msr(s, fd_of(vcpu), msr);
}

static struct state *read_state(struct hv_vcpu *vcpu)
{
	struct state *s = calloc(1, sizeof(*s));
	int fd = fd_of(vcpu);

	assert_int_equal(kvm_get_mp_state(fd, &s->mp_state), 0);
	assert_int_equal(kvm_get_regs(fd, &s->regs), 0);
	assert_int_equal(kvm_get_sregs(fd, &s->sregs), 0);
	assert_int_equal(kvm_get_debugregs(fd, &s->debugregs), 0);
	assert_int_equal(kvm_get_xcrs(fd, &s->xcrs), 0);
	assert_int_equal(kvm_get_vcpu_events(fd, &s->events), 0);
	assert_int_equal(kvm_get_lapic(fd, &s->lapic), 0);
	assert_int_equal(kvm_get_xsave(fd, &s->xsave), 0);
	read_msrs(s, vcpu);
	return s;
}

static void assert_state_equal(struct state *a, struct state *b)
{
	assert_int_equal(a->mp_state.mp_state, b->mp_state.mp_state);
	assert_memory_equal(&a->regs, &b->regs, sizeof(a->regs));
	assert_memory_equal(&a->sregs, &b->sregs, sizeof(a->sregs));
	assert_memory_equal(&a->debugregs, &b->debugregs, sizeof(a->debugregs));
	assert_memory_equal(&a->xcrs, &b->xcrs, sizeof(a->xcrs));
	/* Reset makes KVM show pending triple faults, which adds a flag. */
	a->events.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	b->events.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	assert_memory_equal(&a->events, &b->events, sizeof(a->events));
	assert_memory_equal(&a->lapic, &b->lapic, sizeof(a->lapic));
	assert_memory_equal(&a->xsave, &b->xsave, sizeof(a->xsave));
	assert_int_equal(a->n_msrs, b->n_msrs);
	for (unsigned int i = 0; i < a->n_msrs; i++)
		if (a->msrs[i].data != b->msrs[i].data)
			fail_msg("MSR 0x%x: 0x%llx was 0x%llx", a->msrs[i].index, b->msrs[i].data,
				a->msrs[i].data);
}

/* Changes every MSR that can be changed, one bit of each at least. */
static unsigned int spoil_msrs(struct hv_vcpu *vcpu, const struct state *fresh)
{
	static const uint64_t flips[] = {0x1000, 1, 0x40, 0x101, 0xff, 6, 0x800};
	unsigned int changed = 0;

	for (unsigned int i = 0; i < fresh->n_msrs; i++) {
		for (size_t f = 0; f < ARRAY_SIZE(flips); f++) {
			struct kvm_msr_entry entry = fresh->msrs[i];
			struct kvm_msr_entry back = {.index = entry.index};

			/* Clocks and queues in the guest's memory: enabling them writes there. */
			entry.data ^= flips[f];
			if (!msr_transfer(fd_of(vcpu), true, &entry) ||
				!msr_transfer(fd_of(vcpu), false, &back) ||
				back.data == fresh->msrs[i].data)
				continue;
			changed++;
			break;
		}
	}
	return changed;
}

static void spoil_registers(struct hv_vcpu *vcpu, const struct state *fresh)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs = fresh->sregs;
	struct kvm_debugregs debugregs = fresh->debugregs;
	struct kvm_xsave *xsave = malloc(sizeof(*xsave));
	struct kvm_vcpu_events events = fresh->events;
	struct kvm_lapic_state lapic = fresh->lapic;

	memset(&regs, 0x11, sizeof(regs));
	regs.rflags = 0x246;
	sregs.cr2 = 0x1234000;
	sregs.cr8 = 7;
	sregs.cs.base = 0x1000;
	sregs.cs.selector = 0x100;
	sregs.gdt.base = 0x7000;
	debugregs.db[0] = 0x1000;
	debugregs.dr7 = 0x402;
	*xsave = fresh->xsave;
	xsave->region[0] = 0x1234;  /* x87 control and status words */
	xsave->region[6] = 0x1fa0;  /* MXCSR */
	xsave->region[40] = 0xabcd; /* XMM0 */
	xsave->region[128] |= 3;    /* XSTATE_BV: x87 and SSE are in use */
	events.nmi.pending = 1;
	events.nmi.masked = 1;
	events.interrupt.shadow = 1;
	memset(&lapic.regs[0x80], 0x20, 1); /* task priority */
	lapic.regs[0xf1] |= 1;              /* enabled by software */
	lapic.regs[0x200 + 0x10] = 0x10;    /* requested: vector 36 */
	assert_int_equal(kvm_set_sregs(fd_of(vcpu), &sregs), 0);
	assert_int_equal(kvm_set_lapic(fd_of(vcpu), &lapic), 0);
	assert_int_equal(kvm_set_regs(fd_of(vcpu), &regs), 0);
	assert_int_equal(kvm_set_debugregs(fd_of(vcpu), &debugregs), 0);
	assert_int_equal(kvm_set_xsave(fd_of(vcpu), xsave), 0);
	assert_int_equal(kvm_set_vcpu_events(fd_of(vcpu), &events), 0);
	assert_int_equal(
		kvm_set_mp_state(fd_of(vcpu), &(struct kvm_mp_state){KVM_MP_STATE_HALTED}), 0);
	free(xsave);
}

static void reset_restores(unsigned int id)
{
	struct hv_x86_cpuid *cpuid = calloc(1, sizeof(*cpuid));
	struct hv_vcpu *vcpu = NULL;
	struct state *fresh;
	struct state *spoilt;
	struct state *after;
	struct guest guest;

	guest_create(&guest, "\xf4", 1);
	assert_ok(hv_vcpu_create(guest.vm, id, &vcpu));
	assert_ok(hv_x86_supported_cpuid(guest.vm, cpuid));
	assert_ok(hv_x86_set_cpuid(vcpu, cpuid));
	assert_ok(hv_vcpu_bind(vcpu));
	fresh = read_state(vcpu);
	assert_true(fresh->n_msrs > 20);
	for (int round = 0; round < 3; round++) {
		assert_true(spoil_msrs(vcpu, fresh) > fresh->n_msrs / 3);
		spoil_registers(vcpu, fresh);
		spoilt = read_state(vcpu);
		assert_memory_not_equal(&fresh->xsave, &spoilt->xsave, sizeof(fresh->xsave));
		assert_memory_not_equal(&fresh->lapic, &spoilt->lapic, sizeof(fresh->lapic));
		assert_ok(hv_vcpu_reset(vcpu));
		after = read_state(vcpu);
		assert_state_equal(fresh, after);
		free(spoilt);
		free(after);
	}
	free(fresh);
	free(cpuid);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

static void test_reset_bsp(void **state)
{
	reset_restores(0);
}

static void test_reset_ap(void **state)
{
	reset_restores(3);
}

/*
 * A guest that turns on the x2APIC, arms the TSC deadline timer's LVT and the one-shot timer, and
 * asks for its reset by a port write that is never completed: it starts again as if nothing had
 * been.
 */
static void test_reset_guest(void **state)
{
	static const uint8_t code[] = {
		0x66,
		0x31,
		0xc0,
		0x66,
		0x31,
		0xd2, /* xor %eax,%eax; xor %edx,%edx */
		0x66,
		0xb9,
		0x1b,
		0x00,
		0x00,
		0x00,
		0x0f,
		0x32, /* mov $0x1b,%ecx; rdmsr */
		0x66,
		0x0d,
		0x00,
		0x0c,
		0x00,
		0x00,
		0x0f,
		0x30, /* or $0xc00,%eax; wrmsr */
		0x66,
		0xb9,
		0x0f,
		0x08,
		0x00,
		0x00,
		0x66,
		0xb8,
		0xff,
		0x01,
		0x00,
		0x00, /* SVR = 0x1ff */
		0x66,
		0x31,
		0xd2,
		0x0f,
		0x30, /* xor %edx,%edx; wrmsr */
		0x66,
		0xb9,
		0x32,
		0x08,
		0x00,
		0x00,
		0x66,
		0xb8,
		0x30,
		0x00,
		0x00,
		0x00, /* LVTT = 0x30 */
		0x0f,
		0x30, /* wrmsr */
		0x66,
		0xb9,
		0x38,
		0x08,
		0x00,
		0x00,
		0x66,
		0xb8,
		0xff,
		0xff,
		0xff,
		0x0f, /* initial count */
		0x0f,
		0x30, /* wrmsr */
		0xe6,
		0x64, /* out %al,$0x64 */
		0xeb,
		0xfe,
	};
	struct hv_vcpu *vcpu;
	struct hv_exit exit;
	struct state *fresh;
	struct state *after;
	struct guest guest;

	guest_create(&guest, code, sizeof(code));
	vcpu = guest_vcpu(&guest, 0);
	assert_ok(hv_vcpu_reset(vcpu));
	fresh = read_state(vcpu);
	for (int round = 0; round < 3; round++) {
		guest_real_mode(vcpu);
		assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
		assert_int_equal(exit.reason, HV_EXIT_IO);
		assert_int_equal(exit.u.io.port, 0x64);
		assert_ok(hv_vcpu_reset(vcpu));
		after = read_state(vcpu);
		assert_state_equal(fresh, after);
		free(after);
	}
	free(fresh);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

/* An access of each kind that is not complete at the reset leaves no trace in the new state. */
static void test_reset_completes_access(void **state)
{
	static const struct {
		const char *name;
		uint8_t len;
		uint8_t code[16];
	} guests[] = {
		{"in", 2, {0xe4, 0x80}},
		{"out", 2, {0xe6, 0x80}},
		{"rep outsb", 8, {0xfc, 0xb9, 0xff, 0xff, 0xf3, 0x6e, 0xeb, 0xfe}},
		{"rep insb to a hole", 10,
			{0xb8, 0x00, 0x30, 0x8e, 0xc0, 0xb5, 0xff, 0xf3, 0x6c, 0xf4}},
		{"mmio read", 9, {0xb8, 0x00, 0x30, 0x8e, 0xd8, 0xa1, 0x10, 0x00, 0xf4}},
		{"mmio write", 9, {0xb8, 0x00, 0x30, 0x8e, 0xd8, 0xa3, 0x10, 0x00, 0xf4}},
		{"unaligned mmio write over a page", 9,
			{0xb8, 0x00, 0x30, 0x8e, 0xd8, 0xa3, 0xff, 0x0f, 0xf4}},
		{"rep stosb to a hole", 10,
			{0xb8, 0x00, 0x30, 0x8e, 0xc0, 0xb5, 0xff, 0xf3, 0xaa, 0xf4}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(guests); i++) {
		struct hv_vcpu *vcpu;
		struct hv_exit exit;
		struct state *fresh;
		struct state *after;
		struct guest guest;

		guest_create(&guest, guests[i].code, guests[i].len);
		vcpu = guest_vcpu(&guest, 0);
		assert_ok(hv_vcpu_reset(vcpu));
		fresh = read_state(vcpu);
		guest_real_mode(vcpu);
		assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
		if (exit.reason != HV_EXIT_IO && exit.reason != HV_EXIT_MMIO)
			fail_msg("%s: exit %d", guests[i].name, (int)exit.reason);
		assert_ok(hv_vcpu_reset(vcpu));
		after = read_state(vcpu);
		assert_state_equal(fresh, after);
		/* Nor does the next entry: the first instruction is ours. */
		memcpy(guest.ram + GUEST_CODE, "\xe6\x99", 2);
		guest_real_mode(vcpu);
		assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
		assert_int_equal(exit.reason, HV_EXIT_IO);
		assert_int_equal(exit.u.io.port, 0x99);
		free(fresh);
		free(after);
		guest_vcpu_free(vcpu);
		guest_free(&guest);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset_bsp),
		cmocka_unit_test(test_reset_ap),
		cmocka_unit_test(test_reset_guest),
		cmocka_unit_test(test_reset_completes_access),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
