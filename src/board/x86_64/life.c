/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The x86_64 machine while it runs: reset, pause, and what is passed on to one of its devices.
 */
#include "board/x86_64/board_internal.h"

#include <errno.h>
#include <string.h>

#include "virtio/dev/balloon.h"
#include "virtio/dev/blk.h"

struct err *board_reset(struct board *board)
{
	for (struct device *d = board->devices; d; d = d->next)
		device_reset(d);
	return ram_reset(board->ram);
}

void board_quiesce(struct board *board)
{
	for (struct device *d = board->devices; d; d = d->next)
		device_quiesce(d);
}

void board_resume(struct board *board)
{
	for (struct device *d = board->devices; d; d = d->next)
		device_resume(d);
}

void board_close_consoles(struct board *board)
{
	console_close(board->consoles, board->n_consoles);
}

void board_take_terminal(struct board *board)
{
	for (unsigned int i = 0; i < board->n_consoles; i++)
		console_take_terminal(board->consoles[i]);
}

void board_terminal_resized(struct board *board)
{
	for (unsigned int i = 0; i < board->n_consoles; i++)
		console_look_at_size(board->consoles[i]);
}

void board_restore_terminal(const struct board *board)
{
	for (unsigned int i = 0; i < board->n_consoles; i++)
		console_restore_terminal(board->consoles[i]);
}

int board_set_balloon(struct board *board, uint64_t bytes)
{
	if (!board->balloon)
		return -ENODEV;
	virtio_balloon_set_target(board->balloon, bytes);
	return 0;
}

int board_get_balloon(struct board *board, uint64_t wait_ns, struct balloon_info *ret_info)
{
	if (!board->balloon)
		return -ENODEV;
	virtio_balloon_get(board->balloon, wait_ns, ret_info);
	return 0;
}

int board_hint_balloon(struct board *board, uint64_t wait_ns, uint64_t *ret_bytes)
{
	return board->balloon ? virtio_balloon_hint(board->balloon, wait_ns, ret_bytes) : -ENODEV;
}

struct err *board_resize_disk(struct board *board, const char *id, uint64_t bytes)
{
	for (unsigned int i = 0; i < board->n_disks; i++) {
		if (!strcmp(board->disks[i]->name, id))
			return virtio_blk_resize(board->disks[i], bytes);
	}
	return err_new(ENODEV, "The VM has no disk \"%s\"", id);
}

void board_refresh_disks(struct board *board)
{
	for (unsigned int i = 0; i < board->n_disks; i++)
		virtio_blk_refresh(board->disks[i]);
}

void board_power_button(struct board *board)
{
	acpi_pm_power_button(board->acpi_pm);
}

void board_system_event(struct board *board, enum hv_system_event event)
{
	static const enum machine_event events[] = {
		[HV_SYSTEM_OFF] = MACHINE_POWER_OFF,
		[HV_SYSTEM_RESET] = MACHINE_RESET,
		[HV_SYSTEM_CRASH] = MACHINE_PANIC,
	};

	machine_events_report(board->env.events, events[event], "the hypervisor");
}

struct bus *board_pio(struct board *board)
{
	return board->pio;
}

struct bus *board_mmio(struct board *board)
{
	return board->mmio;
}

void board_eoi(struct board *board, uint8_t vector)
{
	ioapic_eoi(board->ioapic, vector);
}
