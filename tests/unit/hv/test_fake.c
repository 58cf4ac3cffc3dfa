/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake backend keeps the promises of hv.h that tests rely on, and the call layer checks
 * arguments.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/thread.h"
#include "hv/fake/hv_fake.h"
#include "unit.h"

static struct hv_vm *vm;
static struct hv_vcpu *vcpu;

static int setup(void **state)
{
	assert_ok(hv_fake_create(&vm));
	assert_ok(hv_vcpu_create(vm, 2, &vcpu));
	assert_ok(hv_vcpu_bind(vcpu));
	return 0;
}

static int teardown(void **state)
{
	hv_vcpu_unbind(vcpu);
	hv_vcpu_free(vcpu);
	hv_vm_free(vm);
	return 0;
}

static void test_script(void **state)
{
	struct hv_exit exit;

	hv_fake_push_io(vcpu, 0x3f8, true, 2, 0x1234);
	hv_fake_push_io(vcpu, 0x60, false, 1, 0);
	hv_fake_push_mmio(vcpu, 0xfec00000, false, 4, 0);
	hv_fake_push(vcpu, &(struct hv_exit){.reason = HV_EXIT_SHUTDOWN}, NULL);
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_IO);
	assert_int_equal(exit.u.io.port, 0x3f8);
	assert_memory_equal(exit.u.io.data, "\x34\x12", 2);
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	exit.u.io.data[0] = 0x42;
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(hv_fake_last_read(vcpu), 0x42);
	assert_int_equal(exit.reason, HV_EXIT_MMIO);
	memcpy(exit.u.mmio.data, "\x78\x56\x34\x12", 4);
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(hv_fake_last_read(vcpu), 0x12345678);
	assert_int_equal(exit.reason, HV_EXIT_SHUTDOWN);
}

static void kick(struct thread *thread)
{
	hv_vcpu_kick(vcpu);
}

static void test_run_waits_for_a_kick(void **state)
{
	struct thread thread = {.name = "kicker", .run = kick};
	struct hv_exit exit;

	assert_ok(thread_start(&thread));
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_KICKED);
	thread_join(&thread);
	/* A kick goes before the script, and is taken once. */
	hv_vcpu_kick(vcpu);
	hv_vcpu_kick(vcpu);
	hv_fake_push_io(vcpu, 0x80, true, 1, 0);
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_KICKED);
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_IO);
}

static void test_messages(void **state)
{
	struct hv_fake_msi messages[4];
	struct hv_irqfd *irqfd = NULL;

	assert_ok(hv_irqfd_create(vm, &irqfd));
	fd_eventfd_signal(hv_irqfd_fd(irqfd));
	assert_int_equal(hv_fake_messages(vm, messages, 4), 0);
	assert_true(hv_irqfd_take(irqfd));
	assert_true(hv_vm_signal_msi(vm, 0xfee00000, 0x31) > 0);
	assert_int_equal(hv_irqfd_route(irqfd, 0xfee01000, 0x32), 0);
	fd_eventfd_signal(hv_irqfd_fd(irqfd));
	assert_int_equal(hv_irqfd_route(irqfd, 0xfee01000, 0x33), 0);
	hv_irqfd_unroute(irqfd);
	fd_eventfd_signal(hv_irqfd_fd(irqfd));
	assert_int_equal(hv_fake_messages(vm, messages, 4), 2);
	assert_int_equal(messages[0].data, 0x31);
	assert_int_equal(messages[1].data, 0x32);
	hv_fake_clear_messages(vm);
	assert_int_equal(hv_irqfd_route(irqfd, 0xfee01000, 0x33), 0);
	assert_int_equal(hv_fake_messages(vm, messages, 4), 1);
	assert_int_equal(messages[0].addr, 0xfee01000);
	assert_int_equal(messages[0].data, 0x33);
	hv_irqfd_free(irqfd);
}

static void test_doorbells(void **state)
{
	int fd = fd_eventfd();

	assert_int_equal(hv_vm_ioeventfd(vm, 0xc0000000, false, fd, true), 0);
	assert_int_equal(hv_vm_ioeventfd(vm, 0xc0000000, false, fd, true), -EEXIST);
	assert_int_equal(hv_vm_ioeventfd(vm, 0x10000, true, fd, true), -EINVAL);
	assert_true(hv_fake_doorbell(vm, 0xc0000000, false));
	assert_false(hv_fake_doorbell(vm, 0xc0000000, true));
	assert_false(hv_fake_doorbell(vm, 0xc0000004, false));
	assert_int_equal(fd_eventfd_drain(fd), 1);
	assert_int_equal(hv_vm_ioeventfd(vm, 0xc0000000, false, fd, false), 0);
	assert_int_equal(hv_vm_ioeventfd(vm, 0xc0000000, false, fd, false), -ENOENT);
	assert_false(hv_fake_doorbell(vm, 0xc0000000, false));
	close(fd);
}

static void test_memory(void **state)
{
	static uint8_t page[8192] __attribute__((aligned(4096)));
	struct hv_fake_map map;

	assert_err(hv_vm_map(vm, 0x1000, 0, page, false), "whole pages");
	assert_err(hv_vm_map(vm, 0x1000, 0x1000, page + 1, false), "page aligned");
	assert_ok(hv_vm_map(vm, 0x1000, 0x2000, page, true));
	assert_err(hv_vm_map(vm, 0x2000, 0x1000, page, false), "twice");
	assert_true(hv_fake_find_map(vm, 0x2fff, &map));
	assert_ptr_equal(map.hva, page);
	assert_true(map.readonly);
	assert_false(hv_fake_find_map(vm, 0x3000, &map));
	assert_false(hv_fake_find_map(vm, 0xfff, &map));
	assert_err(hv_vm_unmap(vm, 0x1000, 0x1000), "No such");
	assert_ok(hv_vm_unmap(vm, 0x1000, 0x2000));
}

static void test_failures(void **state)
{
	static uint8_t page[4096] __attribute__((aligned(4096)));
	struct hv_vcpu *other = NULL;
	struct hv_irqfd *irqfd = NULL;
	struct hv_exit exit;

	hv_fake_fail_next(vm, HV_FAKE_MAP, ENOMEM);
	assert_err(hv_vm_map(vm, 0, 4096, page, false), "Cannot allocate memory");
	assert_ok(hv_vm_map(vm, 0, 4096, page, false));
	hv_fake_fail_next(vm, HV_FAKE_VCPU_CREATE, EMFILE);
	assert_err(hv_vcpu_create(vm, 1, &other), "vCPU 1");
	hv_fake_fail_next(vm, HV_FAKE_VCPU_RUN, EFAULT);
	assert_int_equal(hv_vcpu_run(vcpu, &exit), -EFAULT);
	hv_fake_fail_next(vm, HV_FAKE_VCPU_RESET, EIO);
	assert_err(hv_vcpu_reset(vcpu), "Cannot reset vCPU 2");
	hv_fake_fail_next(vm, HV_FAKE_SIGNAL_MSI, EINVAL);
	assert_int_equal(hv_vm_signal_msi(vm, 0, 0), -EINVAL);
	hv_fake_fail_next(vm, HV_FAKE_IRQFD_CREATE, ENOSPC);
	assert_err(hv_irqfd_create(vm, &irqfd), "No space left");
	assert_err(hv_vcpu_create(vm, 5000, &other), "ids of this hypervisor end at 1023");
}

static void test_x86_state(void **state)
{
	struct hv_x86_msr msrs[2] = {{.index = 0x10, .value = 7}, {.index = 0x11, .value = 8}};
	struct hv_x86_cpuid *cpuid = calloc(1, sizeof(*cpuid));
	struct hv_x86_regs regs = {.rax = 5};
	struct hv_x86_sregs sregs;

	cpuid->n = 1;
	cpuid->entries[0].function = 7;
	hv_fake_set_supported_cpuid(vm, cpuid);
	cpuid->entries[0].function = 0;
	assert_ok(hv_x86_supported_cpuid(vm, cpuid));
	assert_int_equal(cpuid->entries[0].function, 7);
	assert_ok(hv_x86_set_cpuid(vcpu, cpuid));
	assert_int_equal(hv_fake_cpuid(vcpu)->n, 1);
	assert_ok(hv_x86_set_msrs(vcpu, msrs, 2));
	msrs[1].value = 0;
	assert_ok(hv_x86_get_msrs(vcpu, msrs, 2));
	assert_int_equal(msrs[1].value, 8);
	assert_ok(hv_x86_set_regs(vcpu, &regs));
	assert_ok(hv_x86_get_sregs(vcpu, &sregs));
	sregs.cr3 = 0x1000;
	assert_ok(hv_x86_set_sregs(vcpu, &sregs));
	assert_ok(hv_vcpu_reset(vcpu));
	hv_vcpu_clock_paused(vcpu);
	assert_int_equal(hv_fake_resets(vcpu), 1);
	assert_int_equal(hv_fake_clock_pauses(vcpu), 1);
	assert_ok(hv_x86_get_regs(vcpu, &regs));
	assert_int_equal(regs.rax, 0);
	assert_ok(hv_x86_get_sregs(vcpu, &sregs));
	assert_int_equal(sregs.cr3, 0);
	assert_ok(hv_x86_get_msrs(vcpu, msrs, 2));
	assert_int_equal(msrs[1].value, 0);
	assert_int_equal(hv_fake_cpuid(vcpu)->n, 1);
	free(cpuid);
}

static void test_ioapic_routes(void **state)
{
	struct hv_fake_msi msi;

	assert_false(hv_fake_ioapic_route(vm, 4, &msi));
	assert_int_equal(hv_vm_set_ioapic_route(vm, 4, true, 0xfee00000, 0x8034), 0);
	assert_true(hv_fake_ioapic_route(vm, 4, &msi));
	assert_int_equal(msi.data, 0x8034);
	assert_int_equal(hv_vm_set_ioapic_route(vm, 4, false, 0, 0), 0);
	assert_false(hv_fake_ioapic_route(vm, 4, &msi));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_script, setup, teardown),
		cmocka_unit_test_setup_teardown(test_run_waits_for_a_kick, setup, teardown),
		cmocka_unit_test_setup_teardown(test_messages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doorbells, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
		cmocka_unit_test_setup_teardown(test_x86_state, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ioapic_routes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
