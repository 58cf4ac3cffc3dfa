/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of unpacked kernels: one file for each kernel in a directory that belongs to the user.
 *
 * An entry is the kernel's image as it lies in memory, page-aligned, with relocations applied,
 * behind a header of one page. A start that finds one maps its pages copy-on-write and unpacks
 * nothing.
 *
 * Key. The kernel's setup header, the CRC-32 that the kernel build puts at the end of a bzImage,
 * its size, and the file's identity (device, inode, modification and change time): a new kernel
 * under an old name is another key, and no content has to be hashed at a start. All of it is
 * compared again with what the header of the entry holds.
 *
 * KASLR. The physical base is random at every start. The virtual base is random when an entry is
 * made and belongs to the entry: moving the image would touch, and so copy, most of its pages. A
 * start makes the entry anew, with another base, with a chance of one in CACHE_RENEW_ODDS. Entries
 * made with and without `nokaslr` are different ones.
 *
 * Trust. The directory must belong to the user (or root) and be writable by nobody else. An entry
 * is written under one temporary name, that a lock guards, and renamed: whoever finds the lock
 * taken keeps nothing, and what a killed process left is taken over by the next. An entry that does
 * not fit its header is ignored and made again, and so is one that is older than the host's start:
 * it was never flushed, as that takes as long as unpacking, so that a crash may have left holes in
 * it. A kernel that changed while it was unpacked is not kept. Errors are never fatal: the kernel
 * is unpacked as without a cache.
 */
#pragma once

#include "loader/unpack.h"

#define CACHE_RENEW_ODDS 256

/* The directory, if others cannot plant entries in it; -1: no cache. The caller closes it. [main]
 */
int must_check cache_open(const struct loader *loader);
/* Maps the kernel from the cache; false: not there, RAM is as before. [main] */
bool must_check cache_load(struct loader_state *state, int dir);
/* Keeps what was just unpacked; does nothing without a cache. [main] */
void cache_store(const struct loader_state *state, int dir, const struct unpack_plan *plan);
