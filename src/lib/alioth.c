/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libalioth: include/alioth.h over vm/. Converts types, binds the calling thread to the VM's log
 * for the time of the call, and holds nothing else.
 */
#include "alioth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "config/vm_config.h"
#include "vm/vm.h"

/* The public error is the internal chain under another name: see error_out() and error_in(). */

struct alioth_spec {
	struct vm_config_builder builder;
	bool failed; /* an option was refused, perhaps half way */
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
		       (int)ALIOTH_END_WATCHDOG == (int)VM_END_WATCHDOG,
	"causes are handed through");

static struct alioth_error *error_out(struct err *err)
{
	return (struct alioth_error *)(void *)err;
}

static struct err *error_in(struct alioth_error *error)
{
	return (struct err *)(void *)error;
}

/* What the API's functions were handed, other than where it says that NULL is fine. */
static struct alioth_error *error_null(void)
{
	return error_out(err_new(EINVAL, "A required argument is NULL"));
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
	struct alioth_error_frame frame;

	if (!err_frame(error_in_const(error), index, &frame.text, &frame.file, &frame.line))
		return 0;
	if (ret_frame)
		*ret_frame = frame;
	return 1;
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

/* A refused option may have left a part of it behind: nothing more is made of such a specification.
 */
static struct err *spec_check_usable(const struct alioth_spec *spec)
{
	return spec->failed ? err_new(EINVAL, "An option of the specification was refused before")
			    : NULL;
}

struct alioth_error *alioth_spec_set(
	struct alioth_spec *spec, const char *option, const char *value)
{
	struct err *err;

	if (!spec || !option)
		return error_null();
	err = spec_check_usable(spec);
	if (!err)
		err = vm_config_set(&spec->builder, option, value);
	spec->failed = err;
	return error_out(err);
}

struct alioth_error *alioth_spec_set_json(struct alioth_spec *spec, const char *json)
{
	struct err *err;

	if (!spec || !json)
		return error_null();
	err = spec_check_usable(spec);
	if (!err)
		err = vm_config_set_json(&spec->builder, json);
	spec->failed = err;
	return error_out(err);
}

struct alioth_error *alioth_spec_check(struct alioth_spec *spec)
{
	struct err *err;

	if (!spec)
		return error_null();
	err = spec_check_usable(spec);
	return error_out(err ? err : vm_config_check(&spec->builder));
}

/* ---- Virtual machines ---- */

static void alioth_log_write(
	struct log_sink *sink, enum log_level level, const char *module, const char *text)
{
	const struct alioth_vm *vm = container_of(sink, struct alioth_vm, sink);

	vm->callback.write(vm->callback.data, (enum alioth_log_level)level, module, text);
}

/* The struct of API version 1 ended here. */
#define ALIOTH_LOG_SIZE_1 (offsetof(struct alioth_log, data) + sizeof(void *))

/*
 * A caller that was built with another alioth.h has a shorter or a longer struct. What a shorter
 * one lacks is 0, "not set"; of a longer one this library knows nothing, so that must be 0.
 */
static struct err *alioth_log_copy(const struct alioth_log *log, struct alioth_log *ret_log)
{
	const unsigned char *bytes = (const unsigned char *)log;

	if (log->size < ALIOTH_LOG_SIZE_1 || !log->write)
		return err_new(EINVAL, "struct alioth_log is not filled in");
	for (size_t i = sizeof(*log); i < log->size; i++) {
		if (bytes[i])
			return err_new(E2BIG, "struct alioth_log is of a newer libalioth");
	}
	*ret_log = (struct alioth_log){0};
	memcpy(ret_log, log, MIN(log->size, sizeof(*log)));
	return NULL;
}

static struct err *alioth_vm_open_log(struct alioth_vm *vm, const struct alioth_log *log)
{
	struct err *err = log ? alioth_log_copy(log, &vm->callback) : NULL;

	if (!log || err)
		return err;
	vm->sink.write = alioth_log_write;
	return log_create(vm->callback.spec, &vm->sink, &vm->log);
}

static struct err *alioth_vm_build(
	struct alioth_vm *vm, struct alioth_spec *spec, const struct alioth_log *log)
{
	struct vm_config config;
	struct log *before;
	struct err *err = spec_check_usable(spec);

	if (!err)
		err = alioth_vm_open_log(vm, log);
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
	struct alioth_vm *vm = NULL;
	struct err *err;

	if (!spec || !ret_vm)
		return error_null();
	vm = new0(struct alioth_vm);
	err = vm ? alioth_vm_build(vm, spec, log) : err_new(ENOMEM, "Cannot create a VM");

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
	struct log *before;
	struct err *err;

	if (!vm)
		return error_null();
	before = log_bind(vm->log);
	err = fn(vm->vm);
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

/* ---- Disks ---- */

struct alioth_error *alioth_vm_resize_disk(struct alioth_vm *vm, const char *id, uint64_t bytes)
{
	struct log *before;
	struct err *err;

	if (!vm || !id)
		return error_null();
	before = log_bind(vm->log);
	err = vm_resize_disk(vm->vm, id, bytes);
	log_bind(before);
	return error_out(err);
}

void alioth_vm_refresh_disks(struct alioth_vm *vm)
{
	struct log *before;

	if (!vm)
		return;
	before = log_bind(vm->log);
	vm_refresh_disks(vm->vm);
	log_bind(before);
}

/* ---- Balloon ---- */

_Static_assert(
	(int)ALIOTH_BALLOON_STATISTICS == BALLOON_STATISTICS, "statistics are handed through");

struct alioth_error *alioth_vm_set_balloon(struct alioth_vm *vm, uint64_t bytes)
{
	return vm ? error_out(vm_set_balloon(vm->vm, bytes)) : error_null();
}

/* The struct of API version 2. */
#define ALIOTH_BALLOON_SIZE_2 sizeof(struct alioth_balloon)

struct alioth_error *alioth_vm_get_balloon(
	struct alioth_vm *vm, unsigned int wait_ms, struct alioth_balloon *ret_balloon)
{
	struct balloon_info info;
	struct err *err;

	if (!vm || !ret_balloon)
		return error_null();
	if (ret_balloon->size < ALIOTH_BALLOON_SIZE_2)
		return error_out(err_new(EINVAL, "struct alioth_balloon has no size"));
	err = vm_get_balloon(vm->vm, wait_ms, &info);
	if (err)
		return error_out(err);
	ret_balloon->target = info.target;
	ret_balloon->actual = info.actual;
	ret_balloon->returned = info.returned;
	ret_balloon->statistics_age_ms =
		info.age_ns == UINT64_MAX ? UINT64_MAX : info.age_ns / 1000000;
	for (unsigned int i = 0; i < ALIOTH_BALLOON_STATISTICS; i++)
		ret_balloon->statistics[i] =
			info.age_ns == UINT64_MAX ? UINT64_MAX : info.statistics[i];
	return NULL;
}

struct alioth_error *alioth_vm_hint_balloon(
	struct alioth_vm *vm, unsigned int wait_ms, uint64_t *ret_bytes)
{
	return vm && ret_bytes ? error_out(vm_hint_balloon(vm->vm, wait_ms, ret_bytes))
			       : error_null();
}

void alioth_vm_stop(struct alioth_vm *vm)
{
	struct log *before;

	if (!vm)
		return;
	before = log_bind(vm->log);
	vm_stop(vm->vm);
	log_bind(before);
}

struct alioth_error *alioth_vm_wait(
	struct alioth_vm *vm, int timeout_ms, enum alioth_end_cause *ret_end)
{
	enum vm_end end = VM_END_NONE;
	struct err *err;

	if (!vm)
		return error_null();
	err = vm_wait(vm->vm, timeout_ms, &end);
	if (ret_end && end != VM_END_NONE)
		*ret_end = (enum alioth_end_cause)end;
	return error_out(err);
}

int alioth_vm_end_fd(const struct alioth_vm *vm)
{
	return vm ? vm_end_fd(vm->vm) : -1;
}

void alioth_vm_take_terminal(struct alioth_vm *vm)
{
	if (vm)
		vm_continued(vm->vm);
}

void alioth_vm_terminal_resized(struct alioth_vm *vm)
{
	if (vm)
		vm_terminal_resized(vm->vm);
}

void alioth_vm_restore_terminal(const struct alioth_vm *vm)
{
	if (vm)
		vm_restore_terminal(vm->vm);
}
