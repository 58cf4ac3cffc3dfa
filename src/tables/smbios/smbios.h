/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMBIOS 3.0 tables (DMTF DSP0134): what dmidecode and inventory tools show.
 */
#pragma once

#include "base/strbuf.h"

struct err;

struct smbios_facts {
	uint64_t base; /* physical address of the entry point, a multiple of 16 in 0xf0000 ..
			  0xfffff */
	uint64_t size; /* room there */
	unsigned int sockets, cores, threads; /* cores a socket, threads a core */
	struct {
		uint64_t base, size;
	} ram[2];            /* size 0: none */
	const char *version; /* of the program */
};

/* Entry point and structures as one blob for facts->base; an error if they do not fit. [any] */
struct err *must_check smbios_build(const struct smbios_facts *facts, struct strbuf *out);
