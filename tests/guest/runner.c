/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a guest program on the hypervisor layer alone: one address space, vCPUs, a serial port that
 * is always ready, and the ports that end a machine. It shows that the programs and hv/ are sound
 * without the rest of the monitor, on any KVM, also one that interprets guests.
 *
 *   runner [--pvh] [--cpus N] [--end pass|reset|triple] PROGRAM.elf [CMDLINE]
 *
 * Prints what the guest prints. Status 0: it ended as expected; 77: no KVM here.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/x86_64/layout.h"
#include "base/endian.h"
#include "base/fd.h"
#include "base/thread.h"
#include "hv/hv.h"
#include "hv/hv_x86.h"

#define RUNNER_RAM      MIB(32)
#define RUNNER_CPUS_MAX 64
#define RUNNER_SKIPPED  77

enum runner_end { RUNNER_RUNNING, RUNNER_PASS, RUNNER_FAIL, RUNNER_RESET, RUNNER_TRIPLE };

struct runner;

struct runner_vcpu {
	struct thread thread;
	struct runner *runner;
	unsigned int id;
	struct hv_vcpu *hv;
};

struct runner {
	struct hv_vm *vm;
	uint8_t *ram;
	struct hv_x86_cpuid cpuid;
	unsigned int n_cpus;
	bool pvh;
	uint32_t entry64;
	uint32_t entry32;
	pthread_barrier_t created;
	pthread_mutex_t lock; /* guards the console */
	char line[1024];
	size_t line_len;
	bool passed;
	atomic_int end;
	struct runner_vcpu vcpus[RUNNER_CPUS_MAX];
};

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "runner: %s: %s\n", what, why);
	exit(1);
}

static void must(struct err *err)
{
	char *text;

	if (!err)
		return;
	text = err_format(err);
	die("error", text ? text : "out of memory");
}

/* Ends the run: the first reason counts. */
static void runner_stop(struct runner *runner, enum runner_end end)
{
	int running = RUNNER_RUNNING;

	if (!atomic_compare_exchange_strong(&runner->end, &running, (int)end))
		return;
	for (unsigned int i = 0; i < runner->n_cpus; i++)
		hv_vcpu_kick(runner->vcpus[i].hv);
}

static void runner_console(struct runner *runner, char c)
{
	auto_lock(&runner->lock);
	putchar(c);
	if (c != '\n') {
		if (c != '\r' && runner->line_len < sizeof(runner->line) - 1)
			runner->line[runner->line_len++] = c;
		return;
	}
	runner->line[runner->line_len] = '\0';
	runner->line_len = 0;
	if (!strcmp(runner->line, "PASS"))
		runner->passed = true;
	fflush(stdout);
}

static void runner_write(struct runner *runner, uint16_t port, uint8_t value)
{
	if (port == X86_PORT_COM1)
		runner_console(runner, (char)value);
	if (port == X86_PORT_SLEEP_CONTROL && value == 0x34)
		runner_stop(runner, runner->passed ? RUNNER_PASS : RUNNER_FAIL);
	if ((port == X86_PORT_RESET && value == X86_RESET_VALUE) ||
		(port == X86_PORT_RESET_CONTROL && value == 6) ||
		(port == X86_PORT_I8042_COMMAND && value == 0xfe))
		runner_stop(runner, RUNNER_RESET);
}

static void runner_io(struct runner *runner, const struct hv_exit *exit)
{
	size_t len = (size_t)exit->u.io.size * exit->u.io.count;

	if (exit->u.io.write && exit->u.io.size == 1) {
		for (size_t i = 0; i < len; i++)
			runner_write(runner, exit->u.io.port, exit->u.io.data[i]);
		return;
	}
	if (exit->u.io.write)
		return;
	memset(exit->u.io.data, 0xff, len);
	/* Line status: ready to send; scratch register: as after a reset. */
	if (exit->u.io.port == X86_PORT_COM1 + 5)
		memset(exit->u.io.data, 0x60, len);
	if (exit->u.io.port == X86_PORT_COM1 + 7)
		memset(exit->u.io.data, 0, len);
}

static void runner_failed(struct runner_vcpu *vcpu, const char *what, uint64_t code)
{
	struct hv_x86_regs regs = {0};

	err_free(hv_x86_get_regs(vcpu->hv, &regs));
	fprintf(stderr, "runner: vCPU %u: %s, code 0x%llx, rip 0x%llx\n", vcpu->id, what,
		(unsigned long long)code, (unsigned long long)regs.rip);
	runner_stop(vcpu->runner, RUNNER_FAIL);
}

static void runner_exit(struct runner_vcpu *vcpu, const struct hv_exit *exit)
{
	switch (exit->reason) {
	case HV_EXIT_IO:
		runner_io(vcpu->runner, exit);
		break;
	case HV_EXIT_MMIO:
		if (!exit->u.mmio.write)
			memset(exit->u.mmio.data, 0xff, exit->u.mmio.size);
		break;
	case HV_EXIT_SHUTDOWN:
		runner_stop(vcpu->runner, RUNNER_TRIPLE);
		break;
	case HV_EXIT_FAILED:
		runner_failed(vcpu, exit->u.failed.what, exit->u.failed.code);
		break;
	case HV_EXIT_KICKED:
	case HV_EXIT_IOAPIC_EOI:
		break;
	case HV_EXIT_SYSTEM_EVENT:
	case HV_EXIT_HALTED:
		runner_failed(vcpu, "unexpected exit", (uint64_t)exit->reason);
		break;
	}
}

/* CPUID with the vCPU's APIC id, all that the programs look at. */
static void runner_set_cpuid(struct runner_vcpu *vcpu)
{
	struct hv_x86_cpuid *cpuid = malloc(sizeof(*cpuid));

	if (!cpuid)
		die("cpuid", "out of memory");
	*cpuid = vcpu->runner->cpuid;
	for (unsigned int i = 0; i < cpuid->n; i++) {
		if (cpuid->entries[i].function == 1) {
			cpuid->entries[i].ebx = (cpuid->entries[i].ebx & 0xffffff) | vcpu->id << 24;
			cpuid->entries[i].ecx |=
				hv_vm_caps(vcpu->runner->vm)->tsc_deadline ? 1U << 24 : 0;
		}
	}
	must(hv_x86_set_cpuid(vcpu->hv, cpuid));
	free(cpuid);
}

static void runner_set_state(struct runner *runner, struct hv_vcpu *vcpu)
{
	const struct hv_x86_segment data = {
		.limit = 0xffffffff, .selector = 0x18, .access = 0xc093};
	struct hv_x86_regs regs = {.rflags = 2};
	struct hv_x86_sregs sregs;

	must(hv_x86_get_sregs(vcpu, &sregs));
	sregs.ds = sregs.es = sregs.ss = data;
	sregs.cs = (struct hv_x86_segment){.limit = 0xffffffff, .selector = 0x10, .access = 0xc09b};
	sregs.cr0 = 1;
	if (runner->pvh) {
		regs.rip = runner->entry32;
		regs.rbx = X86_BOOT_PARAMS_BASE;
	} else {
		regs.rip = runner->entry64;
		regs.rsi = X86_BOOT_PARAMS_BASE;
		sregs.cs.access = 0xa09b;
		sregs.cr0 = 0x80000001;
		sregs.cr3 = X86_PAGE_TABLES_BASE;
		sregs.cr4 = 0x20;
		sregs.efer = 0x500;
	}
	must(hv_x86_set_sregs(vcpu, &sregs));
	must(hv_x86_set_regs(vcpu, &regs));
}

static void runner_thread(struct thread *thread)
{
	struct runner_vcpu *vcpu = container_of(thread, struct runner_vcpu, thread);
	struct runner *runner = vcpu->runner;

	must(hv_vcpu_create(runner->vm, vcpu->id, &vcpu->hv));
	runner_set_cpuid(vcpu);
	if (vcpu->id == 0)
		runner_set_state(runner, vcpu->hv);
	must(hv_vcpu_bind(vcpu->hv));
	pthread_barrier_wait(&runner->created);
	while (atomic_load(&runner->end) == RUNNER_RUNNING) {
		struct hv_exit exit;
		int ret = hv_vcpu_run(vcpu->hv, &exit);

		if (ret)
			runner_failed(vcpu, err_strerror(-ret), 0);
		else
			runner_exit(vcpu, &exit);
	}
	hv_vcpu_unbind(vcpu->hv);
}

static void runner_load_segment(
	struct runner *runner, const uint8_t *file, size_t size, const Elf64_Phdr *ph)
{
	if (ph->p_offset > size || ph->p_filesz > size - ph->p_offset || ph->p_paddr > RUNNER_RAM ||
		ph->p_memsz > RUNNER_RAM - ph->p_paddr)
		die("program", "a segment does not fit");
	memcpy(runner->ram + ph->p_paddr, file + ph->p_offset, ph->p_filesz);
}

static void runner_load(struct runner *runner, const uint8_t *file, size_t size)
{
	Elf64_Ehdr eh;

	if (size < sizeof(eh))
		die("program", "too short");
	memcpy(&eh, file, sizeof(eh));
	runner->entry64 = (uint32_t)eh.e_entry;
	for (unsigned int i = 0; i < eh.e_phnum; i++) {
		Elf64_Phdr ph;
		uint64_t at = eh.e_phoff + i * sizeof(ph);

		if (at > size - sizeof(ph))
			die("program", "no program header");
		memcpy(&ph, file + at, sizeof(ph));
		if (ph.p_type == PT_LOAD)
			runner_load_segment(runner, file, size, &ph);
		/* The one note is the PVH entry: a header of 12 bytes, "Xen", the address. */
		if (ph.p_type == PT_NOTE && ph.p_filesz >= 20)
			runner->entry32 = load_le32(file + ph.p_offset + 16);
	}
}

static void runner_load_file(struct runner *runner, const char *path)
{
	uint64_t size = 0;
	uint8_t *file;
	int fd = -1;

	must(fd_open_regular(path, "program", &fd, &size));
	file = malloc(size);
	if (!file || fd_read_full(fd, file, size))
		die(path, "cannot be read");
	close(fd);
	runner_load(runner, file, size);
	free(file);
}

/* What a loader leaves: the command line, and an identity map of 4 GiB for the 64-bit entry. */
static void runner_fill_ram(struct runner *runner, const char *cmdline)
{
	uint8_t *info = runner->ram + X86_BOOT_PARAMS_BASE;
	uint8_t *tables = runner->ram + X86_PAGE_TABLES_BASE;

	memcpy(runner->ram + X86_CMDLINE_BASE, cmdline, strlen(cmdline) + 1);
	if (runner->pvh)
		store_le64(info + 24, X86_CMDLINE_BASE);
	else
		store_le32(info + 0x228, X86_CMDLINE_BASE);
	store_le64(tables, X86_PAGE_TABLES_BASE + 0x1000 + 3);
	for (uint64_t i = 0; i < 4; i++)
		store_le64(tables + 0x1000 + i * 8, X86_PAGE_TABLES_BASE + 0x2000 + i * 0x1000 + 3);
	for (uint64_t i = 0; i < 4 * 512; i++)
		store_le64(tables + 0x2000 + i * 8, i << 21 | 0x83);
}

static void runner_create(struct runner *runner)
{
	struct hv_vm_options options = {.device = "/dev/kvm", .max_vcpu_id = runner->n_cpus - 1};
	struct err *err = hv_kvm_create(&options, &runner->vm);
	void *ram;

	if (err) {
		printf("skipped, no usable KVM: %s\n", err_text(err));
		err_free(err);
		exit(RUNNER_SKIPPED);
	}
	ram = mmap(NULL, RUNNER_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		die("memory", err_strerror(errno));
	runner->ram = ram;
	must(hv_vm_map(runner->vm, 0, RUNNER_RAM, runner->ram, false));
	must(hv_x86_supported_cpuid(runner->vm, &runner->cpuid));
}

static void runner_run(struct runner *runner)
{
	pthread_mutex_init(&runner->lock, NULL);
	pthread_barrier_init(&runner->created, NULL, runner->n_cpus);
	for (unsigned int i = 0; i < runner->n_cpus; i++) {
		runner->vcpus[i] = (struct runner_vcpu){
			.thread = {.name = "vcpu", .run = runner_thread},
			.runner = runner,
			.id = i,
		};
		must(thread_start(&runner->vcpus[i].thread));
	}
	for (unsigned int i = 0; i < runner->n_cpus; i++)
		thread_join(&runner->vcpus[i].thread);
	for (unsigned int i = 0; i < runner->n_cpus; i++)
		hv_vcpu_free(runner->vcpus[i].hv);
	hv_vm_free(runner->vm);
	munmap(runner->ram, RUNNER_RAM);
}

static enum runner_end runner_parse_end(const char *text)
{
	if (!strcmp(text, "reset"))
		return RUNNER_RESET;
	if (!strcmp(text, "triple"))
		return RUNNER_TRIPLE;
	if (strcmp(text, "pass") != 0)
		die("--end", "pass, reset or triple");
	return RUNNER_PASS;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"pvh", no_argument, NULL, 'p'},
		{"cpus", required_argument, NULL, 'c'},
		{"end", required_argument, NULL, 'e'},
		{0},
	};
	static struct runner runner = {.n_cpus = 1};
	enum runner_end want = RUNNER_PASS;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'p')
			runner.pvh = true;
		else if (c == 'c')
			runner.n_cpus = (unsigned int)strtoul(optarg, NULL, 10);
		else if (c == 'e')
			want = runner_parse_end(optarg);
		else
			return 2;
	}
	if (optind >= argc || !runner.n_cpus || runner.n_cpus > RUNNER_CPUS_MAX)
		die("usage", "runner [--pvh] [--cpus N] [--end END] PROGRAM.elf [CMDLINE]");
	runner_create(&runner);
	runner_load_file(&runner, argv[optind]);
	runner_fill_ram(&runner, optind + 1 < argc ? argv[optind + 1] : "");
	runner_run(&runner);
	return atomic_load(&runner.end) == (int)want ? 0 : 1;
}
