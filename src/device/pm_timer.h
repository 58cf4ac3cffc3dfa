/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI power management timer: a free-running 32-bit counter at 3.579545 MHz (ACPI 6.5, 4.8.3.3),
 * read from CLOCK_MONOTONIC; no interrupt (hardware-reduced ACPI).
 */
#pragma once

#include "device/device.h"
#include "mem/bus.h"

#define PM_TIMER_HZ 3579545u

/* Answers four ports from `port`; reset starts it again at zero. Free with device_free(). [main] */
struct err *must_check pm_timer_create(struct bus *pio, uint16_t port, struct device **ret_device);
