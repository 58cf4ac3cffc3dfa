/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the VM needs of KVM, checked before anything is made, with an answer for the person in front
 * of the screen when it is not there.
 */
#include "hv/kvm/kvm_internal.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"

struct kvm_need {
	unsigned int cap;
	const char *name;
	const char *since; /* the Linux version that brought it */
	const char *use;
};

static const struct kvm_need kvm_needs[] = {
	{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY", "2.6.25", "guest memory"},
	{KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM", "3.7", "read-only guest memory"},
	{KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING", "2.6.30", "interrupt routes"},
	{KVM_CAP_IRQFD, "KVM_CAP_IRQFD", "2.6.32", "interrupts by eventfd"},
	{KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD", "2.6.32", "doorbells by eventfd"},
	{KVM_CAP_IOEVENTFD_ANY_LENGTH, "KVM_CAP_IOEVENTFD_ANY_LENGTH", "4.4",
		"doorbells of any width"},
	{KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI", "3.5", "message-signalled interrupts"},
	{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT", "4.13", "stopping a vCPU"},
	{KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE", "2.6.25", "starting and resetting vCPUs"},
};

struct err *kvm_open_error(const char *device, int error)
{
	const char *lacks;

	switch (error) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		/* What the host lacks is to be seen by the usual name only. */
		if (strcmp(device, "/dev/kvm") != 0)
			break;
		lacks = kvm_arch_processor_lacks();
		if (lacks)
			return err_new(error, "Cannot open \"%s\": %s", device, lacks);
		return err_new(error,
			"Cannot open \"%s\": the kernel's KVM module is not loaded (modprobe kvm_amd "
			"or kvm_intel; dmesg tells if the firmware disables virtualization)",
			device);
	case EACCES:
	case EPERM:
		return err_new(error,
			"Cannot open \"%s\": this user may not use KVM (add the user to the group "
			"\"kvm\" and log in again)",
			device);
	default:
		break;
	}
	return err_new(error, "Cannot open \"%s\"", device);
}

static struct err *kvm_check_version(int dev_fd)
{
	int version = kvm_get_api_version(dev_fd);

	if (version < 0)
		return err_new(-version, "It is not a KVM device");
	if (version != KVM_EXPECTED_API_VERSION)
		return err_new(0, "Its KVM interface has version %d, %d is needed", version,
			KVM_EXPECTED_API_VERSION);
	return NULL;
}

/* The value of a capability as a limit; `fallback` where it is missing or not to be believed. */
static unsigned int kvm_limit(int dev_fd, unsigned int cap, unsigned int fallback)
{
	int value = kvm_check_extension(dev_fd, cap);

	return value > 0 ? (unsigned int)value : fallback;
}

struct err *kvm_check_device(int dev_fd, struct hv_caps *ret_caps)
{
	struct hv_caps caps = {0};
	struct err *err = kvm_check_version(dev_fd);

	if (err)
		return err;
	for (size_t i = 0; i < ARRAY_SIZE(kvm_needs); i++) {
		const struct kvm_need *need = &kvm_needs[i];

		if (kvm_check_extension(dev_fd, need->cap) <= 0)
			return err_new(0,
				"This KVM has no %s (for %s): Linux %s or newer is needed on the host",
				need->name, need->use, need->since);
	}
	/* The fallbacks are those of the KVM documentation. */
	caps.max_vcpus = kvm_limit(dev_fd, KVM_CAP_MAX_VCPUS, 4);
	caps.max_vcpu_ids = kvm_limit(dev_fd, KVM_CAP_MAX_VCPU_ID, caps.max_vcpus);
	caps.max_slots = kvm_limit(dev_fd, KVM_CAP_NR_MEMSLOTS, 32);
	caps.max_irq_routes = kvm_limit(dev_fd, KVM_CAP_IRQ_ROUTING, 1024);
	err = kvm_arch_check_device(dev_fd, &caps);
	if (err)
		return err;
	*ret_caps = caps;
	return NULL;
}
