/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What layers have in common: embedded in a layer, it passes everything through, both ways. A layer
 * takes what it does otherwise over in an ops table of its own, with these functions for the rest.
 */
#pragma once

#include "block/block.h"

struct block_layer {
	struct block_dev base;
	struct block_dev *below; /* owned */
	struct block_user user;  /* of the one below */
};

/* Takes `below` over; its facts are the layer's. */
void block_layer_init(
	struct block_layer *layer, const struct block_ops *ops, struct block_dev *below);

void block_layer_start(struct block_dev *dev, struct loop *loop);
void block_layer_submit(struct block_dev *dev, struct block_request *r);
void block_layer_kick(struct block_dev *dev);
bool block_layer_has_done(const struct block_dev *dev);
void block_layer_quiesce(struct block_dev *dev);
struct err *must_check block_layer_resize(struct block_dev *dev, uint64_t size);
void block_layer_stop(struct block_dev *dev);
/* Frees what is below, not the layer. */
void block_layer_deinit(struct block_layer *layer);
