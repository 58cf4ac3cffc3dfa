/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM's public functions: creation and end, and calls to the control thread.
 */
#define LOG_MODULE "vm"
#include "vm/vm.h"

#include <errno.h>
#include <poll.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "vm/vm_internal.h"

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

/* ---- Public functions ---- */

static void vm_init(struct vm *vm)
{
	vm->end_fd = -1;
	vm_control_init(vm);
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

struct err *vm_resize_disk(struct vm *vm, const char *id, uint64_t bytes)
{
	return board_resize_disk(vm->board, id, bytes);
}

void vm_refresh_disks(struct vm *vm)
{
	board_refresh_disks(vm->board);
}

#define VM_NS_PER_MS 1000000ull

static struct err *vm_balloon_error(int ret)
{
	switch (-ret) {
	case 0:
		return NULL;
	case ENODEV:
		return err_new(ENODEV, "The VM has no balloon (--balloon)");
	case ENOTCONN:
		return err_new(ENOTCONN, "The guest has no driver for free page hints");
	default:
		return err_new(-ret, "The guest did not answer in time");
	}
}

struct err *vm_set_balloon(struct vm *vm, uint64_t bytes)
{
	uint64_t size = vm->config.memory.size;

	if (bytes >= size)
		return err_new(EINVAL,
			"A balloon of %llu bytes is all of the guest's %llu bytes of memory",
			(unsigned long long)bytes, (unsigned long long)size);
	return vm_balloon_error(board_set_balloon(vm->board, bytes));
}

struct err *vm_get_balloon(struct vm *vm, unsigned int wait_ms, struct balloon_info *ret_info)
{
	return vm_balloon_error(board_get_balloon(vm->board, wait_ms * VM_NS_PER_MS, ret_info));
}

struct err *vm_hint_balloon(struct vm *vm, unsigned int wait_ms, uint64_t *ret_bytes)
{
	return vm_balloon_error(board_hint_balloon(vm->board, wait_ms * VM_NS_PER_MS, ret_bytes));
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

void vm_continued(struct vm *vm)
{
	board_take_terminal(vm->board);
	loop_post(vm->loop, &vm->requests[VM_REQUEST_CONTINUED]);
}

void vm_terminal_resized(struct vm *vm)
{
	board_terminal_resized(vm->board);
}

void vm_restore_terminal(const struct vm *vm)
{
	board_restore_terminal(vm->board);
}
