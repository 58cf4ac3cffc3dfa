/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For guests: writes numbered blocks all over a disk for ever, and says on the console what is on
 * stable storage, so that whoever kills the monitor knows what must be on the disk (test_flush.py).
 *
 *   disk_writer DEVICE SEED DIRECT
 *
 * Block number `sequence` of a run goes to the place that writer_place() says. It is one page:
 * magic, seed, sequence and place in its first 32 bytes, bytes that follow from them, and a CRC-32
 * of all that at its end. After a random number of blocks, fdatasync, and "ack SEQUENCE": all
 * blocks before this number are stable. With DIRECT 1, writes are not cached by the guest.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#define BLOCK     4096u
#define MAGIC     0x616c696f74686477u
#define BATCH_MAX 64u

static uint32_t crc_table[256];

static void crc_init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t value = i;

		for (int bit = 0; bit < 8; bit++)
			value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
		crc_table[i] = value;
	}
}

static uint32_t crc(const uint8_t *data, size_t len)
{
	uint32_t value = 0xffffffff;

	for (size_t i = 0; i < len; i++)
		value = crc_table[(value ^ data[i]) & 0xff] ^ value >> 8;
	return ~value;
}

/* SplitMix64: any number gives a random one, so that the checker knows the place of each block. */
static uint64_t mix(uint64_t value)
{
	value += 0x9e3779b97f4a7c15u;
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
	value = (value ^ value >> 27) * 0x94d049bb133111ebu;
	return value ^ value >> 31;
}

static uint64_t writer_place(uint64_t seed, uint64_t sequence, uint64_t blocks)
{
	return mix(seed << 40 ^ sequence) % blocks;
}

static void writer_fill(uint8_t *block, uint64_t seed, uint64_t sequence, uint64_t place)
{
	const uint64_t head[4] = {MAGIC, seed, sequence, place};
	uint32_t sum;

	for (size_t i = 0; i < BLOCK; i++)
		block[i] = (uint8_t)(sequence + i / 64);
	memcpy(block, head, sizeof(head));
	sum = crc(block, BLOCK - sizeof(sum));
	memcpy(block + BLOCK - sizeof(sum), &sum, sizeof(sum));
}

static int failed(const char *what)
{
	perror(what);
	return 1;
}

int main(int argc, char **argv)
{
	uint64_t seed, blocks, sequence = 1;
	uint64_t size;
	void *block;
	int fd;

	if (argc != 4)
		return 2;
	seed = strtoull(argv[2], NULL, 10);
	fd = open(argv[1], O_RDWR | (argv[3][0] == '1' ? O_DIRECT : 0));
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) || posix_memalign(&block, BLOCK, BLOCK))
		return failed(argv[1]);
	blocks = size / BLOCK;
	crc_init();
	for (;;) {
		uint64_t batch = 1 + mix(seed ^ sequence << 20) % BATCH_MAX;

		for (; batch; batch--, sequence++) {
			uint64_t place = writer_place(seed, sequence, blocks);

			writer_fill(block, seed, sequence, place);
			if (pwrite(fd, block, BLOCK, (off_t)(place * BLOCK)) != BLOCK)
				return failed("write");
		}
		if (fdatasync(fd))
			return failed("fdatasync");
		/* One write: a line on the console is whole or not there. */
		printf("ack %" PRIu64 "\n", sequence);
		fflush(stdout);
	}
}
