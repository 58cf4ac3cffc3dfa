/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One interrupt input of an interrupt controller, as a device sees it. Embedded in the controller's
 * object (or a test's recorder).
 */
#pragma once

#include "base/macros.h"

struct irq_line {
	/* Asserts or deasserts; a repeat of the current level does nothing. [any] */
	void (*set)(struct irq_line *line, bool level);
};

static inline void irq_line_set(struct irq_line *line, bool level)
{
	if (line)
		line->set(line, level);
}
