/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets, cores and threads, and the x2APIC id that says where a vCPU sits: socket, core and
 * thread number side by side, each in as many bits as the count below it needs (Intel SDM 3A, 10.9;
 * AMD64 APM 3, E.5). All functions [any].
 */
#pragma once

#include "base/err.h"

/* What the user asks for; 0 means "the default". */
struct x86_topology_request {
	unsigned int count;   /* vCPUs, 1 .. 65535 */
	unsigned int cores;   /* per socket; 0: as many as make up the count */
	unsigned int sockets; /* 0: 1 */
	bool smt;             /* two threads a core */
	bool thread_contiguous;
};

struct x86_topology {
	unsigned int sockets;
	unsigned int cores;         /* per socket */
	unsigned int threads;       /* per core: 1 or 2 */
	unsigned int smt_shift;     /* bits of the thread number in an APIC id */
	unsigned int package_shift; /* bits of core and thread number */
	bool thread_contiguous;     /* vCPUs 0 and 1 share a core; otherwise all first threads come
				       first */
};

struct x86_cpu_place {
	unsigned int socket, core, thread;
};

/* Fills in the defaults and checks that sockets * cores * threads is the count. */
struct err *must_check x86_topology_init(
	const struct x86_topology_request *request, struct x86_topology *ret_topology);

unsigned int x86_topology_count(const struct x86_topology *topology);
/* Where vCPU `index` (below the count) sits, and back. */
struct x86_cpu_place x86_topology_place(const struct x86_topology *topology, unsigned int index);
unsigned int x86_topology_index(const struct x86_topology *topology, struct x86_cpu_place place);

/* socket << package_shift | core << smt_shift | thread; at most 24 bits. Also the hypervisor's vCPU
 * id. */
uint32_t x86_topology_apic_id(const struct x86_topology *topology, unsigned int index);
/* The largest of all. */
uint32_t x86_topology_max_apic_id(const struct x86_topology *topology);
