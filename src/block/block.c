/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of requests.
 */
#include "block/block.h"

void block_fifo_add(struct block_fifo *fifo, struct block_request *r)
{
	r->next = NULL;
	if (fifo->first)
		fifo->last->next = r;
	else
		fifo->first = r;
	fifo->last = r;
}

void block_fifo_add_first(struct block_fifo *fifo, struct block_request *r)
{
	r->next = fifo->first;
	if (!fifo->first)
		fifo->last = r;
	fifo->first = r;
}

struct block_request *block_fifo_take(struct block_fifo *fifo)
{
	struct block_request *r = fifo->first;

	if (r)
		fifo->first = r->next;
	return r;
}
