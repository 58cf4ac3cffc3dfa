/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vCPU threads of a VM, held and released together.
 *
 * Theory of operation. Each vCPU is created by its own thread (all at once), which then waits at a
 * gate. The gate has three positions: HOLD (threads wait), RUN (they execute the guest) and QUIT
 * (they end). Whoever moves the gate away from RUN kicks every vCPU; a kick cannot be lost
 * (hv_vcpu_kick), so each thread comes back to the gate after at most one exit. vcpus_settle()
 * waits until all of them are there: only then may devices, RAM or vCPU state be reset. A vCPU
 * thread may close the gate itself (vcpus_close), to stop executing at once after a reset or
 * shutdown request, but only the control thread opens it.
 */
#pragma once

#include "base/err.h"

struct board;
struct hv_vcpu;
struct vcpus;

/* What the threads report; called by a vCPU thread, must not block. */
struct vcpus_events {
	/* A vCPU cannot go on; takes the error. The gate is closed by the call's receiver. [vcpu]
	 */
	void (*failed)(struct vcpus_events *events, struct err *err);
	/* Triple fault. [vcpu] */
	void (*triple_fault)(struct vcpus_events *events);
};

/* Starts n threads, which create their vCPUs in parallel. Neither argument is owned. [main] */
struct err *must_check vcpus_create(
	struct board *board, unsigned int n, struct vcpus_events *events, struct vcpus **ret_vcpus);
/* Waits until each vCPU exists and is at the gate; the first error of any. [main] */
struct err *must_check vcpus_await(struct vcpus *vcpus);
/* Quits and joins the threads, frees the vCPUs. NULL is fine. [main] */
void vcpus_free(struct vcpus *vcpus);

unsigned int vcpus_count(const struct vcpus *vcpus);
/* Its state may be changed while the vCPUs are settled. */
struct hv_vcpu *vcpus_hv(struct vcpus *vcpus, unsigned int index);

/* Opens the gate. [control] */
void vcpus_open(struct vcpus *vcpus);
/* Closes it and kicks all; returns at once. [any] */
void vcpus_close(struct vcpus *vcpus);
/* vcpus_close(), and waits until all are at the gate. [control] */
void vcpus_settle(struct vcpus *vcpus);
