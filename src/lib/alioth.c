/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libalioth: include/alioth.h over vm/. Converts types, binds the calling thread to the VM's log
 * for the time of the call, and holds nothing else.
 */
#include "alioth.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "config/vm_config.h"
#include "vm/vm.h"

/* The public error is the internal chain under another name: see error_out() and error_in(). */

struct alioth_spec {
	struct vm_config_builder builder;
};

struct alioth_vm {
	struct log_sink sink;
	struct alioth_log callback;
	struct log *log; /* NULL: no logs */
	struct vm *vm;
};

_Static_assert((int)ALIOTH_LOG_ERROR == (int)LOG_ERROR && (int)ALIOTH_LOG_TRACE == (int)LOG_TRACE,
	"log levels are handed through");
_Static_assert((int)ALIOTH_END_POWER_OFF == (int)VM_END_POWER_OFF &&
		       (int)ALIOTH_END_CONSOLE == (int)VM_END_CONSOLE,
	"causes are handed through");

static struct alioth_error *error_out(struct err *err)
{
	return (struct alioth_error *)(void *)err;
}

static struct err *error_in(struct alioth_error *error)
{
	return (struct err *)(void *)error;
}

static const struct err *error_in_const(const struct alioth_error *error)
{
	return (const struct err *)(const void *)error;
}

const char *alioth_version(void)
{
	return ALIOTH_VERSION;
}

unsigned int alioth_api_version(void)
{
	return ALIOTH_API_VERSION;
}

int alioth_error_code(const struct alioth_error *error)
{
	return err_code(error_in_const(error));
}

const char *alioth_error_text(const struct alioth_error *error)
{
	return err_text(error_in_const(error));
}

int alioth_error_get_frame(
	const struct alioth_error *error, unsigned int index, struct alioth_error_frame *ret_frame)
{
	return err_frame(
		error_in_const(error), index, &ret_frame->text, &ret_frame->file, &ret_frame->line);
}

char *alioth_error_format(const struct alioth_error *error)
{
	return err_format(error_in_const(error));
}

void alioth_error_free(struct alioth_error *error)
{
	err_free(error_in(error));
}

/* ---- Specification ---- */

struct alioth_spec *alioth_spec_create(void)
{
	return new0(struct alioth_spec);
}

void alioth_spec_free(struct alioth_spec *spec)
{
	if (!spec)
		return;
	vm_config_builder_deinit(&spec->builder);
	free(spec);
}

struct alioth_error *alioth_spec_set(
	struct alioth_spec *spec, const char *option, const char *value)
{
	return error_out(vm_config_set(&spec->builder, option, value));
}

struct alioth_error *alioth_spec_set_json(struct alioth_spec *spec, const char *json)
{
	return error_out(vm_config_set_json(&spec->builder, json));
}

struct alioth_error *alioth_spec_check(struct alioth_spec *spec)
{
	return error_out(vm_config_check(&spec->builder));
}

/* ---- Virtual machines ---- */

static void alioth_log_write(
	struct log_sink *sink, enum log_level level, const char *module, const char *text)
{
	const struct alioth_vm *vm = container_of(sink, struct alioth_vm, sink);

	vm->callback.write(vm->callback.data, (enum alioth_log_level)level, module, text);
}

static struct err *alioth_vm_open_log(struct alioth_vm *vm, const struct alioth_log *log)
{
	if (!log)
		return NULL;
	if (log->size < sizeof(*log) || !log->write)
		return err_new(EINVAL, "struct alioth_log is not filled in");
	vm->callback = *log;
	vm->sink.write = alioth_log_write;
	return log_create(log->spec, &vm->sink, &vm->log);
}

static struct err *alioth_vm_build(
	struct alioth_vm *vm, struct alioth_spec *spec, const struct alioth_log *log)
{
	struct vm_config config;
	struct log *before;
	struct err *err = alioth_vm_open_log(vm, log);

	if (err)
		return err;
	err = vm_config_finish(&spec->builder, &config);
	if (err)
		return err;
	before = log_bind(vm->log);
	err = vm_create(&config, &vm->vm);
	log_bind(before);
	vm_config_deinit(&config);
	return err;
}

struct alioth_error *alioth_vm_create(
	struct alioth_spec *spec, const struct alioth_log *log, struct alioth_vm **ret_vm)
{
	struct alioth_vm *vm = new0(struct alioth_vm);
	struct err *err =
		vm ? alioth_vm_build(vm, spec, log) : err_new(ENOMEM, "Cannot create a VM");

	if (err) {
		alioth_vm_free(vm);
		return error_out(err);
	}
	*ret_vm = vm;
	return NULL;
}

void alioth_vm_free(struct alioth_vm *vm)
{
	struct log *before;

	if (!vm)
		return;
	before = log_bind(vm->log);
	vm_free(vm->vm);
	log_bind(before == vm->log ? NULL : before);
	log_free(vm->log);
	free(vm);
}

/* Calls a function of vm/ with the VM's log bound. */
static struct alioth_error *alioth_vm_call(struct alioth_vm *vm, struct err *(*fn)(struct vm *vm))
{
	struct log *before = log_bind(vm->log);
	struct err *err = fn(vm->vm);

	log_bind(before);
	return error_out(err);
}

struct alioth_error *alioth_vm_boot(struct alioth_vm *vm)
{
	return alioth_vm_call(vm, vm_boot);
}

struct alioth_error *alioth_vm_pause(struct alioth_vm *vm)
{
	return alioth_vm_call(vm, vm_pause);
}

struct alioth_error *alioth_vm_resume(struct alioth_vm *vm)
{
	return alioth_vm_call(vm, vm_resume);
}

struct alioth_error *alioth_vm_power_button(struct alioth_vm *vm)
{
	return alioth_vm_call(vm, vm_power_button);
}

void alioth_vm_stop(struct alioth_vm *vm)
{
	struct log *before = log_bind(vm->log);

	vm_stop(vm->vm);
	log_bind(before);
}

struct alioth_error *alioth_vm_wait(
	struct alioth_vm *vm, int timeout_ms, enum alioth_end_cause *ret_end)
{
	enum vm_end end;
	struct err *err = vm_wait(vm->vm, timeout_ms, &end);

	if (err_code(err) != ETIMEDOUT)
		*ret_end = (enum alioth_end_cause)end;
	return error_out(err);
}

int alioth_vm_end_fd(const struct alioth_vm *vm)
{
	return vm_end_fd(vm->vm);
}

void alioth_vm_restore_terminal(const struct alioth_vm *vm)
{
	vm_restore_terminal(vm->vm);
}
