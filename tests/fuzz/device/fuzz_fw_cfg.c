/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's accesses to fw_cfg, DMA included. Records of 24 bytes: action, width, port or key (2),
 * value (4), a transfer's description (16).
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/endian.h"
#include "device/fw_cfg.h"

#define RECORD_SIZE 24
#define RECORDS_MAX 256
#define PORT        0x510
#define RAM_BASE    0x1000
#define RAM_SIZE    0x4000
#define FILE_SIZE   3000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fixture {
	struct bus *pio;
	struct ram *ram;
	struct fw_cfg *fw;
};

static void must(struct err *err)
{
	if (err)
		abort();
}

static void transfer(struct fixture *f, uint64_t at, const uint8_t *description)
{
	int ret = ram_write(f->ram, at, description, 16);

	bus_write(f->pio, PORT + 4, 4, htobe32((uint32_t)(at >> 32)));
	bus_write(f->pio, PORT + 8, 4, htobe32((uint32_t)at));
	(void)ret; /* a description that is not in RAM is what the device must bear */
}

static void act(struct fixture *f, const uint8_t *record)
{
	unsigned int width = 1u << (record[1] & 3);
	uint16_t word = load_le16(record + 2);
	uint32_t value = load_le32(record + 4);

	switch (record[0] & 7) {
	case 0:
		device_reset(fw_cfg_device(f->fw));
		break;
	case 1:
		bus_write(f->pio, PORT, 2, word);
		break;
	case 2:
		for (unsigned int i = 0; i < word % 64; i++)
			bus_read(f->pio, PORT + 1, 1);
		break;
	case 3:
		bus_read(f->pio, PORT + word % 14, width);
		break;
	case 4:
		bus_write(f->pio, PORT + word % 14, width, value);
		break;
	default:
		transfer(f, record[1] & 0x80 ? value : RAM_BASE + value % RAM_SIZE, record + 8);
		break;
	}
}

static void add_items(struct fw_cfg *fw)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, FILE_SIZE - 100))
		abort();
	must(fw_cfg_add_file(
		fw, "opt/text", &(struct fw_cfg_content){.data = "content", .size = 7}));
	/* The file is shorter than it was. */
	must(fw_cfg_add_file(
		fw, "opt/file", &(struct fw_cfg_content){.fd = fd, .size = FILE_SIZE}));
	must(fw_cfg_add_int(fw, FW_CFG_RAM_SIZE, RAM_SIZE, 8));
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ram_options ram_options = {0};
	struct fw_cfg_options options = {.port = PORT};
	struct fixture f;

	must(bus_create("pio", &f.pio));
	must(ram_create(&ram_options, &f.ram));
	must(ram_add(f.ram, RAM_BASE, RAM_SIZE, "ram"));
	options.pio = f.pio;
	options.ram = f.ram;
	must(fw_cfg_create(&options, &f.fw));
	add_items(f.fw);
	for (size_t i = 0; i < RECORDS_MAX && size >= RECORD_SIZE; i++) {
		act(&f, data);
		data += RECORD_SIZE;
		size -= RECORD_SIZE;
	}
	device_free(fw_cfg_device(f.fw));
	ram_free(f.ram);
	bus_free(f.pio);
	return 0;
}
