/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of a VM and what ends it.
 */
#include "machine.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

static bool has_ended(const struct vm *vm)
{
	struct pollfd pfd = {.fd = vm_end_fd(vm), .events = POLLIN};

	return poll(&pfd, 1, 0) == 1;
}

/* ---- States ---- */

static void test_a_vm_that_was_not_booted_only_stops(void **state)
{
	struct machine m;
	enum vm_end end;

	machine_create(&m, 2, NULL);
	assert_err(vm_pause(m.vm), "not booted");
	assert_err(vm_resume(m.vm), "not booted");
	assert_err(vm_power_button(m.vm), "not booted");
	assert_err(vm_wait(m.vm, 0, &end), "still runs");
	assert_false(has_ended(m.vm));
	vm_stop(m.vm);
	machine_expect_end(&m, VM_END_STOPPED);
	vm_stop(m.vm);
	assert_err(vm_boot(m.vm), "has ended");
	machine_free(&m);
}

static void test_a_vm_boots_once(void **state)
{
	struct machine m;

	machine_create(&m, 1, NULL);
	assert_ok(vm_boot(m.vm));
	assert_err(vm_boot(m.vm), "booted before");
	assert_false(has_ended(m.vm));
	vm_stop(m.vm);
	assert_err(vm_boot(m.vm), "booted before");
	machine_free(&m);
}

static void test_a_vm_that_has_ended_takes_no_requests(void **state)
{
	struct machine m;

	machine_create(&m, 1, NULL);
	assert_ok(vm_boot(m.vm));
	machine_power_off(&m, 0);
	machine_expect_end(&m, VM_END_POWER_OFF);
	assert_true(has_ended(m.vm));
	assert_err(vm_pause(m.vm), "has ended");
	assert_err(vm_resume(m.vm), "has ended");
	assert_err(vm_power_button(m.vm), "has ended");
	vm_stop(m.vm);
	machine_expect_end(&m, VM_END_POWER_OFF);
	machine_free(&m);
}

static void test_free_is_right_in_every_state(void **state)
{
	for (int turn = 0; turn < 4; turn++) {
		struct machine m;

		machine_create(&m, 3, NULL);
		if (turn > 0)
			assert_ok(vm_boot(m.vm));
		if (turn > 1)
			assert_ok(vm_pause(m.vm));
		if (turn > 2)
			vm_stop(m.vm);
		machine_free(&m);
	}
	vm_free(NULL);
}

static void test_a_paused_vm_stands_still_and_goes_on(void **state)
{
	struct machine m;

	machine_create(&m, 2, NULL);
	assert_ok(vm_boot(m.vm));
	assert_ok(vm_resume(m.vm)); /* runs: nothing to do */
	assert_ok(vm_pause(m.vm));
	assert_ok(vm_pause(m.vm));
	machine_power_off(&m, 0);
	assert_false(has_ended(m.vm));
	assert_ok(vm_resume(m.vm));
	machine_expect_end(&m, VM_END_POWER_OFF);
	assert_int_equal(hv_fake_clock_pauses(m.vcpus[0]), 1);
	assert_int_equal(hv_fake_clock_pauses(m.vcpus[1]), 1);
	machine_free(&m);
}

/* Told to processors that run, once for each stop; a paused VM is told when it goes on. */
static void test_a_guest_is_told_of_a_stopped_process(void **state)
{
	struct machine m;

	machine_create(&m, 2, NULL);
	vm_continued(m.vm);
	assert_ok(vm_boot(m.vm));
	vm_continued(m.vm);
	while (!hv_fake_clock_pauses(m.vcpus[1]))
		sched_yield();
	assert_ok(vm_pause(m.vm));
	vm_continued(m.vm);
	assert_ok(vm_resume(m.vm));
	assert_int_equal(hv_fake_clock_pauses(m.vcpus[0]), hv_fake_clock_pauses(m.vcpus[1]));
	machine_power_off(&m, 1);
	machine_expect_end(&m, VM_END_POWER_OFF);
	vm_continued(m.vm);
	machine_free(&m);
}

static void test_a_paused_vm_can_be_stopped(void **state)
{
	struct machine m;

	machine_create(&m, 2, NULL);
	assert_ok(vm_boot(m.vm));
	assert_ok(vm_pause(m.vm));
	vm_stop(m.vm);
	machine_expect_end(&m, VM_END_STOPPED);
	machine_free(&m);
}

/* A guest that starts its watchdog, slot 1, with two stages of a millisecond, and hangs. */
static void hang(struct machine *m)
{
	const uint64_t config = X86_ECAM_BASE + (1u << 15);
	uint64_t bar;

	hv_fake_push_mmio(m->vcpus[0], config + 4, true, 2, 2);
	hv_fake_push_mmio(m->vcpus[0], config + 0x60, true, 2, 7);
	hv_fake_push_mmio(m->vcpus[0], config + 0x10, false, 4, 0);
	while (!hv_fake_last_read(m->vcpus[0]))
		sched_yield();
	bar = hv_fake_last_read(m->vcpus[0]);
	for (unsigned int timer = 0; timer < 8; timer += 4) {
		hv_fake_push_mmio(m->vcpus[0], bar + 0xc, true, 2, 0x80);
		hv_fake_push_mmio(m->vcpus[0], bar + 0xc, true, 2, 0x86);
		hv_fake_push_mmio(m->vcpus[0], bar + timer, true, 4, 1);
	}
	hv_fake_push_mmio(m->vcpus[0], config + 0x68, true, 1, 2);
}

static void test_a_watchdog_resets_or_ends_the_vm(void **state)
{
	static const char *const reset[] = {"watchdog", "action=reset", NULL};
	static const char *const end[] = {"watchdog", "action=poweroff", NULL};
	struct machine m;

	machine_create(&m, 1, reset);
	assert_ok(vm_boot(m.vm));
	hang(&m);
	machine_await_resets(&m, 0, 1);
	machine_power_off(&m, 0);
	machine_expect_end(&m, VM_END_POWER_OFF);
	machine_free(&m);
	machine_create(&m, 1, end);
	assert_ok(vm_boot(m.vm));
	hang(&m);
	machine_expect_end(&m, VM_END_WATCHDOG);
	machine_free(&m);
}

static void test_a_watchdog_pauses_the_vm(void **state)
{
	static const char *const options[] = {"watchdog", "action=pause", NULL};
	struct machine m;

	machine_create(&m, 1, options);
	assert_ok(vm_boot(m.vm));
	hang(&m);
	/* Only a paused VM has clocks that stood still. */
	while (!hv_fake_clock_pauses(m.vcpus[0])) {
		assert_ok(vm_resume(m.vm));
		sched_yield();
	}
	machine_power_off(&m, 0);
	machine_expect_end(&m, VM_END_POWER_OFF);
	machine_free(&m);
}

static void test_a_guest_may_end_before_boot_returns(void **state)
{
	for (int turn = 0; turn < 50; turn++) {
		struct machine m;

		machine_create(&m, 2, NULL);
		machine_power_off(&m, 1);
		assert_ok(vm_boot(m.vm));
		machine_expect_end(&m, VM_END_POWER_OFF);
		machine_free(&m);
	}
}

/* ---- Ends ---- */

static void expect_end_of_exit(enum hv_exit_reason reason, enum vm_end expected)
{
	struct machine m;

	machine_create(&m, 2, NULL);
	assert_ok(vm_boot(m.vm));
	machine_exit(&m, 1, reason);
	machine_expect_end(&m, expected);
	machine_free(&m);
}

static void test_a_triple_fault_ends_the_vm(void **state)
{
	expect_end_of_exit(HV_EXIT_SHUTDOWN, VM_END_TRIPLE_FAULT);
}

static void expect_end_of_event(enum hv_system_event event, enum vm_end expected)
{
	static const char *const options[] = {"no-reboot", NULL, NULL};
	struct hv_exit exit = {.reason = HV_EXIT_SYSTEM_EVENT, .u.system_event = event};
	struct machine m;

	machine_create(&m, 1, options);
	assert_ok(vm_boot(m.vm));
	hv_fake_push(m.vcpus[0], &exit, NULL);
	machine_expect_end(&m, expected);
	machine_free(&m);
}

static void test_events_of_the_hypervisor_end_the_vm(void **state)
{
	expect_end_of_event(HV_SYSTEM_OFF, VM_END_POWER_OFF);
	expect_end_of_event(HV_SYSTEM_RESET, VM_END_RESET);
	expect_end_of_event(HV_SYSTEM_CRASH, VM_END_PANIC);
}

/*
 * The pipe behind the console is full, the VM ends, and the reader comes or goes when it is freed:
 * by then nothing is written any more (which would raise SIGPIPE in the caller's thread).
 */
static void expect_no_output_after_the_end(bool reader_comes)
{
	const char *options[] = {"console", NULL, NULL};
	static char text[65536];
	char spec[64];
	struct machine m;
	int pipes[2];

	assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	(void)snprintf(spec, sizeof(spec), "log,path=/proc/self/fd/%d", pipes[1]);
	options[1] = spec;
	machine_create(&m, 1, options);
	assert_ok(vm_boot(m.vm));
	for (int i = 0; i < 40; i++) {
		struct hv_exit exit = {.reason = HV_EXIT_IO,
			.u.io = {.port = X86_PORT_COM1, .write = true, .size = 1, .count = 4096}};

		hv_fake_push(m.vcpus[0], &exit, text);
	}
	machine_power_off(&m, 0);
	machine_expect_end(&m, VM_END_POWER_OFF);
	while (reader_comes && read(pipes[0], text, sizeof(text)) > 0)
		;
	if (!reader_comes)
		close(pipes[0]);
	machine_free(&m);
	if (reader_comes) {
		assert_int_equal(read(pipes[0], text, sizeof(text)), -1);
		close(pipes[0]);
	}
	close(pipes[1]);
}

static void test_nothing_is_written_after_the_end(void **state)
{
	expect_no_output_after_the_end(true);
	expect_no_output_after_the_end(false);
}

/* Whoever keeps a VM that has ended gets what is typed from then on. */
static void test_no_input_is_taken_after_the_end(void **state)
{
	static const char *const options[] = {"console", "stdio", NULL};
	struct machine m;
	int in = dup(STDIN_FILENO);
	int n = 0;
	int pipes[2];

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(dup2(pipes[0], STDIN_FILENO), STDIN_FILENO);
	machine_create(&m, 1, options);
	assert_ok(vm_boot(m.vm));
	machine_power_off(&m, 0);
	machine_expect_end(&m, VM_END_POWER_OFF);
	assert_int_equal(write(pipes[1], "ls\n", 3), 3);
	usleep(20000);
	assert_int_equal(ioctl(pipes[0], FIONREAD, &n), 0);
	machine_free(&m);
	assert_int_equal(n, 3);
	dup2(in, STDIN_FILENO);
	close(in);
	close(pipes[0]);
	close(pipes[1]);
}

static void expect_error(struct machine *m, const char *part)
{
	enum vm_end end = VM_END_STOPPED;

	assert_err(vm_wait(m->vm, 10000, &end), part);
	assert_int_equal(end, VM_END_ERROR);
	/* The reason is told once. */
	machine_expect_end(m, VM_END_ERROR);
	machine_free(m);
}

static void test_an_exit_that_cannot_be_handled_ends_the_vm(void **state)
{
	struct machine m;

	machine_create(&m, 2, NULL);
	assert_ok(vm_boot(m.vm));
	machine_exit(&m, 1, HV_EXIT_FAILED);
	expect_error(&m, "vCPU 1 cannot go on: a test");
}

static void test_a_hypervisor_that_fails_ends_the_vm(void **state)
{
	struct machine m;

	machine_create(&m, 1, NULL);
	hv_fake_fail_next(m.hv, HV_FAKE_VCPU_RUN, EFAULT);
	assert_ok(vm_boot(m.vm));
	expect_error(&m, "Bad address (os error 14)");
}

static void test_a_guest_that_cannot_be_reset_ends_the_vm(void **state)
{
	struct machine m;

	machine_create(&m, 1, NULL);
	hv_fake_fail_next(m.hv, HV_FAKE_VCPU_RESET, EIO);
	assert_ok(vm_boot(m.vm));
	machine_reset(&m, 0);
	expect_error(&m, "Failed to reboot the VM");
}

static void test_a_reset_without_reboot_is_an_end(void **state)
{
	static const char *const options[] = {"no-reboot", NULL, NULL};
	struct machine m;

	machine_create(&m, 2, options);
	assert_ok(vm_boot(m.vm));
	machine_reset(&m, 1);
	machine_expect_end(&m, VM_END_RESET);
	assert_int_equal(hv_fake_resets(m.vcpus[0]), 0);
	machine_free(&m);
}

static void test_an_ignored_power_button_ends_the_vm_in_time(void **state)
{
	static const char *const options[] = {"power-button-timeout", "1", NULL};
	struct machine m;

	machine_create(&m, 1, options);
	assert_ok(vm_boot(m.vm));
	assert_ok(vm_power_button(m.vm));
	assert_ok(vm_power_button(m.vm));
	machine_expect_end(&m, VM_END_STOPPED);
	machine_free(&m);
}

static void test_a_reset_is_no_answer_to_the_power_button(void **state)
{
	static const char *const options[] = {"power-button-timeout", "1", NULL};
	struct machine m;

	machine_create(&m, 2, options);
	assert_ok(vm_boot(m.vm));
	assert_ok(vm_power_button(m.vm));
	machine_reset(&m, 1);
	machine_await_resets(&m, 1, 1);
	machine_expect_end(&m, VM_END_STOPPED);
	machine_free(&m);
}

/* Waits until vCPU 0 finds the power button pressed, and takes that as the guest's driver does. */
static void take_button(struct machine *m)
{
	do {
		hv_fake_push_io(m->vcpus[0], X86_PORT_GED, false, 1, 0);
		usleep(1000);
		assert_false(has_ended(m->vm));
	} while (!hv_fake_last_read(m->vcpus[0]));
	machine_out(m, 0, X86_PORT_GED, 1);
	do {
		hv_fake_push_io(m->vcpus[0], X86_PORT_GED, false, 1, 0);
		usleep(1000);
	} while (hv_fake_last_read(m->vcpus[0]));
}

/* The new guest has not seen it, and may see it only when its driver has come. */
static void test_the_power_button_is_pressed_again_after_a_reset(void **state)
{
	static const char *const options[] = {"power-button-timeout", "2", NULL};
	struct machine m;

	machine_create(&m, 2, options);
	assert_ok(vm_boot(m.vm));
	assert_ok(vm_power_button(m.vm));
	take_button(&m);
	machine_reset(&m, 1);
	machine_await_resets(&m, 1, 1);
	take_button(&m);
	take_button(&m);
	machine_power_off(&m, 0);
	machine_expect_end(&m, VM_END_POWER_OFF);
	machine_free(&m);
	/* What nobody pressed is not pressed again. */
	machine_create(&m, 1, options);
	assert_ok(vm_boot(m.vm));
	machine_reset(&m, 0);
	machine_await_resets(&m, 0, 1);
	hv_fake_push_io(m.vcpus[0], X86_PORT_GED, false, 1, 0);
	machine_power_off(&m, 0);
	machine_expect_end(&m, VM_END_POWER_OFF);
	assert_int_equal(hv_fake_last_read(m.vcpus[0]), 0);
	machine_free(&m);
}

/* ---- Resets ---- */

static void test_a_reset_gives_the_guest_a_new_machine(void **state)
{
	struct hv_fake_msi msi;
	struct machine m;
	uint8_t kernel[TINY_KERNEL_PAGE];

	machine_create(&m, 2, NULL);
	memcpy(kernel, machine_ram(&m, TINY_KERNEL_BASE), sizeof(kernel));
	assert_int_equal(kernel[0], 0xf4);
	assert_ok(vm_boot(m.vm));
	assert_ok(vm_pause(m.vm));
	memset(machine_ram(&m, TINY_KERNEL_BASE), 0xee, sizeof(kernel));
	memset(machine_ram(&m, 0x300000), 0xee, 64);
	/* COM1's interrupt is level-triggered and pending; the scratch register has a value. */
	hv_fake_push_mmio(m.vcpus[0], X86_IOAPIC_BASE, true, 4, 0x10 + 2 * X86_GSI_COM1);
	hv_fake_push_mmio(m.vcpus[0], X86_IOAPIC_BASE + 0x10, true, 4, 0x8000 | 0x30);
	machine_out(&m, 0, X86_PORT_COM1 + 7, 0x5a);
	machine_out(&m, 0, X86_PORT_COM1 + 1, 2);
	assert_ok(vm_resume(m.vm));
	while (!hv_fake_messages(m.hv, NULL, 0))
		sched_yield();
	assert_true(hv_fake_ioapic_route(m.hv, X86_GSI_COM1, &msi));
	machine_reset(&m, 1);
	machine_await_resets(&m, 1, 1);
	hv_fake_push_io(m.vcpus[1], X86_PORT_COM1 + 7, false, 1, 0);
	hv_fake_push_io(m.vcpus[1], X86_PORT_COM1 + 1, false, 1, 0);
	machine_power_off(&m, 1);
	machine_expect_end(&m, VM_END_POWER_OFF);
	assert_int_equal(hv_fake_resets(m.vcpus[0]), 1);
	assert_int_equal(hv_fake_resets(m.vcpus[1]), 1);
	assert_memory_equal(machine_ram(&m, TINY_KERNEL_BASE), kernel, sizeof(kernel));
	assert_int_equal(*machine_ram(&m, 0x300000), 0);
	assert_false(hv_fake_ioapic_route(m.hv, X86_GSI_COM1, &msi));
	assert_int_equal(hv_fake_last_read(m.vcpus[1]) & 0xff, 0);
	machine_free(&m);
}

/*
 * In an access of vCPU 1: vCPU 0 asks for a reset, and the control thread waits for vCPU 1. (If it
 * does not yet, the test proves less, but does not fail.)
 */
static void let_vcpu_0_reset(struct machine *m)
{
	machine_reset(m, 0);
	while (!m->resets)
		sched_yield();
	usleep(10000);
}

static void reset_late(struct machine *m, struct board *board)
{
	let_vcpu_0_reset(m);
	board_system_event(board, HV_SYSTEM_RESET);
}

static void power_off_late(struct machine *m, struct board *board)
{
	let_vcpu_0_reset(m);
	board_system_event(board, HV_SYSTEM_OFF);
}

static void test_a_reset_answers_those_that_come_while_it_stops_the_vcpus(void **state)
{
	struct machine m;

	machine_create(&m, 3, NULL);
	m.slow = reset_late;
	machine_exit(&m, 1, HV_EXIT_IOAPIC_EOI);
	assert_ok(vm_boot(m.vm));
	machine_await_resets(&m, 2, 1);
	/* What vCPU 1 asked for was queued before this. */
	assert_ok(vm_pause(m.vm));
	assert_int_equal(m.resets, 2);
	assert_int_equal(m.reboots, 1);
	/* The new guest's own resets are done. */
	machine_reset(&m, 2);
	assert_ok(vm_resume(m.vm));
	machine_await_resets(&m, 2, 2);
	machine_free(&m);
}

static void test_an_end_comes_before_a_reset(void **state)
{
	struct machine m;

	machine_create(&m, 3, NULL);
	m.slow = power_off_late;
	machine_exit(&m, 1, HV_EXIT_IOAPIC_EOI);
	assert_ok(vm_boot(m.vm));
	machine_expect_end(&m, VM_END_POWER_OFF);
	assert_int_equal(m.resets, 1);
	assert_int_equal(m.reboots, 0);
	machine_free(&m);
}

static void test_a_guest_may_reset_for_ever(void **state)
{
	struct machine m;

	machine_create(&m, 4, NULL);
	assert_ok(vm_boot(m.vm));
	for (unsigned int i = 1; i <= 100; i++) {
		machine_reset(&m, i % 4);
		machine_await_resets(&m, 3, i);
	}
	assert_int_equal(m.reboots, 100);
	assert_ok(vm_pause(m.vm));
	assert_ok(vm_resume(m.vm));
	vm_stop(m.vm);
	machine_expect_end(&m, VM_END_STOPPED);
	machine_free(&m);
}

static struct thread pauser;

static void pauser_run(struct thread *thread)
{
	assert_ok(vm_pause(machine_now->vm));
}

/* In an access of vCPU 1: the control thread stops the vCPUs for a pause. */
static void reset_while_it_pauses(struct machine *m, struct board *board)
{
	pauser = (struct thread){.name = "pauser", .run = pauser_run};
	assert_ok(thread_start(&pauser));
	usleep(10000);
	board_system_event(board, HV_SYSTEM_RESET);
}

static void test_a_vm_that_reboots_while_it_pauses_stays_paused(void **state)
{
	struct machine m;

	machine_create(&m, 3, NULL);
	m.slow = reset_while_it_pauses;
	machine_exit(&m, 1, HV_EXIT_IOAPIC_EOI);
	assert_ok(vm_boot(m.vm));
	machine_await_resets(&m, 2, 1);
	thread_join(&pauser);
	machine_power_off(&m, 2);
	assert_ok(vm_pause(m.vm)); /* the reset was served before this */
	assert_false(has_ended(m.vm));
	assert_ok(vm_resume(m.vm));
	machine_expect_end(&m, VM_END_POWER_OFF);
	assert_int_equal(m.reboots, 1);
	machine_free(&m);
}

static void test_the_gate_holds_many_vcpus(void **state)
{
	struct machine m;

	machine_create(&m, MACHINE_VCPUS_MAX, NULL);
	assert_ok(vm_boot(m.vm));
	for (unsigned int round = 1; round <= 5; round++) {
		assert_ok(vm_pause(m.vm));
		assert_ok(vm_resume(m.vm));
		machine_reset(&m, round);
		for (unsigned int i = 0; i < MACHINE_VCPUS_MAX; i++)
			machine_await_resets(&m, i, round);
	}
	for (unsigned int i = 0; i < MACHINE_VCPUS_MAX; i++)
		machine_power_off(&m, i);
	machine_expect_end(&m, VM_END_POWER_OFF);
	machine_free(&m);
}

struct resetter {
	struct thread thread;
	struct machine *m;
};

static void resetter_run(struct thread *thread)
{
	struct resetter *r = container_of(thread, struct resetter, thread);

	for (unsigned int i = 0; i < 200; i++)
		machine_reset(r->m, i % 4);
	machine_power_off(r->m, 0);
}

static void test_a_vm_pauses_while_it_reboots(void **state)
{
	struct resetter resetter;
	struct machine m;
	enum vm_end end;
	struct err *err;

	machine_create(&m, 4, NULL);
	resetter = (struct resetter){.m = &m, .thread = {.name = "resetter", .run = resetter_run}};
	assert_ok(vm_boot(m.vm));
	assert_ok(thread_start(&resetter.thread));
	while ((err = vm_wait(m.vm, 0, &end))) {
		err_free(err);
		err_free(vm_pause(m.vm));
		err_free(vm_resume(m.vm));
	}
	assert_int_equal(end, VM_END_POWER_OFF);
	thread_join(&resetter.thread);
	machine_free(&m);
}

/* ---- Callers ---- */

struct caller {
	struct thread thread;
	struct vm *vm;
	unsigned int kind;
	unsigned int booted;
};

static void caller_run(struct thread *thread)
{
	struct caller *c = container_of(thread, struct caller, thread);

	for (int i = 0; i < 50; i++) {
		struct err *err = vm_boot(c->vm);

		c->booted += !err;
		err_free(err);
		err_free(vm_pause(c->vm));
		err_free(vm_power_button(c->vm));
		err_free(vm_resume(c->vm));
	}
	if (c->kind == 0)
		vm_stop(c->vm);
}

static void test_callers_are_safe_against_each_other(void **state)
{
	struct caller callers[4];
	struct machine m;
	unsigned int booted = 0;

	machine_create(&m, 2, NULL);
	for (unsigned int i = 0; i < ARRAY_SIZE(callers); i++) {
		callers[i] = (struct caller){
			.vm = m.vm, .kind = i, .thread = {.name = "caller", .run = caller_run}};
		assert_ok(thread_start(&callers[i].thread));
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(callers); i++) {
		thread_join(&callers[i].thread);
		booted += callers[i].booted;
	}
	assert_int_equal(booted, 1);
	machine_expect_end(&m, VM_END_STOPPED);
	machine_free(&m);
}

/* ---- Creation ---- */

static void test_a_vcpu_that_cannot_be_made_fails_the_creation(void **state)
{
	struct machine m;

	machine_fail_vcpu_create = EMFILE;
	assert_err(machine_try(&m, 4, NULL), "Failed to create vCPU");
	machine_fail_vcpu_create = 0;
	assert_null(m.vm);
	machine_free(&m);
}

static void test_a_disk_that_is_not_there_fails_the_creation(void **state)
{
	static const char *const options[] = {"blk", "path=/nonexistent", NULL};
	struct machine m;

	assert_err(machine_try(&m, 4, options), "/nonexistent");
	machine_free(&m);
}

static void test_crash_kernels_do_not_flood_the_log(void **state)
{
	static const char *const options[] = {"pvpanic", NULL, NULL};
	struct machine m;

	machine_create(&m, 1, options);
	assert_ok(vm_boot(m.vm));
	/* Device 1: memory space on; its register is at the start of BAR 0. */
	hv_fake_push_mmio(m.vcpus[0], X86_ECAM_BASE + 0x8000 + 4, true, 2, 2);
	for (int i = 0; i < 50; i++)
		hv_fake_push_mmio(m.vcpus[0], X86_PCI_MEM32_BASE, true, 1, 2);
	machine_power_off(&m, 0);
	machine_expect_end(&m, VM_END_POWER_OFF);
	assert_in_range(m.crashes, 1, 5);
	machine_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_vm_that_was_not_booted_only_stops),
		cmocka_unit_test(test_a_vm_boots_once),
		cmocka_unit_test(test_a_vm_that_has_ended_takes_no_requests),
		cmocka_unit_test(test_free_is_right_in_every_state),
		cmocka_unit_test(test_a_paused_vm_stands_still_and_goes_on),
		cmocka_unit_test(test_a_guest_is_told_of_a_stopped_process),
		cmocka_unit_test(test_a_paused_vm_can_be_stopped),
		cmocka_unit_test(test_a_watchdog_resets_or_ends_the_vm),
		cmocka_unit_test(test_a_watchdog_pauses_the_vm),
		cmocka_unit_test(test_a_guest_may_end_before_boot_returns),
		cmocka_unit_test(test_a_triple_fault_ends_the_vm),
		cmocka_unit_test(test_events_of_the_hypervisor_end_the_vm),
		cmocka_unit_test(test_nothing_is_written_after_the_end),
		cmocka_unit_test(test_no_input_is_taken_after_the_end),
		cmocka_unit_test(test_an_exit_that_cannot_be_handled_ends_the_vm),
		cmocka_unit_test(test_a_hypervisor_that_fails_ends_the_vm),
		cmocka_unit_test(test_a_guest_that_cannot_be_reset_ends_the_vm),
		cmocka_unit_test(test_a_reset_without_reboot_is_an_end),
		cmocka_unit_test(test_an_ignored_power_button_ends_the_vm_in_time),
		cmocka_unit_test(test_a_reset_is_no_answer_to_the_power_button),
		cmocka_unit_test(test_the_power_button_is_pressed_again_after_a_reset),
		cmocka_unit_test(test_a_reset_gives_the_guest_a_new_machine),
		cmocka_unit_test(test_a_reset_answers_those_that_come_while_it_stops_the_vcpus),
		cmocka_unit_test(test_an_end_comes_before_a_reset),
		cmocka_unit_test(test_a_guest_may_reset_for_ever),
		cmocka_unit_test(test_a_vm_that_reboots_while_it_pauses_stays_paused),
		cmocka_unit_test(test_the_gate_holds_many_vcpus),
		cmocka_unit_test(test_a_vm_pauses_while_it_reboots),
		cmocka_unit_test(test_callers_are_safe_against_each_other),
		cmocka_unit_test(test_a_vcpu_that_cannot_be_made_fails_the_creation),
		cmocka_unit_test(test_a_disk_that_is_not_there_fails_the_creation),
		cmocka_unit_test(test_crash_kernels_do_not_flood_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
