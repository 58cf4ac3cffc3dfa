/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM's ioctls, those that all architectures share.
 */
#include "sys/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

static int kvm_ioctl(int fd, unsigned long request, const void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

static int kvm_ioctl_value(int fd, unsigned long request, unsigned long arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

int kvm_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int kvm_get_api_version(int kvm_fd)
{
	return kvm_ioctl_value(kvm_fd, KVM_GET_API_VERSION, 0);
}

int kvm_create_vm(int kvm_fd, unsigned long type)
{
	int ret;

	do
		ret = kvm_ioctl_value(kvm_fd, KVM_CREATE_VM, type);
	while (ret == -EINTR);
	return ret;
}

int kvm_get_vcpu_mmap_size(int kvm_fd)
{
	return kvm_ioctl_value(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
}

int kvm_check_extension(int fd, unsigned int cap)
{
	return kvm_ioctl_value(fd, KVM_CHECK_EXTENSION, cap);
}

int kvm_enable_cap(int vm_fd, unsigned int cap, uint64_t arg0)
{
	struct kvm_enable_cap enable = {.cap = cap, .args = {arg0}};

	return kvm_ioctl(vm_fd, KVM_ENABLE_CAP, &enable);
}

int kvm_set_user_memory_region(int vm_fd, const struct kvm_userspace_memory_region *region)
{
	return kvm_ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, region);
}

int kvm_signal_msi(int vm_fd, const struct kvm_msi *msi)
{
	return kvm_ioctl(vm_fd, KVM_SIGNAL_MSI, msi);
}

int kvm_set_gsi_routing(int vm_fd, const struct kvm_irq_routing *routing)
{
	return kvm_ioctl(vm_fd, KVM_SET_GSI_ROUTING, routing);
}

int kvm_irqfd(int vm_fd, const struct kvm_irqfd *irqfd)
{
	return kvm_ioctl(vm_fd, KVM_IRQFD, irqfd);
}

int kvm_ioeventfd(int vm_fd, const struct kvm_ioeventfd *ioeventfd)
{
	return kvm_ioctl(vm_fd, KVM_IOEVENTFD, ioeventfd);
}

int kvm_create_vcpu(int vm_fd, unsigned int id)
{
	return kvm_ioctl_value(vm_fd, KVM_CREATE_VCPU, id);
}

int kvm_run(int vcpu_fd)
{
	return kvm_ioctl_value(vcpu_fd, KVM_RUN, 0);
}

int kvm_set_signal_mask(int vcpu_fd, uint64_t blocked)
{
	/* struct kvm_signal_mask with its flexible array: the kernel's signal set has 8 bytes. */
	struct {
		uint32_t len;
		uint8_t sigset[sizeof(blocked)];
	} mask = {.len = sizeof(blocked)};

	static_assert(
		offsetof(__typeof__(mask), sigset) == offsetof(struct kvm_signal_mask, sigset),
		"layout of struct kvm_signal_mask");
	memcpy(mask.sigset, &blocked, sizeof(blocked));
	return kvm_ioctl(vcpu_fd, KVM_SET_SIGNAL_MASK, &mask);
}

int kvm_get_mp_state(int vcpu_fd, struct kvm_mp_state *ret_state)
{
	return kvm_ioctl(vcpu_fd, KVM_GET_MP_STATE, ret_state);
}

int kvm_set_mp_state(int vcpu_fd, const struct kvm_mp_state *state)
{
	return kvm_ioctl(vcpu_fd, KVM_SET_MP_STATE, state);
}
