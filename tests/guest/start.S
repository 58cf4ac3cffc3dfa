/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of the guest programs: as a 64-bit Linux kernel (rsi: boot parameters), as a PVH kernel (ebx: start
 * information), and of application processors after SIPI. All end in 64-bit mode with the first 4 GiB mapped
 * one to one, on a stack of their own.
 */
#include "guest_layout.h"

	.section .note.pvh, "a", @note
	.balign	4
	.long	4, 4, 18	/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	start32

/* To long mode; paging is off. Clobbers eax, ecx, edx. */
.macro enter_long_mode
	mov	$0x20, %eax		/* PAE */
	mov	%eax, %cr4
	mov	$pml4, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx	/* EFER: LME */
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	$0x80000011, %eax	/* PG, ET, PE */
	mov	%eax, %cr0
.endm

.macro load_data_segments
	mov	$GUEST_DATA_SELECTOR, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %fs
	mov	%eax, %gs
	mov	%eax, %ss
.endm

	.section .text.start, "ax"
	.code32
start32:
	cld
	lgdt	gdt_pointer
	enter_long_mode
	mov	$GUEST_BOOT_PVH, %ebp
	ljmp	$GUEST_CODE64_SELECTOR, $start_common

	.code64
	.globl	start64
start64:
	cli
	cld
	mov	%rsi, %rbx
	mov	$GUEST_BOOT_LINUX64, %ebp
	mov	$pml4, %eax
	mov	%rax, %cr3
	lgdt	gdt_pointer
	mov	$stack_end, %esp
	pushq	$GUEST_CODE64_SELECTOR
	pushq	$start_common
	lretq

/* ebx: what the loader left; ebp: how we came here */
start_common:
	load_data_segments
	mov	$bss_start, %edi
	mov	$bss_end, %ecx
	sub	%edi, %ecx
	shr	$3, %ecx
	xor	%eax, %eax
	rep stosq
	mov	$stack_end, %esp
	mov	%ebp, %edi
	mov	%ebx, %esi
	call	guest_start
1:	cli
	hlt
	jmp	1b

/* Copied to GUEST_TRAMPOLINE; an application processor starts here in real mode, CS = its page. */
	.globl	trampoline, trampoline_end
	.code16
trampoline:
	cli
	cld
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	trampoline_gdt_pointer - trampoline
	mov	$1, %eax
	mov	%eax, %cr0
	ljmpl	$GUEST_CODE32_SELECTOR, $(GUEST_TRAMPOLINE + trampoline32 - trampoline)
	.code32
trampoline32:
	load_data_segments
	enter_long_mode
	ljmp	$GUEST_CODE64_SELECTOR, $ap_start
	.balign	4
trampoline_gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt
trampoline_end:

	.code64
ap_start:
	load_data_segments
	mov	$1, %edi
	lock xadd %edi, ap_next
	lea	1(%rdi), %esp
	shl	$GUEST_AP_STACK_SHIFT, %esp
	add	$ap_stacks, %esp
	call	guest_ap_start
1:	cli
	hlt
	jmp	1b

/* Interrupt entries, 16 bytes each: vector on the stack under an error code. */
	.globl	interrupt_entries
	.balign	16
interrupt_entries:
	.set	vector, 0
	.rept	256
	.balign	16
	.if	!(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	push	$0
	.endif
	push	$vector
	jmp	interrupt_common
	.set	vector, vector + 1
	.endr

interrupt_common:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rbx
	push	%rbp
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, %rdi
	call	guest_interrupt
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rbp
	pop	%rbx
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq

	.data
	.balign	8
gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* 64-bit code */
	.quad	0x00cf93000000ffff	/* data */
	.quad	0x00cf9b000000ffff	/* 32-bit code */
gdt_end:
	.balign	4
	.word	0
gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt
	.long	0

	.balign	4096
pml4:
	.quad	pdpt + 3
	.fill	511, 8, 0
pdpt:
	.quad	pd + 3, pd + 0x1003, pd + 0x2003, pd + 0x3003
	.fill	508, 8, 0
pd:
	.set	page, 0
	.rept	2048
	.quad	page + 0x83		/* present, writable, 2 MiB */
	.set	page, page + 0x200000
	.endr

	.bss
	.globl	ap_next
	.balign	16
	.fill	16384
stack_end:
ap_stacks:
	.fill	GUEST_AP_MAX << GUEST_AP_STACK_SHIFT
ap_next:
	.long	0, 0

	.section .note.GNU-stack, "", @progbits
