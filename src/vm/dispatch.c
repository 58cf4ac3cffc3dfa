/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exit dispatch. Runs on the vCPU's thread; nothing here takes a lock (mem/bus.h).
 */
#define LOG_MODULE "vcpu"
#include "vm/dispatch.h"

#include "base/endian.h"
#include "base/log.h"
#include "base/overflow.h"
#include "board/board.h"
#include "hv/hv.h"
#include "mem/bus.h"

static void dispatch_access(
	struct bus *bus, uint64_t addr, unsigned int size, bool write, uint8_t *data)
{
	if (write)
		bus_write(bus, addr, size, load_le(data, size));
	else
		store_le(data, bus_read(bus, addr, size), size);
}

/* String instructions come as one exit with several elements for the same port. */
static void dispatch_io(struct bus *bus, const struct hv_exit *exit)
{
	for (uint32_t i = 0; i < exit->u.io.count; i++)
		dispatch_access(bus, exit->u.io.port, exit->u.io.size, exit->u.io.write,
			exit->u.io.data + (size_t)i * exit->u.io.size);
}

/* An access that crosses a page comes in pieces of any size; registers know powers of two only. */
static void dispatch_mmio(struct bus *bus, const struct hv_exit *exit)
{
	unsigned int step = is_pow2(exit->u.mmio.size) ? exit->u.mmio.size : 1;

	for (unsigned int i = 0; i < exit->u.mmio.size; i += step)
		dispatch_access(
			bus, exit->u.mmio.gpa + i, step, exit->u.mmio.write, exit->u.mmio.data + i);
}

static enum dispatch_result dispatch_failed(
	struct board *board, struct hv_vcpu *vcpu, const struct hv_exit *exit)
{
	board_dump_vcpu(board, vcpu, exit);
	return DISPATCH_FAILED;
}

enum dispatch_result dispatch_exit(struct board *board, struct hv_vcpu *vcpu, struct hv_exit *exit)
{
	switch (exit->reason) {
	case HV_EXIT_IO:
		dispatch_io(board_pio(board), exit);
		return DISPATCH_CONTINUE;
	case HV_EXIT_MMIO:
		dispatch_mmio(board_mmio(board), exit);
		return DISPATCH_CONTINUE;
	case HV_EXIT_IOAPIC_EOI:
		board_eoi(board, exit->u.eoi.vector);
		return DISPATCH_CONTINUE;
	case HV_EXIT_KICKED:
	case HV_EXIT_HALTED:
		return DISPATCH_CONTINUE;
	case HV_EXIT_SHUTDOWN:
		log_info("Triple fault");
		board_dump_vcpu(board, vcpu, exit);
		return DISPATCH_TRIPLE_FAULT;
	case HV_EXIT_SYSTEM_EVENT:
		board_system_event(board, exit->u.system_event);
		return DISPATCH_CONTINUE;
	case HV_EXIT_FAILED:
		break;
	}
	return dispatch_failed(board, vcpu, exit);
}
