/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM's state machine. See vm.h for the states and the threads.
 */
#define LOG_MODULE "vm"
#include "vm/vm.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/thread.h"
#include "board/board.h"
#include "config/vm_config.h"
#include "device/console.h"
#include "device/machine_events.h"
#include "event/loop.h"
#include "vm/vcpus.h"

enum vm_state { VM_CREATED, VM_RUNNING, VM_PAUSED, VM_ENDED };

/* What the guest asks for; each has its own message, as they may come together. */
enum vm_request { VM_REQUEST_RESET, VM_REQUEST_END, VM_REQUEST_COUNT };

struct vm {
	struct vm_config config;
	struct board *board;
	struct vcpus *vcpus;
	struct loop *loop;
	struct thread control;
	struct machine_events machine_events;
	struct console_events console_events;
	struct vcpus_events vcpus_events;
	struct loop_msg requests[VM_REQUEST_COUNT];
	struct loop_timer button_timer; /* a pressed power button that the guest ignores */
	int end_fd;

	pthread_mutex_t boot_lock; /* guards control.started; lock order 10 */
	enum vm_state state;       /* control thread; before it was started: boot_lock */

	pthread_mutex_t lock; /* guards what follows; lock order 85 */
	bool reset_wanted;    /* by the guest that is in RAM now */
	bool end_wanted;      /* first reason to end wins, and an end over a reset */
	enum vm_end end;
	struct err *end_err;
	struct log_limit crash_limit;
};

/* A call of a public function, served on the control thread. */
struct vm_call {
	struct loop_msg msg;
	struct vm *vm;
	struct err *(*fn)(struct vm *vm);
	struct err *err;
};

static void vm_call_run(struct loop_msg *msg)
{
	struct vm_call *call = container_of(msg, struct vm_call, msg);

	call->err = call->fn(call->vm);
}

static bool vm_was_booted(struct vm *vm)
{
	auto_lock(&vm->boot_lock);
	return vm->control.started;
}

static struct err *vm_call(struct vm *vm, struct err *(*fn)(struct vm *vm))
{
	struct vm_call call = {.msg.run = vm_call_run, .vm = vm, .fn = fn};

	if (!vm_was_booted(vm))
		return err_new(EINVAL, "The VM was not booted yet");
	loop_call(vm->loop, &call.msg);
	return call.err;
}

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

/* ---- Control thread ---- */

static void vm_finish(struct vm *vm)
{
	if (vm->state == VM_ENDED)
		return;
	loop_timer_cancel(&vm->button_timer);
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

/* Lets the guest run, unless it has asked for its end or for a reset that is still to come. */
static void vm_open_gate(struct vm *vm)
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
 * All vCPUs are at the gate. The time after a pressed power button runs on: it is for a power-off,
 * and a guest that resets instead, perhaps for ever, has not done that.
 */
static struct err *vm_reboot(struct vm *vm)
{
	struct err *err;

	board_quiesce(vm->board);
	err = board_reset(vm->board);
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

static struct err *vm_do_pause(struct vm *vm)
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

static struct err *vm_do_resume(struct vm *vm)
{
	if (vm->state == VM_ENDED)
		return err_new(EINVAL, "The VM has ended");
	if (vm->state != VM_PAUSED)
		return NULL;
	for (unsigned int i = 0; i < vcpus_count(vm->vcpus); i++)
		hv_vcpu_clock_paused(vcpus_hv(vm->vcpus, i));
	board_resume(vm->board);
	vm->state = VM_RUNNING;
	vm_open_gate(vm);
	return NULL;
}

static struct err *vm_do_power_button(struct vm *vm)
{
	if (vm->state == VM_ENDED)
		return err_new(EINVAL, "The VM has ended");
	board_power_button(vm->board);
	if (vm->config.power_button_timeout && !vm->button_timer.loop)
		loop_timer_set(vm->loop, &vm->button_timer,
			(uint64_t)vm->config.power_button_timeout * 1000000000ULL);
	return NULL;
}

/* ---- Public functions ---- */

static void vm_init(struct vm *vm)
{
	vm->end_fd = -1;
	vm->control.name = "vm-control";
	vm->control.run = vm_control_main;
	vm->machine_events.report = vm_on_machine_event;
	vm->console_events.quit = vm_on_console_quit;
	vm->vcpus_events.failed = vm_on_vcpu_failed;
	vm->vcpus_events.triple_fault = vm_on_triple_fault;
	vm->requests[VM_REQUEST_RESET].run = vm_serve_reset;
	vm->requests[VM_REQUEST_END].run = vm_serve_end;
	vm->button_timer.fired = vm_on_button_timeout;
	pthread_mutex_init(&vm->boot_lock, NULL);
	pthread_mutex_init(&vm->lock, NULL);
}

static struct err *vm_build(struct vm *vm)
{
	struct board_env env = {
		.config = &vm->config,
		.events = &vm->machine_events,
		.console_events = &vm->console_events,
	};
	struct err *err;

	vm->end_fd = fd_eventfd();
	if (vm->end_fd < 0)
		return err_new(-vm->end_fd, "Cannot create an eventfd");
	err = loop_create(&vm->loop);
	env.loop = vm->loop;
	if (!err)
		err = board_create(&env, &vm->board);
	/* From here on the vCPUs are being created while this thread makes devices and loads the
	 * kernel. */
	if (!err)
		err = vcpus_create(vm->board, vm->config.cpu.count, &vm->vcpus_events, &vm->vcpus);
	if (!err)
		err = board_populate(vm->board);
	if (!err)
		err = board_load(vm->board);
	if (!err)
		err = vcpus_await(vm->vcpus);
	for (unsigned int i = 0; !err && i < vm->config.cpu.count; i++)
		err = board_init_vcpu(vm->board, i, vcpus_hv(vm->vcpus, i));
	return err;
}

/* All but the configuration; also of a VM that was built half way. */
static void vm_deinit(struct vm *vm)
{
	if (vm->control.started) {
		vm_stop(vm);
		loop_stop(vm->loop);
		thread_join(&vm->control);
	}
	vcpus_free(vm->vcpus);
	board_free(vm->board);
	loop_free(vm->loop);
	auto_close_cleanup(&vm->end_fd);
	err_free(vm->end_err);
	pthread_mutex_destroy(&vm->lock);
	pthread_mutex_destroy(&vm->boot_lock);
}

struct err *vm_create(struct vm_config *config, struct vm **ret_vm)
{
	struct vm *vm = new0(struct vm);
	struct err *err = vm ? vm_config_validate(config) : err_new(ENOMEM, "Cannot create a VM");

	if (err) {
		free(vm);
		return err;
	}
	vm_init(vm);
	vm->config = *config;
	err = vm_build(vm);
	if (err) {
		vm_deinit(vm);
		free(vm);
		return err;
	}
	*config = (struct vm_config){0};
	*ret_vm = vm;
	return NULL;
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	vm_deinit(vm);
	vm_config_deinit(&vm->config);
	free(vm);
}

struct err *vm_boot(struct vm *vm)
{
	struct err *err;

	auto_lock(&vm->boot_lock);
	if (vm->control.started)
		return err_new(EINVAL, "The VM was booted before");
	if (vm->state == VM_ENDED)
		return err_new(EINVAL, "The VM has ended");
	vm->state = VM_RUNNING;
	/* The guest first: what it sends to the control thread waits in the queue. */
	vm_open_gate(vm);
	err = thread_start(&vm->control);
	if (err) {
		vcpus_settle(vm->vcpus);
		vm->state = VM_CREATED;
	}
	return err;
}

struct err *vm_pause(struct vm *vm)
{
	return vm_call(vm, vm_do_pause);
}

struct err *vm_resume(struct vm *vm)
{
	return vm_call(vm, vm_do_resume);
}

struct err *vm_power_button(struct vm *vm)
{
	return vm_call(vm, vm_do_power_button);
}

static struct err *vm_do_stop(struct vm *vm)
{
	vm_request_end(vm, VM_END_STOPPED, NULL);
	vm_finish(vm);
	return NULL;
}

/* Without a control thread there is nothing to wait for. */
static bool vm_stop_before_boot(struct vm *vm)
{
	auto_lock(&vm->boot_lock);
	if (vm->control.started)
		return false;
	err_free(vm_do_stop(vm));
	return true;
}

void vm_stop(struct vm *vm)
{
	if (!vm_stop_before_boot(vm))
		err_free(vm_call(vm, vm_do_stop));
}

/* poll() for one descriptor, with what is left of the time when a signal interrupts it. */
static int vm_poll(struct pollfd *pfd, int timeout_ms)
{
	uint64_t start = loop_now_ns();
	int left = timeout_ms;
	int n;

	while ((n = poll(pfd, 1, left)) < 0 && errno == EINTR) {
		uint64_t gone = (loop_now_ns() - start) / 1000000;

		if (timeout_ms > 0)
			left = timeout_ms - (int)MIN(gone, (uint64_t)timeout_ms);
	}
	return n;
}

struct err *vm_wait(struct vm *vm, int timeout_ms, enum vm_end *ret_end)
{
	struct pollfd pfd = {.fd = vm->end_fd, .events = POLLIN};
	int n = vm_poll(&pfd, timeout_ms);

	if (n < 0)
		return err_new(errno, "Cannot wait for the VM");
	if (!n)
		return err_new(ETIMEDOUT, "The VM still runs");
	auto_lock(&vm->lock);
	*ret_end = vm->end;
	return steal_ptr(&vm->end_err);
}

int vm_end_fd(const struct vm *vm)
{
	return vm->end_fd;
}

void vm_take_terminal(struct vm *vm)
{
	board_take_terminal(vm->board);
}

void vm_restore_terminal(const struct vm *vm)
{
	board_restore_terminal(vm->board);
}
