/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of a qcow2 image, and the cache of its metadata's pages.
 */
#define LOG_MODULE "block"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/overflow.h"
#include "block/qcow2_internal.h"

/* ---- Bytes ---- */

int qcow2_readv(struct qcow2 *q, const struct iovec *iov, int n, uint64_t at, uint64_t len)
{
	uint64_t there = at < q->file_size ? MIN(len, q->file_size - at) : 0;
	struct iovec part[QCOW2_IOV];
	uint64_t pos = 0;
	int used = 0;

	assert(n <= QCOW2_IOV);
	for (int i = 0; i < n; pos += iov[i++].iov_len) {
		uint64_t now = pos < there ? MIN((uint64_t)iov[i].iov_len, there - pos) : 0;

		memset((uint8_t *)iov[i].iov_base + now, 0, iov[i].iov_len - now);
		if (now)
			part[used++] = (struct iovec){iov[i].iov_base, now};
	}
	return used ? q->file->ops->preadv(q->file, part, used, at) : 0;
}

int qcow2_writev(struct qcow2 *q, const struct iovec *iov, int n, uint64_t at, uint64_t len)
{
	int ret;

	if (q->failed)
		return q->failed;
	if (q->file_max && !range_fits(at, len, q->file_max))
		return -ENOSPC;
	ret = q->file->ops->pwritev(q->file, iov, n, at, false);
	if (!ret)
		q->file_size = MAX(q->file_size, at + len);
	return ret;
}

int qcow2_read(struct qcow2 *q, uint64_t at, void *data, uint64_t len)
{
	struct iovec iov = {data, len};

	return qcow2_readv(q, &iov, 1, at, len);
}

int qcow2_write(struct qcow2 *q, uint64_t at, const void *data, uint64_t len)
{
	struct iovec iov = {(void *)(uintptr_t)data, len};

	return qcow2_writev(q, &iov, 1, at, len);
}

/* Nobody knows what the file has. */
static int qcow2_fail(struct qcow2 *q, int error)
{
	if (!q->failed)
		log_error(
			"a qcow2 image failed (%s): nothing is written to it until it is opened anew",
			err_strerror(-error));
	q->failed = error;
	return error;
}

/* Space is missed before anything is written. */
int qcow2_write_through(struct qcow2 *q, uint64_t at, const void *data, uint64_t len)
{
	int ret = qcow2_write(q, at, data, len);

	return ret && ret != -ENOSPC && ret != -EDQUOT ? qcow2_fail(q, ret) : ret;
}

int qcow2_sync(struct qcow2 *q)
{
	int ret = q->failed ? q->failed : q->file->ops->flush(q->file);

	return ret ? qcow2_fail(q, ret) : 0;
}

int qcow2_corrupt(struct qcow2 *q, const char *what, uint64_t value)
{
	uint8_t raw[8];

	if (q->corrupt)
		return -EIO;
	q->corrupt = true;
	log_error("a qcow2 image is corrupt (%s 0x%llx): it refuses writes from now on", what,
		(unsigned long long)value);
	if (q->version >= 3 && !q->image.facts.readonly) {
		store_be64(raw, q->incompatible | QCOW2_INCOMPAT_CORRUPT);
		if (qcow2_write(q, QCOW2_INCOMPATIBLE, raw, sizeof(raw)) || qcow2_sync(q))
			log_error("the image could not be marked so");
	}
	return -EIO;
}

/* ---- Pages ---- */

/* All dirty pages, after the data and the counts that they tell of. */
int qcow2_write_pages(struct qcow2 *q)
{
	bool any = false;
	int ret;

	for (unsigned int i = 0; i < QCOW2_PAGES; i++)
		any |= q->pages[i].dirty;
	if (!any)
		return 0;
	ret = qcow2_sync(q);
	for (unsigned int i = 0; !ret && i < QCOW2_PAGES; i++) {
		struct qcow2_page *page = &q->pages[i];

		if (!page->dirty)
			continue;
		ret = qcow2_write(q, page->at, page->data, q->page_size);
		page->dirty = ret;
	}
	return ret;
}

static struct qcow2_page *qcow2_oldest(struct qcow2 *q)
{
	struct qcow2_page *oldest = &q->pages[0];

	for (unsigned int i = 1; i < QCOW2_PAGES; i++) {
		if (q->pages[i].used < oldest->used)
			oldest = &q->pages[i];
	}
	return oldest;
}

static int qcow2_load_page(struct qcow2 *q, uint64_t at, struct qcow2_page **ret_page)
{
	struct qcow2_page *page = qcow2_oldest(q);
	int ret = page->dirty ? qcow2_write_pages(q) : 0;

	if (ret)
		return ret;
	if (!page->data)
		page->data = malloc(q->page_size);
	if (!page->data)
		return -ENOMEM;
	page->at = 0;
	ret = qcow2_read(q, at, page->data, q->page_size);
	if (ret)
		return ret;
	page->at = at;
	*ret_page = page;
	return 0;
}

static struct qcow2_page *qcow2_find_page(struct qcow2 *q, uint64_t start)
{
	for (unsigned int i = 0; i < QCOW2_PAGES; i++) {
		if (start && q->pages[i].at == start)
			return &q->pages[i];
	}
	return NULL;
}

/* The page that holds an offset, which is not 0 but of the header, which is not cached. */
static int qcow2_get_page(struct qcow2 *q, uint64_t at, struct qcow2_page **ret_page)
{
	uint64_t start = align_down(at, q->page_size);
	struct qcow2_page *page = qcow2_find_page(q, start);
	int ret = page ? 0 : qcow2_load_page(q, start, &page);

	if (ret)
		return ret;
	page->used = ++q->clock;
	*ret_page = page;
	return 0;
}

void qcow2_invalidate(struct qcow2 *q, uint64_t at, uint64_t len)
{
	for (unsigned int i = 0; i < QCOW2_PAGES; i++) {
		struct qcow2_page *page = &q->pages[i];

		if (page->at >= at && page->at - at < len) {
			page->at = 0;
			page->used = 0;
			page->dirty = false;
		}
	}
}

static int qcow2_put(struct qcow2 *q, uint64_t at, const void *raw, uint32_t size, bool through)
{
	struct qcow2_page *page;
	int ret = qcow2_get_page(q, at, &page);

	if (!ret && through)
		ret = qcow2_write_through(q, at, raw, size);
	if (ret)
		return ret;
	memcpy(page->data + at % q->page_size, raw, size);
	page->dirty |= !through;
	return 0;
}

static int qcow2_get(struct qcow2 *q, uint64_t at, void *raw, uint32_t size)
{
	struct qcow2_page *page;
	int ret;

	/* The pages may all be dirty, and then stay so. */
	if (q->failed && !qcow2_find_page(q, align_down(at, q->page_size)))
		return qcow2_read(q, at, raw, size);
	ret = qcow2_get_page(q, at, &page);
	if (!ret)
		memcpy(raw, page->data + at % q->page_size, size);
	return ret;
}

int qcow2_get64(struct qcow2 *q, uint64_t at, uint64_t *ret_value)
{
	uint8_t raw[8];
	int ret = qcow2_get(q, at, raw, sizeof(raw));

	if (!ret)
		*ret_value = load_be64(raw);
	return ret;
}

int qcow2_get16(struct qcow2 *q, uint64_t at, uint16_t *ret_value)
{
	uint8_t raw[2];
	int ret = qcow2_get(q, at, raw, sizeof(raw));

	if (!ret)
		*ret_value = load_be16(raw);
	return ret;
}

int qcow2_find_zero16(struct qcow2 *q, uint64_t at, uint64_t *ret_at)
{
	struct qcow2_page *page;
	int ret = qcow2_get_page(q, at, &page);

	if (ret)
		return ret;
	for (uint64_t in = at % q->page_size; in < q->page_size; in += 2, at += 2) {
		if (!(page->data[in] | page->data[in + 1]))
			break;
	}
	*ret_at = at;
	return 0;
}

int qcow2_put64(struct qcow2 *q, uint64_t at, uint64_t value, bool through)
{
	uint8_t raw[8];

	store_be64(raw, value);
	return qcow2_put(q, at, raw, sizeof(raw), through);
}

int qcow2_put16(struct qcow2 *q, uint64_t at, uint16_t value)
{
	uint8_t raw[2];

	store_be16(raw, value);
	return qcow2_put(q, at, raw, sizeof(raw), true);
}
