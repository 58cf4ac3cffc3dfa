/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making and freeing a VM on KVM.
 *
 * What start-up costs in the kernel decides the order: nothing that waits for a grace period
 * (interrupt routes, memory slots beside running vCPUs) happens here, and vCPUs and their shared
 * areas are made later, each by its own thread.
 */
#include <errno.h>

#include "base/alloc.h"
#include "hv/kvm/kvm_internal.h"

static void kvm_vm_free(struct hv_vm *base)
{
	struct kvm_vm *vm = kvm_vm_of(base);

	assert(!vm->irqfds);
	kvm_arch_template_free(vm->templates[0]);
	kvm_arch_template_free(vm->templates[1]);
	free(vm->supported_cpuid);
	free(vm->gsi_used);
	free(vm->slots);
	pthread_mutex_destroy(&vm->template_lock);
	pthread_mutex_destroy(&vm->irq_lock);
	pthread_mutex_destroy(&vm->slots_lock);
	if (vm->fd >= 0)
		close(vm->fd);
	if (vm->dev_fd >= 0)
		close(vm->dev_fd);
	free(vm);
}

static const struct hv_vm_ops kvm_vm_ops = {
	.free = kvm_vm_free,
	.map = kvm_vm_map,
	.unmap = kvm_vm_unmap,
	.signal_msi = kvm_vm_signal_msi,
	.set_ioapic_route = kvm_vm_set_ioapic_route,
	.ioeventfd = kvm_vm_ioeventfd,
	.irqfd_create = kvm_vm_irqfd_create,
	.vcpu_create = kvm_vcpu_create,
};

static struct err *kvm_vm_fd(int dev_fd, const struct hv_vm_options *options, int *ret_fd)
{
	auto_close int fd = kvm_create_vm(dev_fd, 0);
	struct err *err;

	if (fd == -EBUSY)
		return err_new(EBUSY,
			"Another hypervisor on this host holds the processor's virtualization "
			"(VirtualBox, VMware...): stop it");
	if (fd < 0)
		return err_new(-fd, "KVM cannot make a virtual machine");
	err = kvm_arch_vm_init(dev_fd, fd, options);
	if (err)
		return err;
	*ret_fd = steal_fd(&fd);
	return NULL;
}

static struct err *kvm_vm_build(struct kvm_vm *vm, const struct hv_vm_options *options)
{
	int run_size;
	struct err *err;

	vm->dev_fd = kvm_open(options->device);
	if (vm->dev_fd < 0)
		return kvm_open_error(options->device, -vm->dev_fd);
	err = kvm_check_device(vm->dev_fd, &vm->base.caps);
	if (err)
		return err_wrap(err, "Cannot use \"%s\"", options->device);
	if (options->max_vcpu_id >= vm->base.caps.max_vcpu_ids)
		return err_new(EINVAL, "vCPU id %u: this KVM's ids end at %u", options->max_vcpu_id,
			vm->base.caps.max_vcpu_ids - 1);
	err = kvm_vm_fd(vm->dev_fd, options, &vm->fd);
	if (err)
		return err;
	run_size = kvm_get_vcpu_mmap_size(vm->dev_fd);
	if (run_size < (int)sizeof(struct kvm_run))
		return err_new(run_size < 0 ? -run_size : 0,
			"KVM does not tell the size of its shared area");
	vm->run_size = (size_t)run_size;
	return kvm_arch_vm_facts(vm);
}

struct err *hv_kvm_create(const struct hv_vm_options *options, struct hv_vm **ret_vm)
{
	struct kvm_vm *vm = new0(struct kvm_vm);
	struct err *err;

	if (!vm)
		return err_new(ENOMEM, "Cannot make a virtual machine");
	vm->base.ops = &kvm_vm_ops;
	vm->base.x86 = &kvm_x86_ops;
	vm->dev_fd = -1;
	vm->fd = -1;
	pthread_mutex_init(&vm->slots_lock, NULL);
	pthread_mutex_init(&vm->irq_lock, NULL);
	pthread_mutex_init(&vm->template_lock, NULL);
	err = kvm_vm_build(vm, options);
	if (err) {
		kvm_vm_free(&vm->base);
		return err_wrap(err, "Cannot make a virtual machine with KVM");
	}
	*ret_vm = &vm->base;
	return NULL;
}
