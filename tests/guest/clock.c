/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clocks that KVM keeps for its guests (Linux Documentation/virt/kvm/x86/msr.rst): prints the
 * wall clock, for the host to compare, and looks at the system time twice. With "stopped=N" on the
 * command line it goes on until it was told N times that it did not run for a while; with "busy" it
 * keeps its monitor busy meanwhile. With "rtc" the real-time clock (Motorola MC146818A) must agree.
 */
#include "guest.h"

#define MSR_KVM_WALL_CLOCK  0x4b564d00
#define MSR_KVM_SYSTEM_TIME 0x4b564d01
#define KVM_LEAF            0x40000001U
#define KVM_CLOCKSOURCE2    (1U << 3)
#define GUEST_STOPPED       (1U << 1)
#define SECOND              1000000000ULL
#define TOLERANCE           (SECOND / 10)
#define CMOS_PORT           0x70
#define CMOS_A              10
#define CMOS_UPDATING       0x80
#define DEBUG_PORT          0x80 /* of power-on self-tests: nothing is there */

struct wall_clock {
	uint32_t version;
	uint32_t sec;
	uint32_t nsec;
};

struct system_time {
	uint32_t version;
	uint32_t pad;
	uint64_t tsc;
	uint64_t ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags;
	uint8_t pad2[2];
};

static volatile struct wall_clock wall __attribute__((aligned(64)));
static volatile struct system_time now __attribute__((aligned(64)));

/* Nanoseconds since the clock began; an odd version, or one that changes, is an update under way.
 */
static uint64_t system_time(void)
{
	uint32_t version;
	uint64_t ns;

	do {
		version = now.version;
		uint64_t delta = rdtsc() - now.tsc;

		delta = now.shift < 0 ? delta >> -now.shift : delta << now.shift;
		ns = now.ns + (uint64_t)(((unsigned __int128)delta * now.mul) >> 32);
	} while (version != now.version || version & 1);
	return ns;
}

/* The wall clock, in nanoseconds. */
static uint64_t wall_time(void)
{
	return wall.sec * SECOND + wall.nsec + system_time();
}

static uint8_t cmos(uint8_t index)
{
	outb(CMOS_PORT, index);
	return inb(CMOS_PORT + 1);
}

static unsigned int cmos_number(uint8_t index)
{
	uint8_t bcd = cmos(index);

	return (bcd >> 4) * 10U + (bcd & 15);
}

/* Days since 1970, by years that begin in March, so that leap days are the last ones. */
static uint64_t days(unsigned int year, unsigned int month, unsigned int day)
{
	if (month < 3) {
		year--;
		month += 12;
	}
	return 365 * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day -
	       719469;
}

/* Seconds since 1970; from the registers in one second, and not while they change. */
static uint64_t cmos_time(void)
{
	uint64_t time;
	unsigned int second;

	do {
		while (cmos(CMOS_A) & CMOS_UPDATING) {
		}
		second = cmos_number(0);
		time = days(
			cmos_number(0x32) * 100 + cmos_number(9), cmos_number(8), cmos_number(7));
		time = (time * 24 + cmos_number(4)) * 60 + cmos_number(2);
	} while (cmos(CMOS_A) & CMOS_UPDATING || cmos_number(0) != second);
	return time * 60 + second;
}

/* It has whole seconds; the reading lies between two of the other clock. */
static void compare_rtc(void)
{
	uint64_t before = wall_time();
	uint64_t rtc = cmos_time();
	uint64_t after = wall_time();

	print("real-time clock %lu s\n", rtc);
	expect((before - TOLERANCE) / SECOND <= rtc && rtc <= (after + TOLERANCE) / SECOND);
}

static void await_stops(unsigned int n)
{
	bool busy = guest_has_word("busy");

	expect(!(now.flags & GUEST_STOPPED));
	for (unsigned int i = 0; i < n; i++) {
		print("running\n");
		while (!(now.flags & GUEST_STOPPED)) {
			if (busy)
				outb(DEBUG_PORT, 0);
		}
		now.flags &= (uint8_t)~GUEST_STOPPED;
		print("told\n");
	}
}

void guest_main(void)
{
	uint64_t time;
	uint64_t first;

	expect(cpuid(KVM_LEAF, 0).eax & KVM_CLOCKSOURCE2);
	wrmsr(MSR_KVM_WALL_CLOCK, (uint64_t)&wall);
	wrmsr(MSR_KVM_SYSTEM_TIME, (uint64_t)&now | 1);
	first = system_time();
	expect(system_time() >= first);
	time = wall_time();
	print("wall clock %u s %u ms\n", (unsigned int)(time / SECOND),
		(unsigned int)(time % SECOND / 1000000));
	if (guest_has_word("rtc"))
		compare_rtc();
	await_stops(guest_option("stopped", 0));
	pass();
}
