/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the public functions (vm.c) and the control thread (vm_control.c) share.
 */
#pragma once

#include <pthread.h>

#include "base/log.h"
#include "base/thread.h"
#include "board/board.h"
#include "config/vm_config.h"
#include "device/console.h"
#include "device/machine_events.h"
#include "event/loop.h"
#include "vm/vcpus.h"
#include "vm/vm.h"

enum vm_state { VM_CREATED, VM_RUNNING, VM_PAUSED, VM_ENDED };

/* What the guest asks for, and that the process was continued; each has its own message, as they
 * may come together. */
enum vm_request {
	VM_REQUEST_RESET,
	VM_REQUEST_END,
	VM_REQUEST_PAUSE,
	VM_REQUEST_CONTINUED,
	VM_REQUEST_COUNT
};

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
	struct loop_timer press_timer;  /* presses it again, after a reset */
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

/* Sets the callbacks and messages of the control thread; it is not started. [any] */
void vm_control_init(struct vm *vm);

/* Lets the guest run, unless it has asked for its end or for a reset that is still to come.
 * [control; before it was started: any, under boot_lock] */
void vm_open_gate(struct vm *vm);

/* The public functions of these names, on the control thread. The caller owns the error: EINVAL
 * after the end. vm_do_stop() has none, and may run under boot_lock before the thread was started.
 * [control] */
struct err *vm_do_pause(struct vm *vm);
struct err *vm_do_resume(struct vm *vm);
struct err *vm_do_power_button(struct vm *vm);
struct err *vm_do_stop(struct vm *vm);
