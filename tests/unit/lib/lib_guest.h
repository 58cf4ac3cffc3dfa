/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests of a few instructions for the tests of the library, on the machine's KVM. 64-bit mode, at
 * any address; rsi: struct boot_params.
 */
#pragma once

#include <unistd.h>

#include "alioth.h"
#include "hv/guest.h"
#include "tiny_kernel.h"

#define LIB_GUEST(name, code)                                                                      \
	__asm__(".pushsection .rodata\n" #name ":\n" code "\n" #name "_end:\n.popsection\n");      \
	extern const uint8_t name[], name##_end[]

LIB_GUEST(guest_power_off, "mov $0x600, %edx; mov $0x34, %al; out %al, %dx; 1: hlt; jmp 1b");
LIB_GUEST(guest_spin, "1: pause; jmp 1b");
LIB_GUEST(guest_halt, "1: cli; hlt; jmp 1b");
LIB_GUEST(guest_reset, "mov $0x604, %edx; mov $0x72, %al; out %al, %dx; 1: hlt; jmp 1b");
LIB_GUEST(guest_triple, "push $0; push $0; lidt (%rsp); int3; 1: hlt; jmp 1b");
/* To COM1: command line, number of e820 entries, the entries, logical processors; then off. */
LIB_GUEST(guest_tell,
	"mov $0x3f8, %edx; mov 0x228(%rsi), %ebx\n"
	"1: mov (%rbx), %al; out %al, %dx; inc %rbx; test %al, %al; jnz 1b\n"
	"mov 0x1e8(%rsi), %al; out %al, %dx; movzbl %al, %eax; imul $20, %eax, %ecx\n"
	"lea 0x2d0(%rsi), %rbx\n"
	"1: mov (%rbx), %al; out %al, %dx; inc %rbx; dec %ecx; jnz 1b\n"
	"mov $1, %eax; cpuid; shr $16, %ebx; mov %bl, %al; mov $0x3f8, %edx; out %al, %dx\n"
	"mov $0x600, %edx; mov $0x34, %al; out %al, %dx; 1: hlt; jmp 1b");

#define lib_kernel(kernel, guest) tiny_kernel_create((kernel), guest, (size_t)(guest##_end - guest))

#define assert_alioth_ok(expr)                                                                     \
	do {                                                                                       \
		struct alioth_error *error_ = (expr);                                              \
		if (error_) {                                                                      \
			char *text_ = alioth_error_format(error_);                                 \
			print_error("%s", text_);                                                  \
			free(text_);                                                               \
			alioth_error_free(error_);                                                 \
			fail_msg("%s", #expr);                                                     \
		}                                                                                  \
	} while (0)

/* The call fails with this errno and says `part`. */
#define assert_alioth_err(expr, code, part)                                                        \
	do {                                                                                       \
		struct alioth_error *error_ = (expr);                                              \
		char *text_ = alioth_error_format(error_);                                         \
		assert_non_null(error_);                                                           \
		if (!strstr(text_, (part)) || alioth_error_code(error_) != (code))                 \
			fail_msg("'%s' (%d) is not in: %s", (part), (code), text_);                \
		free(text_);                                                                       \
		alioth_error_free(error_);                                                         \
	} while (0)

/* A specification of a VM with that kernel, 4 MiB and no console. */
static inline struct alioth_spec *lib_spec(const struct tiny_kernel *kernel)
{
	struct alioth_spec *spec = alioth_spec_create();

	assert_alioth_ok(alioth_spec_set(spec, "kernel", kernel->path));
	assert_alioth_ok(alioth_spec_set(spec, "memory", "size=4M"));
	return spec;
}

static inline struct alioth_vm *lib_vm(struct alioth_spec *spec, const struct alioth_log *log)
{
	struct alioth_vm *vm = NULL;

	assert_alioth_ok(alioth_vm_create(spec, log, &vm));
	alioth_spec_free(spec);
	return vm;
}

static inline void lib_expect_end(struct alioth_vm *vm, enum alioth_end_cause expected)
{
	enum alioth_end_cause end = ALIOTH_END_CONSOLE;

	assert_alioth_ok(alioth_vm_wait(vm, 20000, &end));
	assert_int_equal(end, expected);
}
