/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A KVM that is not there, may not be used, or lacks something: each case is one clear error, and
 * nothing is left open. The system calls are this file's: it stands between the KVM backend and the
 * C library.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hv/hv.h"
#include "sys/kvm_x86.h"
#include "unit.h"

static struct {
	int open_error;
	unsigned int missing_cap; /* KVM_CHECK_EXTENSION gives 0 */
	unsigned long request;    /* this one fails */
	int error;
	int api_version;
} simulated;

int open64(const char *path, int flags, ...);
int ioctl(int fd, unsigned long request, ...);

int open64(const char *path, int flags, ...)
{
	va_list args;
	unsigned int mode;

	va_start(args, flags);
	mode = va_arg(args, unsigned int);
	va_end(args);
	if (strcmp(path, "/dev/kvm") != 0)
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	if (simulated.open_error) {
		errno = simulated.open_error;
		return -1;
	}
	return (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", flags, 0);
}

static int simulate(unsigned long request, unsigned long arg)
{
	switch (request) {
	case KVM_GET_API_VERSION:
		return simulated.api_version;
	case KVM_CHECK_EXTENSION:
		return arg == simulated.missing_cap ? 0 : 0xff;
	case KVM_CREATE_VM:
		return (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC, 0);
	case KVM_GET_VCPU_MMAP_SIZE:
		return 3 * 4096;
	default:
		return 0;
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	unsigned long arg;
	va_list args;

	va_start(args, request);
	arg = va_arg(args, unsigned long);
	va_end(args);
	if (request == simulated.request) {
		errno = simulated.error;
		return -1;
	}
	return simulate(request, arg);
}

static int setup(void **state)
{
	memset(&simulated, 0, sizeof(simulated));
	simulated.missing_cap = UINT32_MAX;
	simulated.api_version = KVM_EXPECTED_API_VERSION;
	return 0;
}

/* The number that the next file descriptor gets: it grows with each that is left open. */
static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void expect_error(const char *part)
{
	struct hv_vm_options options = {.device = "/dev/kvm", .max_vcpu_id = 3};
	struct hv_vm *vm = NULL;
	int fd = next_fd();

	assert_err(hv_kvm_create(&options, &vm), part);
	assert_null(vm);
	assert_int_equal(next_fd(), fd);
}

static void test_complete(void **state)
{
	struct hv_vm_options options = {.device = "/dev/kvm", .max_vcpu_id = 3};
	struct hv_vm *vm = NULL;
	int fd = next_fd();

	assert_ok(hv_kvm_create(&options, &vm));
	hv_vm_free(vm);
	assert_int_equal(next_fd(), fd);
}

static void test_open(void **state)
{
	simulated.open_error = EACCES;
	expect_error("add the user to the group \"kvm\"");
	simulated.open_error = ENODEV;
	expect_error("Cannot open \"/dev/kvm\": the ");
	simulated.open_error = ENOENT;
	expect_error("Cannot open \"/dev/kvm\": the ");
	simulated.open_error = EMFILE;
	expect_error("Too many open files");
}

/* That the host lacks something would be a guess. */
static void test_another_device(void **state)
{
	struct hv_vm_options options = {.device = "/nonexistent/kvm"};
	struct hv_vm *vm;

	assert_err(hv_kvm_create(&options, &vm), "Cannot open \"/nonexistent/kvm\", at ");
}

static void test_not_kvm(void **state)
{
	simulated.api_version = 11;
	expect_error("interface has version 11, 12 is needed");
	simulated.request = KVM_GET_API_VERSION;
	simulated.error = ENOTTY;
	expect_error("not a KVM device");
}

static void test_each_capability(void **state)
{
	static const struct {
		unsigned int cap;
		const char *name;
	} needs[] = {
		{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
		{KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM"},
		{KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING"},
		{KVM_CAP_IRQFD, "KVM_CAP_IRQFD"},
		{KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD"},
		{KVM_CAP_IOEVENTFD_ANY_LENGTH, "KVM_CAP_IOEVENTFD_ANY_LENGTH"},
		{KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI"},
		{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
		{KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE"},
		{KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP"},
		{KVM_CAP_X2APIC_API, "KVM_CAP_X2APIC_API"},
		{KVM_CAP_XCRS, "KVM_CAP_XCRS"},
		{KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		simulated.missing_cap = needs[i].cap;
		expect_error(needs[i].name);
		expect_error("or newer is needed on the host");
	}
}

static void test_each_step(void **state)
{
	static const struct {
		unsigned long request;
		int error;
		const char *text;
	} steps[] = {
		{KVM_CREATE_VM, EBUSY, "Another hypervisor"},
		{KVM_CREATE_VM, ENOMEM, "cannot make a virtual machine"},
		{KVM_ENABLE_CAP, EPERM, "split interrupt controller"},
		{KVM_SET_TSS_ADDR, EEXIST, "task state segment"},
		{KVM_SET_IDENTITY_MAP_ADDR, EINVAL, "task state segment"},
		{KVM_GET_VCPU_MMAP_SIZE, EIO, "size of its shared area"},
		{KVM_GET_SUPPORTED_CPUID, E2BIG, "processor's features"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		simulated.request = steps[i].request;
		simulated.error = steps[i].error;
		expect_error(steps[i].text);
		expect_error("Cannot make a virtual machine with KVM");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_complete, setup),
		cmocka_unit_test_setup(test_open, setup),
		cmocka_unit_test_setup(test_another_device, setup),
		cmocka_unit_test_setup(test_not_kvm, setup),
		cmocka_unit_test_setup(test_each_capability, setup),
		cmocka_unit_test_setup(test_each_step, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
