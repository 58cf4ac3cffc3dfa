/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts what devices report about the machine.
 */
#pragma once

#include "device/machine_events.h"

struct machine_recorder {
	struct machine_events events;
	unsigned int n;
	enum machine_event last;
};

static inline void machine_recorder_report(
	struct machine_events *events, enum machine_event event, const char *source)
{
	struct machine_recorder *r = container_of(events, struct machine_recorder, events);

	assert(source && *source);
	r->n++;
	r->last = event;
}

#define MACHINE_RECORDER_INIT                                                                      \
	(struct machine_recorder)                                                                  \
	{                                                                                          \
		.events.report = machine_recorder_report                                           \
	}
