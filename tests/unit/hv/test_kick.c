/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hv_vcpu_kick() is never lost: not in a loop, not between two exits, not in a halted or unstarted
 * vCPU, not before there is a thread. Each test hangs (and is ended by the runner's time limit) if
 * one is. KICKS=n in the environment changes how many there are.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/thread.h"
#include "hv/guest.h"

struct kicker {
	struct thread thread;
	struct hv_vcpu *vcpu;
	bool waits; /* for the answer to each kick */
	atomic_uint asked;
	atomic_uint answered;
	atomic_bool finished; /* only one more kick comes */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void kick(struct thread *thread)
{
	struct kicker *kicker = container_of(thread, struct kicker, thread);
	const char *count = getenv("KICKS");
	unsigned int n = count ? (unsigned int)strtoul(count, NULL, 10) : 20000;
	uint64_t end_ns = now_ns() + 500000000;

	for (unsigned int i = 1; i <= n && (count || now_ns() < end_ns); i++) {
		atomic_store(&kicker->asked, i);
		hv_vcpu_kick(kicker->vcpu);
		while (kicker->waits && atomic_load(&kicker->answered) != i)
			sched_yield();
	}
	atomic_store(&kicker->finished, true);
	hv_vcpu_kick(kicker->vcpu);
}

/*
 * Runs the guest until the last kick was answered: of kicks that come one at a time each must bring
 * its own answer; of those that come as fast as they go many coincide, but the last must be seen.
 */
static void answer_kicks(struct hv_vcpu *vcpu, bool one_at_a_time)
{
	struct kicker kicker = {
		.thread = {.name = "kicker", .run = kick},
		.vcpu = vcpu,
		.waits = one_at_a_time,
	};
	bool finished = false;

	assert_ok(thread_start(&kicker.thread));
	while (!finished) {
		struct hv_exit exit;

		assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
		if (exit.reason != HV_EXIT_KICKED) {
			assert_int_equal(exit.reason, HV_EXIT_IO);
			continue;
		}
		finished = atomic_load(&kicker.finished);
		atomic_store(&kicker.answered, atomic_load(&kicker.asked));
	}
	thread_join(&kicker.thread);
}

static void kick_guest(const void *code, size_t len, unsigned int id)
{
	struct hv_vcpu *bsp = NULL;
	struct hv_vcpu *vcpu;
	struct guest guest;

	guest_create(&guest, code, len);
	if (id)
		assert_ok(hv_vcpu_create(guest.vm, 0, &bsp));
	vcpu = guest_vcpu(&guest, id);
	answer_kicks(vcpu, true);
	answer_kicks(vcpu, false);
	guest_vcpu_free(vcpu);
	hv_vcpu_free(bsp);
	guest_free(&guest);
}

static void test_looping_guest(void **state)
{
	kick_guest("\xeb\xfe", 2, 0);
}

static void test_exiting_guest(void **state)
{
	/* 1: out %al,$0x80; in $0x80,%al; jmp 1b */
	kick_guest("\xe6\x80\xe4\x80\xeb\xfa", 6, 0);
}

/* KVM must leave a repeated string instruction before it is done. */
static void test_string_guest(void **state)
{
	/* 1: mov $0xffff,%cx; rep outsb; jmp 1b */
	kick_guest("\xb9\xff\xff\xf3\x6e\xeb\xf9", 7, 0);
}

static void test_halted_guest(void **state)
{
	kick_guest("\xf4\xeb\xfd", 3, 0);
}

static void test_unstarted_vcpu(void **state)
{
	kick_guest("\xf4", 1, 5);
}

static void test_kick_before_bind(void **state)
{
	struct hv_vcpu *vcpu = NULL;
	struct hv_exit exit;
	struct guest guest;

	guest_create(&guest, "\xeb\xfe", 2);
	assert_ok(hv_vcpu_create(guest.vm, 0, &vcpu));
	guest_real_mode(vcpu);
	hv_vcpu_kick(vcpu);
	hv_vcpu_kick(vcpu);
	assert_ok(hv_vcpu_bind(vcpu));
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_KICKED);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

/* Two kicks before a run are one exit; the guest goes on after it. */
static void test_kick_is_taken_once(void **state)
{
	struct hv_vcpu *vcpu;
	struct hv_exit exit;
	struct guest guest;

	guest_create(&guest, "\xe6\x80", 2);
	vcpu = guest_vcpu(&guest, 0);
	hv_vcpu_kick(vcpu);
	hv_vcpu_kick(vcpu);
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_KICKED);
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_IO);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

/* After a kick the last access is complete: the instruction is over, its result is in the
 * registers. */
static void test_kick_completes_io(void **state)
{
	struct hv_x86_regs regs;
	struct hv_vcpu *vcpu;
	struct hv_exit exit;
	struct guest guest;

	guest_create(&guest, "\xe4\x80\xeb\xfe", 4);
	vcpu = guest_vcpu(&guest, 0);
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_IO);
	exit.u.io.data[0] = 0x77;
	hv_vcpu_kick(vcpu);
	assert_int_equal(hv_vcpu_run(vcpu, &exit), 0);
	assert_int_equal(exit.reason, HV_EXIT_KICKED);
	assert_ok(hv_x86_get_regs(vcpu, &regs));
	assert_int_equal(regs.rax & 0xff, 0x77);
	assert_int_equal(regs.rip, GUEST_CODE + 2);
	guest_vcpu_free(vcpu);
	guest_free(&guest);
}

/* The thread's signals are as before, and no kick is left behind that would end the process. */
static void test_unbind(void **state)
{
	sigset_t before;
	sigset_t after;
	sigset_t pending;
	struct hv_vcpu *vcpu;
	struct guest guest;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	guest_create(&guest, "\xeb\xfe", 2);
	vcpu = guest_vcpu(&guest, 0);
	hv_vcpu_kick(vcpu);
	hv_vcpu_unbind(vcpu);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	sigpending(&pending);
	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		assert_int_equal(sigismember(&before, sig), sigismember(&after, sig));
		assert_int_not_equal(sigismember(&pending, sig), 1);
	}
	hv_vcpu_kick(vcpu);
	hv_vcpu_free(vcpu);
	guest_free(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_looping_guest),
		cmocka_unit_test(test_exiting_guest),
		cmocka_unit_test(test_string_guest),
		cmocka_unit_test(test_halted_guest),
		cmocka_unit_test(test_unstarted_vcpu),
		cmocka_unit_test(test_kick_before_bind),
		cmocka_unit_test(test_kick_is_taken_once),
		cmocka_unit_test(test_kick_completes_io),
		cmocka_unit_test(test_unbind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
