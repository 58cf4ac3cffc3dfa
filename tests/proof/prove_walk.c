/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walker of chains, over rings and tables that hold anything and change at any time. That it
 * ends is proved by the bound of its loop.
 */
#include "guest.h"

#define SIZE 3

static void prove_walk(bool packed)
{
	struct virtq_layout layout = any_layout(SIZE, packed);
	static struct virtq_chain chain;
	struct virtq_flight flight;
	struct virtq q;
	uint16_t at = nondet_u16();
	int ret;

	if (virtq_init(&q, NULL, &layout))
		return;
	any_guest();
	/* A packed ring's position is ours, a split one's head is the driver's. */
	GIVEN(!packed || at < q.size);
	ret = virtq_walk(&q, at, &chain, &flight);
	PROOF(ret == 0 || ret == -EINVAL, "a walk succeeds or breaks the queue");
	PROOF(ret || chain.n_readable + chain.n_writable <= VIRTQ_IOV_MAX,
		"a chain has no more pieces than its list");
	PROOF(ret || chain.n_readable + chain.n_writable <= 2u * (q.size + 1u),
		"a chain has no more descriptors than the queue and an indirect one");
	PROOF(ret || (flight.n >= 1 && flight.n <= (packed ? q.size + 1 : 1)),
		"a chain takes at least one descriptor, and no more than a walk has steps");
	PROOF(ret || packed || at < q.size, "a head outside of the ring is refused");
	PROOF(ret || packed || flight.id == at, "a split chain is known by its head");
	virtq_deinit(&q);
}

void prove_walk_split(void)
{
	prove_walk(false);
}

void prove_walk_packed(void)
{
	prove_walk(true);
}
