/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the guest of x86_guest.S in a VM of one vCPU, for a bounded time.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/thread.h"
#include "check/check_internal.h"
#include "check/x86_guest.h"
#include "hv/hv.h"
#include "hv/hv_x86.h"

#define CHECK_BREAKPOINT_GATE 48U /* of vector 3, 16 bytes each */
#define CHECK_LOOPS           200000U
#define CHECK_ROUNDS          5
#define CHECK_BUDGET_NS       400000000ULL

extern const uint8_t check_guest[];
extern const uint32_t check_guest_size;
extern const uint32_t check_guest_breakpoint; /* offset of the handler */
void check_host_loop(uint64_t n);

/* Kicks the vCPU when its time is over. */
struct check_watchdog {
	struct thread thread;
	pthread_mutex_t lock; /* guards over; lock order 90 */
	pthread_cond_t changed;
	bool over;
	struct hv_vcpu *vcpu;
};

struct check_machine {
	struct hv_vm *vm;
	struct hv_vcpu *vcpu;
	uint8_t *ram;
	struct hv_x86_cpuid cpuid;
	struct check_watchdog watchdog;
};

/* What the step after `done` does. */
static const char *check_step_name(unsigned int done)
{
	static const char *const names[] = {
		[0] = "int3 through an IDT",
		[CHECK_STEP_INT3] = "cmpxchg16b",
		[CHECK_STEP_CMPXCHG16B] = "shlx",
		[CHECK_STEP_SHLX] = "rdtsc",
	};

	return done < ARRAY_SIZE(names) ? names[done] : "a loop";
}

static uint64_t check_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void check_watchdog_run(struct thread *thread)
{
	struct check_watchdog *watchdog = container_of(thread, struct check_watchdog, thread);
	uint64_t deadline_ns = check_now_ns() + CHECK_BUDGET_NS;
	struct timespec deadline = {
		.tv_sec = (time_t)(deadline_ns / 1000000000),
		.tv_nsec = (long)(deadline_ns % 1000000000),
	};

	auto_lock(&watchdog->lock);
	while (!watchdog->over)
		if (pthread_cond_clockwait(
			    &watchdog->changed, &watchdog->lock, CLOCK_MONOTONIC, &deadline))
			break;
	if (!watchdog->over)
		hv_vcpu_kick(watchdog->vcpu);
}

static struct err *check_watchdog_start(struct check_watchdog *watchdog, struct hv_vcpu *vcpu)
{
	watchdog->thread = (struct thread){.name = "watchdog", .run = check_watchdog_run};
	watchdog->vcpu = vcpu;
	pthread_mutex_init(&watchdog->lock, NULL);
	pthread_cond_init(&watchdog->changed, NULL);
	return thread_start(&watchdog->thread);
}

static void check_watchdog_stop(struct check_watchdog *watchdog)
{
	with_lock (&watchdog->lock) {
		watchdog->over = true;
		pthread_cond_signal(&watchdog->changed);
	}
	thread_join(&watchdog->thread);
	pthread_cond_destroy(&watchdog->changed);
	pthread_mutex_destroy(&watchdog->lock);
}

static void check_machine_free(struct check_machine *machine)
{
	hv_vcpu_free(machine->vcpu);
	hv_vm_free(machine->vm);
	if (machine->ram)
		munmap(machine->ram, CHECK_RAM);
	free(machine);
}

/* Descriptors, page tables (2 MiB, identity) and code; Intel SDM Vol. 3, 3.4.5, 4.5 and 6.14.1. */
static void check_fill_ram(uint8_t *ram)
{
	uint64_t breakpoint = CHECK_CODE + check_guest_breakpoint;
	uint8_t *gate = ram + CHECK_IDT + CHECK_BREAKPOINT_GATE;

	store_le64(ram + CHECK_GDT + 8, 0x00209b0000000000);  /* selector 8: 64-bit code */
	store_le64(ram + CHECK_GDT + 16, 0x00cf93000000ffff); /* selector 16: data */
	store_le64(gate, breakpoint | 8ULL << 16 | 0x8e00ULL << 32);
	store_le64(ram + CHECK_PML4, CHECK_PDPT | 3);
	store_le64(ram + CHECK_PDPT, CHECK_PD | 3);
	store_le64(ram + CHECK_PD, 0x83);
	memcpy(ram + CHECK_CODE, check_guest, check_guest_size);
}

static unsigned int check_features(const struct hv_x86_cpuid *cpuid)
{
	unsigned int features = 0;

	for (unsigned int i = 0; i < cpuid->n; i++) {
		const struct hv_x86_cpuid_entry *entry = &cpuid->entries[i];

		if (entry->function == 1 && entry->ecx & 1U << 13)
			features |= CHECK_HAS_CX16;
		if (entry->function == 7 && entry->index == 0 && entry->ebx & 1U << 8)
			features |= CHECK_HAS_BMI2;
	}
	return features;
}

static struct err *check_set_state(struct check_machine *machine)
{
	const struct hv_x86_segment data = {.limit = 0xffffffff, .selector = 16, .access = 0xc093};
	const struct hv_x86_regs regs = {
		.rip = CHECK_CODE,
		.rsp = CHECK_STACK,
		.rflags = 2,
		.r14 = CHECK_LOOPS,
		.r15 = check_features(&machine->cpuid),
	};
	struct hv_x86_sregs sregs;
	struct err *err = hv_x86_get_sregs(machine->vcpu, &sregs);

	if (err)
		return err;
	sregs.cs = (struct hv_x86_segment){.limit = 0xffffffff, .selector = 8, .access = 0xa09b};
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.gdt = (struct hv_x86_dtable){.base = CHECK_GDT, .limit = 23};
	sregs.idt = (struct hv_x86_dtable){.base = CHECK_IDT, .limit = 32 * 16 - 1};
	sregs.cr0 = 0x80000013; /* PG, ET, MP, PE */
	sregs.cr3 = CHECK_PML4;
	sregs.cr4 = 0x20;   /* PAE */
	sregs.efer = 0x500; /* LMA, LME */
	err = hv_x86_set_sregs(machine->vcpu, &sregs);
	return err ? err : hv_x86_set_regs(machine->vcpu, &regs);
}

static struct err *check_machine_build(struct check_machine *machine, const char *device)
{
	struct hv_vm_options options = {.device = device};
	struct err *err = hv_kvm_create(&options, &machine->vm);
	void *ram;

	if (err)
		return err;
	ram = mmap(NULL, CHECK_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		return err_new(errno, "No memory for a guest");
	machine->ram = ram;
	check_fill_ram(machine->ram);
	err = hv_vm_map(machine->vm, 0, CHECK_RAM, machine->ram, false);
	if (!err)
		err = hv_vcpu_create(machine->vm, 0, &machine->vcpu);
	if (!err)
		err = hv_x86_supported_cpuid(machine->vm, &machine->cpuid);
	if (!err)
		err = hv_x86_set_cpuid(machine->vcpu, &machine->cpuid);
	if (!err)
		err = check_set_state(machine);
	return err;
}

/* Why the run ended that should have reported a step. */
static void check_explain(const struct hv_exit *exit, int error, struct check_execution *execution)
{
	const char *how = NULL;

	if (error)
		how = err_strerror(-error);
	else if (exit->reason == HV_EXIT_SHUTDOWN)
		how = "the guest shut down";
	else if (exit->reason == HV_EXIT_IO)
		how = "it gave a wrong result";
	else if (exit->reason == HV_EXIT_KICKED)
		how = "it did not end";
	else if (exit->reason != HV_EXIT_FAILED)
		how = "an unexpected exit";
	if (how)
		snprintf(execution->detail, sizeof(execution->detail), "%s", how);
	else
		snprintf(execution->detail, sizeof(execution->detail), "%s, code 0x%" PRIx64,
			exit->u.failed.what, exit->u.failed.code);
}

/* Lets the guest go on until it has done `step`; false if it did something else. */
static bool check_run_to(
	struct check_machine *machine, unsigned int step, struct hv_exit *ret_exit, int *ret_error)
{
	int ret = hv_vcpu_run(machine->vcpu, ret_exit);

	*ret_error = ret;
	return !ret && ret_exit->reason == HV_EXIT_IO && ret_exit->u.io.port == CHECK_PORT &&
	       ret_exit->u.io.write && ret_exit->u.io.data[0] == step;
}

static void check_run_steps(struct check_machine *machine, struct check_execution *execution)
{
	struct hv_exit exit;
	int error;

	for (unsigned int step = 1; step <= CHECK_STEP_RDTSC; step++) {
		if (check_run_to(machine, step, &exit, &error))
			continue;
		execution->failed = check_step_name(step - 1);
		check_explain(&exit, error, execution);
		return;
	}
}

static void check_run_loops(struct check_machine *machine, struct check_execution *execution)
{
	for (int round = 0; round < CHECK_ROUNDS && !execution->failed; round++) {
		struct hv_exit exit;
		uint64_t start_ns;
		uint64_t ns;
		int error;
		bool ok = check_run_to(machine, CHECK_STEP_LOOP_START, &exit, &error);

		start_ns = check_now_ns();
		ok = ok && check_run_to(machine, CHECK_STEP_LOOP_END, &exit, &error);
		ns = check_now_ns() - start_ns;
		if (!ok && !error && exit.reason == HV_EXIT_KICKED) {
			/* One that came to its end says more than the one that was stopped. */
			execution->out_of_time = !execution->guest_ns;
		} else if (!ok) {
			execution->failed = "a loop";
			check_explain(&exit, error, execution);
			return;
		}
		if (!execution->guest_ns || (ok && ns < execution->guest_ns))
			execution->guest_ns = ns;
		if (!ok)
			return;
	}
}

static uint64_t check_time_host(void)
{
	uint64_t best = UINT64_MAX;

	for (int round = 0; round < CHECK_ROUNDS; round++) {
		uint64_t start_ns = check_now_ns();

		check_host_loop(CHECK_LOOPS);
		best = MIN(best, check_now_ns() - start_ns);
	}
	return best;
}

static void check_add_limits(struct check_report *report, const struct hv_caps *caps)
{
	check_add_number(report, "kvm", "max_vcpus", caps->max_vcpus);
	check_add_number(report, "kvm", "max_vcpu_ids", caps->max_vcpu_ids);
	check_add_number(report, "kvm", "max_memory_slots", caps->max_slots);
	check_add_number(report, "kvm", "max_irq_routes", caps->max_irq_routes);
	check_add_number(report, "kvm", "guest_phys_bits", caps->phys_bits);
	check_add_number(report, "kvm", "tsc_khz", caps->tsc_khz);
}

static struct err *check_run(struct check_machine *machine, struct check_execution *execution)
{
	struct err *err = hv_vcpu_bind(machine->vcpu);

	if (err)
		return err;
	err = check_watchdog_start(&machine->watchdog, machine->vcpu);
	if (!err) {
		check_run_steps(machine, execution);
		check_run_loops(machine, execution);
		check_watchdog_stop(&machine->watchdog);
	}
	hv_vcpu_unbind(machine->vcpu);
	return err;
}

struct err *check_execute(
	struct check_report *report, const char *device, struct check_execution *ret_execution)
{
	struct check_machine *machine = new0(struct check_machine);
	struct err *err;

	if (!machine)
		return err_new(ENOMEM, "No memory for a guest");
	err = check_machine_build(machine, device);
	if (!err) {
		check_add_limits(report, hv_vm_caps(machine->vm));
		ret_execution->host_ns = check_time_host();
		err = check_run(machine, ret_execution);
	}
	check_machine_free(machine);
	return err;
}
