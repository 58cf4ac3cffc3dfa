/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file in memory under an image format, which records what is done to it and plays power cuts:
 * after a cut the file holds what was there at the last flush, and of what came later any part, in
 * sectors of 512 bytes.
 */
#pragma once

#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "base/overflow.h"
#include "block/block_internal.h"

#define RECORDER_MAX    (24u << 20)
#define RECORDER_SECTOR 512u

struct recorder_op {
	bool flush;
	uint64_t at, len;
	uint8_t *data; /* NULL: zeros */
};

struct recorder {
	struct block_raw raw;
	uint8_t *file; /* RECORDER_MAX bytes, zeros behind size */
	uint64_t size;
	struct recorder_op *ops;
	unsigned int n;
	/* Does a write, discard or flush fail, and do nothing? 0 or -errno; NULL: none does. */
	int (*fails)(void *arg, bool flush);
	/* Is a write that was not stable lost with a flush that fails? NULL: none is. */
	bool (*drops)(void *arg);
	void *arg; /* of both */
	bool late; /* writes that fail were done all the same */

	/* What a power cut leaves. */
	uint8_t *disk;
	uint64_t disk_size;
	unsigned int stable; /* operations that the disk has for sure */
	/* How to get back: sectors and what they held. */
	struct recorder_undo {
		uint64_t at;
		uint8_t data[RECORDER_SECTOR];
	} * undo;
	unsigned int n_undo, max_undo;
	uint64_t undo_size;
};

static inline struct recorder *recorder_of(struct block_image *image)
{
	return container_of(image, struct recorder, raw.image);
}

static inline void recorder_log(struct recorder *r, const struct recorder_op *op)
{
	if (!(r->n & (r->n + 1)))
		r->ops = realloc(r->ops, (2 * r->n + 2) * sizeof(*r->ops));
	assert_non_null(r->ops);
	r->ops[r->n++] = *op;
}

static inline int recorder_fails(struct recorder *r, bool flush)
{
	return r->fails ? r->fails(r->arg, flush) : 0;
}

/* The host tells once that it could not write, and takes what was lost for written: the file is
 * what there was, and what is left of the rest. */
static inline void recorder_drop(struct recorder *r)
{
	unsigned int i = r->n;

	while (i && !r->ops[i - 1].flush)
		i--;
	for (; i < r->n; i++) {
		if (r->ops[i].data && r->drops(r->arg))
			r->ops[i].len = 0;
	}
	memcpy(r->file, r->disk, RECORDER_MAX);
	for (i = 0; i < r->n; i++) {
		const struct recorder_op *op = &r->ops[i];

		if (op->data)
			memcpy(r->file + op->at, op->data, op->len);
		else
			memset(r->file + op->at, 0, op->len);
	}
}

static inline int recorder_preadv(
	struct block_image *image, const struct iovec *iov, int n, uint64_t off)
{
	struct recorder *r = recorder_of(image);

	for (int i = 0; i < n; off += iov[i++].iov_len) {
		assert_true(range_fits(off, iov[i].iov_len, r->size));
		memcpy(iov[i].iov_base, r->file + off, iov[i].iov_len);
	}
	return 0;
}

static inline int recorder_pwritev(
	struct block_image *image, const struct iovec *iov, int n, uint64_t off, bool fua)
{
	struct recorder *r = recorder_of(image);
	uint64_t at = off;
	int ret = recorder_fails(r, false);

	if (ret && !r->late)
		return ret;
	for (int i = 0; i < n; at += iov[i++].iov_len) {
		if (!range_fits(at, iov[i].iov_len, RECORDER_MAX))
			return -ENOSPC;
		memcpy(r->file + at, iov[i].iov_base, iov[i].iov_len);
	}
	if (at > off) {
		struct recorder_op op = {.at = off, .len = at - off, .data = malloc(at - off)};

		assert_non_null(op.data);
		memcpy(op.data, r->file + off, op.len);
		recorder_log(r, &op);
	}
	r->size = MAX(r->size, at);
	return ret;
}

static inline int recorder_flush(struct block_image *image)
{
	struct recorder *r = recorder_of(image);
	int ret = recorder_fails(r, true);

	if (ret && r->drops)
		recorder_drop(r);
	if (!ret)
		recorder_log(r, &(struct recorder_op){.flush = true});
	return ret;
}

static inline int recorder_discard(struct block_image *image, uint64_t off, uint64_t len)
{
	struct recorder *r = recorder_of(image);
	int ret = recorder_fails(r, false);

	if (ret)
		return ret;
	len = off < r->size ? MIN(len, r->size - off) : 0;
	memset(r->file + off, 0, len);
	if (len)
		recorder_log(r, &(struct recorder_op){.at = off, .len = len});
	return 0;
}

/* The test's own, not the format's. */
static inline void recorder_close(struct block_image *image)
{
}

static const struct block_image_ops recorder_ops = {.preadv = recorder_preadv,
	.pwritev = recorder_pwritev,
	.flush = recorder_flush,
	.discard = recorder_discard,
	.free = recorder_close};

/* Everything so far is stable, and forgotten. */
static inline void recorder_settle(struct recorder *r)
{
	for (unsigned int i = 0; i < r->n; i++)
		free(r->ops[i].data);
	free(r->ops);
	r->ops = NULL;
	r->n = r->stable = r->n_undo = 0;
	memcpy(r->disk, r->file, RECORDER_MAX);
	r->disk_size = r->size;
}

static inline void recorder_init(struct recorder *r)
{
	*r = (struct recorder){.raw = {.image.ops = &recorder_ops, .fd = -1, .buffered = -1}};
	r->file = calloc(1, RECORDER_MAX);
	r->disk = calloc(1, RECORDER_MAX);
	assert_non_null(r->file);
	assert_non_null(r->disk);
}

static inline void recorder_deinit(struct recorder *r)
{
	recorder_settle(r);
	free(r->file);
	free(r->disk);
	free(r->undo);
}

/* The file's content is that of a real one, all stable. */
static inline void recorder_load(struct recorder *r, const char *path)
{
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	memset(r->file, 0, RECORDER_MAX);
	r->size = fread(r->file, 1, RECORDER_MAX, f);
	assert_int_equal(fclose(f), 0);
	recorder_settle(r);
}

static inline void recorder_save_disk(const struct recorder *r, const char *path)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(r->disk, 1, r->disk_size, f), r->disk_size);
	assert_int_equal(fclose(f), 0);
}

/* ---- Power cuts ---- */

static inline void recorder_put_piece(
	struct recorder *r, uint64_t at, const uint8_t *data, uint64_t len)
{
	uint64_t sector = align_down(at, RECORDER_SECTOR);

	if (r->n_undo == r->max_undo) {
		r->max_undo = 2 * r->max_undo + 64;
		r->undo = realloc(r->undo, r->max_undo * sizeof(*r->undo));
		assert_non_null(r->undo);
	}
	r->undo[r->n_undo].at = sector;
	memcpy(r->undo[r->n_undo++].data, r->disk + sector, RECORDER_SECTOR);
	if (data)
		memcpy(r->disk + at, data, len);
	else
		memset(r->disk + at, 0, len);
	r->disk_size = MAX(r->disk_size, at + len);
}

/* An operation reaches the disk; each of its sectors if `lucky` says so (NULL: all of them). */
static inline void recorder_apply(
	struct recorder *r, unsigned int i, bool (*lucky)(void *arg), void *arg)
{
	const struct recorder_op *op = &r->ops[i];

	for (uint64_t done = 0; done < op->len;) {
		uint64_t at = op->at + done;
		uint64_t len = MIN(op->len - done, RECORDER_SECTOR - at % RECORDER_SECTOR);

		if (!lucky || lucky(arg))
			recorder_put_piece(r, at, op->data ? op->data + done : NULL, len);
		done += len;
	}
}

/* Before a cut that is only tried. */
static inline void recorder_begin_cut(struct recorder *r)
{
	r->n_undo = 0;
	r->undo_size = r->disk_size;
}

static inline void recorder_end_cut(struct recorder *r)
{
	while (r->n_undo) {
		const struct recorder_undo *u = &r->undo[--r->n_undo];

		memcpy(r->disk + u->at, u->data, RECORDER_SECTOR);
	}
	r->disk_size = r->undo_size;
}

/* The operations before `end` are stable from now on. */
static inline void recorder_commit(struct recorder *r, unsigned int end)
{
	for (; r->stable < end; r->stable++)
		recorder_apply(r, r->stable, NULL, NULL);
	r->n_undo = 0;
}
