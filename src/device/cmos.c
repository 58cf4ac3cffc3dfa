/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CMOS RAM and real-time clock (Motorola MC146818A data sheet).
 *
 * Theory of operation. Nothing ticks: the time is the host's plus an offset, put into the registers
 * when they are read. Flags of register C are brought up to date when somebody looks: what happened
 * since the last look is computed. Only an enabled interrupt takes a timer, and none that is
 * pending already, so that the guest's reads of register C bound the rate. While the guest holds
 * the clock (SET in register B, divider in reset in register A) the registers are memory.
 */
#include "device/cmos.h"

#include <errno.h>
#include <time.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "device/cmos_time.h"
#include "event/loop.h"

#define CMOS_PORT       0x70
#define CMOS_PORTS      2

#define CMOS_A_UIP      0x80u
#define CMOS_A_DIVIDER  0x70u
#define CMOS_A_RESET    0x60u /* both bits: the divider is held in reset */
#define CMOS_A_RATE     0x0fu
#define CMOS_A_POWER_ON 0x26u /* 32768 Hz, 1024 Hz */

#define CMOS_B_SET      0x80u
#define CMOS_ENABLE     0x70u /* PIE, AIE, UIE: the same bits as the flags of register C */
#define CMOS_B_SQWE     0x08u

#define CMOS_C_IRQ      0x80u
#define CMOS_C_PERIODIC 0x40u
#define CMOS_C_ALARM    0x20u
#define CMOS_C_UPDATE   0x10u

#define CMOS_D_VALID    0x80u /* the battery is good */

/* Bytes that firmware and old kernels look at. */
#define CMOS_BASE_MEMORY 0x15 /* KiB below 640 KiB */
#define CMOS_EXTENDED    0x17 /* KiB above 1 MiB, 16 bits */
#define CMOS_EXTENDED_2  0x30 /* the same */
#define CMOS_ABOVE_16M   0x34 /* in 64 KiB, below 4 GiB, 16 bits */
#define CMOS_ABOVE_4G    0x5b /* in 64 KiB, 24 bits */
#define CMOS_CPUS        0x5f /* but one */

#define NS_PER_S         1000000000
#define CMOS_CLOCK_HZ    32768
#define CMOS_UPDATE_NS   244000 /* UIP comes so long before the time changes */
/* The host's clock may be set while an alarm waits: it is looked at so often. */
#define CMOS_RECHECK_NS (60ull * NS_PER_S)

struct cmos_instant {
	int64_t s;
	int32_t ns;
};

struct cmos {
	struct device device;
	struct io_region region;
	struct bus *pio;
	struct irq_line *irq;
	struct loop *loop;
	int64_t (*clock)(void);
	struct loop_msg rearm;
	struct loop_timer timer; /* control thread only */
	pthread_mutex_t lock;    /* all below; lock order 40 */
	uint8_t index;
	uint8_t regs[CMOS_SIZE];
	struct cmos_instant offset; /* the guest's time less the host's; ns is 0 or more */
	struct cmos_instant looked; /* guest's time up to which register C is complete */
	bool changed;               /* time registers were written while the clock was held */
	bool quiet;                 /* paused: no interrupts */
};

static int64_t cmos_host_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static struct cmos_instant cmos_host_now(const struct cmos *cmos)
{
	int64_t now = cmos->clock();

	return (struct cmos_instant){.s = now / NS_PER_S, .ns = (int32_t)(now % NS_PER_S)};
}

static struct cmos_instant cmos_now_locked(const struct cmos *cmos)
{
	struct cmos_instant now = cmos_host_now(cmos);

	now.s += cmos->offset.s;
	now.ns += cmos->offset.ns;
	if (now.ns >= NS_PER_S) {
		now.ns -= NS_PER_S;
		now.s++;
	}
	return now;
}

static void cmos_set_now_locked(struct cmos *cmos, struct cmos_instant guest)
{
	struct cmos_instant now = cmos_host_now(cmos);

	cmos->offset = (struct cmos_instant){.s = guest.s - now.s, .ns = guest.ns - now.ns};
	if (cmos->offset.ns < 0) {
		cmos->offset.ns += NS_PER_S;
		cmos->offset.s--;
	}
	cmos->looked = guest;
}

static bool cmos_in_reset_locked(const struct cmos *cmos)
{
	return (cmos->regs[CMOS_A] & CMOS_A_RESET) == CMOS_A_RESET;
}

static bool cmos_is_held_locked(const struct cmos *cmos)
{
	return (cmos->regs[CMOS_B] & CMOS_B_SET) || cmos_in_reset_locked(cmos);
}

/* ---- Interrupts ---- */

/* Periods of the periodic interrupt until then; 0 if there is none. Rates 1 and 2 are those of 8
 * and 9. */
static int64_t cmos_periods_locked(const struct cmos *cmos, struct cmos_instant t, int64_t *ret_len)
{
	unsigned int rate = cmos->regs[CMOS_A] & CMOS_A_RATE;
	int64_t ticks = t.s * CMOS_CLOCK_HZ + (int64_t)t.ns * CMOS_CLOCK_HZ / NS_PER_S;

	*ret_len = 0;
	if (!rate)
		return 0;
	*ret_len = (int64_t)1 << (rate <= 2 ? rate + 6 : rate - 1);
	return ticks / *ret_len;
}

/* Register C and the interrupt as of now. */
static void cmos_look_locked(struct cmos *cmos)
{
	struct cmos_instant now = cmos_now_locked(cmos);
	uint8_t flags = 0;
	int64_t len;

	if (!cmos_is_held_locked(cmos)) {
		if (now.s != cmos->looked.s)
			flags |= CMOS_C_UPDATE;
		if (cmos_time_next_alarm(cmos->regs, cmos->looked.s) <= now.s)
			flags |= CMOS_C_ALARM;
		if (cmos_periods_locked(cmos, now, &len) !=
			cmos_periods_locked(cmos, cmos->looked, &len))
			flags |= CMOS_C_PERIODIC;
	}
	cmos->looked = now;
	cmos->regs[CMOS_C] |= flags;
	if (cmos->regs[CMOS_C] & cmos->regs[CMOS_B] & CMOS_ENABLE)
		cmos->regs[CMOS_C] |= CMOS_C_IRQ;
	else
		cmos->regs[CMOS_C] &= (uint8_t)~CMOS_C_IRQ;
	if (!cmos->quiet)
		irq_line_set(cmos->irq, cmos->regs[CMOS_C] & CMOS_C_IRQ);
}

/* Nanoseconds to what comes first of that which is enabled and not pending; 0: nothing does. */
static uint64_t cmos_delay_locked(const struct cmos *cmos)
{
	uint8_t wanted = (uint8_t)(cmos->regs[CMOS_B] & ~cmos->regs[CMOS_C] & CMOS_ENABLE);
	struct cmos_instant now = cmos_now_locked(cmos);
	uint64_t delay = CMOS_RECHECK_NS;
	int64_t len;
	int64_t periods = cmos_periods_locked(cmos, now, &len);

	if (!wanted || cmos->quiet || cmos_is_held_locked(cmos))
		return 0;
	if (wanted & CMOS_C_UPDATE)
		delay = MIN(delay, (uint64_t)(NS_PER_S - now.ns));
	if (wanted & CMOS_C_ALARM) {
		int64_t alarm = cmos_time_next_alarm(cmos->regs, now.s);

		if (alarm < now.s + (int64_t)(delay / NS_PER_S))
			delay = (uint64_t)(alarm - now.s) * NS_PER_S - (uint64_t)now.ns;
	}
	if ((wanted & CMOS_C_PERIODIC) && len) {
		int64_t ticks = now.s * CMOS_CLOCK_HZ + (int64_t)now.ns * CMOS_CLOCK_HZ / NS_PER_S;
		int64_t left = (periods + 1) * len - ticks;

		delay = MIN(delay, (uint64_t)left * NS_PER_S / CMOS_CLOCK_HZ);
	}
	return MAX(delay, (uint64_t)1);
}

/* [control] */
static void cmos_arm(struct cmos *cmos)
{
	uint64_t delay = 0;

	with_lock (&cmos->lock) {
		cmos_look_locked(cmos);
		delay = cmos_delay_locked(cmos);
	}
	if (delay)
		loop_timer_set(cmos->loop, &cmos->timer, delay);
	else
		loop_timer_cancel(&cmos->timer);
}

static void cmos_on_rearm(struct loop_msg *msg)
{
	cmos_arm(container_of(msg, struct cmos, rearm));
}

static void cmos_on_timer(struct loop_timer *timer)
{
	cmos_arm(container_of(timer, struct cmos, timer));
}

/* After a change of what the timer waits for. The control thread looks, and sets it. */
static void cmos_changed_locked(struct cmos *cmos)
{
	cmos_look_locked(cmos);
	if (cmos->regs[CMOS_B] & CMOS_ENABLE)
		loop_post(cmos->loop, &cmos->rearm);
}

/* ---- Registers ---- */

static bool cmos_is_time(uint8_t index)
{
	return index == CMOS_SECONDS || index == CMOS_MINUTES || index == CMOS_HOURS ||
	       (index >= CMOS_WEEKDAY && index <= CMOS_YEAR) || index == CMOS_CENTURY;
}

static void cmos_write_time_locked(struct cmos *cmos, uint8_t index, uint8_t value)
{
	struct cmos_instant now = cmos_now_locked(cmos);

	if (cmos_is_held_locked(cmos)) {
		cmos->regs[index] = value;
		cmos->changed = true;
		return;
	}
	cmos_time_store(cmos->regs, now.s);
	cmos->regs[index] = value;
	now.s = cmos_time_load(cmos->regs);
	cmos_set_now_locked(cmos, now);
	cmos_changed_locked(cmos);
}

/*
 * Registers A and B. The clock goes on with what was written when nothing holds it any more; half a
 * second early if its divider was in reset, which is how drivers set it to a fraction.
 */
static void cmos_control_locked(struct cmos *cmos, uint8_t index, uint8_t value)
{
	bool was_held = cmos_is_held_locked(cmos);
	bool was_reset = cmos_in_reset_locked(cmos);

	cmos_look_locked(cmos);
	if (!was_held)
		cmos_time_store(cmos->regs, cmos_now_locked(cmos).s);
	cmos->regs[index] = value;
	if (was_held && !cmos_is_held_locked(cmos) && cmos->changed) {
		cmos_set_now_locked(cmos, (struct cmos_instant){.s = cmos_time_load(cmos->regs),
						  .ns = was_reset ? NS_PER_S / 2 : 0});
		cmos->changed = false;
	}
	cmos_changed_locked(cmos);
}

static void cmos_write_reg_locked(struct cmos *cmos, uint8_t index, uint8_t value)
{
	switch (index) {
	case CMOS_A:
		cmos_control_locked(cmos, index, (uint8_t)(value & ~CMOS_A_UIP));
		break;
	case CMOS_B:
		/* As the data sheet says: SET ends update interrupts. */
		if (value & CMOS_B_SET)
			value &= (uint8_t)~CMOS_C_UPDATE;
		cmos_control_locked(cmos, index, value);
		break;
	case CMOS_C:
	case CMOS_D:
		break;
	case CMOS_SECONDS_ALARM:
	case CMOS_MINUTES_ALARM:
	case CMOS_HOURS_ALARM:
		cmos_look_locked(cmos);
		cmos->regs[index] = value;
		cmos_changed_locked(cmos);
		break;
	default:
		if (cmos_is_time(index))
			cmos_write_time_locked(cmos, index, value);
		else
			cmos->regs[index] = value;
		break;
	}
}

static uint8_t cmos_read_a_locked(const struct cmos *cmos)
{
	bool updating =
		!cmos_is_held_locked(cmos) && cmos_now_locked(cmos).ns >= NS_PER_S - CMOS_UPDATE_NS;

	return (uint8_t)(cmos->regs[CMOS_A] | (updating ? CMOS_A_UIP : 0));
}

static uint8_t cmos_read_c_locked(struct cmos *cmos)
{
	uint8_t value;

	cmos_look_locked(cmos);
	value = cmos->regs[CMOS_C];
	cmos->regs[CMOS_C] = 0;
	cmos_changed_locked(cmos);
	return value;
}

static uint8_t cmos_read_reg_locked(struct cmos *cmos, uint8_t index)
{
	if (index == CMOS_A)
		return cmos_read_a_locked(cmos);
	if (index == CMOS_C)
		return cmos_read_c_locked(cmos);
	if (cmos_is_time(index) && !cmos_is_held_locked(cmos))
		cmos_time_store(cmos->regs, cmos_now_locked(cmos).s);
	return cmos->regs[index];
}

static uint64_t cmos_read(struct io_region *region, uint64_t off, unsigned int size)
{
	struct cmos *cmos = container_of(region, struct cmos, region);

	if (off != 1)
		return UINT64_MAX; /* the index cannot be read */
	auto_lock(&cmos->lock);
	return cmos_read_reg_locked(cmos, cmos->index);
}

static void cmos_write(struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct cmos *cmos = container_of(region, struct cmos, region);

	auto_lock(&cmos->lock);
	if (off == 0)
		cmos->index = (uint8_t)(value & (CMOS_SIZE - 1)); /* bit 7 masks NMIs: none come */
	/* A word is both at once. */
	if (off == 0 && size > 1)
		value >>= 8;
	if (off == 1 || size > 1)
		cmos_write_reg_locked(cmos, cmos->index, (uint8_t)value);
}

/* ---- Device ---- */

static void cmos_store_bytes(struct cmos *cmos, unsigned int at, uint64_t value, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		cmos->regs[at + i] = (uint8_t)(value >> (8 * i));
}

static void cmos_store_memory(struct cmos *cmos, const struct cmos_options *options)
{
	uint64_t above_1m = options->ram_low - MIN(options->ram_low, MIB(1));
	uint64_t above_16m = options->ram_low - MIN(options->ram_low, MIB(16));

	cmos_store_bytes(cmos, CMOS_BASE_MEMORY, 640, 2);
	cmos_store_bytes(cmos, CMOS_EXTENDED, MIN(above_1m >> 10, (uint64_t)UINT16_MAX), 2);
	cmos_store_bytes(cmos, CMOS_EXTENDED_2, MIN(above_1m >> 10, (uint64_t)UINT16_MAX), 2);
	cmos_store_bytes(cmos, CMOS_ABOVE_16M, MIN(above_16m >> 16, (uint64_t)UINT16_MAX), 2);
	cmos_store_bytes(cmos, CMOS_ABOVE_4G, MIN(options->ram_high >> 16, (uint64_t)0xffffff), 3);
	cmos_store_bytes(cmos, CMOS_CPUS, MIN(options->n_cpus - 1, 255u), 1);
}

/* The battery keeps the rest. A machine is quiesced before it is reset, and not resumed after it.
 */
static void cmos_reset(struct device *device)
{
	struct cmos *cmos = container_of(device, struct cmos, device);

	loop_timer_cancel(&cmos->timer);
	auto_lock(&cmos->lock);
	cmos->quiet = false;
	cmos->index = 0;
	cmos->regs[CMOS_B] &= (uint8_t) ~(CMOS_ENABLE | CMOS_B_SQWE);
	cmos_look_locked(cmos);
	cmos->regs[CMOS_C] = 0;
}

static void cmos_quiesce(struct device *device)
{
	struct cmos *cmos = container_of(device, struct cmos, device);

	with_lock (&cmos->lock)
		cmos->quiet = true;
	loop_timer_cancel(&cmos->timer);
}

static void cmos_resume(struct device *device)
{
	struct cmos *cmos = container_of(device, struct cmos, device);

	with_lock (&cmos->lock)
		cmos->quiet = false;
	cmos_arm(cmos);
}

static void cmos_free(struct device *device)
{
	struct cmos *cmos = container_of(device, struct cmos, device);

	loop_timer_cancel(&cmos->timer);
	bus_remove(cmos->pio, &cmos->region);
	pthread_mutex_destroy(&cmos->lock);
	free(cmos);
}

static const struct device_ops cmos_device_ops = {
	.reset = cmos_reset, .quiesce = cmos_quiesce, .resume = cmos_resume, .free = cmos_free};
static const struct io_ops cmos_io_ops = {.read = cmos_read, .write = cmos_write};

struct err *cmos_create(const struct cmos_options *options, struct device **ret_device)
{
	struct cmos *cmos = new0(struct cmos);
	struct err *err;

	if (!cmos)
		return err_new(ENOMEM, "Failed to create the real-time clock");
	cmos->device = (struct device){.ops = &cmos_device_ops, .name = "cmos"};
	cmos->region = (struct io_region){
		.ops = &cmos_io_ops, .name = cmos->device.name, .size = CMOS_PORTS};
	cmos->pio = options->pio;
	cmos->irq = options->irq;
	cmos->loop = options->loop;
	cmos->clock = options->clock ? options->clock : cmos_host_clock;
	cmos->rearm.run = cmos_on_rearm;
	cmos->timer.fired = cmos_on_timer;
	cmos->regs[CMOS_A] = CMOS_A_POWER_ON;
	cmos->regs[CMOS_B] = CMOS_B_24H;
	cmos->regs[CMOS_D] = CMOS_D_VALID;
	cmos->looked = cmos_host_now(cmos);
	cmos_store_memory(cmos, options);
	pthread_mutex_init(&cmos->lock, NULL);
	err = bus_add_at(cmos->pio, &cmos->region, CMOS_PORT);
	if (err) {
		cmos_free(&cmos->device);
		return err_wrap(err, "Failed to create the real-time clock");
	}
	*ret_device = &cmos->device;
	return NULL;
}
