/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's CPUID: what the hypervisor supports, made consistent with the machine.
 */
#include "arch/x86_64/cpuid.h"

#include <cpuid.h>
#include <errno.h>

#include "arch/x86_64/layout.h"
#include "base/endian.h"
#include "base/overflow.h"

#define CPUID_1_ECX_TSC_DEADLINE  (1u << 24)
#define CPUID_1_ECX_HYPERVISOR    (1u << 31)
#define CPUID_1_EDX_HTT           (1u << 28)
#define CPUID_7_EBX_SGX           (1u << 2)
#define CPUID_7_ECX_SGX_LC        (1u << 30)
#define CPUID_6_EAX_ARAT          (1u << 2)
#define CPUID_EXT1_ECX_CMP_LEGACY (1u << 1)
#define CPUID_EXT1_ECX_TOPOEXT    (1u << 22)
#define CPUID_EXT1_EDX_GIB_PAGES  (1u << 26)
#define CPUID_KVM_MSI_EXT_DEST_ID (1u << 15)

#define CPUID_KVM_SIGNATURE       0x40000000u
#define CPUID_KVM_FEATURES        0x40000001u
#define CPUID_HV_TIMING           0x40000010u
#define CPUID_EXT_MAX             0x80000000u

/* Cache levels of leaves 4 and 0x8000001d; from 3 on a cache belongs to the package. */
#define CACHE_LEVEL(eax)   ((eax) >> 5 & 7)
#define CACHE_LEVEL_SHARED 3u

/* KVM's local APIC timer counts a bus of 1 GHz unless told otherwise. */
#define APIC_BUS_KHZ 1000000u

struct cpuid_builder {
	struct hv_x86_cpuid *out;
	const struct x86_cpuid_options *options;
	bool amd, intel;
	uint32_t max_basic; /* of the supported leaves */
	bool full;
};

struct x86_cpuid_regs x86_cpuid_host(uint32_t function)
{
	struct x86_cpuid_regs regs;

	__cpuid(function, regs.eax, regs.ebx, regs.ecx, regs.edx);
	return regs;
}

static unsigned int cpuid_threads_per_package(const struct x86_topology *topology)
{
	return topology->cores * topology->threads;
}

static bool cpuid_vendor_is(const struct hv_x86_cpuid_entry *leaf0, const char vendor[13])
{
	return leaf0->ebx == load_le32(vendor) && leaf0->edx == load_le32(vendor + 4) &&
	       leaf0->ecx == load_le32(vendor + 8);
}

static void cpuid_add(struct cpuid_builder *b, struct hv_x86_cpuid_entry entry)
{
	if (b->out->n >= HV_X86_CPUID_MAX)
		b->full = true;
	else
		b->out->entries[b->out->n++] = entry;
}

/*
 * Leaves that are built here, or whose feature takes more than the hypervisor's support (SGX: an
 * EPC; SEV: an encrypted guest), and leaves without content, which read as zeros without an entry.
 */
static bool cpuid_is_dropped(const struct hv_x86_cpuid_entry *e)
{
	switch (e->function) {
	case 0xb:
	case 0x12:
	case 0x15:
	case 0x16:
	case 0x1f:
	case CPUID_HV_TIMING:
	case 0x8000001e:
	case 0x8000001f:
	case 0x80000026:
		return true;
	case 0xa: /* architectural counters: version 0 means that there are none */
		return !(e->eax & 0xff);
	default:
		return !(e->eax | e->ebx | e->ecx | e->edx);
	}
}

static void cpuid_fix_features(const struct cpuid_builder *b, struct hv_x86_cpuid_entry *e)
{
	const struct x86_topology *topology = b->options->topology;
	unsigned int n = cpuid_threads_per_package(topology);
	/* Intel counts ids that could be assigned, AMD processors that are there. */
	unsigned int logical = b->amd ? n : 1u << topology->package_shift;

	e->ebx = (e->ebx & 0xffff) | MIN(logical, 255u) << 16;
	e->ecx &= ~CPUID_1_ECX_TSC_DEADLINE;
	e->ecx |=
		CPUID_1_ECX_HYPERVISOR | (b->options->tsc_deadline ? CPUID_1_ECX_TSC_DEADLINE : 0);
	e->edx = (e->edx & ~CPUID_1_EDX_HTT) | (n > 1 ? CPUID_1_EDX_HTT : 0);
}

/* How many ids share a cache; leaf 4 also says how many cores a package can have. */
static void cpuid_fix_cache(const struct cpuid_builder *b, struct hv_x86_cpuid_entry *e)
{
	const struct x86_topology *topology = b->options->topology;
	unsigned int shift = CACHE_LEVEL(e->eax) < CACHE_LEVEL_SHARED ? topology->smt_shift
								      : topology->package_shift;
	unsigned int cores = 1u << (topology->package_shift - topology->smt_shift);

	e->eax = (e->eax & 0x3fff) | (MIN(1u << shift, 4096u) - 1) << 14;
	if (e->function == 4)
		e->eax |= (MIN(cores, 64u) - 1) << 26;
}

static void cpuid_fix_amd_features(const struct cpuid_builder *b, struct hv_x86_cpuid_entry *e)
{
	e->ecx &= ~CPUID_EXT1_ECX_CMP_LEGACY;
	if (cpuid_threads_per_package(b->options->topology) > 1)
		e->ecx |= CPUID_EXT1_ECX_CMP_LEGACY;
}

/* Processors in the package and bits of their number: APM 3, E.4.7. */
static void cpuid_fix_amd_size(const struct cpuid_builder *b, struct hv_x86_cpuid_entry *e)
{
	const struct x86_topology *topology = b->options->topology;

	e->ecx = MIN(topology->package_shift, 15u) << 12 |
		 (MIN(cpuid_threads_per_package(topology), 256u) - 1);
}

static void cpuid_fix(const struct cpuid_builder *b, struct hv_x86_cpuid_entry *e)
{
	switch (e->function) {
	case 1:
		cpuid_fix_features(b, e);
		break;
	case 4:
	case 0x8000001d:
		cpuid_fix_cache(b, e);
		break;
	case 6: /* no power management but an APIC timer that never stops */
		*e = (struct hv_x86_cpuid_entry){.function = 6, .eax = e->eax & CPUID_6_EAX_ARAT};
		break;
	case 7:
		if (e->index == 0) {
			e->ebx &= ~CPUID_7_EBX_SGX;
			e->ecx &= ~CPUID_7_ECX_SGX_LC;
		}
		break;
	case CPUID_KVM_FEATURES: /* our I/O APIC and MSI encode 15 bits of destination */
		e->eax |= CPUID_KVM_MSI_EXT_DEST_ID;
		break;
	case 0x80000001:
		if (b->amd)
			cpuid_fix_amd_features(b, e);
		break;
	case 0x80000008:
		if (b->amd)
			cpuid_fix_amd_size(b, e);
		break;
	default:
		break;
	}
}

/* One level of leaf 0xb, 0x1f or 0x80000026; x86_cpuid_patch() puts the APIC id into edx. */
static void cpuid_add_level(struct cpuid_builder *b, uint32_t function, uint32_t index,
	uint32_t type, unsigned int shift, unsigned int count)
{
	cpuid_add(b, (struct hv_x86_cpuid_entry){.function = function,
			     .index = index,
			     .indexed = true,
			     .eax = shift,
			     .ebx = count,
			     .ecx = type << 8 | index});
}

/* Extended topology, SDM 2A: levels SMT (1) and core (2). */
static void cpuid_add_topology(struct cpuid_builder *b, uint32_t function)
{
	const struct x86_topology *topology = b->options->topology;

	cpuid_add_level(b, function, 0, 1, topology->smt_shift, topology->threads);
	cpuid_add_level(
		b, function, 1, 2, topology->package_shift, cpuid_threads_per_package(topology));
	cpuid_add_level(b, function, 2, 0, 0, 0);
}

/* AMD's, APM 3, E.4.24: core (1), complex (2), die (3), socket (4); ours has one die of one
 * complex. */
static void cpuid_add_amd_topology(struct cpuid_builder *b)
{
	const struct x86_topology *topology = b->options->topology;
	unsigned int n = cpuid_threads_per_package(topology);

	cpuid_add(b, (struct hv_x86_cpuid_entry){.function = 0x8000001e});
	cpuid_add_level(b, 0x80000026, 0, 1, topology->smt_shift, topology->threads);
	for (uint32_t level = 1; level < 4; level++)
		cpuid_add_level(b, 0x80000026, level, level + 1, topology->package_shift, n);
	cpuid_add_level(b, 0x80000026, 4, 0, 0, 0);
}

/*
 * Frequencies. 0x40000010 is a convention of hypervisors: TSC and APIC bus in kHz. Leaf 0x15
 * (Intel) is the ratio of TSC and crystal; guests take the crystal for the APIC timer's clock too,
 * so that it is the APIC bus here, and the ratio then is exact.
 */
static void cpuid_add_frequencies(struct cpuid_builder *b)
{
	uint32_t tsc_khz = b->options->tsc_khz;

	if (!tsc_khz)
		return;
	if (x86_cpuid_find(b->out, CPUID_KVM_SIGNATURE, 0))
		cpuid_add(b,
			(struct hv_x86_cpuid_entry){
				.function = CPUID_HV_TIMING, .eax = tsc_khz, .ebx = APIC_BUS_KHZ});
	if (b->intel && b->max_basic >= 0x15)
		cpuid_add(b, (struct hv_x86_cpuid_entry){.function = 0x15,
				     .eax = APIC_BUS_KHZ,
				     .ebx = tsc_khz,
				     .ecx = APIC_BUS_KHZ * 1000});
}

/* The brand string, and the cache descriptions that older hypervisors leave out: as the host has
 * them. */
static void cpuid_add_host(struct cpuid_builder *b)
{
	for (uint32_t function = 0x80000002; function <= 0x80000006; function++) {
		struct x86_cpuid_regs regs;

		if (x86_cpuid_find(b->out, function, 0))
			continue;
		regs = b->options->host(function);
		cpuid_add(b, (struct hv_x86_cpuid_entry){.function = function,
				     .eax = regs.eax,
				     .ebx = regs.ebx,
				     .ecx = regs.ecx,
				     .edx = regs.edx});
	}
}

/* The largest leaf of each range must cover what was added. */
static void cpuid_fix_limits(struct hv_x86_cpuid *cpuid)
{
	for (unsigned int i = 0; i < cpuid->n; i++) {
		struct hv_x86_cpuid_entry *limit = &cpuid->entries[i];

		if (limit->function & 0x3fffffff)
			continue; /* not 0, 0x40000000 or 0x80000000 */
		for (unsigned int j = 0; j < cpuid->n; j++) {
			uint32_t function = cpuid->entries[j].function;

			if (function >> 30 == limit->function >> 30)
				limit->eax = MAX(limit->eax, function);
		}
	}
}

static void cpuid_copy(struct cpuid_builder *b, const struct hv_x86_cpuid *supported)
{
	unsigned int n = supported->n;

	b->out->n = 0; /* may be the same object: entries only move towards the start */
	for (unsigned int i = 0; i < n; i++) {
		struct hv_x86_cpuid_entry entry = supported->entries[i];

		if (cpuid_is_dropped(&entry))
			continue;
		cpuid_fix(b, &entry);
		cpuid_add(b, entry);
	}
}

struct err *x86_cpuid_template(const struct hv_x86_cpuid *supported,
	const struct x86_cpuid_options *options, struct hv_x86_cpuid *ret_template)
{
	const struct hv_x86_cpuid_entry *leaf0 = x86_cpuid_find(supported, 0, 0);
	const struct hv_x86_cpuid_entry *ext1 = x86_cpuid_find(supported, 0x80000001, 0);
	struct cpuid_builder b = {.out = ret_template, .options = options};
	bool topoext;

	if (!leaf0 || !ext1 || !x86_cpuid_find(supported, 1, 0) ||
		!x86_cpuid_find(supported, CPUID_EXT_MAX, 0))
		return err_new(ENOTSUP,
			"The hypervisor's CPUID lacks a basic leaf (0, 1, 0x80000000, 0x80000001)");
	b.amd = cpuid_vendor_is(leaf0, "AuthenticAMD") || cpuid_vendor_is(leaf0, "HygonGenuine");
	b.intel = cpuid_vendor_is(leaf0, "GenuineIntel");
	b.max_basic = leaf0->eax;
	topoext = b.amd && (ext1->ecx & CPUID_EXT1_ECX_TOPOEXT);
	cpuid_copy(&b, supported);
	cpuid_add_topology(&b, 0xb);
	if (b.intel && b.max_basic >= 0x1f)
		cpuid_add_topology(&b, 0x1f);
	if (topoext)
		cpuid_add_amd_topology(&b);
	cpuid_add_frequencies(&b);
	cpuid_add_host(&b);
	if (b.full)
		return err_new(
			E2BIG, "The guest's CPUID needs more than %u entries", HV_X86_CPUID_MAX);
	cpuid_fix_limits(ret_template);
	return NULL;
}

void x86_cpuid_patch(
	struct hv_x86_cpuid *cpuid, const struct x86_topology *topology, unsigned int index)
{
	const struct x86_cpu_place place = x86_topology_place(topology, index);
	const uint32_t id = x86_topology_apic_id(topology, index);

	for (unsigned int i = 0; i < cpuid->n; i++) {
		struct hv_x86_cpuid_entry *e = &cpuid->entries[i];

		switch (e->function) {
		case 1:
			e->ebx = (e->ebx & 0xffffff) | id << 24;
			break;
		case 0xb:
		case 0x1f:
		case 0x80000026:
			e->edx = id;
			break;
		case 0x8000001e: /* APM 3, E.4.15: one node a package */
			e->eax = id;
			e->ebx = (topology->threads - 1) << 8 | (place.core & 0xff);
			e->ecx = place.socket & 0xff;
			break;
		default:
			break;
		}
	}
}

const struct hv_x86_cpuid_entry *x86_cpuid_find(
	const struct hv_x86_cpuid *cpuid, uint32_t function, uint32_t index)
{
	for (unsigned int i = 0; i < cpuid->n; i++) {
		const struct hv_x86_cpuid_entry *e = &cpuid->entries[i];

		if (e->function == function && (!e->indexed || e->index == index))
			return e;
	}
	return NULL;
}

unsigned int x86_cpuid_phys_bits(const struct hv_x86_cpuid *cpuid)
{
	const struct hv_x86_cpuid_entry *e = x86_cpuid_find(cpuid, 0x80000008, 0);
	unsigned int bits = e ? e->eax & 0xff : 0;
	unsigned int usable = e ? e->eax >> 16 & 0xff : 0;

	if (bits < 32 || bits > 52)
		bits = 36; /* what a processor without the leaf has */
	return usable >= 32 ? MIN(usable, bits) : bits;
}

bool x86_cpuid_has_gib_pages(const struct hv_x86_cpuid *cpuid)
{
	const struct hv_x86_cpuid_entry *e = x86_cpuid_find(cpuid, 0x80000001, 0);

	return e && (e->edx & CPUID_EXT1_EDX_GIB_PAGES);
}

bool x86_pci64_window(
	uint64_t ram_end, unsigned int phys_bits, uint64_t *ret_base, uint64_t *ret_end)
{
	uint64_t limit = 1ull << MIN(phys_bits, 52u);
	uint64_t base = MAX(ram_end, (uint64_t)X86_RAM_HIGH_BASE);

	if (base >= limit)
		return false;
	/* A power of two aligns any BAR naturally; it may be too far up for a narrow processor. */
	if (1ull << ceil_log2(base) < limit)
		base = 1ull << ceil_log2(base);
	else
		base = align_up(base, GIB(1));
	if (base >= limit)
		return false;
	*ret_base = base;
	*ret_end = base + MIN(limit - base, X86_PCI_MEM64_MAX);
	return true;
}
