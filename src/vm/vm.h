/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual machine's life.
 *
 *     CREATED --boot--> RUNNING <--pause/resume--> PAUSED
 *                       RUNNING --guest reset--> RUNNING        (board reset, payload loaded again)
 *     any of them --power-off, panic, fault, stop--> ENDED      (vCPUs at the gate, consoles
 * closed)
 *
 * Several vCPUs may ask at once. The first reason to end counts, an end comes before a reset, and
 * one reset answers all that were asked for until the last vCPU stood still.
 *
 * Threads. The control thread (a struct loop) owns the state: every request, by the guest, the
 * console or a caller, is a message to it, and they are served in order. vCPU threads only post
 * requests and close the gate. Callers may be any thread that is not one of the VM's.
 */
#pragma once

#include "base/err.h"
#include "device/balloon_info.h"

struct log;
struct vm;
struct vm_config;

enum vm_end {
	VM_END_POWER_OFF,
	VM_END_RESET, /* with no_reboot */
	VM_END_PANIC,
	VM_END_TRIPLE_FAULT, /* also with reboots allowed: see docs/exit-status.md */
	VM_END_ERROR,
	VM_END_STOPPED,
	VM_END_CONSOLE,
	VM_END_WATCHDOG,
	VM_END_NONE, /* it has not ended */
};

/*
 * A complete VM that does not run. `config` is checked and taken over (left empty) on success; the
 * caller is bound to the VM's log, which its threads inherit. [any]
 */
struct err *must_check vm_create(struct vm_config *config, struct vm **ret_vm);
/* Ends it if it runs, frees everything; the last call. NULL is fine. */
void vm_free(struct vm *vm);

/* Safe against each other. [any], but no thread of the VM's. */
struct err *must_check vm_boot(struct vm *vm);
struct err *must_check vm_pause(struct vm *vm);
struct err *must_check vm_resume(struct vm *vm);
struct err *must_check vm_power_button(struct vm *vm);
/*
 * A disk's new size in bytes, by its id; 0: what its storage has by now. And all disks, with 0,
 * later. At any time, also before the boot; the first waits for what the disk has in flight.
 */
struct err *must_check vm_resize_disk(struct vm *vm, const char *id, uint64_t bytes);
void vm_refresh_disks(struct vm *vm);

/*
 * The memory balloon (ENODEV without one). At any time, also before the boot; the guest gets to
 * know when it runs. Those with wait_ms may wait so long for the guest's answer, and only they.
 */
struct err *must_check vm_set_balloon(struct vm *vm, uint64_t bytes);
struct err *must_check vm_get_balloon(
	struct vm *vm, unsigned int wait_ms, struct balloon_info *ret_info);
struct err *must_check vm_hint_balloon(struct vm *vm, unsigned int wait_ms, uint64_t *ret_bytes);
/* Ends it at once, also one that was not booted (and cannot be any more). */
void vm_stop(struct vm *vm);

/*
 * Waits for the end, at most timeout_ms (-1: for ever); ETIMEDOUT if there was none. With
 * VM_END_ERROR, *ret_end is set and the reason is returned, once.
 */
struct err *must_check vm_wait(struct vm *vm, int timeout_ms, enum vm_end *ret_end);
/* Readable from the end on; owned by the VM. */
int vm_end_fd(const struct vm *vm);
/* After a stop of the process: the console's terminal is raw again, and the guest's processors are
 * told that they did not run. [any] */
void vm_continued(struct vm *vm);
/* The console's terminal: perhaps of another size [any], and put back (async-signal-safe). */
void vm_terminal_resized(struct vm *vm);
void vm_restore_terminal(const struct vm *vm);
