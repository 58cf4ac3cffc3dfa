/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device tells the machine about the machine itself: the guest asked for a reset, powered
 * off, panicked. One listener, implemented by vm/, given to each device that can say such a thing.
 */
#pragma once

#include "base/macros.h"

enum machine_event {
	MACHINE_RESET,        /* start again from power-on */
	MACHINE_POWER_OFF,    /* the guest is done */
	MACHINE_PANIC,        /* the guest's kernel panicked; it may still do something about it */
	MACHINE_EXPIRED,      /* the guest hangs, as its watchdog says: the end */
	MACHINE_PAUSE,        /* stand still; somebody will look, and let it go on */
	MACHINE_CRASH_LOADED, /* it panicked and is starting a crash kernel: leave it alone */
};

struct machine_events {
	/*
	 * [vcpu], inside a register access, or [control]: notes the event and returns; must not
	 * block, and the vCPU may run on for a few instructions. `source` is a static text for the
	 * log: "port 0xcf9". Several vCPUs may report at once, and the same event again.
	 */
	void (*report)(struct machine_events *events, enum machine_event event, const char *source);
};

static inline void machine_events_report(
	struct machine_events *events, enum machine_event event, const char *source)
{
	events->report(events, event, source);
}

/* "Power-off", for log lines. */
static inline const char *machine_event_name(enum machine_event event)
{
	static const char *const names[] = {
		[MACHINE_RESET] = "Reset",
		[MACHINE_POWER_OFF] = "Power-off",
		[MACHINE_PANIC] = "Guest panic",
		[MACHINE_EXPIRED] = "End",
		[MACHINE_PAUSE] = "Pause",
		[MACHINE_CRASH_LOADED] = "Guest panic, crash kernel loaded",
	};

	return names[event];
}
