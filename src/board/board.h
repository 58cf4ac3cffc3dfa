/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine: its memory map, its devices and the tables that describe them to the guest. One
 * implementation per architecture (board/x86_64/), chosen by the build.
 *
 * The order of a VM's life: board_create() (RAM and what vCPUs need), board_create_vcpu() by each
 * vCPU's thread, meanwhile board_populate() (devices) and board_load() (payload and tables), then
 * board_init_vcpu() for each vCPU. For a reboot: board_reset(), board_load(), board_init_vcpu().
 */
#pragma once

#include "base/err.h"
#include "hv/hv.h"

struct balloon_info;
struct board;
struct bus;
struct console_events;
struct loop;
struct machine_events;
struct vm_config;

struct board_env {
	const struct vm_config *config; /* outlives the board */
	struct loop *loop;              /* the control thread's: consoles */
	struct machine_events *events;  /* reset, shutdown, panic */
	struct console_events *console_events;
};

/* Checks and opens what the configuration names, creates the hypervisor's VM and the RAM. [main] */
struct err *must_check board_create(const struct board_env *env, struct board **ret_board);
/* After every vCPU is gone. NULL is fine. */
void board_free(struct board *board);

/* Creates vCPU `index` with its CPUID; several threads at once. The caller frees it. [vcpu] */
struct err *must_check board_create_vcpu(
	struct board *board, unsigned int index, struct hv_vcpu **ret_vcpu);

/* Creates all devices; once. [main] */
struct err *must_check board_populate(struct board *board);
/* Kernel, initramfs and tables into RAM that is all zeros. [main] [control] */
struct err *must_check board_load(struct board *board);
/* Boot state of a vCPU that is new or was reset, after board_load(). */
struct err *must_check board_init_vcpu(
	struct board *board, unsigned int index, struct hv_vcpu *vcpu);
/* Devices, interrupt controllers and RAM as after power-on; no vCPU runs. [control] */
struct err *must_check board_reset(struct board *board);

/* Devices stop and go on; no vCPU runs. [control] */
void board_quiesce(struct board *board);
void board_resume(struct board *board);
/* Hands over what consoles still hold back, bounded in time; puts the terminal back. [control] */
void board_close_consoles(struct board *board);
/* Makes the terminal raw again, after a stop of the process. [any] */
void board_take_terminal(struct board *board);
/* The terminal may have another size now. [any] */
void board_terminal_resized(struct board *board);
/* Puts the terminal back; async-signal-safe. */
void board_restore_terminal(const struct board *board);

/* The memory balloon's functions (virtio/dev/balloon.h); -ENODEV without one. [any] */
int must_check board_set_balloon(struct board *board, uint64_t bytes);
int must_check board_get_balloon(
	struct board *board, uint64_t wait_ns, struct balloon_info *ret_info);
int must_check board_hint_balloon(struct board *board, uint64_t wait_ns, uint64_t *ret_bytes);

/* virtio_blk_resize() and virtio_blk_refresh() of the disk with this id, and of all. [any] */
struct err *must_check board_resize_disk(struct board *board, const char *id, uint64_t bytes);
void board_refresh_disks(struct board *board);

void board_power_button(struct board *board);
/* PSCI and the like. [vcpu] */
void board_system_event(struct board *board, enum hv_system_event event);

struct bus *board_pio(struct board *board);
struct bus *board_mmio(struct board *board);
/* End of a level-triggered interrupt. [vcpu] */
void board_eoi(struct board *board, uint8_t vector);
/* Registers and the exit, to the log at error level. [vcpu] */
void board_dump_vcpu(struct board *board, struct hv_vcpu *vcpu, const struct hv_exit *exit);
