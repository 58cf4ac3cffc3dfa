/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clocks that KVM keeps for its guests (Linux Documentation/virt/kvm/x86/msr.rst): prints the
 * wall clock, for the host to compare, and looks at the system time twice. With "stopped=N" on the
 * command line it goes on until it was told N times that it did not run for a while; with "busy" it
 * keeps its monitor busy meanwhile.
 */
#include "guest.h"

#define MSR_KVM_WALL_CLOCK  0x4b564d00
#define MSR_KVM_SYSTEM_TIME 0x4b564d01
#define KVM_LEAF            0x40000001U
#define KVM_CLOCKSOURCE2    (1U << 3)
#define GUEST_STOPPED       (1U << 1)
#define SECOND              1000000000ULL
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
	time = wall.sec * SECOND + wall.nsec + system_time();
	print("wall clock %u s %u ms\n", (unsigned int)(time / SECOND),
		(unsigned int)(time % SECOND / 1000000));
	await_stops(guest_option("stopped", 0));
	pass();
}
