/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring arithmetic, for all 16-bit values and all sizes of rings.
 */
#include "guest.h"

void prove_positions(void)
{
	struct virtq q = {.size = nondet_u16()};
	uint16_t position = nondet_u16();
	uint16_t n = nondet_u16();
	unsigned int place = position & 0x7fff;
	bool wrap = position & 0x8000;
	uint16_t next;

	GIVEN(q.size && q.size <= VIRTQ_SIZE_MAX && place < q.size && n <= q.size);
	next = virtq_packed_advance(&q, position, n);
	PROOF((next & 0x7fff) < q.size, "a position stays inside the ring");
	PROOF((next & 0x7fff) == (place + n) % q.size, "a position moves by n, around the ring");
	PROOF(!!(next & 0x8000) == (wrap != (place + n >= q.size)),
		"the wrap counter changes exactly at the ring's end");
	PROOF(next != position || !n, "no move but that of 0 comes back to the same position");
}

void prove_events(void)
{
	uint16_t event = nondet_u16();
	uint16_t now = nondet_u16();
	uint16_t old = nondet_u16();
	bool inside = (uint16_t)(event - old) < (uint16_t)(now - old);

	PROOF(virtq_passed(event, now, old) == inside,
		"an event is passed exactly if it is one of old .. now - 1, around 65536");
	PROOF(!virtq_passed(event, old, old), "an empty batch passes no event");
}
