/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user of a block device on a real file: submits, runs the loop until all is done, and counts.
 */
#pragma once

#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/overflow.h"
#include "block/image.h"

#define SECTORS 2048u
#define SIZE    (SECTORS * 512u)

struct user {
	struct block_user user;
	struct block_dev *dev;
	struct loop *loop;
	_Atomic bool yield;
	unsigned int submitted, done, batches;
	char path[64]; /* an image of SIZE bytes: every sector filled with its number */
};

static inline void user_done(struct block_user *user, struct block_request *r)
{
	container_of(user, struct user, user)->done++;
}

static inline void user_batch(struct block_user *user)
{
	struct user *u = container_of(user, struct user, user);

	u->batches++;
	if (u->done == u->submitted)
		loop_stop(u->loop);
}

static inline void user_make_image(struct user *u)
{
	uint8_t sector[512];
	int fd;

	(void)snprintf(u->path, sizeof(u->path), "/tmp/alioth-block-XXXXXX");
	fd = mkstemp(u->path);
	assert_true(fd >= 0);
	for (unsigned int i = 0; i < SECTORS; i++) {
		memset(sector, (int)(i & 0xff), sizeof(sector));
		assert_int_equal(write(fd, sector, sizeof(sector)), sizeof(sector));
	}
	close(fd);
}

/* Takes the device over. */
static inline void user_start(struct user *u, struct block_dev *dev)
{
	u->user = (struct block_user){user_done, user_batch, &u->yield};
	u->dev = dev;
	u->submitted = u->done = u->batches = 0;
	assert_ok(loop_create(&u->loop));
	block_start(dev, &u->user, u->loop);
}

static inline void user_end(struct user *u)
{
	if (u->dev) {
		block_stop(u->dev);
		block_free(u->dev);
		loop_free(u->loop);
	}
	u->dev = NULL;
}

/* As cmocka wants them: a user without device, whose image is removed in the end. */
static inline int user_setup(void **state)
{
	struct user *u = calloc(1, sizeof(*u));

	user_make_image(u);
	*state = u;
	return 0;
}

static inline int user_teardown(void **state)
{
	struct user *u = *state;

	user_end(u);
	(void)unlink(u->path);
	free(u);
	return 0;
}

static inline void user_submit(struct user *u, struct block_request *r)
{
	r->result = 12345;
	u->submitted++;
	block_submit(u->dev, r);
}

/* Kicks, and runs until everything is done. */
static inline void user_run(struct user *u)
{
	block_kick(u->dev);
	while (u->done < u->submitted)
		loop_run(u->loop);
}

/* One request to its end; its result. */
static inline int user_do(struct user *u, struct block_request r)
{
	user_submit(u, &r);
	user_run(u);
	return r.result;
}

static inline int user_rw(struct user *u, enum block_op op, void *data, size_t len, uint64_t off)
{
	struct iovec iov = {data, len};

	return user_do(
		u, (struct block_request){.op = op, .off = off, .len = len, .iov = &iov, .n = 1});
}

static inline uint64_t user_blocks(const struct user *u)
{
	struct stat st;

	assert_int_equal(stat(u->path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}
