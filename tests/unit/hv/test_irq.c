/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts and doorbells of the KVM backend, seen by a real-mode guest on the real /dev/kvm.
 */
#include <unistd.h>

#include "base/fd.h"
#include "hv/guest.h"

#define VECTOR     0x30
#define VECTOR_LOW 0x2f

/*
 * Enables the local APIC in x2APIC mode, says so on port 0x90, and waits; the handlers of vectors
 * 0x2f to 0x31 write their vector to port 0x91 and end the interrupt.
 */
static const uint8_t irq_guest[] = {
	0xb9, 0x1b, 0x00, 0x66, 0x0f, 0x32,             /* mov $0x1b,%cx; rdmsr (ecx is 0 above) */
	0x66, 0x0d, 0x00, 0x0c, 0x00, 0x00, 0x0f, 0x30, /* or $0xc00,%eax; wrmsr */
	0xb9, 0x0f, 0x08, 0x66, 0xb8, 0xff, 0x01, 0x00, 0x00, /* mov $0x80f,%cx; mov $0x1ff,%eax */
	0x66, 0x31, 0xd2, 0x0f, 0x30,                         /* xor %edx,%edx; wrmsr */
	0xe6, 0x90,                                           /* out %al,$0x90 */
	0xfb, 0xf4, 0xeb, 0xfd,                               /* sti; 1: hlt; jmp 1b */
};

/* mov $VECTOR,%al; out %al,$0x91; mov $0x80b,%cx; xor %eax,%eax; xor %edx,%edx; wrmsr; iret */
static const uint8_t irq_handler[] = {0xb0, VECTOR, 0xe6, 0x91, 0xb9, 0x0b, 0x08, 0x66, 0x31, 0xc0,
	0x66, 0x31, 0xd2, 0x0f, 0x30, 0xcf};

#define MSI_ADDR 0xfee00000U /* physical destination 0 */

static void handler(struct guest *guest, uint8_t vector, uint16_t at)
{
	memcpy(guest->ram + at, irq_handler, sizeof(irq_handler));
	guest->ram[at + 1] = vector;
	memcpy(guest->ram + vector * 4, &at, 2);
}

static struct hv_vcpu *irq_guest_start(struct guest *guest)
{
	struct hv_exit exit;
	struct hv_vcpu *vcpu;

	guest_create(guest, irq_guest, sizeof(irq_guest));
	handler(guest, VECTOR_LOW, 0x2000);
	handler(guest, VECTOR, 0x2100);
	handler(guest, VECTOR + 1, 0x2200);
	vcpu = guest_vcpu(guest, 0);
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_IO);
	assert_int_equal(exit.u.io.port, 0x90);
	return vcpu;
}

/* The guest's next act is to take this vector. */
static void expect_vector(struct hv_vcpu *vcpu, uint8_t vector)
{
	struct hv_exit exit;

	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_IO);
	assert_int_equal(exit.u.io.port, 0x91);
	assert_int_equal(exit.u.io.data[0], vector);
}

/*
 * Nothing else is pending: an interrupt of the lowest priority is the next that the guest takes,
 * without any other exit before it.
 */
static void expect_quiet(struct guest *guest, struct hv_vcpu *vcpu)
{
	assert_true(hv_vm_signal_msi(guest->vm, MSI_ADDR, VECTOR_LOW) > 0);
	expect_vector(vcpu, VECTOR_LOW);
}

static void test_signal_msi(void **state)
{
	struct guest guest;
	struct hv_vcpu *vcpu = irq_guest_start(&guest);

	assert_true(hv_vm_signal_msi(guest.vm, MSI_ADDR, VECTOR) > 0);
	expect_vector(vcpu, VECTOR);
	assert_true(hv_vm_signal_msi(guest.vm, MSI_ADDR, VECTOR + 1) > 0);
	expect_vector(vcpu, VECTOR + 1);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

/* What a guest may write into a message, and what is none. */
static void test_message_forms(void **state)
{
	struct guest guest;
	struct hv_vcpu *vcpu = irq_guest_start(&guest);

	assert_int_equal(hv_vm_signal_msi(guest.vm, 0x1000, VECTOR), -EINVAL);
	assert_int_equal(hv_vm_signal_msi(guest.vm, 0x1fee00000, VECTOR), -EINVAL);
	/* No such processor: destination 5; 0x100 in the upper half; 0x100 in the extended bits. */
	assert_true(hv_vm_signal_msi(guest.vm, MSI_ADDR | 5 << 12, VECTOR) <= 0);
	assert_true(hv_vm_signal_msi(guest.vm, 0x100fee00000, VECTOR) <= 0);
	assert_true(hv_vm_signal_msi(guest.vm, MSI_ADDR | 1 << 5, VECTOR) <= 0);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

static void test_irqfd(void **state)
{
	struct hv_irqfd *irqfd = NULL;
	struct guest guest;
	struct hv_vcpu *vcpu = irq_guest_start(&guest);

	assert_ok(hv_irqfd_create(guest.vm, &irqfd));
	assert_int_equal(hv_irqfd_route(irqfd, MSI_ADDR, VECTOR), 0);
	assert_int_equal(hv_irqfd_route(irqfd, MSI_ADDR, VECTOR), 0);
	fd_eventfd_signal(hv_irqfd_fd(irqfd));
	expect_vector(vcpu, VECTOR);
	assert_int_equal(hv_irqfd_route(irqfd, MSI_ADDR, VECTOR + 1), 0);
	fd_eventfd_signal(hv_irqfd_fd(irqfd));
	expect_vector(vcpu, VECTOR + 1);
	hv_irqfd_free(irqfd);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

/* What comes while there is no route is kept: for a look (a pending bit), or for the next route. */
static void test_irqfd_masked(void **state)
{
	struct hv_irqfd *irqfd = NULL;
	struct guest guest;
	struct hv_vcpu *vcpu = irq_guest_start(&guest);

	assert_ok(hv_irqfd_create(guest.vm, &irqfd));
	fd_eventfd_signal(hv_irqfd_fd(irqfd));
	assert_true(hv_irqfd_take(irqfd));
	assert_false(hv_irqfd_take(irqfd));
	assert_int_equal(hv_irqfd_route(irqfd, MSI_ADDR, VECTOR), 0);
	hv_irqfd_unroute(irqfd);
	hv_irqfd_unroute(irqfd);
	fd_eventfd_signal(hv_irqfd_fd(irqfd));
	expect_quiet(&guest, vcpu);
	assert_int_equal(hv_irqfd_route(irqfd, MSI_ADDR, VECTOR), 0);
	expect_vector(vcpu, VECTOR);
	hv_irqfd_unroute(irqfd);
	assert_false(hv_irqfd_take(irqfd));
	hv_irqfd_free(irqfd);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

/* A message that is none is refused, and the routes that are there go on working. */
static void test_irqfd_bad_message(void **state)
{
	struct hv_irqfd *good = NULL;
	struct hv_irqfd *bad = NULL;
	struct guest guest;
	struct hv_vcpu *vcpu = irq_guest_start(&guest);

	assert_ok(hv_irqfd_create(guest.vm, &good));
	assert_ok(hv_irqfd_create(guest.vm, &bad));
	assert_int_equal(hv_irqfd_route(bad, 0x1fee00000, VECTOR), -EINVAL);
	assert_int_equal(hv_irqfd_route(good, MSI_ADDR, VECTOR), 0);
	assert_int_equal(hv_irqfd_route(bad, 0xfed00000, VECTOR), -EINVAL);
	assert_int_equal(hv_vm_set_ioapic_route(guest.vm, 3, true, 0x1000, VECTOR), -EINVAL);
	fd_eventfd_signal(hv_irqfd_fd(good));
	expect_vector(vcpu, VECTOR);
	hv_irqfd_free(bad);
	hv_irqfd_free(good);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

/* As many as there are GSIs; the next is an error, and a freed one is used again. */
static void test_irqfd_limit(void **state)
{
	enum { MAX = 5000 };
	struct hv_irqfd **irqfds = calloc(MAX, sizeof(struct hv_irqfd *));
	struct hv_irqfd *extra = NULL;
	struct err *err = NULL;
	unsigned int n = 0;
	struct guest guest;

	guest_create(&guest, "\xf4", 1);
	while (n < MAX && !(err = hv_irqfd_create(guest.vm, &irqfds[n])))
		n++;
	assert_true(n < MAX);
	if (err_code(err) != ENOSPC) {
		print_message("only %u eventfds can be opened here\n", n);
	} else {
		assert_true(n >= 1000);
		hv_irqfd_free(irqfds[7]);
		assert_ok(hv_irqfd_create(guest.vm, &irqfds[7]));
		assert_err(hv_irqfd_create(guest.vm, &extra), "no interrupt routes left");
	}
	err_free(err);
	for (unsigned int i = 0; i < n; i++)
		hv_irqfd_free(irqfds[i]);
	free(irqfds);
	guest_free(&guest);
}

/* The end of a level-triggered interrupt is reported, that of an edge is not. */
static void test_ioapic_eoi(void **state)
{
	const uint32_t level = 1U << 15 | 1U << 14;
	struct hv_exit exit;
	struct guest guest;
	struct hv_vcpu *vcpu = irq_guest_start(&guest);

	assert_int_equal(hv_vm_set_ioapic_route(guest.vm, 9, true, MSI_ADDR, VECTOR | level), 0);
	assert_int_equal(hv_vm_set_ioapic_route(guest.vm, 9, true, MSI_ADDR, VECTOR | level), 0);
	assert_true(hv_vm_signal_msi(guest.vm, MSI_ADDR, VECTOR | level) > 0);
	expect_vector(vcpu, VECTOR);
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_IOAPIC_EOI);
	assert_int_equal(exit.u.eoi.vector, VECTOR);
	assert_int_equal(hv_vm_set_ioapic_route(guest.vm, 9, false, 0, 0), 0);
	assert_true(hv_vm_signal_msi(guest.vm, MSI_ADDR, VECTOR + 1) > 0);
	expect_vector(vcpu, VECTOR + 1);
	expect_quiet(&guest, vcpu);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

static void test_ioeventfd(void **state)
{
	/* mov $0x3000,%ax; mov %ax,%ds; mov %ax,(0x10); mov %al,(0x10); mov %al,(0x11) */
	static const uint8_t code[] = {
		0xb8, 0x00, 0x30, 0x8e, 0xd8, 0xa3, 0x10, 0x00, 0xa2, 0x10, 0x00, 0xa2, 0x11, 0x00};
	int fd = fd_eventfd();
	struct hv_exit exit;
	struct hv_vcpu *vcpu;
	struct guest guest;

	guest_create(&guest, code, sizeof(code));
	assert_int_equal(hv_vm_ioeventfd(guest.vm, 0x30010, false, fd, true), 0);
	assert_int_equal(hv_vm_ioeventfd(guest.vm, 0x30010, false, fd, true), -EEXIST);
	vcpu = guest_vcpu(&guest, 0);
	/* Writes of both widths at the doorbell, and not beside it. */
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_MMIO);
	assert_int_equal(exit.u.mmio.gpa, 0x30011);
	assert_int_equal(fd_eventfd_drain(fd), 2);
	guest_vcpu_free(vcpu);
	assert_int_equal(hv_vm_ioeventfd(guest.vm, 0x30010, false, fd, false), 0);
	assert_int_equal(hv_vm_ioeventfd(guest.vm, 0x30010, false, fd, false), -ENOENT);
	guest_free(&guest);
	close(fd);
}

static void test_ioeventfd_port(void **state)
{
	/* out %ax,$0x44; out %al,$0x44; out %al,$0x45 */
	static const uint8_t code[] = {0xe7, 0x44, 0xe6, 0x44, 0xe6, 0x45};
	int fd = fd_eventfd();
	struct hv_exit exit;
	struct hv_vcpu *vcpu;
	struct guest guest;

	guest_create(&guest, code, sizeof(code));
	assert_int_equal(hv_vm_ioeventfd(guest.vm, 0x10000, true, fd, true), -EINVAL);
	assert_int_equal(hv_vm_ioeventfd(guest.vm, 0x44, true, fd, true), 0);
	vcpu = guest_vcpu(&guest, 0);
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_IO);
	assert_int_equal(exit.u.io.port, 0x45);
	assert_int_equal(fd_eventfd_drain(fd), 2);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signal_msi),
		cmocka_unit_test(test_message_forms),
		cmocka_unit_test(test_irqfd),
		cmocka_unit_test(test_irqfd_masked),
		cmocka_unit_test(test_irqfd_bad_message),
		cmocka_unit_test(test_irqfd_limit),
		cmocka_unit_test(test_ioapic_eoi),
		cmocka_unit_test(test_ioeventfd),
		cmocka_unit_test(test_ioeventfd_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
