/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 6300ESB's watchdog. Registers that start or stop it are protected from stray writes: each is
 * taken only right after 0x80 and 0x86 were written to the reload register.
 *
 * Of the hardware's, two things are left out: the interrupt of the first stage, which Linux does
 * not use, is only noted in its status bit; and a stage is at least a millisecond, so that the
 * guest does not wake us up at a rate of its choice.
 */
#define LOG_MODULE "watchdog"
#include "pci/i6300esb.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/thread.h"
#include "event/loop.h"

/* Configuration space. */
#define ESB_CONFIG      0x60
#define ESB_CONFIG_MASK 0x27
#define ESB_INT_TYPE    0x03 /* 0: an interrupt after the first stage */
#define ESB_FAST        0x04 /* counts PCI clocks by 2^5, not 2^15 */
#define ESB_NO_OUTPUT   0x20 /* the end of the second stage has no effect */
#define ESB_LOCK        0x68
#define ESB_LOCK_MASK   0x07
#define ESB_LOCKED      0x01 /* until the next reset */
#define ESB_ENABLED     0x02
#define ESB_FREE_RUN    0x04 /* only the second stage, again and again */

/* BAR 0. */
#define ESB_BAR_SIZE   16
#define ESB_TIMER1     0x00
#define ESB_TIMER2     0x04
#define ESB_STATUS     0x08
#define ESB_RELOAD     0x0c
#define ESB_TIMER_MASK 0xfffffu
#define ESB_DO_RELOAD  0x0100
#define ESB_TIMED_OUT  0x0200 /* survives the reset that it tells of; a 1 clears it */
#define ESB_KEY1       0x80
#define ESB_KEY2       0x86

#define ESB_CLOCK_NS   30u /* 33 MHz */
#define ESB_STAGE_MIN  1000000u
#define ESB_NEVER      UINT64_MAX

struct i6300esb {
	struct pci_dev pci;
	struct i6300esb_options options;

	pthread_mutex_t lock; /* guards what follows; lock order 40 */
	uint32_t preload[2];
	unsigned int keys; /* of the two, written so far */
	uint8_t config, mode;
	bool interrupted, timed_out;
	unsigned int stage;   /* that counts, 1 or 2; 0: none */
	uint64_t deadline_ns; /* its end */
	uint64_t armed_ns;    /* when the timer fires, or will when its message is served */
	bool paused;

	/* Of the loop's thread. */
	struct loop_timer timer;
	struct loop_msg arm_msg;
	struct log_limit limit;
	uint64_t left_ns; /* of the stage, while paused */
};

/* ---- Time; with the lock held ---- */

static uint64_t esb_stage_ns(const struct i6300esb *w, unsigned int stage)
{
	uint64_t clocks = (uint64_t)w->preload[stage - 1] << (w->config & ESB_FAST ? 5 : 15);

	return MAX(clocks * ESB_CLOCK_NS, (uint64_t)ESB_STAGE_MIN);
}

/* Begins a stage. The timer stays as it is unless it would come too late. */
static void esb_begin_locked(struct i6300esb *w, unsigned int stage)
{
	w->stage = stage;
	w->deadline_ns = loop_now_ns() + esb_stage_ns(w, stage);
	if (w->paused || w->deadline_ns >= w->armed_ns)
		return;
	w->armed_ns = w->deadline_ns;
	loop_post(w->options.loop, &w->arm_msg);
}

static void esb_restart_locked(struct i6300esb *w)
{
	if (w->mode & ESB_ENABLED)
		esb_begin_locked(w, w->mode & ESB_FREE_RUN ? 2 : 1);
}

/* [loop] */
static void esb_arm_locked(struct i6300esb *w)
{
	uint64_t now = loop_now_ns();

	w->armed_ns = ESB_NEVER;
	if (!w->stage || w->paused)
		return;
	w->armed_ns = w->deadline_ns;
	loop_timer_set(w->options.loop, &w->timer, w->deadline_ns > now ? w->deadline_ns - now : 0);
}

static void esb_on_arm(struct loop_msg *msg)
{
	struct i6300esb *w = container_of(msg, struct i6300esb, arm_msg);

	auto_lock(&w->lock);
	esb_arm_locked(w);
}

/* The stage is over; true if the machine is to be told. */
static bool esb_end_stage_locked(struct i6300esb *w)
{
	bool last = w->stage == 2;

	if (last)
		w->stage = 0;
	else
		w->interrupted |= !(w->config & ESB_INT_TYPE);
	w->timed_out |= last;
	if (!last || w->mode & ESB_FREE_RUN)
		esb_begin_locked(w, 2);
	return last && !(w->config & ESB_NO_OUTPUT);
}

static void esb_on_timer(struct loop_timer *timer)
{
	struct i6300esb *w = container_of(timer, struct i6300esb, timer);
	bool expired = false;

	with_lock (&w->lock) {
		if (w->stage && loop_now_ns() >= w->deadline_ns)
			expired = esb_end_stage_locked(w);
		esb_arm_locked(w);
	}
	if (!expired)
		return;
	log_guest(&w->limit, "The guest's watchdog has expired");
	if (!w->options.silent)
		machine_events_report(w->options.events, w->options.action, "its watchdog");
}

/* ---- Registers; [vcpu] ---- */

static uint64_t esb_read(struct io_region *region, uint64_t off, unsigned int size)
{
	struct i6300esb *w = container_of(region, struct i6300esb, pci.bars[0].region);

	auto_lock(&w->lock);
	if (off == ESB_RELOAD)
		return w->timed_out ? ESB_TIMED_OUT : 0;
	return off == ESB_STATUS && w->interrupted;
}

static void esb_write_register_locked(struct i6300esb *w, uint64_t off, uint32_t value)
{
	if (off == ESB_TIMER1 || off == ESB_TIMER2)
		w->preload[off == ESB_TIMER2] = value & ESB_TIMER_MASK;
	if (off != ESB_RELOAD)
		return;
	if (value & ESB_TIMED_OUT)
		w->timed_out = false;
	if (value & ESB_DO_RELOAD)
		esb_restart_locked(w);
}

static void esb_write(struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct i6300esb *w = container_of(region, struct i6300esb, pci.bars[0].region);

	auto_lock(&w->lock);
	if (off == ESB_STATUS) {
		w->interrupted &= !(value & 1);
	} else if (off == ESB_RELOAD && value == ESB_KEY1) {
		w->keys = 1;
	} else if (off == ESB_RELOAD && value == ESB_KEY2 && w->keys == 1) {
		w->keys = 2;
	} else {
		if (w->keys == 2)
			esb_write_register_locked(w, off, (uint32_t)value);
		w->keys = 0;
	}
}

static const struct io_ops esb_io_ops = {.read = esb_read, .write = esb_write};

/* With the segment's lock, which guards the bytes. */
static void esb_config_written(struct pci_dev *dev, unsigned int off, unsigned int size)
{
	struct i6300esb *w = container_of(dev, struct i6300esb, pci);
	uint8_t before;

	auto_lock(&w->lock);
	before = w->mode;
	w->config = dev->config[ESB_CONFIG];
	w->mode = dev->config[ESB_LOCK];
	if (w->mode & ESB_LOCKED)
		dev->wmask[ESB_LOCK] = 0;
	if (!(w->mode & ESB_ENABLED))
		w->stage = 0;
	else if (!(before & ESB_ENABLED))
		esb_restart_locked(w);
}

static const struct pci_dev_ops esb_pci_ops = {.config_written = esb_config_written};

/* ---- Life ---- */

static void esb_init_registers_locked(struct i6300esb *w)
{
	w->preload[0] = w->preload[1] = ESB_TIMER_MASK;
	w->keys = w->stage = 0;
	w->config = w->mode = 0;
	w->interrupted = w->paused = false;
	w->armed_ns = ESB_NEVER;
	w->pci.wmask[ESB_CONFIG] = ESB_CONFIG_MASK;
	w->pci.wmask[ESB_LOCK] = ESB_LOCK_MASK;
}

static void esb_reset(struct device *device)
{
	struct i6300esb *w = container_of(device, struct i6300esb, pci.device);

	loop_timer_cancel(&w->timer);
	with_lock (&w->lock)
		esb_init_registers_locked(w);
	pci_dev_reset(&w->pci);
}

static void esb_quiesce(struct device *device)
{
	struct i6300esb *w = container_of(device, struct i6300esb, pci.device);
	uint64_t now = loop_now_ns();

	auto_lock(&w->lock);
	if (w->paused)
		return;
	w->paused = true;
	w->left_ns = w->deadline_ns > now ? w->deadline_ns - now : 0;
	w->armed_ns = ESB_NEVER;
	loop_timer_cancel(&w->timer);
}

static void esb_resume(struct device *device)
{
	struct i6300esb *w = container_of(device, struct i6300esb, pci.device);

	auto_lock(&w->lock);
	if (!w->paused)
		return;
	w->paused = false;
	w->deadline_ns = loop_now_ns() + w->left_ns;
	esb_arm_locked(w);
}

static void esb_free(struct device *device)
{
	struct i6300esb *w = container_of(device, struct i6300esb, pci.device);

	loop_timer_cancel(&w->timer);
	pci_dev_deinit(&w->pci);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static const struct device_ops esb_device_ops = {
	.reset = esb_reset, .quiesce = esb_quiesce, .resume = esb_resume, .free = esb_free};

struct err *i6300esb_create(const struct i6300esb_options *options, struct pci_dev **ret_dev)
{
	static const struct pci_ids ids = {.vendor = 0x8086,
		.device = 0x25ab,
		.subsystem_vendor = 0x1af4,
		.subsystem = 0x1100,
		.class_code = 0x088000};
	struct i6300esb *w = new0(struct i6300esb);

	if (!w)
		return err_new(ENOMEM, "Cannot create a watchdog");
	w->options = *options;
	w->timer.fired = esb_on_timer;
	w->arm_msg.run = esb_on_arm;
	w->pci.device = (struct device){.ops = &esb_device_ops, .name = "i6300esb"};
	pthread_mutex_init(&w->lock, NULL);
	pci_dev_init(&w->pci, &ids, &esb_pci_ops, false);
	pci_dev_add_bar(&w->pci, 0, PCI_BAR_MEM32, ESB_BAR_SIZE, &esb_io_ops, "i6300esb");
	esb_init_registers_locked(w);
	*ret_dev = &w->pci;
	return NULL;
}
