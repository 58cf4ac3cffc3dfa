/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vCPU threads and their gate.
 */
#define LOG_MODULE "vcpu"
#include "vm/vcpus.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/thread.h"
#include "board/board.h"
#include "hv/hv.h"
#include "vm/dispatch.h"

enum vcpus_gate { VCPUS_HOLD, VCPUS_RUN, VCPUS_QUIT };

struct vcpu {
	struct thread thread;
	struct vcpus *all;
	struct hv_vcpu *hv; /* NULL if its creation failed */
	struct err *err;    /* why */
	unsigned int index;
	char name[16];
};

struct vcpus {
	struct board *board;
	struct vcpus_events *events;
	pthread_mutex_t lock; /* guards gate's changes and n_held; lock order 90 */
	pthread_cond_t moved; /* the gate moved */
	pthread_cond_t held;  /* n_held grew */
	_Atomic enum vcpus_gate gate;
	unsigned int n_held; /* threads that wait at the gate */
	unsigned int n_started;
	unsigned int n;
	struct vcpu list[];
};

static struct err *vcpu_create(struct vcpu *vcpu)
{
	struct err *err = board_create_vcpu(vcpu->all->board, vcpu->index, &vcpu->hv);

	if (!err)
		err = hv_vcpu_bind(vcpu->hv);
	return err_wrap(err, "Failed to create vCPU %u", vcpu->index);
}

/* Waits while the gate is closed; the position that let it go. */
static enum vcpus_gate vcpu_wait(struct vcpu *vcpu)
{
	struct vcpus *all = vcpu->all;
	enum vcpus_gate gate;

	auto_lock(&all->lock);
	all->n_held++;
	pthread_cond_signal(&all->held);
	while ((gate = atomic_load_explicit(&all->gate, memory_order_relaxed)) == VCPUS_HOLD)
		pthread_cond_wait(&all->moved, &all->lock);
	all->n_held--;
	return gate;
}

static void vcpu_fail(struct vcpu *vcpu, int code, const struct hv_exit *exit)
{
	vcpus_close(vcpu->all);
	vcpu->all->events->failed(vcpu->all->events,
		err_new(code, "vCPU %u cannot go on: %s (code %#llx)", vcpu->index,
			exit->u.failed.what, (unsigned long long)exit->u.failed.code));
}

/* A call that failed is an exit as any other that nobody can handle, with registers in the log. */
static int vcpu_run(struct vcpu *vcpu, struct hv_exit *ret_exit)
{
	int ret = hv_vcpu_run(vcpu->hv, ret_exit);

	if (ret < 0)
		*ret_exit = (struct hv_exit){.reason = HV_EXIT_FAILED,
			.u.failed = {
				.what = "the hypervisor cannot run it", .code = (uint64_t)-ret}};
	return ret;
}

/*
 * Runs the guest until the gate closes or the vCPU cannot go on. Only a kick leads back to the
 * gate: by then the access of the last exit is complete, so that it cannot write into the state or
 * the RAM that a reset is about to make.
 */
static void vcpu_execute(struct vcpu *vcpu)
{
	struct vcpus *all = vcpu->all;
	struct hv_exit exit;

	do {
		int ret = vcpu_run(vcpu, &exit);

		switch (dispatch_exit(all->board, vcpu->hv, &exit)) {
		case DISPATCH_CONTINUE:
			break;
		case DISPATCH_TRIPLE_FAULT:
			vcpus_close(all);
			all->events->triple_fault(all->events);
			return;
		case DISPATCH_FAILED:
			vcpu_fail(vcpu, -ret, &exit);
			return;
		}
		/* Relaxed: the kick that follows each change of the gate orders it. */
	} while (exit.reason != HV_EXIT_KICKED ||
		 atomic_load_explicit(&all->gate, memory_order_relaxed) == VCPUS_RUN);
}

static void vcpu_main(struct thread *thread)
{
	struct vcpu *vcpu = container_of(thread, struct vcpu, thread);

	struct err *err = vcpu_create(vcpu);
	bool created = !err;

	vcpu->err = err;
	while (vcpu_wait(vcpu) == VCPUS_RUN)
		vcpu_execute(vcpu);
	if (created)
		hv_vcpu_unbind(vcpu->hv);
}

struct err *vcpus_create(
	struct board *board, unsigned int n, struct vcpus_events *events, struct vcpus **ret_vcpus)
{
	struct vcpus *all = calloc(1, sizeof(*all) + n * sizeof(all->list[0]));

	if (!all)
		return err_new(ENOMEM, "Cannot create %u vCPUs", n);
	all->board = board;
	all->events = events;
	all->n = n;
	pthread_mutex_init(&all->lock, NULL);
	pthread_cond_init(&all->moved, NULL);
	pthread_cond_init(&all->held, NULL);
	for (unsigned int i = 0; i < n; i++) {
		struct vcpu *vcpu = &all->list[i];
		struct err *err;

		vcpu->all = all;
		vcpu->index = i;
		(void)snprintf(vcpu->name, sizeof(vcpu->name), "vcpu%u", i);
		vcpu->thread.name = vcpu->name;
		vcpu->thread.run = vcpu_main;
		err = thread_start(&vcpu->thread);
		if (err) {
			vcpus_free(all);
			return err;
		}
		all->n_started++;
	}
	*ret_vcpus = all;
	return NULL;
}

static void vcpus_wait_held(struct vcpus *all)
{
	auto_lock(&all->lock);
	while (all->n_held < all->n_started)
		pthread_cond_wait(&all->held, &all->lock);
}

struct err *vcpus_await(struct vcpus *all)
{
	vcpus_wait_held(all);
	for (unsigned int i = 0; i < all->n; i++) {
		if (all->list[i].err)
			return steal_ptr(&all->list[i].err);
	}
	return NULL;
}

static void vcpus_move(struct vcpus *all, enum vcpus_gate gate)
{
	auto_lock(&all->lock);
	atomic_store_explicit(&all->gate, gate, memory_order_relaxed);
	pthread_cond_broadcast(&all->moved);
}

void vcpus_free(struct vcpus *all)
{
	if (!all)
		return;
	vcpus_settle(all);
	vcpus_move(all, VCPUS_QUIT);
	for (unsigned int i = 0; i < all->n; i++) {
		thread_join(&all->list[i].thread);
		hv_vcpu_free(all->list[i].hv);
		err_free(all->list[i].err);
	}
	pthread_cond_destroy(&all->held);
	pthread_cond_destroy(&all->moved);
	pthread_mutex_destroy(&all->lock);
	free(all);
}

unsigned int vcpus_count(const struct vcpus *all)
{
	return all->n;
}

struct hv_vcpu *vcpus_hv(struct vcpus *all, unsigned int index)
{
	assert(index < all->n);
	return all->list[index].hv;
}

void vcpus_open(struct vcpus *all)
{
	vcpus_move(all, VCPUS_RUN);
}

void vcpus_close(struct vcpus *all)
{
	auto_lock(&all->lock);
	if (atomic_load_explicit(&all->gate, memory_order_relaxed) != VCPUS_RUN)
		return;
	atomic_store_explicit(&all->gate, VCPUS_HOLD, memory_order_relaxed);
	/* While the gate was open every vCPU existed; see vcpus_await(). */
	for (unsigned int i = 0; i < all->n; i++)
		hv_vcpu_kick(all->list[i].hv);
}

void vcpus_settle(struct vcpus *all)
{
	vcpus_close(all);
	vcpus_wait_held(all);
}
