/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hypervisor interface: a virtual machine, its vCPUs, its memory slots and its interrupts.
 * Nothing above this folder knows KVM. Two implementations: hv/kvm and hv/fake (tests, fuzzers).
 * Architecture state (registers, CPUID) is in hv/hv_x86.h.
 *
 * Every call goes through the functions below; nobody writes vm->ops->. Control calls return an
 * error chain, the run loop and interrupts return 0 or -errno.
 */
#pragma once

#include "base/err.h"

struct hv_vm;
struct hv_vcpu;
struct hv_irqfd;
struct hv_x86_cpuid;
struct hv_x86_msr;
struct hv_x86_regs;
struct hv_x86_sregs;

/* Pins of the (user-space) I/O APIC that hv_vm_set_ioapic_route() knows. */
#define HV_IOAPIC_PINS 24

enum hv_exit_reason {
	HV_EXIT_IO,     /* port I/O: u.io */
	HV_EXIT_MMIO,   /* u.mmio */
	HV_EXIT_KICKED, /* hv_vcpu_kick() or a signal; state is consistent (pending I/O completed)
			 */
	HV_EXIT_IOAPIC_EOI,   /* x86, level-triggered: u.eoi */
	HV_EXIT_SHUTDOWN,     /* x86 triple fault */
	HV_EXIT_SYSTEM_EVENT, /* arm64 PSCI: u.system_event */
	HV_EXIT_HALTED,       /* halt without an in-kernel interrupt controller */
	HV_EXIT_FAILED,       /* cannot go on: u.failed says why */
};

enum hv_system_event { HV_SYSTEM_OFF, HV_SYSTEM_RESET, HV_SYSTEM_CRASH };

struct hv_exit {
	enum hv_exit_reason reason;
	union {
		struct {
			uint16_t port;
			bool write;
			uint8_t size;   /* 1, 2 or 4 */
			uint32_t count; /* > 1 for string instructions */
			uint8_t *
				data; /* size * count bytes; for a read, fill before the next run */
		} io;
		struct {
			uint64_t gpa;
			bool write;
			uint8_t size;  /* 1 .. 8, not always a power of two */
			uint8_t *data; /* little-endian; for a read, fill before the next run */
		} mmio;
		struct {
			uint8_t vector;
		} eoi;
		enum hv_system_event system_event;
		struct {
			const char *what; /* static: "internal error: emulation failed" */
			uint64_t code;    /* suberror, hardware reason or exit number */
			uint8_t insn[16]; /* instruction bytes where the hypervisor gives them */
			uint8_t insn_len;
		} failed;
	} u;
};

/* How a VM is made. */
struct hv_vm_options {
	const char *device;       /* "/dev/kvm" */
	unsigned int max_vcpu_id; /* largest id that will be created (x2APIC id) */
};

/* Facts of the host, for decisions above. */
struct hv_caps {
	unsigned int max_vcpus;    /* hard limit */
	unsigned int max_vcpu_ids; /* ids are below this */
	unsigned int max_slots;
	unsigned int max_irq_routes;
	unsigned int phys_bits; /* guest physical address bits that KVM gives by default */
	uint32_t tsc_khz;       /* of a vCPU, 0 if not known */
	bool tsc_deadline;
};

/* [main] Opens the hypervisor, checks each needed capability, creates an empty machine. */
struct err *must_check hv_kvm_create(const struct hv_vm_options *options, struct hv_vm **ret_vm);
/* After every vCPU and irqfd is gone. NULL is fine. */
void hv_vm_free(struct hv_vm *vm);
const struct hv_caps *hv_vm_caps(const struct hv_vm *vm);

/* Backs [gpa, gpa + size) with host memory. Slot numbers are the backend's. [any] */
struct err *must_check hv_vm_map(
	struct hv_vm *vm, uint64_t gpa, uint64_t size, uint8_t *hva, bool readonly);
struct err *must_check hv_vm_unmap(struct hv_vm *vm, uint64_t gpa, uint64_t size);

/* One message-signalled interrupt; > 0 delivered, 0 blocked by the guest, or -errno. [any] */
int hv_vm_signal_msi(struct hv_vm *vm, uint64_t addr, uint32_t data);

/*
 * The x86 split irqchip needs to know which vectors the (user-space) I/O APIC has programmed
 * level-triggered, to give HV_EXIT_IOAPIC_EOI for them, also while the pin is masked (the guest may
 * mask it between interrupt and EOI). Replaces what pin had; addr/data as an MSI; edge: present =
 * false. [vcpu]
 */
int must_check hv_vm_set_ioapic_route(
	struct hv_vm *vm, unsigned int pin, bool present, uint64_t addr, uint32_t data);

/*
 * An eventfd that raises an MSI without the monitor. It is created unrouted: signals that arrive
 * then are held in the eventfd. Thread-safe with each other: the backend locks the routing table.
 * [any]
 */
struct err *must_check hv_irqfd_create(struct hv_vm *vm, struct hv_irqfd **ret_irqfd);
void hv_irqfd_free(struct hv_irqfd *irqfd);
/* The eventfd to write to; owned by the irqfd. */
int hv_irqfd_fd(const struct hv_irqfd *irqfd);
/* Routes to this message; a repeat of the current one costs nothing. */
int must_check hv_irqfd_route(struct hv_irqfd *irqfd, uint64_t addr, uint32_t data);
/* Stops delivery; later signals stay in the eventfd (see hv_irqfd_take). */
void hv_irqfd_unroute(struct hv_irqfd *irqfd);
/* true, and emptied, if a signal came while unrouted (a pending bit). */
bool hv_irqfd_take(struct hv_irqfd *irqfd);

/* Writes of any width to gpa (MMIO, len 0), or to a port, signal the eventfd instead of exiting.
 * [vcpu] */
int must_check hv_vm_ioeventfd(struct hv_vm *vm, uint64_t addr, bool is_pio, int fd, bool assign);

/*
 * [any] One vCPU; several threads may create theirs at once. `id`: x2APIC id or MPIDR index.
 * All other vcpu functions belong to the thread that runs it, but for kick.
 */
struct err *must_check hv_vcpu_create(struct hv_vm *vm, unsigned int id, struct hv_vcpu **ret_vcpu);
void hv_vcpu_free(struct hv_vcpu *vcpu);

/* Runs until an exit. 0 and *ret_exit, or -errno for a failure of the hypervisor itself. [vcpu] */
int must_check hv_vcpu_run(struct hv_vcpu *vcpu, struct hv_exit *ret_exit);

/*
 * Binds the calling thread as the one that runs this vCPU (its signal mask and kick target). Before
 * the first hv_vcpu_run(). [vcpu]
 */
struct err *must_check hv_vcpu_bind(struct hv_vcpu *vcpu);
/*
 * Undoes the binding; by the bound thread, before it ends, so that a kick cannot hit a stranger. A
 * kick that comes later is kept for the next bound thread. [vcpu]
 */
void hv_vcpu_unbind(struct hv_vcpu *vcpu);

/*
 * Makes the current or the next hv_vcpu_run() return HV_EXIT_KICKED: never lost, also when it lands
 * between an exit and the next run. Cleared by that return. [any]
 */
void hv_vcpu_kick(struct hv_vcpu *vcpu);

/*
 * Back to the state of a new vCPU, everything included (registers, FPU, MSRs, local APIC, events,
 * MP state); CPUID stays. The vCPU must not run; by any thread while its own is parked.
 */
struct err *must_check hv_vcpu_reset(struct hv_vcpu *vcpu);

/* To be called when the guest's clock stood still (pause), so that it does not see a soft lockup.
 * [vcpu] */
void hv_vcpu_clock_paused(struct hv_vcpu *vcpu);
