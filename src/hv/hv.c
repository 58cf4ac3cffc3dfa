/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checked call layer of the hypervisor interface: arguments that a backend could not stand end
 * here. What only a bug of ours can cause is asserted, what configuration can cause is an error.
 */
#include "hv/hv_internal.h"

#include <errno.h>
#include <inttypes.h>

#include "base/fd.h"
#include "base/overflow.h"

#define HV_PAGE_SIZE 4096U

void hv_vm_free(struct hv_vm *vm)
{
	if (vm)
		vm->ops->free(vm);
}

const struct hv_caps *hv_vm_caps(const struct hv_vm *vm)
{
	return &vm->caps;
}

static struct err *hv_check_range(uint64_t gpa, uint64_t size)
{
	uint64_t end;

	if (!size || (gpa | size) % HV_PAGE_SIZE || add_overflows(gpa, size, &end))
		return err_new(EINVAL,
			"Guest memory at 0x%" PRIx64 " of 0x%" PRIx64
			" bytes is not a range of whole pages",
			gpa, size);
	return NULL;
}

struct err *hv_vm_map(struct hv_vm *vm, uint64_t gpa, uint64_t size, uint8_t *hva, bool readonly)
{
	struct err *err = hv_check_range(gpa, size);

	if (err)
		return err;
	if ((uintptr_t)hva % HV_PAGE_SIZE)
		return err_new(EINVAL,
			"The host memory for the guest's 0x%" PRIx64 " is not page aligned", gpa);
	return vm->ops->map(vm, gpa, size, hva, readonly);
}

struct err *hv_vm_unmap(struct hv_vm *vm, uint64_t gpa, uint64_t size)
{
	struct err *err = hv_check_range(gpa, size);

	return err ? err : vm->ops->unmap(vm, gpa, size);
}

int hv_vm_signal_msi(struct hv_vm *vm, uint64_t addr, uint32_t data)
{
	return vm->ops->signal_msi(vm, addr, data);
}

int hv_vm_set_ioapic_route(
	struct hv_vm *vm, unsigned int pin, bool present, uint64_t addr, uint32_t data)
{
	assert(pin < HV_IOAPIC_PINS);
	return vm->ops->set_ioapic_route(vm, pin, present, addr, data);
}

int hv_vm_ioeventfd(struct hv_vm *vm, uint64_t addr, bool is_pio, int fd, bool assign)
{
	if (is_pio && addr > UINT16_MAX)
		return -EINVAL;
	return vm->ops->ioeventfd(vm, addr, is_pio, fd, assign);
}

struct err *hv_irqfd_create(struct hv_vm *vm, struct hv_irqfd **ret_irqfd)
{
	return vm->ops->irqfd_create(vm, ret_irqfd);
}

void hv_irqfd_free(struct hv_irqfd *irqfd)
{
	if (irqfd)
		irqfd->ops->free(irqfd);
}

int hv_irqfd_fd(const struct hv_irqfd *irqfd)
{
	return irqfd->fd;
}

int hv_irqfd_route(struct hv_irqfd *irqfd, uint64_t addr, uint32_t data)
{
	return irqfd->ops->route(irqfd, addr, data);
}

void hv_irqfd_unroute(struct hv_irqfd *irqfd)
{
	irqfd->ops->unroute(irqfd);
}

bool hv_irqfd_take(struct hv_irqfd *irqfd)
{
	return fd_eventfd_drain(irqfd->fd) != 0;
}

struct err *hv_vcpu_create(struct hv_vm *vm, unsigned int id, struct hv_vcpu **ret_vcpu)
{
	if (id >= vm->caps.max_vcpu_ids)
		return err_new(EINVAL, "vCPU id %u: ids of this hypervisor end at %u", id,
			vm->caps.max_vcpu_ids - 1);
	return vm->ops->vcpu_create(vm, id, ret_vcpu);
}

void hv_vcpu_free(struct hv_vcpu *vcpu)
{
	if (vcpu)
		vcpu->ops->free(vcpu);
}

struct err *hv_vcpu_bind(struct hv_vcpu *vcpu)
{
	return vcpu->ops->bind(vcpu);
}

void hv_vcpu_unbind(struct hv_vcpu *vcpu)
{
	vcpu->ops->unbind(vcpu);
}

int hv_vcpu_run(struct hv_vcpu *vcpu, struct hv_exit *ret_exit)
{
	return vcpu->ops->run(vcpu, ret_exit);
}

void hv_vcpu_kick(struct hv_vcpu *vcpu)
{
	vcpu->ops->kick(vcpu);
}

struct err *hv_vcpu_reset(struct hv_vcpu *vcpu)
{
	return err_wrap(vcpu->ops->reset(vcpu), "Cannot reset vCPU %u", vcpu->id);
}

void hv_vcpu_clock_paused(struct hv_vcpu *vcpu)
{
	vcpu->ops->clock_paused(vcpu);
}
