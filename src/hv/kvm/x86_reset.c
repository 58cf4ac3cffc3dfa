/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reset of a vCPU on x86_64.
 *
 * KVM has no ioctl for it. So that nothing is forgotten, the state of a new vCPU is not
 * spelled out here but taken from one: at the first reset a scratch VM with one vCPU and the same
 * CPUID is made, all its state is read (the template) and the scratch VM goes away. A reset writes
 * the template, with what differs by vCPU: APIC id, the bootstrap flag and the MP state.
 *
 * The time stamp counter goes on counting: KVM takes a written 0 as 'synchronise with the other
 * vCPUs' (it takes over the VM's common offset), which is also what a guest needs that has skewed
 * its counters; a real zero could not be given to all vCPUs at the same instant.
 *
 * MSRs that the guest cannot write (feature MSRs) stay, as CPUID does.
 */
#include <errno.h>
#include <string.h>

#define LOG_MODULE "kvm"
#include "base/alloc.h"
#include "base/log.h"
#include "base/thread.h"
#include "hv/kvm/x86_internal.h"

#define KVM_APIC_ID_OFFSET 0x20 /* of the id register in the local APIC's page */
#define KVM_MSR_TSC        0x10U
/* Below KVM's limit of MSRs at once. */
#define KVM_MSR_BATCH 128U

struct kvm_msr_range {
	uint32_t first, last;
};

/* Guest-writable state that KVM_GET_MSR_INDEX_LIST leaves out. What this KVM has not is skipped. */
static const struct kvm_msr_range kvm_msrs_unlisted[] = {
	{0x1d9, 0x1d9},                                 /* DEBUGCTL */
	{0x200, 0x21f},                                 /* variable MTRRs */
	{0x250, 0x250},                                 /* fixed MTRRs */
	{0x258, 0x259}, {0x268, 0x26f}, {0x280, 0x29f}, /* machine check banks: MCi_CTL2 */
	{0x2ff, 0x2ff},                                 /* MTRR default type */
	{0x400, 0x47f},                                 /* machine check banks */
	{0xc0010114, 0xc0010114},                       /* VM_CR */
};

/* What the guest cannot change, or has not got. */
static const struct kvm_msr_range kvm_msrs_kept[] = {
	{0x8b, 0x8b},             /* microcode revision */
	{0xce, 0xcf},             /* platform information, core capabilities */
	{0x10a, 0x10a},           /* architectural capabilities */
	{0x345, 0x345},           /* performance capabilities */
	{0x480, 0x493},           /* capabilities of VMX */
	{0x40000000, 0x400001ff}, /* Hyper-V: not shown to guests; touching one allocates memory */
};

struct kvm_template {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debugregs;
	struct kvm_xcrs xcrs;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp_state;
	struct kvm_xsave *xsave;
	struct kvm_nested_state *nested; /* NULL: this KVM cannot nest */
	struct kvm_msr_entry *msrs;
	unsigned int n_msrs;
};

void kvm_arch_template_free(struct kvm_template *template)
{
	if (!template)
		return;
	free(template->xsave);
	free(template->nested);
	free(template->msrs);
	free(template);
}

static bool kvm_msr_is_kept(uint32_t index)
{
	for (size_t i = 0; i < ARRAY_SIZE(kvm_msrs_kept); i++)
		if (index >= kvm_msrs_kept[i].first && index <= kvm_msrs_kept[i].last)
			return true;
	return false;
}

/*
 * Reads or writes a list of MSRs and takes those out of it that KVM refuses. Returns how many are
 * left, or -errno.
 */
static int kvm_msrs_transfer(int fd, bool write, struct kvm_msr_entry *entries, unsigned int n)
{
	union {
		struct kvm_msrs msrs;
		uint8_t room[sizeof(struct kvm_msrs) +
			     KVM_MSR_BATCH * sizeof(struct kvm_msr_entry)];
	} batch = {0};
	unsigned int left = 0;
	unsigned int i = 0;

	while (i < n) {
		unsigned int want = MIN(n - i, KVM_MSR_BATCH);
		int done;

		batch.msrs.nmsrs = want;
		memcpy(batch.msrs.entries, &entries[i], want * sizeof(*entries));
		done = write ? kvm_set_msrs(fd, &batch.msrs) : kvm_get_msrs(fd, &batch.msrs);
		if (done < 0)
			return done;
		memcpy(&entries[left], batch.msrs.entries, (unsigned int)done * sizeof(*entries));
		left += (unsigned int)done;
		/* The one after the last that was done is the refused one. */
		i += (unsigned int)done + ((unsigned int)done < want);
	}
	return (int)left;
}

static int kvm_msr_list_get(int dev_fd, struct kvm_msr_list **ret_list)
{
	struct kvm_msr_list count = {0};
	auto_free struct kvm_msr_list *list = NULL;
	int ret = kvm_get_msr_index_list(dev_fd, &count);

	if (ret < 0 && ret != -E2BIG)
		return ret;
	list = calloc(1, sizeof(*list) + count.nmsrs * sizeof(list->indices[0]));
	if (!list)
		return -ENOMEM;
	list->nmsrs = count.nmsrs;
	ret = kvm_get_msr_index_list(dev_fd, list);
	if (ret < 0)
		return ret;
	*ret_list = steal_ptr(&list);
	return 0;
}

static unsigned int kvm_msrs_unlisted_count(void)
{
	unsigned int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kvm_msrs_unlisted); i++)
		n += kvm_msrs_unlisted[i].last - kvm_msrs_unlisted[i].first + 1;
	return n;
}

/* Every MSR to reset, without values. */
static int kvm_template_name_msrs(struct kvm_template *template, int dev_fd)
{
	auto_free struct kvm_msr_list *list = NULL;
	int ret = kvm_msr_list_get(dev_fd, &list);

	if (ret < 0)
		return ret;
	template->msrs = new0_array(struct kvm_msr_entry, list->nmsrs + kvm_msrs_unlisted_count());
	if (!template->msrs)
		return -ENOMEM;
	for (unsigned int i = 0; i < list->nmsrs; i++)
		if (!kvm_msr_is_kept(list->indices[i]))
			template->msrs[template->n_msrs++].index = list->indices[i];
	for (size_t i = 0; i < ARRAY_SIZE(kvm_msrs_unlisted); i++)
		for (uint32_t msr = kvm_msrs_unlisted[i].first; msr <= kvm_msrs_unlisted[i].last;
			msr++)
			template->msrs[template->n_msrs++].index = msr;
	return 0;
}

static int kvm_template_read_msrs(struct kvm_template *template, int dev_fd, int vcpu_fd)
{
	int ret = kvm_template_name_msrs(template, dev_fd);

	if (!ret)
		ret = kvm_msrs_transfer(vcpu_fd, false, template->msrs, template->n_msrs);
	if (ret < 0)
		return ret;
	template->n_msrs = (unsigned int)ret;
	for (unsigned int i = 0; i < template->n_msrs; i++)
		if (template->msrs[i].index == KVM_MSR_TSC)
			template->msrs[i].data = 0;
	return 0;
}

static int kvm_template_read_xsave(struct kvm_template *template, int vm_fd, int vcpu_fd)
{
	int xsave2 = kvm_check_extension(vm_fd, KVM_CAP_XSAVE2);
	size_t size = xsave2 > 0 ? (size_t)xsave2 : 0;

	template->xsave = calloc(1, MAX(size, sizeof(struct kvm_xsave)));
	if (!template->xsave)
		return -ENOMEM;
	return size ? kvm_get_xsave2(vcpu_fd, template->xsave)
		    : kvm_get_xsave(vcpu_fd, template->xsave);
}

static int kvm_template_read_nested(struct kvm_template *template, int dev_fd, int vcpu_fd)
{
	int size = kvm_check_extension(dev_fd, KVM_CAP_NESTED_STATE);

	if (size <= (int)sizeof(struct kvm_nested_state))
		return 0;
	template->nested = calloc(1, (size_t)size);
	if (!template->nested)
		return -ENOMEM;
	template->nested->size = (uint32_t)size;
	return kvm_get_nested_state(vcpu_fd, template->nested);
}

static int kvm_template_read(struct kvm_template *template, int dev_fd, int vm_fd, int vcpu_fd)
{
	int ret = kvm_get_regs(vcpu_fd, &template->regs);

	if (!ret)
		ret = kvm_get_sregs(vcpu_fd, &template->sregs);
	if (!ret)
		ret = kvm_get_debugregs(vcpu_fd, &template->debugregs);
	if (!ret)
		ret = kvm_get_xcrs(vcpu_fd, &template->xcrs);
	if (!ret)
		ret = kvm_get_vcpu_events(vcpu_fd, &template->events);
	if (!ret)
		ret = kvm_get_lapic(vcpu_fd, &template->lapic);
	if (!ret)
		ret = kvm_get_mp_state(vcpu_fd, &template->mp_state);
	if (!ret)
		ret = kvm_template_read_xsave(template, vm_fd, vcpu_fd);
	if (!ret)
		ret = kvm_template_read_nested(template, dev_fd, vcpu_fd);
	if (!ret)
		ret = kvm_template_read_msrs(template, dev_fd, vcpu_fd);
	return ret;
}

static int kvm_copy_cpuid(int from, int to)
{
	auto_free struct kvm_cpuid2 *cpuid = kvm_x86_cpuid_alloc();
	int ret;

	if (!cpuid)
		return -ENOMEM;
	ret = kvm_get_cpuid2(from, cpuid);
	return ret < 0 ? ret : kvm_set_cpuid2(to, cpuid);
}

/* With it, a triple fault that is still to be reported is part of the vCPU's events (Linux 6.0). */
static void kvm_show_triple_fault(int vm_fd)
{
	int ret = kvm_enable_cap(vm_fd, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1);

	if (ret < 0)
		log_debug("KVM does not show pending triple faults: %s", err_strerror(-ret));
}

static int kvm_template_fill(
	struct kvm_template *template, struct kvm_vm *vm, unsigned int id, int like_fd)
{
	auto_close int vm_fd = kvm_create_vm(vm->dev_fd, 0);
	auto_close int vcpu_fd = -1;
	int ret;

	if (vm_fd < 0)
		return vm_fd;
	ret = kvm_x86_split_irqchip(vm_fd);
	if (ret < 0)
		return ret;
	kvm_show_triple_fault(vm_fd);
	kvm_show_triple_fault(vm->fd);
	vcpu_fd = kvm_create_vcpu(vm_fd, id);
	if (vcpu_fd < 0)
		return vcpu_fd;
	ret = kvm_copy_cpuid(like_fd, vcpu_fd);
	return ret < 0 ? ret : kvm_template_read(template, vm->dev_fd, vm_fd, vcpu_fd);
}

/* The template for this vCPU, made if it is not there; NULL and *ret_err if that fails. */
static const struct kvm_template *kvm_template_get(struct kvm_vcpu *vcpu, struct err **ret_err)
{
	struct kvm_vm *vm = kvm_vm_of(vcpu->base.vm);
	unsigned int id = vcpu->base.id ? 1 : 0;
	struct kvm_template *template;
	int ret;

	auto_lock(&vm->template_lock);
	if (vm->templates[id])
		return vm->templates[id];
	template = new0(struct kvm_template);
	ret = template ? kvm_template_fill(template, vm, id, vcpu->fd) : -ENOMEM;
	if (ret < 0) {
		kvm_arch_template_free(template);
		*ret_err = err_new(-ret, "Cannot read the state of a new vCPU");
		return NULL;
	}
	vm->templates[id] = template;
	return template;
}

/*
 * Of the template's MSRs, those that this vCPU has other values in; msrs has room for all. Writing
 * only these keeps KVM from filling the host's log: it complains of MSRs that it lets be written
 * and ignores.
 */
static int kvm_msrs_changed(
	struct kvm_vcpu *vcpu, const struct kvm_template *template, struct kvm_msr_entry *msrs)
{
	unsigned int n = template->n_msrs;
	unsigned int changed = 0;
	int ret;

	memcpy(msrs, template->msrs, n * sizeof(*msrs));
	ret = kvm_msrs_transfer(vcpu->fd, false, msrs, n);
	if (ret < 0)
		return ret;
	/* All could be read when the template was made, so that the two lists run in step. */
	if ((unsigned int)ret != n) {
		memcpy(msrs, template->msrs, n * sizeof(*msrs));
		return (int)n;
	}
	for (unsigned int i = 0; i < n; i++)
		if (msrs[i].data != template->msrs[i].data)
			msrs[changed++] = template->msrs[i];
	return (int)changed;
}

static int kvm_reset_msrs(struct kvm_vcpu *vcpu, const struct kvm_template *template)
{
	auto_free struct kvm_msr_entry *msrs = new0_array(struct kvm_msr_entry, template->n_msrs);
	int n;
	int ret;

	if (!msrs)
		return -ENOMEM;
	n = kvm_msrs_changed(vcpu, template, msrs);
	if (n < 0)
		return n;
	ret = kvm_msrs_transfer(vcpu->fd, true, msrs, (unsigned int)n);
	if (ret < 0)
		return ret;
	/* A new vCPU took each of them, so this cannot be; but it is no reason to stop the guest
	 * either. */
	if (ret < n)
		log_warn(
			"KVM refused to reset %d of %d MSRs of vCPU %u", n - ret, n, vcpu->base.id);
	return 0;
}

static int kvm_reset_apic(struct kvm_vcpu *vcpu, const struct kvm_template *template)
{
	struct kvm_lapic_state lapic = template->lapic;
	/* In xAPIC mode, that of the template, the id is the upper byte of its register. */
	uint32_t id = vcpu->base.id << 24;

	memcpy(&lapic.regs[KVM_APIC_ID_OFFSET], &id, sizeof(id));
	return kvm_set_lapic(vcpu->fd, &lapic);
}

static int kvm_reset_write(struct kvm_vcpu *vcpu, const struct kvm_template *template)
{
	struct kvm_mp_state before;
	/* Reading the MP state makes KVM act on INIT and SIPI that are pending: none survives. */
	int ret = kvm_get_mp_state(vcpu->fd, &before);

	if (!ret && template->nested)
		ret = kvm_set_nested_state(vcpu->fd, template->nested);
	/* The APIC's mode, in its base register, decides what its other registers mean. */
	if (!ret)
		ret = kvm_set_sregs(vcpu->fd, &template->sregs);
	if (!ret)
		ret = kvm_reset_apic(vcpu, template);
	if (!ret)
		ret = kvm_reset_msrs(vcpu, template);
	if (!ret)
		ret = kvm_set_regs(vcpu->fd, &template->regs);
	if (!ret)
		ret = kvm_set_xcrs(vcpu->fd, &template->xcrs);
	if (!ret)
		ret = kvm_set_xsave(vcpu->fd, template->xsave);
	if (!ret)
		ret = kvm_set_debugregs(vcpu->fd, &template->debugregs);
	if (!ret)
		ret = kvm_set_vcpu_events(vcpu->fd, &template->events);
	if (!ret)
		ret = kvm_set_mp_state(vcpu->fd, &template->mp_state);
	return ret;
}

struct err *kvm_arch_vcpu_reset(struct hv_vcpu *base)
{
	struct kvm_vcpu *vcpu = kvm_vcpu_of(base);
	struct err *err = NULL;
	const struct kvm_template *template = kvm_template_get(vcpu, &err);
	int ret;

	if (!template)
		return err;
	/* Otherwise the next KVM_RUN would finish the old guest's access in the new state. */
	ret = kvm_vcpu_complete_io(vcpu);
	if (ret < 0)
		return err_new(-ret, "Its last access cannot be completed");
	ret = kvm_reset_write(vcpu, template);
	return ret < 0 ? err_new(-ret, "KVM refuses the state of a new vCPU") : NULL;
}
