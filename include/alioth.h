/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libalioth: virtual machines on KVM, as a library.
 *
 *     struct alioth_spec *spec = alioth_spec_create();
 *     struct alioth_error *error = alioth_spec_set(spec, "kernel", "/boot/vmlinuz");
 *     if (!error)
 *             error = alioth_spec_set(spec, "memory", "size=512M");
 *     if (!error)
 *             error = alioth_vm_create(spec, NULL, &vm);
 *     if (!error)
 *             error = alioth_vm_boot(vm);
 *     if (!error)
 *             error = alioth_vm_wait(vm, -1, &end);
 *
 * Rules. The library prints nothing, ends no process, installs no signal handler and keeps no
 * global state: any number of VMs may live in one process. Functions that can fail return an error
 * chain, NULL for success, which the caller frees. Functions on one VM may be called by any thread
 * but one of the VM's own (a log callback), and are safe against each other; alioth_vm_free() must
 * be the last. Options, their values and their defaults are those of the command line (alioth boot
 * --help). Strings are UTF-8 and copied. An argument that is NULL is an error (EINVAL) where it is
 * not said to be fine.
 *
 * Versions. ALIOTH_API_VERSION grows when something is added; what is there keeps its meaning.
 */
#ifndef ALIOTH_H
#define ALIOTH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ALIOTH_API_VERSION 2

#if defined(__GNUC__)
#define ALIOTH_PUBLIC __attribute__((visibility("default")))
#else
#define ALIOTH_PUBLIC
#endif

struct alioth_spec;
struct alioth_vm;
struct alioth_error;

/* The program's version ("0.1.0") and the ALIOTH_API_VERSION that the library was built with. */
ALIOTH_PUBLIC const char *alioth_version(void);
ALIOTH_PUBLIC unsigned int alioth_api_version(void);

/* ---- Errors: a chain of frames, from the innermost cause outwards ---- */

/* One frame of a chain; the strings live as long as the error. */
struct alioth_error_frame {
	const char *text;
	const char *file; /* path in the source tree */
	int line;
};

/* The errno of the cause, or 0 when it is not a system error. */
ALIOTH_PUBLIC int alioth_error_code(const struct alioth_error *error);
/* What failed, as the outermost frame says it. */
ALIOTH_PUBLIC const char *alioth_error_text(const struct alioth_error *error);
/* Frame `index`, 0 being the cause; 0 past the last one, else 1. `ret_frame` may be NULL. */
ALIOTH_PUBLIC int alioth_error_get_frame(
	const struct alioth_error *error, unsigned int index, struct alioth_error_frame *ret_frame);
/* The chain as lines of text; the caller frees it with free(). NULL when out of memory. */
ALIOTH_PUBLIC char *alioth_error_format(const struct alioth_error *error);
/* NULL is fine. */
ALIOTH_PUBLIC void alioth_error_free(struct alioth_error *error);

/* ---- Specification of a VM ---- */

/* An empty specification, or NULL when out of memory. */
ALIOTH_PUBLIC struct alioth_spec *alioth_spec_create(void);
/* NULL is fine. */
ALIOTH_PUBLIC void alioth_spec_free(struct alioth_spec *spec);

/*
 * One option as on the command line, without its dashes: ("kernel", "/boot/vmlinuz"),
 * ("cpu", "count=4"), ("blk", "file,path=disk.img"), ("entropy", NULL). An option that may be
 * repeated adds to those before. Objects (("object", "id_x,...")) must be set before the options
 * that use them. After an error the specification can only be freed.
 */
ALIOTH_PUBLIC struct alioth_error *alioth_spec_set(
	struct alioth_spec *spec, const char *option, const char *value);

/* The same options as one JSON object: {"kernel": "/boot/vmlinuz", "cpu": {"count": 4}}. */
ALIOTH_PUBLIC struct alioth_error *alioth_spec_set_json(struct alioth_spec *spec, const char *json);

/*
 * What can be said of the specification before a VM is made of it: required options, combinations,
 * alignment. alioth_vm_create() checks the same.
 */
ALIOTH_PUBLIC struct alioth_error *alioth_spec_check(struct alioth_spec *spec);

/* ---- Logs ---- */

enum alioth_log_level {
	ALIOTH_LOG_ERROR = 1,
	ALIOTH_LOG_WARN,
	ALIOTH_LOG_INFO,
	ALIOTH_LOG_DEBUG,
	ALIOTH_LOG_TRACE,
};

/*
 * Where a VM's log lines go. `write` gets one line without a newline, from any thread of the VM or
 * of a caller, one call at a time; it must not call back into the library. `size` is sizeof(struct
 * alioth_log): it lets the struct grow (fields that the library does not know must be 0: E2BIG).
 */
struct alioth_log {
	size_t size;
	const char *spec; /* "warn", "info,virtio=debug"; NULL: "warn" */
	void (*write)(
		void *data, enum alioth_log_level level, const char *module, const char *text);
	void *data; /* handed to write */
};

/* ---- Virtual machines ---- */

/* Why a VM ended. */
enum alioth_end_cause {
	ALIOTH_END_POWER_OFF = 0, /* the guest powered itself off */
	ALIOTH_END_RESET,         /* the guest asked for a reset, and no-reboot was set */
	ALIOTH_END_PANIC,         /* the guest's kernel panicked (pvpanic) */
	ALIOTH_END_TRIPLE_FAULT,  /* a vCPU shut down; never taken for a reset */
	ALIOTH_END_ERROR, /* the monitor or the hypervisor cannot go on; see the VM's log and error
			   */
	ALIOTH_END_STOPPED,  /* alioth_vm_stop(), or the time after a power button ran out */
	ALIOTH_END_CONSOLE,  /* the user left by the console's escape key */
	ALIOTH_END_WATCHDOG, /* the guest's watchdog expired, and its action is poweroff; since
				version 2 */
};

/*
 * A VM that is complete but does not run. Takes what the specification holds, which is empty
 * afterwards, also after an error. `log` may be NULL (no logs) and is copied. The VM holds its
 * files and memory until alioth_vm_free(). Of the VMs of a process at most one should have the
 * process's terminal as its console: each would put back what it found.
 */
ALIOTH_PUBLIC struct alioth_error *alioth_vm_create(
	struct alioth_spec *spec, const struct alioth_log *log, struct alioth_vm **ret_vm);
/* Stops the VM if it runs and releases all it has. NULL is fine. */
ALIOTH_PUBLIC void alioth_vm_free(struct alioth_vm *vm);

/* Lets it run; once. Returns at once. */
ALIOTH_PUBLIC struct alioth_error *alioth_vm_boot(struct alioth_vm *vm);
/* Every vCPU and device stands still when it returns; resume lets them go on. Repeats do nothing.
 */
ALIOTH_PUBLIC struct alioth_error *alioth_vm_pause(struct alioth_vm *vm);
ALIOTH_PUBLIC struct alioth_error *alioth_vm_resume(struct alioth_vm *vm);
/* Presses the power button: a request to the guest, which may take its time or ignore it. */
ALIOTH_PUBLIC struct alioth_error *alioth_vm_power_button(struct alioth_vm *vm);

/* ---- Disks; since version 2 ---- */

/*
 * Makes the disk with this id (or "virtio-blk-N") `bytes` large, a multiple of 512, and tells the
 * guest. A raw image's file is cut or extended; a qcow2 image can only grow; a block device is as
 * large as its host says. 0: the disk is as large as its file or device is by now. Waits for the
 * requests that the disk has in flight; those that reach past a new end fail. ENODEV without such a
 * disk. Also before the boot.
 */
ALIOTH_PUBLIC struct alioth_error *alioth_vm_resize_disk(
	struct alioth_vm *vm, const char *id, uint64_t bytes);
/* The same with 0 for all disks, without waiting; what goes wrong is logged. NULL is fine. */
ALIOTH_PUBLIC void alioth_vm_refresh_disks(struct alioth_vm *vm);

/* ---- Memory balloon (--balloon); since version 2 ---- */

/* What the guest tells of its memory; bytes where nothing else is said. */
enum alioth_balloon_statistic {
	ALIOTH_BALLOON_SWAP_IN = 0,
	ALIOTH_BALLOON_SWAP_OUT,
	ALIOTH_BALLOON_MAJOR_FAULTS, /* number */
	ALIOTH_BALLOON_MINOR_FAULTS, /* number */
	ALIOTH_BALLOON_FREE,
	ALIOTH_BALLOON_TOTAL,
	ALIOTH_BALLOON_AVAILABLE, /* that a new program could have without swapping */
	ALIOTH_BALLOON_CACHES,
	ALIOTH_BALLOON_HUGE_PAGES_ALLOCATED, /* number */
	ALIOTH_BALLOON_HUGE_PAGES_FAILED,    /* number */
	ALIOTH_BALLOON_OOM_KILLS,            /* number; this and the next ones since Linux 6.12 */
	ALIOTH_BALLOON_ALLOCATION_STALLS,    /* number */
	ALIOTH_BALLOON_ASYNC_SCANS,          /* pages, as those below */
	ALIOTH_BALLOON_DIRECT_SCANS,
	ALIOTH_BALLOON_ASYNC_RECLAIMS,
	ALIOTH_BALLOON_DIRECT_RECLAIMS,
	ALIOTH_BALLOON_STATISTICS,
};

/* `size` is sizeof(struct alioth_balloon), set by the caller: it lets the struct grow. */
struct alioth_balloon {
	size_t size;
	uint64_t target;   /* bytes that the guest is asked to give up */
	uint64_t actual;   /* bytes that it has given up, as it says */
	uint64_t returned; /* bytes that went back to the host so far, in any way; a page that the
			      guest takes back and gives up again counts again */
	uint64_t statistics_age_ms;                     /* UINT64_MAX: there are none */
	uint64_t statistics[ALIOTH_BALLOON_STATISTICS]; /* UINT64_MAX: the guest did not tell */
};

/*
 * Asks the guest to give up so many bytes of its memory (rounded down to 4 KiB), or to take back
 * what is more; it does that in its own time, or not at all. ENODEV without a balloon, EINVAL if
 * that is all of its memory. Also before the boot.
 */
ALIOTH_PUBLIC struct alioth_error *alioth_vm_set_balloon(struct alioth_vm *vm, uint64_t bytes);
/* What is known of it; with new statistics if the guest sends them within wait_ms milliseconds (0:
 * what it told last). ENODEV without a balloon. */
ALIOTH_PUBLIC struct alioth_error *alioth_vm_get_balloon(
	struct alioth_vm *vm, unsigned int wait_ms, struct alioth_balloon *ret_balloon);
/*
 * Asks the guest which memory it has no use for at the moment, and waits at most wait_ms for its
 * answer, in bytes. The guest keeps that memory, and has it to itself again a moment later: asked
 * at once once more it may tell less. ENODEV without a balloon, ENOTCONN while it has no driver
 * that can, ETIMEDOUT.
 */
ALIOTH_PUBLIC struct alioth_error *alioth_vm_hint_balloon(
	struct alioth_vm *vm, unsigned int wait_ms, uint64_t *ret_bytes);

/*
 * Ends it at once, without asking the guest; a VM that was not booted too. No effect on NULL and on
 * a VM that has ended.
 */
ALIOTH_PUBLIC void alioth_vm_stop(struct alioth_vm *vm);

/*
 * Waits until the VM has ended (every vCPU stopped, terminal restored) and says why; at most
 * timeout_ms milliseconds, -1 for ever. An error with code ETIMEDOUT if it still runs; for
 * ALIOTH_END_ERROR the reason is the error returned, to the first caller, with *ret_end set.
 * `ret_end` may be NULL; it is left alone while there is no end.
 */
ALIOTH_PUBLIC struct alioth_error *alioth_vm_wait(
	struct alioth_vm *vm, int timeout_ms, enum alioth_end_cause *ret_end);
/* A file descriptor that becomes readable when the VM ends, for poll(); owned by the VM. -1 for
 * NULL. */
ALIOTH_PUBLIC int alioth_vm_end_fd(const struct alioth_vm *vm);

/*
 * Takes the terminal of a console of this VM again, when the process was stopped and has been
 * continued (SIGCONT): the shell has set modes of its own meanwhile. That has no effect without a
 * terminal and in the background. The guest's processors are told that they did not run. No effect
 * on NULL.
 */
ALIOTH_PUBLIC void alioth_vm_take_terminal(struct alioth_vm *vm);

/*
 * The terminal of a console of this VM may have another size (SIGWINCH): a virtio console tells the
 * guest. No effect without a terminal, and on NULL.
 */
ALIOTH_PUBLIC void alioth_vm_terminal_resized(struct alioth_vm *vm);

/*
 * Puts the terminal back that a console of this VM has changed. Async-signal-safe; for handlers of
 * fatal signals. alioth_vm_free() and the end of a VM do it anyway. NULL is fine.
 */
ALIOTH_PUBLIC void alioth_vm_restore_terminal(const struct alioth_vm *vm);

#ifdef __cplusplus
}
#endif
#endif
