/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole VM, board and devices included, on the fake hypervisor: hv_kvm_create() is replaced here,
 * and hv_vcpu_create() is wrapped to learn of the vCPUs (see meson.build). The "guest" is what a
 * test pushes. An end of interrupt stands for an access that takes its time.
 */
#pragma once

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>

#include "arch/x86_64/layout.h"
#include "base/log.h"
#include "base/thread.h"
#include "board/board.h"
#include "config/vm_config.h"
#include "hv/fake/hv_fake.h"
#include "tiny_kernel.h"
#include "vm/vm.h"

#define MACHINE_VCPUS_MAX 64
#define MACHINE_POWER_OFF 0x34 /* to the sleep control register: S5 */

struct machine {
	struct log_sink sink;
	struct log *log;
	struct tiny_kernel kernel;
	struct hv_vm *hv;
	struct hv_vcpu *_Atomic vcpus[MACHINE_VCPUS_MAX];
	struct vm *vm;
	void (*slow)(struct machine *m, struct board *board); /* called at an end of interrupt */
	_Atomic unsigned int resets;                          /* that were asked for */
	_Atomic unsigned int reboots;                         /* that were done */
	_Atomic unsigned int crashes;
};

/* One at a time: the fake hypervisor's constructor has no place for a context. */
static struct machine *machine_now;
/* Calls that fail from the start; 0: none. */
static int machine_fail_vcpu_create;
/* Of the guest's physical addresses. */
static unsigned int machine_address_bits = 48;

struct err *hv_kvm_create(const struct hv_vm_options *options, struct hv_vm **ret_vm)
{
	const struct hv_x86_cpuid cpuid = {
		.n = 5,
		.entries = {{.function = 0,
				    .eax = 1,
				    .ebx = 0x68747541,
				    .ecx = 0x444d4163,
				    .edx = 0x69746e65},
			{.function = 1, .eax = 0xb00f21, .ecx = 1u << 21, .edx = 0x078bfbff},
			{.function = 0x80000000, .eax = 0x80000008},
			{.function = 0x80000001, .edx = 0x27d3fbff},
			{.function = 0x80000008, .eax = 0x3000 | machine_address_bits}},
	};
	struct err *err = hv_fake_create(&machine_now->hv);

	if (err)
		return err;
	hv_fake_set_supported_cpuid(machine_now->hv, &cpuid);
	if (machine_fail_vcpu_create)
		hv_fake_fail_next(machine_now->hv, HV_FAKE_VCPU_CREATE, machine_fail_vcpu_create);
	*ret_vm = machine_now->hv;
	return NULL;
}

struct err *__real_hv_vcpu_create(struct hv_vm *vm, unsigned int id, struct hv_vcpu **ret_vcpu);
struct err *__wrap_hv_vcpu_create(struct hv_vm *vm, unsigned int id, struct hv_vcpu **ret_vcpu);

struct err *__wrap_hv_vcpu_create(struct hv_vm *vm, unsigned int id, struct hv_vcpu **ret_vcpu)
{
	struct err *err = __real_hv_vcpu_create(vm, id, ret_vcpu);

	if (!err)
		machine_now->vcpus[id] = *ret_vcpu;
	return err;
}

void __real_board_eoi(struct board *board, uint8_t vector);
void __wrap_board_eoi(struct board *board, uint8_t vector);

void __wrap_board_eoi(struct board *board, uint8_t vector)
{
	if (machine_now->slow)
		machine_now->slow(machine_now, board);
	else
		__real_board_eoi(board, vector);
}

static inline void machine_on_log(
	struct log_sink *sink, enum log_level level, const char *module, const char *text)
{
	struct machine *m = container_of(sink, struct machine, sink);

	if (!strcmp(text, "The guest resets the machine"))
		m->reboots++;
	if (!strncmp(text, "Reset, by", 9))
		m->resets++;
	if (strstr(text, "crash kernel"))
		m->crashes++;
}

/* `options`: pairs of an option and its value, NULL at the end; may be NULL. Without a kernel or
 * firmware among them there is the tiny kernel. */
static inline struct err *must_check machine_try(
	struct machine *m, unsigned int n_vcpus, const char *const *options)
{
	static const uint8_t code[] = {0xf4, 0xeb, 0xfd};
	struct vm_config_builder builder = {0};
	struct vm_config config = {0};
	bool has_payload = false;
	bool has_console = false;
	bool has_memory = false;
	char cpu[32];
	struct err *err;

	*m = (struct machine){.sink.write = machine_on_log};
	machine_now = m;
	assert_ok(log_create("info", &m->sink, &m->log));
	(void)log_bind(m->log);
	tiny_kernel_create(&m->kernel, code, sizeof(code));
	(void)snprintf(cpu, sizeof(cpu), "count=%u", n_vcpus);
	assert_ok(vm_config_set(&builder, "cpu", cpu));
	for (; options && *options; options += 2) {
		has_payload |= !strcmp(options[0], "kernel") || !strcmp(options[0], "firmware");
		has_console |= !strcmp(options[0], "console");
		has_memory |= !strcmp(options[0], "memory");
		assert_ok(vm_config_set(&builder, options[0], options[1]));
	}
	if (!has_payload)
		assert_ok(vm_config_set(&builder, "kernel", m->kernel.path));
	if (!has_console)
		assert_ok(vm_config_set(&builder, "console", "null"));
	if (!has_memory)
		assert_ok(vm_config_set(&builder, "memory", "size=4M"));
	assert_ok(vm_config_finish(&builder, &config));
	err = vm_create(&config, &m->vm);
	vm_config_deinit(&config);
	vm_config_builder_deinit(&builder);
	return err;
}

static inline void machine_create(
	struct machine *m, unsigned int n_vcpus, const char *const *options)
{
	assert_ok(machine_try(m, n_vcpus, options));
}

static inline void machine_free(struct machine *m)
{
	vm_free(m->vm);
	(void)log_bind(NULL);
	log_free(m->log);
	tiny_kernel_free(&m->kernel);
}

/* The guest's vCPU i writes a byte to a port. */
static inline void machine_out(struct machine *m, unsigned int i, uint16_t port, uint8_t value)
{
	hv_fake_push_io(m->vcpus[i], port, true, 1, value);
}

static inline void machine_reset(struct machine *m, unsigned int i)
{
	machine_out(m, i, X86_PORT_RESET, X86_RESET_VALUE);
}

static inline void machine_power_off(struct machine *m, unsigned int i)
{
	machine_out(m, i, X86_PORT_SLEEP_CONTROL, MACHINE_POWER_OFF);
}

/* The guest's vCPU i leaves by an exit without data. */
static inline void machine_exit(struct machine *m, unsigned int i, enum hv_exit_reason reason)
{
	struct hv_exit exit = {.reason = reason};

	if (reason == HV_EXIT_FAILED)
		exit.u.failed.what = "a test";
	hv_fake_push(m->vcpus[i], &exit, NULL);
}

static inline void machine_expect_end(struct machine *m, enum vm_end expected)
{
	enum vm_end end = VM_END_CONSOLE;

	assert_ok(vm_wait(m->vm, 10000, &end));
	assert_int_equal(end, expected);
}

/* Waits until vCPU i was reset n times. */
static inline void machine_await_resets(struct machine *m, unsigned int i, unsigned int n)
{
	while (hv_fake_resets(m->vcpus[i]) < n)
		sched_yield();
}

/* Where the guest's RAM is. */
static inline uint8_t *machine_ram(struct machine *m, uint64_t gpa)
{
	struct hv_fake_map map = {0};

	assert_true(hv_fake_find_map(m->hv, gpa, &map));
	return map.hva + (gpa - map.gpa);
}
