/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMBIOS 3.0 tables (DMTF DSP0134): what dmidecode and inventory tools show.
 */
#pragma once

#include "base/strbuf.h"

struct err;

#define SMBIOS_ENTRY_SIZE 24
#define SMBIOS_TABLE_AT   32 /* of the structures behind the entry point */

struct smbios_facts {
	uint64_t base; /* physical address of the entry point, a multiple of 16 in 0xf0000 ..
			  0xfffff */
	uint64_t size; /* room there */
	unsigned int sockets, cores, threads; /* cores a socket, threads a core */
	struct {
		uint64_t base, size;
	} ram[2];                       /* size 0: none */
	const char *version;            /* of the program */
	const char *const *oem_strings; /* NULL-terminated, at most 255, none empty; NULL: none */
};

/* Entry point and structures as one blob for facts->base; an error if they do not fit. [any] */
struct err *must_check smbios_build(const struct smbios_facts *facts, struct strbuf *out);

/*
 * The OEM string by which systemd takes a credential: as it is if it is printable ASCII, in base64
 * otherwise (systemd.exec(5) and smbios-type-11(7)). The caller frees it; NULL: no memory. [any]
 */
char *must_check smbios_credential(const char *name, const void *data, size_t len);
