/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM's state machine (vm.h has the states): what the guest, the console and the vCPU threads
 * ask for, and the control thread that serves it.
 */
#define LOG_MODULE "vm"
#include "vm/vm_internal.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/fd.h"

/* ---- Requests of the guest, the console and the vCPU threads ---- */

/* Asks for the end; the first reason wins. Takes err. [any] */
static void vm_request_end(struct vm *vm, enum vm_end end, struct err *err)
{
	with_lock (&vm->lock) {
		if (!vm->end_wanted) {
			vm->end_wanted = true;
			vm->end = end;
			vm->end_err = steal_ptr(&err);
		}
	}
	log_err_free(LOG_ERROR, LOG_MODULE, err);
	vcpus_close(vm->vcpus);
	loop_post(vm->loop, &vm->requests[VM_REQUEST_END]);
}

static void vm_request_reset(struct vm *vm)
{
	with_lock (&vm->lock)
		vm->reset_wanted = true;
	vcpus_close(vm->vcpus);
	loop_post(vm->loop, &vm->requests[VM_REQUEST_RESET]);
}

/* A guest stops at most of its events, but may go on telling of crash kernels. */
static void vm_log_event(struct vm *vm, enum machine_event event, const char *source)
{
	unsigned int dropped = 0;
	bool pass;

	with_lock (&vm->lock)
		pass = event != MACHINE_CRASH_LOADED || log_limit_pass(&vm->crash_limit, &dropped);
	if (pass)
		log_info("%s, by %s", machine_event_name(event), source);
}

static void vm_on_machine_event(
	struct machine_events *events, enum machine_event event, const char *source)
{
	struct vm *vm = container_of(events, struct vm, machine_events);

	vm_log_event(vm, event, source);
	switch (event) {
	case MACHINE_RESET:
		vm_request_reset(vm);
		break;
	case MACHINE_POWER_OFF:
		vm_request_end(vm, VM_END_POWER_OFF, NULL);
		break;
	case MACHINE_PANIC:
		vm_request_end(vm, VM_END_PANIC, NULL);
		break;
	case MACHINE_EXPIRED:
		vm_request_end(vm, VM_END_WATCHDOG, NULL);
		break;
	case MACHINE_PAUSE:
		loop_post(vm->loop, &vm->requests[VM_REQUEST_PAUSE]);
		break;
	case MACHINE_CRASH_LOADED:
		break;
	}
}

static void vm_on_vcpu_failed(struct vcpus_events *events, struct err *err)
{
	vm_request_end(container_of(events, struct vm, vcpus_events), VM_END_ERROR, err);
}

static void vm_on_triple_fault(struct vcpus_events *events)
{
	vm_request_end(container_of(events, struct vm, vcpus_events), VM_END_TRIPLE_FAULT, NULL);
}

static void vm_on_console_quit(struct console_events *events)
{
	vm_request_end(container_of(events, struct vm, console_events), VM_END_CONSOLE, NULL);
}

static void vm_on_button_timeout(struct loop_timer *timer)
{
	struct vm *vm = container_of(timer, struct vm, button_timer);

	log_warn("The guest did not power off in time");
	vm_request_end(vm, VM_END_STOPPED, NULL);
}

static void vm_on_press(struct loop_timer *timer)
{
	board_power_button(container_of(timer, struct vm, press_timer)->board);
}

/* ---- Control thread ---- */

static void vm_finish(struct vm *vm)
{
	if (vm->state == VM_ENDED)
		return;
	loop_timer_cancel(&vm->button_timer);
	loop_timer_cancel(&vm->press_timer);
	vcpus_settle(vm->vcpus);
	board_quiesce(vm->board);
	board_close_consoles(vm->board);
	vm->state = VM_ENDED;
	fd_eventfd_signal(vm->end_fd);
}

static void vm_serve_end(struct loop_msg *msg)
{
	vm_finish(container_of(msg, struct vm, requests[VM_REQUEST_END]));
}

static struct err *vm_start_payload(struct vm *vm)
{
	struct err *err = board_load(vm->board);

	for (unsigned int i = 0; !err && i < vcpus_count(vm->vcpus); i++)
		err = board_init_vcpu(vm->board, i, vcpus_hv(vm->vcpus, i));
	return err;
}

void vm_open_gate(struct vm *vm)
{
	bool open = false;

	/* Nobody asks meanwhile: every vCPU is at the gate, and ends from outside come by this
	 * thread. */
	with_lock (&vm->lock)
		open = !vm->end_wanted && !vm->reset_wanted;
	if (open)
		vcpus_open(vm->vcpus);
}

/*
 * The time after a pressed power button runs on: it is for a power-off, and a guest that resets
 * instead, perhaps for ever, has not done that. The new guest has not seen the press: it gets one
 * that it finds at its start, and one halfway to the end, as its driver for the button may come
 * later.
 */
static void vm_press_again(struct vm *vm)
{
	uint64_t now = loop_now_ns();
	uint64_t end = vm->button_timer.deadline_ns;

	if (!vm->button_timer.loop)
		return;
	board_power_button(vm->board);
	loop_timer_set(vm->loop, &vm->press_timer, end > now ? (end - now) / 2 : 0);
}

/* All vCPUs are at the gate. */
static struct err *vm_reboot(struct vm *vm)
{
	struct err *err;

	board_quiesce(vm->board);
	err = board_reset(vm->board);
	vm_press_again(vm);
	for (unsigned int i = 0; !err && i < vcpus_count(vm->vcpus); i++)
		err = hv_vcpu_reset(vcpus_hv(vm->vcpus, i));
	if (!err)
		err = vm_start_payload(vm);
	return err_wrap(err, "Failed to reboot the VM");
}

static bool vm_wants_reset(struct vm *vm)
{
	auto_lock(&vm->lock);
	return vm->reset_wanted && !vm->end_wanted;
}

/*
 * Stops all vCPUs; true if a reset is to be done. One reset answers those of all vCPUs, also those
 * that came after its message was taken: the guest that asked is gone with it. An end that one vCPU
 * wanted meanwhile comes first.
 */
static bool vm_settle_for_reset(struct vm *vm)
{
	if (vm->state == VM_ENDED || !vm_wants_reset(vm))
		return false;
	vcpus_settle(vm->vcpus);
	auto_lock(&vm->lock);
	vm->reset_wanted = false;
	return !vm->end_wanted;
}

static void vm_serve_reset(struct loop_msg *msg)
{
	struct vm *vm = container_of(msg, struct vm, requests[VM_REQUEST_RESET]);
	struct err *err;

	if (!vm_settle_for_reset(vm))
		return;
	if (vm->config.no_reboot) {
		vm_request_end(vm, VM_END_RESET, NULL);
		return;
	}
	log_info("The guest resets the machine");
	err = vm_reboot(vm);
	if (err) {
		vm_request_end(vm, VM_END_ERROR, err);
		return;
	}
	if (vm->state == VM_RUNNING)
		vm_open_gate(vm);
}

static void vm_control_main(struct thread *thread)
{
	struct vm *vm = container_of(thread, struct vm, control);

	loop_run(vm->loop);
}

struct err *vm_do_pause(struct vm *vm)
{
	if (vm->state == VM_ENDED)
		return err_new(EINVAL, "The VM has ended");
	if (vm->state == VM_RUNNING) {
		vcpus_settle(vm->vcpus);
		board_quiesce(vm->board);
		vm->state = VM_PAUSED;
	}
	return NULL;
}

static void vm_serve_pause(struct loop_msg *msg)
{
	err_free(vm_do_pause(container_of(msg, struct vm, requests[VM_REQUEST_PAUSE])));
}

static void vm_tell_clocks_paused(struct vm *vm)
{
	for (unsigned int i = 0; i < vcpus_count(vm->vcpus); i++)
		hv_vcpu_clock_paused(vcpus_hv(vm->vcpus, i));
}

/* Whatever its threads were at when the process was stopped, no vCPU ran since. */
static void vm_serve_continued(struct loop_msg *msg)
{
	struct vm *vm = container_of(msg, struct vm, requests[VM_REQUEST_CONTINUED]);

	if (vm->state != VM_RUNNING)
		return;
	vcpus_settle(vm->vcpus);
	vm_tell_clocks_paused(vm);
	vm_open_gate(vm);
}

struct err *vm_do_resume(struct vm *vm)
{
	if (vm->state == VM_ENDED)
		return err_new(EINVAL, "The VM has ended");
	if (vm->state != VM_PAUSED)
		return NULL;
	vm_tell_clocks_paused(vm);
	board_resume(vm->board);
	vm->state = VM_RUNNING;
	vm_open_gate(vm);
	return NULL;
}

struct err *vm_do_power_button(struct vm *vm)
{
	if (vm->state == VM_ENDED)
		return err_new(EINVAL, "The VM has ended");
	board_power_button(vm->board);
	if (vm->config.power_button_timeout && !vm->button_timer.loop)
		loop_timer_set(vm->loop, &vm->button_timer,
			(uint64_t)vm->config.power_button_timeout * 1000000000ULL);
	return NULL;
}

struct err *vm_do_stop(struct vm *vm)
{
	vm_request_end(vm, VM_END_STOPPED, NULL);
	vm_finish(vm);
	return NULL;
}

void vm_control_init(struct vm *vm)
{
	vm->control.name = "vm-control";
	vm->control.run = vm_control_main;
	vm->machine_events.report = vm_on_machine_event;
	vm->console_events.quit = vm_on_console_quit;
	vm->vcpus_events.failed = vm_on_vcpu_failed;
	vm->vcpus_events.triple_fault = vm_on_triple_fault;
	vm->requests[VM_REQUEST_RESET].run = vm_serve_reset;
	vm->requests[VM_REQUEST_END].run = vm_serve_end;
	vm->requests[VM_REQUEST_PAUSE].run = vm_serve_pause;
	vm->requests[VM_REQUEST_CONTINUED].run = vm_serve_continued;
	vm->button_timer.fired = vm_on_button_timeout;
	vm->press_timer.fired = vm_on_press;
}
