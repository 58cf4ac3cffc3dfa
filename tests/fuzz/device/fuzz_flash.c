/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firmware's flash under any sequence of accesses. Records of 8 bytes: action, width, offset
 * (2), value (4). What it holds and what its file holds are the same.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/endian.h"
#include "device/flash.h"
#include "event/loop.h"

#define RECORD_SIZE 8
#define RECORDS_MAX 256
#define BASE        0xffc00000u
#define SIZE        (2u * FLASH_BLOCK_SIZE)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fixture {
	struct bus *mmio;
	struct loop *loop;
	struct flash_memory memory;
	bool shown;
	uint8_t content[SIZE];
	struct device *flash;
};

static bool show(struct flash_memory *memory, bool shown)
{
	struct fixture *f = container_of(memory, struct fixture, memory);

	if (f->shown == shown)
		abort();
	f->shown = shown;
	return shown;
}

static void must(struct err *err)
{
	if (err)
		abort();
}

static void act(struct fixture *f, const uint8_t *record)
{
	uint64_t addr = BASE + load_le16(record + 2) % (SIZE + 8);
	unsigned int width = 1u << (record[1] & 3);

	switch (record[0] & 7) {
	case 0:
		device_reset(f->flash);
		break;
	case 1:
	case 2:
		(void)bus_read(f->mmio, addr, width);
		break;
	case 3:
		device_quiesce(f->flash);
		break;
	default:
		bus_write(f->mmio, addr, width, load_le32(record + 4));
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct flash_memory_ops ops = {.show = show};
	struct fixture f = {.memory.ops = &ops};
	struct flash_options options = {
		.base = BASE, .data = f.content, .size = SIZE, .memory = &f.memory};
	uint8_t stored[SIZE];

	memset(f.content, 0xff, SIZE);
	options.fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (options.fd < 0 || write(options.fd, f.content, SIZE) != SIZE)
		abort();
	must(bus_create("mmio", &f.mmio));
	must(loop_create(&f.loop));
	options.mmio = f.mmio;
	options.loop = f.loop;
	must(flash_create(&options, &f.flash));
	for (size_t i = 0; i < RECORDS_MAX && size >= RECORD_SIZE; i++) {
		act(&f, data);
		data += RECORD_SIZE;
		size -= RECORD_SIZE;
	}
	loop_stop(f.loop);
	loop_run(f.loop);
	device_free(f.flash);
	if (f.shown || pread(options.fd, stored, SIZE, 0) != SIZE ||
		memcmp(stored, f.content, SIZE))
		abort();
	loop_free(f.loop);
	bus_free(f.mmio);
	close(options.fd);
	return 0;
}
