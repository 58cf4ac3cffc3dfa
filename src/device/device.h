/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every emulated device is to the machine: a name and a life. Embedded in the device's own
 * struct.
 */
#pragma once

#include "base/err.h"

struct device;

struct device_ops {
	/* Power-on state. No vCPU runs; returns when no I/O is in flight any more. [main] */
	void (*reset)(struct device *dev);
	/* Stops touching guest memory and raising interrupts, until resume; NULL: nothing to do.
	 * [main] */
	void (*quiesce)(struct device *dev);
	void (*resume)(struct device *dev);
	/* Stops everything and frees the object. [main] */
	void (*free)(struct device *dev);
};

struct device {
	const struct device_ops *ops;
	const char *name;    /* owned by the device */
	struct device *next; /* the machine's list, in order of creation */
};

static inline void device_reset(struct device *dev)
{
	dev->ops->reset(dev);
}

static inline void device_quiesce(struct device *dev)
{
	if (dev->ops->quiesce)
		dev->ops->quiesce(dev);
}

static inline void device_resume(struct device *dev)
{
	if (dev->ops->resume)
		dev->ops->resume(dev);
}

static inline void device_free(struct device *dev)
{
	if (dev)
		dev->ops->free(dev);
}
