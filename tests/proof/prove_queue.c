/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a queue knows of its chains in flight, whatever the driver does: any sequence of STEPS of
 * taking chains, giving any of them back, and publishing.
 */
#include "guest.h"

#define SIZE  2
#define STEPS 4

/* The walker, by what prove_walk.c proves of it. */
int virtq_walk(
	const struct virtq *q, uint16_t at, struct virtq_chain *chain, struct virtq_flight *flight)
{
	if (nondet_bool())
		return -EINVAL;
	flight->id = nondet_u16();
	flight->n = nondet_u8();
	GIVEN(flight->n >= 1 && flight->n <= (q->packed ? q->size + 1 : 1));
	if (!q->packed) {
		flight->id = at;
		GIVEN(at < q->size);
	}
	return 0;
}

/* Chains that were taken and not given back, oldest first. */
static uint16_t held[SIZE];
static unsigned int n_held;

static void prove_step(struct virtq *q, struct virtq_chain *chain)
{
	unsigned int i = nondet_u8();
	int ret;

	any_guest();
	if (nondet_bool()) {
		ret = virtq_pop(q, chain);
		PROOF(ret == 0 || ret == 1 || ret == -EINVAL, "a chain, none, or a broken queue");
		PROOF(ret != -EINVAL || q->broken, "a queue that breaks a rule is broken");
		if (ret != 1)
			return;
		PROOF(chain->head < q->size, "a chain's slot is in the table");
		for (unsigned int j = 0; j < n_held; j++)
			PROOF(held[j] != chain->head, "a slot is of one chain in flight");
		PROOF(n_held < q->size, "there are no more chains in flight than descriptors");
		held[n_held++] = chain->head;
	} else if (n_held) {
		GIVEN(i < n_held);
		virtq_push(q, held[i], nondet_u32());
		for (n_held--; i < n_held; i++)
			held[i] = held[i + 1];
	}
	if (nondet_bool())
		(void)virtq_publish(q);
}

static void prove_bookkeeping(bool packed, bool in_order)
{
	struct virtq_layout layout = any_layout(SIZE, packed);
	static struct virtq_chain chain;
	struct virtq q;

	layout.size = SIZE;
	layout.in_order = in_order;
	if (virtq_init(&q, NULL, &layout))
		return;
	for (unsigned int i = 0; i < STEPS; i++)
		prove_step(&q, &chain);
	PROOF(q.n_flight >= n_held, "what is held is in flight");
	PROOF(q.in_order || q.n_flight == n_held, "and nothing else, unless in order");
	PROOF(q.n_taken <= q.size, "chains in flight have no more descriptors than the ring");
	PROOF(n_held || !q.n_flight, "when all are given back, none is in flight");
	PROOF(q.n_flight || !q.n_taken, "and no descriptor is taken");
	virtq_deinit(&q);
}

void prove_bookkeeping_split(void)
{
	prove_bookkeeping(false, false);
}

void prove_bookkeeping_split_in_order(void)
{
	prove_bookkeeping(false, true);
}

void prove_bookkeeping_packed(void)
{
	prove_bookkeeping(true, false);
}

void prove_bookkeeping_packed_in_order(void)
{
	prove_bookkeeping(true, true);
}
