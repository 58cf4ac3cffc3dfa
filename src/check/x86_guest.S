/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest that shows whether KVM executes code: copied to CHECK_CODE in its memory and entered in 64-bit mode
 * with paging on. It reports each step on a port. Its exceptions: only #BP has a handler, any other ends in
 * a triple fault. The steps are instructions that Linux uses early and that interpreters miss.
 */
#include "check/x86_guest.h"

/* Dependent multiplications: the same time on any processor that executes them. In: rcx, clobbers rax. */
.macro check_loop
	mov	$1, %eax
1:	imul	$3, %rax, %rax
	add	%rcx, %rax
	dec	%rcx
	jnz	1b
.endm

.macro report step
	mov	$\step, %eax
	out	%al, $CHECK_PORT
.endm

	.text
	.globl	check_host_loop
	.hidden	check_host_loop
	.type	check_host_loop, @function
check_host_loop:		/* void check_host_loop(uint64_t n) */
	endbr64
	mov	%rdi, %rcx
	check_loop
	ret
	.size	check_host_loop, . - check_host_loop

	.section .rodata
	.globl	check_guest, check_guest_size, check_guest_breakpoint
	.hidden	check_guest, check_guest_size, check_guest_breakpoint
	.balign	16
check_guest:
	xor	%ebp, %ebp
	int3
	cmp	$1, %ebp
	jne	.Lfail
	report	CHECK_STEP_INT3

	test	$CHECK_HAS_CX16, %r15d
	jz	2f
	mov	$CHECK_SCRATCH, %edi
	movq	$1, (%rdi)
	movq	$2, 8(%rdi)
	mov	$1, %eax
	mov	$2, %edx
	mov	$3, %ebx
	mov	$4, %ecx
	lock cmpxchg16b (%rdi)
	jne	.Lfail
	cmpq	$3, (%rdi)
	jne	.Lfail
	cmpq	$4, 8(%rdi)
	jne	.Lfail
2:	report	CHECK_STEP_CMPXCHG16B

	test	$CHECK_HAS_BMI2, %r15d
	jz	3f
	mov	$3, %eax
	mov	$5, %ecx
	shlx	%rcx, %rax, %rdx
	cmp	$96, %rdx
	jne	.Lfail
3:	report	CHECK_STEP_SHLX

	rdtsc
	shl	$32, %rdx
	lea	(%rax, %rdx), %rbx
	rdtsc
	shl	$32, %rdx
	add	%rdx, %rax
	cmp	%rbx, %rax
	jb	.Lfail
	report	CHECK_STEP_RDTSC

4:	report	CHECK_STEP_LOOP_START
	mov	%r14, %rcx
	check_loop
	report	CHECK_STEP_LOOP_END
	jmp	4b

.Lfail:	report	CHECK_STEP_FAILED
5:	hlt
	jmp	5b

.Lbreakpoint:
	inc	%ebp
	iretq
.Lend:
	.balign	4
check_guest_size:
	.long	.Lend - check_guest
check_guest_breakpoint:
	.long	.Lbreakpoint - check_guest

	.section .note.GNU-stack, "", @progbits
