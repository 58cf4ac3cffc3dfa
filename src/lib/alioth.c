/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libalioth: include/alioth.h over vm/. Converts types, binds the calling thread to the VM's log for
 * the time of the call, and holds nothing else.
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
_Static_assert((int)ALIOTH_END_POWER_OFF == (int)VM_END_POWER_OFF && (int)ALIOTH_END_CONSOLE == (int)VM_END_CONSOLE,
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

int alioth_error_get_frame(const struct alioth_error *error, unsigned int index,
	struct alioth_error_frame *ret_frame)
{
	return err_frame(error_in_const(error), index, &ret_frame->text, &ret_frame->file, &ret_frame->line);
}

char *alioth_error_format(const struct alioth_error *error)
{
	return err_format(error_in_const(error));
}

void alioth_error_free(struct alioth_error *error)
{
	err_free(error_in(error));
}
