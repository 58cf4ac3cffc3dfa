/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watchdog timer of the Intel 6300ESB I/O controller hub (its data sheet, chapter "Watchdog
 * Timer"), for which Linux has had a driver for long (i6300esb).
 *
 * Theory of operation. The driver enables it and then restarts it again and again; a guest that
 * hangs does not. Two stages follow each other, each with a time of its own; at the end of the
 * second one the machine is told. Restarts come by vCPUs, and only note the time: the loop's timer
 * looks what has become of it when it fires, so a guest that pets its watchdog costs one wake-up of
 * the monitor in the time of a stage.
 */
#pragma once

#include "device/machine_events.h"
#include "pci/pci.h"

struct loop;

struct i6300esb_options {
	struct loop *loop; /* the control thread's */
	struct machine_events *events;
	enum machine_event action; /* what is reported at the end of the second stage */
	bool silent;               /* nothing is; there is a log line */
};

/* The caller adds it to a segment and owns it as a device; reset, quiesce, resume and free are
 * called by the loop's thread, or while it does not run. [main] */
struct err *must_check i6300esb_create(
	const struct i6300esb_options *options, struct pci_dev **ret_dev);
