/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest is told when its vCPU did not run for long, because its thread was in the monitor, or on
 * its way there: a stop of the process (SIGSTOP) may find it there.
 */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "hv/guest.h"

/* Of KVM's system time (Linux Documentation/virt/kvm/x86/msr.rst), which the guest has at TIME. */
#define TIME          0x2000U
#define TIME_FLAGS    29
#define GUEST_STOPPED 2
/* A byte that a guest waits for. */
#define GO 0x3000U

static bool is_told(const struct guest *guest)
{
	return *(volatile uint8_t *)(guest->ram + TIME + TIME_FLAGS) & GUEST_STOPPED;
}

/* So many of the guest's writes to a port. */
static void run(struct hv_vcpu *vcpu, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct hv_exit exit;

		assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
		assert_int_equal(exit.reason, HV_EXIT_IO);
	}
}

static void test_time_outside_the_guest_is_told(void **state)
{
	static const uint8_t code[] = {
		0x66, 0xb9, 0x01, 0x4d, 0x56, 0x4b, /* mov ecx, 0x4b564d01: system time */
		0x66, 0xb8, 0x01, 0x20, 0x00, 0x00, /* mov eax, TIME | 1 */
		0x66, 0x31, 0xd2,                   /* xor edx, edx */
		0x0f, 0x30,                         /* wrmsr */
		0xe6, 0x80,                         /* again: out 0x80, al */
		0xeb, 0xfc,                         /* jmp again */
	};
	struct hv_vcpu *vcpu;
	struct guest guest;

	guest_create(&guest, code, sizeof(code));
	vcpu = guest_vcpu(&guest, 0);
	run(vcpu, 3);
	assert_false(is_told(&guest));
	usleep(1500000);
	run(vcpu, 2);
	assert_true(is_told(&guest));
	/* As the guest does when it has seen it. */
	guest.ram[TIME + TIME_FLAGS] &= (uint8_t)~GUEST_STOPPED;
	run(vcpu, 100);
	assert_false(is_told(&guest));
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

static void *say_go(void *data)
{
	struct guest *guest = data;

	usleep(1500000);
	*(volatile uint8_t *)(guest->ram + GO) = 1;
	return NULL;
}

/* The guest runs for long without an exit; is it told? */
static bool is_told_of_a_long_run(void)
{
	static const uint8_t code[] = {
		0x66, 0xb9, 0x01, 0x4d, 0x56, 0x4b, /* mov ecx, 0x4b564d01: system time */
		0x66, 0xb8, 0x01, 0x20, 0x00, 0x00, /* mov eax, TIME | 1 */
		0x66, 0x31, 0xd2,                   /* xor edx, edx */
		0x0f, 0x30,                         /* wrmsr */
		0xe6, 0x80,                         /* out 0x80, al */
		0xa0, 0x00, 0x30,                   /* wait: mov al, [GO] */
		0x84, 0xc0,                         /* test al, al */
		0x74, 0xf9,                         /* jz wait */
		0xe6, 0x80,                         /* again: out 0x80, al */
		0xeb, 0xfc,                         /* jmp again */
	};
	struct hv_vcpu *vcpu;
	struct guest guest;
	pthread_t thread;
	bool told;

	guest_create(&guest, code, sizeof(code));
	vcpu = guest_vcpu(&guest, 0);
	run(vcpu, 1);
	assert_int_equal(pthread_create(&thread, NULL, say_go, &guest), 0);
	run(vcpu, 2);
	pthread_join(thread, NULL);
	told = is_told(&guest);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
	return told;
}

static void test_a_stop_on_the_way_out_is_told_by_its_end(void **state)
{
	sigset_t set;

	assert_false(is_told_of_a_long_run());
	sigemptyset(&set);
	sigaddset(&set, SIGCONT);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	raise(SIGCONT);
	assert_true(is_told_of_a_long_run());
	assert_int_equal(sigwaitinfo(&set, NULL), SIGCONT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time_outside_the_guest_is_told),
		cmocka_unit_test(test_a_stop_on_the_way_out_is_told_by_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
