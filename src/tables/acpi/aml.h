/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI Machine Language, built front to back into a strbuf (ACPI 6.5, chapter 20). Constructs that
 * contain others are opened and closed; the close fills in the PkgLength. Names are up to four
 * characters, padded with '_'; a path is as in ASL ("\\_SB.PCI0"). Errors are the buffer's
 * (base/strbuf.h). All functions [any].
 */
#pragma once

#include "base/strbuf.h"

/* Where an open construct begins. */
struct aml_mark {
	size_t at;
};

void aml_close(struct strbuf *sb, struct aml_mark mark);

struct aml_mark aml_open_scope(struct strbuf *sb, const char *path);
struct aml_mark aml_open_device(struct strbuf *sb, const char *name);
/* args 0 .. 7. */
struct aml_mark aml_open_method(
	struct strbuf *sb, const char *name, unsigned int args, bool serialized);
struct aml_mark aml_open_package(struct strbuf *sb, uint8_t elements);
/* The condition follows at once, then the body. */
struct aml_mark aml_open_if(struct strbuf *sb);

/* The value follows at once. */
void aml_name(struct strbuf *sb, const char *name);
void aml_int(struct strbuf *sb, uint64_t value);
void aml_string(struct strbuf *sb, const char *text);
/* Compressed EISA id, "PNP0A08". */
void aml_eisa(struct strbuf *sb, const char *id);
void aml_buffer(struct strbuf *sb, const void *data, size_t len);
void aml_path(struct strbuf *sb, const char *path);
void aml_local(struct strbuf *sb, unsigned int n);
void aml_arg(struct strbuf *sb, unsigned int n);
/* Name(name, value) in one go. */
void aml_name_int(struct strbuf *sb, const char *name, uint64_t value);
void aml_name_string(struct strbuf *sb, const char *name, const char *text);
void aml_name_eisa(struct strbuf *sb, const char *name, const char *id);

/* Operators; operands, then targets, follow. */
void aml_op_store(struct strbuf *sb);
void aml_op_and(struct strbuf *sb);
void aml_op_or(struct strbuf *sb);
void aml_op_equal(struct strbuf *sb);
void aml_op_notify(struct strbuf *sb);
void aml_op_return(struct strbuf *sb);
void aml_no_target(struct strbuf *sb);

/* CreateDWordField(): the buffer and the byte offset follow at once, then aml_path() of its name.
 */
void aml_op_dword_field(struct strbuf *sb);

/* OperationRegion(name, SystemIO, port, len) and a Field of one 32-bit member. */
void aml_io_field32(struct strbuf *sb, const char *region, uint16_t port, const char *member);

/* ---- Resource templates (ACPI 6.5, 6.4), collected in a buffer of their own ---- */

void aml_res_io(struct strbuf *res, uint16_t port, uint8_t len);
/* Read-write. */
void aml_res_mem32_fixed(struct strbuf *res, uint32_t base, uint32_t len);
/* Edge, active high. */
void aml_res_irq_legacy(struct strbuf *res, unsigned int irq);
/* Active high. */
void aml_res_interrupt(struct strbuf *res, uint32_t gsi, bool level);
/* Windows of a bridge; last is inclusive. */
void aml_res_bus_window(struct strbuf *res, uint16_t first, uint16_t last);
void aml_res_io_window(struct strbuf *res, uint16_t first, uint16_t last);
void aml_res_mem32_window(struct strbuf *res, uint32_t first, uint32_t last);
void aml_res_mem64_window(struct strbuf *res, uint64_t first, uint64_t last);
/* Name(_CRS, ResourceTemplate); ends and releases res. */
void aml_name_crs(struct strbuf *sb, struct strbuf *res);
