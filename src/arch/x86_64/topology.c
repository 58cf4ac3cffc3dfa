/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU topology and x2APIC ids.
 */
#include "arch/x86_64/topology.h"

#include <errno.h>

#include "base/overflow.h"

#define TOPOLOGY_COUNT_MAX 65535u

struct err *x86_topology_init(
	const struct x86_topology_request *request, struct x86_topology *ret_topology)
{
	unsigned int threads = request->smt ? 2 : 1;
	unsigned int sockets = request->sockets ? request->sockets : 1;
	unsigned int cores = request->cores;
	unsigned int smt_shift = threads - 1;

	if (!request->count || request->count > TOPOLOGY_COUNT_MAX)
		return err_new(EINVAL, "cpu: count=%u is not between 1 and %u", request->count,
			TOPOLOGY_COUNT_MAX);
	if (!cores)
		cores = request->count / sockets / threads;
	/* Each factor is checked first, so that the product of three cannot wrap in 64 bits. */
	if (!cores || cores > TOPOLOGY_COUNT_MAX || sockets > TOPOLOGY_COUNT_MAX ||
		(uint64_t)sockets * cores * threads != request->count)
		return err_new(EINVAL,
			"cpu: topology of %u sockets, %u cores each and %u threads a core does not make count=%u",
			sockets, cores, threads, request->count);
	*ret_topology = (struct x86_topology){
		.sockets = sockets,
		.cores = cores,
		.threads = threads,
		.smt_shift = smt_shift,
		.package_shift = ceil_log2(cores) + smt_shift,
		.thread_contiguous = request->thread_contiguous,
	};
	return NULL;
}

unsigned int x86_topology_count(const struct x86_topology *topology)
{
	return topology->sockets * topology->cores * topology->threads;
}

struct x86_cpu_place x86_topology_place(const struct x86_topology *topology, unsigned int index)
{
	unsigned int total_cores = topology->cores * topology->sockets;
	unsigned int core;
	unsigned int thread;

	assert(index < x86_topology_count(topology));
	if (topology->thread_contiguous) {
		thread = index % topology->threads;
		core = index / topology->threads;
	} else {
		thread = index / total_cores;
		core = index % total_cores;
	}
	return (struct x86_cpu_place){
		.socket = core / topology->cores,
		.core = core % topology->cores,
		.thread = thread,
	};
}

unsigned int x86_topology_index(const struct x86_topology *topology, struct x86_cpu_place place)
{
	unsigned int core = place.socket * topology->cores + place.core;

	assert(place.socket < topology->sockets && place.core < topology->cores &&
		place.thread < topology->threads);
	if (topology->thread_contiguous)
		return core * topology->threads + place.thread;
	return place.thread * topology->cores * topology->sockets + core;
}

uint32_t x86_topology_apic_id(const struct x86_topology *topology, unsigned int index)
{
	struct x86_cpu_place place = x86_topology_place(topology, index);

	return place.socket << topology->package_shift | place.core << topology->smt_shift |
	       place.thread;
}

uint32_t x86_topology_max_apic_id(const struct x86_topology *topology)
{
	/* The last thread of the last core of the last socket, in either order of numbering. */
	return x86_topology_apic_id(topology, x86_topology_count(topology) - 1);
}
