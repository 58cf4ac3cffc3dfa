/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hostile driver does to a device of several queues, whatever they are for. Requests may be
 * used, be kept, or break the queue: the device must only work again when it is reset.
 */
#pragma once

#include "guest_virtio.h"

#define ABUSE_QUEUES 10

struct abuse_device {
	struct virtio virtio;
	unsigned int n_queues; /* that there are, at most ABUSE_QUEUES */
	unsigned int n_abused; /* the first of them */
	uint64_t features;     /* as a proper driver negotiates them */
	/* Others have its rings, which a buffer of the wrong kind may break. */
	bool is_strict;
	void (*works)(void); /* resets the device and lets it do its work; fails if it does not */
};

extern struct virtio_ring abuse_rings[ABUSE_QUEUES];

/* Resets the device, enables all of its queues, and sets DRIVER_OK. */
void abuse_begin(const struct abuse_device *d);
/* A descriptor of a queue; and a chain of a single one, made available. */
void abuse_set(
	unsigned int q, unsigned int i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next);
void abuse_submit(
	const struct abuse_device *d, unsigned int q, uint64_t addr, uint32_t len, uint16_t flags);
/* Waits for the n-th chain of a queue, which must come. */
void abuse_expect_used(const struct abuse_device *d, unsigned int q, uint16_t n);
/* Gives the device a moment for whatever it does with what it got. */
void abuse_pass_time(const struct abuse_device *d);
/* A number that looks like any. */
uint32_t abuse_random(void);

/* Every queue, one after the other. */
void abuse_all_queues(const struct abuse_device *d);
/* That, then a program's own cases, with a line for each; then the device is reset. */
void abuse_run(
	const struct abuse_device *d, const char *name, void (*const *cases)(void), unsigned int n);
