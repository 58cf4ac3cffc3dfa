/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The x86_64 machine: RAM, vCPUs, payload, the order in which things are made and undone. The map
 * is arch/x86_64/layout.h.
 */
#define LOG_MODULE "board"
#include "board/x86_64/board_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "arch/x86_64/dump.h"
#include "arch/x86_64/msr.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/overflow.h"
#include "hv/hv_x86.h"

/* ---- Creation ---- */

static struct err *board_slot_add(struct ram_listener *listener, const struct ram_region *region)
{
	struct board *board = container_of(listener, struct board, ram_to_hv);

	return hv_vm_map(board->hv, region->gpa, region->size, region->hva, false);
}

static void board_slot_remove(struct ram_listener *listener, const struct ram_region *region)
{
	struct board *board = container_of(listener, struct board, ram_to_hv);

	log_err_free(LOG_WARN, LOG_MODULE, hv_vm_unmap(board->hv, region->gpa, region->size));
}

static void board_add_range(
	struct board *board, uint64_t base, uint64_t end, enum loader_range_type type)
{
	assert(board->n_ranges < BOARD_RANGES_MAX);
	if (end > base)
		board->ranges[board->n_ranges++] =
			(struct loader_range){.base = base, .size = end - base, .type = type};
}

/* What e820 and the PVH memory map tell. */
static void board_make_ranges(struct board *board)
{
	uint64_t size = board->config->memory.size;
	uint64_t low_end = MIN(size, (uint64_t)X86_RAM_LOW_END);

	board_add_range(board, 0, X86_ACPI_BASE, LOADER_RANGE_RAM);
	board_add_range(board, X86_ACPI_BASE, X86_ACPI_BASE + X86_ACPI_SIZE, LOADER_RANGE_ACPI);
	board_add_range(board, X86_LEGACY_HOLE_BASE, X86_LEGACY_HOLE_END, LOADER_RANGE_RESERVED);
	board_add_range(board, X86_HIGH_MEMORY_BASE, low_end, LOADER_RANGE_RAM);
	board_add_range(board, X86_ECAM_BASE, X86_ECAM_BASE + X86_ECAM_SIZE, LOADER_RANGE_RESERVED);
	board_add_range(
		board, X86_RAM_HIGH_BASE, X86_RAM_HIGH_BASE + (size - low_end), LOADER_RANGE_RAM);
}

static struct err *board_create_ram(struct board *board)
{
	const struct memory_config *memory = &board->config->memory;
	struct ram_options options = {
		.backend = memory->backend == MEMORY_MEMFD ? RAM_MEMFD : RAM_ANON,
		.shared = memory->shared,
		.thp = memory->transparent_hugepage,
		.prealloc = memory->prealloc,
		.lock = memory->lock,
		.hugetlb = memory->hugetlb,
	};
	uint64_t low = MIN(memory->size, (uint64_t)X86_RAM_LOW_END);
	struct err *err = ram_create(&options, &board->ram);

	if (!err)
		err = ram_add(board->ram, 0, low, "ram-low");
	if (!err && memory->size > low)
		err = ram_add(board->ram, X86_RAM_HIGH_BASE, memory->size - low, "ram-high");
	board->ram_to_hv =
		(struct ram_listener){.add = board_slot_add, .remove = board_slot_remove};
	if (!err)
		err = ram_listen(board->ram, &board->ram_to_hv);
	return err_wrap(err, "--memory");
}

/* The CPUID that vCPUs copy; needs the hypervisor and the topology. */
static struct err *board_create_cpuid(struct board *board)
{
	const struct hv_caps *caps = hv_vm_caps(board->hv);
	struct x86_cpuid_options options = {
		.topology = &board->topology,
		.tsc_khz = caps->tsc_khz,
		.tsc_deadline = caps->tsc_deadline,
		.host = x86_cpuid_host,
	};
	struct err *err;

	board->cpuid = malloc(sizeof(*board->cpuid));
	if (!board->cpuid)
		return err_new(ENOMEM, "Cannot prepare CPUID");
	err = hv_x86_supported_cpuid(board->hv, board->cpuid);
	if (!err)
		err = x86_cpuid_template(board->cpuid, &options, board->cpuid);
	if (err)
		return err;
	board->phys_bits = x86_cpuid_phys_bits(board->cpuid);
	board->gib_pages = x86_cpuid_has_gib_pages(board->cpuid);
	return NULL;
}

static struct err *board_check_limits(const struct board *board)
{
	const struct hv_caps *caps = hv_vm_caps(board->hv);
	uint64_t size = board->config->memory.size;
	uint64_t end;

	if (board->config->cpu.count > caps->max_vcpus)
		return err_new(0, "--cpu: %u vCPUs; this host allows %u", board->config->cpu.count,
			caps->max_vcpus);
	if (x86_topology_max_apic_id(&board->topology) >= caps->max_vcpu_ids)
		return err_new(0,
			"--cpu: the topology needs APIC id %u; this host allows ids below %u",
			x86_topology_max_apic_id(&board->topology), caps->max_vcpu_ids);
	if (add_overflows(X86_RAM_HIGH_BASE, size - MIN(size, (uint64_t)X86_RAM_LOW_END), &end) ||
		(board->phys_bits < 64 && (end - 1) >> board->phys_bits))
		return err_new(0, "--memory: %llu MiB need more than the guest's %u address bits",
			(unsigned long long)(size >> 20), board->phys_bits);
	return NULL;
}

static struct err *board_open_payload(struct board *board)
{
	const struct vm_config *config = board->config;
	const char *pvh = board->rom.is_pvh ? config->firmware.path : config->pvh;
	struct loader_options options = {
		.kernel = pvh ? pvh : config->kernel,
		.what = board->rom.is_pvh ? "firmware" : NULL,
		.pvh = pvh,
		.initramfs = config->initramfs,
		.cmdline = config->cmdline,
		.unpack = config->kernel_unpack == KERNEL_UNPACK_HOST,
		.cache = config->kernel_cache,
	};
	struct err *err;

	if (board->rom.code)
		return NULL;
	err = loader_open(&options, &board->loader);
	return board->rom.is_pvh ? err_wrap(err, "--firmware path=%s", pvh) : err;
}

static struct err *board_create_parts(struct board *board)
{
	const struct cpu_config *cpu = &board->config->cpu;
	struct x86_topology_request request = {
		.count = cpu->count,
		.cores = cpu->topology.cores,
		.sockets = cpu->topology.sockets,
		.smt = cpu->topology.smt,
		.thread_contiguous = cpu->topology.thread_contiguous,
	};
	struct hv_vm_options options = {.device = board->config->hypervisor.dev_kvm};
	/* Files first: what is wrong with them needs no hypervisor to be told. */
	struct err *err = board_open_rom(board);

	if (!err)
		err = board_open_payload(board);

	if (!err)
		err = board_open_oem_strings(board);
	if (!err)
		err = x86_topology_init(&request, &board->topology);
	if (err)
		return err;
	options.max_vcpu_id = x86_topology_max_apic_id(&board->topology);
	board->x2apic = x86_needs_x2apic(options.max_vcpu_id);
	err = hv_kvm_create(&options, &board->hv);
	if (!err)
		err = board_create_cpuid(board);
	if (!err)
		err = board_check_limits(board);
	if (!err)
		err = board_create_ram(board);
	if (!err)
		err = bus_create("MMIO", &board->mmio);
	if (!err)
		err = bus_create("port", &board->pio);
	return err;
}

struct err *board_create(const struct board_env *env, struct board **ret_board)
{
	struct board *board = new0(struct board);
	struct err *err;

	if (!board)
		return err_new(ENOMEM, "Cannot create a machine");
	board->env = *env;
	board->config = env->config;
	board->rom.code_fd = -1;
	board->rom.vars_fd = -1;
	board->devices_end = &board->devices;
	board_make_ranges(board);
	err = board_create_parts(board);
	if (err) {
		board_free(board);
		return err;
	}
	*ret_board = board;
	return NULL;
}

/* The last one first: a device may use those that were made before it until it is gone. */
static void board_free_devices(struct board *board)
{
	struct device *reversed = NULL;

	while (board->devices) {
		struct device *device = board->devices;

		board->devices = device->next;
		device->next = reversed;
		reversed = device;
	}
	while (reversed) {
		struct device *next = reversed->next;

		device_free(reversed);
		reversed = next;
	}
}

void board_free(struct board *board)
{
	if (!board)
		return;
	board_free_devices(board);
	board_close_consoles(board);
	for (unsigned int i = 0; i < board->n_consoles; i++)
		console_free(board->consoles[i]);
	pci_segment_free(board->pci);
	board_free_pmem(board);
	free(board->disks);
	bus_free(board->pio);
	bus_free(board->mmio);
	ram_free(board->ram);
	hv_vm_free(board->hv);
	loader_free(board->loader);
	board_close_rom(board);
	board_free_oem_strings(board);
	free(board->cpuid);
	free(board);
}

void board_own(struct board *board, struct device *device)
{
	device->next = NULL;
	*board->devices_end = device;
	board->devices_end = &device->next;
}

struct err *board_populate(struct board *board)
{
	struct err *err = board_create_platform(board);

	if (!err)
		err = board_create_rom(board);
	if (!err)
		err = board_create_pci(board);
	/* Last, as it holds tables that describe the others. */
	return err ? err : board_create_fw_cfg(board);
}

/* ---- vCPUs ---- */

struct err *board_create_vcpu(struct board *board, unsigned int index, struct hv_vcpu **ret_vcpu)
{
	struct hv_x86_cpuid *cpuid = malloc(sizeof(*cpuid));
	struct hv_vcpu *vcpu = NULL;
	struct err *err;

	if (!cpuid)
		return err_new(ENOMEM, "Cannot create a vCPU");
	*cpuid = *board->cpuid;
	x86_cpuid_patch(cpuid, &board->topology, index);
	err = hv_vcpu_create(board->hv, x86_topology_apic_id(&board->topology, index), &vcpu);
	if (!err)
		err = hv_x86_set_cpuid(vcpu, cpuid);
	free(cpuid);
	if (err) {
		hv_vcpu_free(vcpu);
		return err;
	}
	*ret_vcpu = vcpu;
	return NULL;
}

struct err *board_init_vcpu(struct board *board, unsigned int index, struct hv_vcpu *vcpu)
{
	struct hv_x86_msr msrs[X86_BOOT_MSRS_MAX];
	unsigned int n = x86_boot_msrs(!index, board->x2apic, msrs);
	struct err *err;

	/* Firmware starts at the reset vector, with a processor that was just switched on. */
	if (board->rom.code)
		return NULL;
	err = hv_x86_set_msrs(vcpu, msrs, n);
	if (!err && !index)
		err = hv_x86_set_sregs(vcpu, &board->boot.sregs);
	if (!err && !index)
		err = hv_x86_set_regs(vcpu, &board->boot.regs);
	return err_wrap(err, "Failed to set the state of vCPU %u", index);
}

void board_dump_vcpu(struct board *board, struct hv_vcpu *vcpu, const struct hv_exit *exit)
{
	x86_dump_vcpu(vcpu, exit, board->ram);
}

/* ---- Payload ---- */

static struct err *board_boot_state(struct board *board, const struct loader_entry *entry)
{
	struct x86_linux64_entry linux64 = {
		.rip = entry->rip,
		.boot_params = entry->params,
		.map_end = entry->map_end,
		.gib_pages = board->gib_pages,
		.x2apic = board->x2apic,
	};

	if (entry->kind == LOADER_LINUX64)
		return x86_boot_linux64(board->ram, &linux64, &board->boot);
	return x86_boot_pvh(board->ram, (uint32_t)entry->rip, (uint32_t)entry->params,
		board->x2apic, &board->boot);
}

struct err *board_load(struct board *board)
{
	struct loader_layout layout = {
		.ram = board->ram,
		.ranges = board->ranges,
		.n_ranges = board->n_ranges,
		.low_base = X86_HIGH_MEMORY_BASE,
		.low_end = MIN(board->config->memory.size, (uint64_t)X86_RAM_LOW_END),
		.params_base = X86_BOOT_PARAMS_BASE,
		.params_size = X86_BOOT_PARAMS_SIZE,
		.cmdline_base = X86_CMDLINE_BASE,
		.cmdline_size = X86_CMDLINE_SIZE,
		.rsdp = X86_ACPI_BASE,
	};
	struct loader_entry entry;
	struct err *err;

	if (board->rom.code)
		return board_load_rom(board);
	err = loader_load(board->loader, &layout, &entry);

	if (!err)
		err = board_boot_state(board, &entry);
	if (!err)
		err = board_write_tables(board);
	return err;
}
