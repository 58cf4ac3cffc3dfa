/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens after a vCPU left the guest: port and memory accesses go to the board's buses.
 */
#pragma once

#include "base/macros.h"

struct board;
struct hv_exit;
struct hv_vcpu;

enum dispatch_result {
	DISPATCH_CONTINUE,     /* run again */
	DISPATCH_TRIPLE_FAULT, /* the guest shut the vCPU down */
	DISPATCH_FAILED,       /* exit->u.failed says why; registers are in the log */
};

/* Handles one exit; fills the data of reads in place. [vcpu] */
enum dispatch_result must_check dispatch_exit(
	struct board *board, struct hv_vcpu *vcpu, struct hv_exit *exit);
