/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "device/fw_cfg.h"

#define PORT      0x510
#define DMA       0x1000 /* where the tests describe their transfers */
#define TARGET    0x2000
#define RAM_SIZE  MIB(4)

#define DMA_ERROR 1u
#define DMA_READ  2u
#define DMA_SKIP  4u
#define DMA_WRITE 16u

static struct bus *pio;
static struct ram *ram;
static struct fw_cfg *fw;

static int setup(void **state)
{
	struct ram_options ram_options = {0};
	struct fw_cfg_options options = {.port = PORT};

	assert_ok(bus_create("pio", &pio));
	assert_ok(ram_create(&ram_options, &ram));
	assert_ok(ram_add(ram, 0, RAM_SIZE, "ram"));
	options.pio = pio;
	options.ram = ram;
	assert_ok(fw_cfg_create(&options, &fw));
	return 0;
}

static int teardown(void **state)
{
	device_free(fw_cfg_device(fw));
	ram_free(ram);
	bus_free(pio);
	return 0;
}

static void add(const char *name, const char *text)
{
	assert_ok(fw_cfg_add_file(
		fw, name, &(struct fw_cfg_content){.data = text, .size = strlen(text)}));
}

static void select_item(uint16_t key)
{
	bus_write(pio, PORT, 2, key);
}

static void expect_bytes(const void *expected, size_t len)
{
	const uint8_t *p = expected;

	for (size_t i = 0; i < len; i++)
		assert_int_equal(bus_read(pio, PORT + 1, 1), p[i]);
}

static void start(uint64_t gpa)
{
	bus_write(pio, PORT + 4, 4, htobe32((uint32_t)(gpa >> 32)));
	bus_write(pio, PORT + 8, 4, htobe32((uint32_t)gpa));
}

/* One transfer; what its control field says afterwards. */
static uint32_t transfer(uint32_t control, uint32_t len, uint64_t address)
{
	uint8_t dma[16];

	store_be32(dma, control);
	store_be32(dma + 4, len);
	store_be64(dma + 8, address);
	assert_int_equal(ram_write(ram, DMA, dma, sizeof(dma)), 0);
	start(DMA);
	assert_int_equal(ram_read(ram, DMA, dma, sizeof(dma)), 0);
	return load_be32(dma);
}

static uint32_t select_and(uint16_t key, uint32_t control)
{
	return (uint32_t)key << 16 | 8 | control;
}

static void expect_ram(uint64_t gpa, const void *expected, size_t len)
{
	uint8_t found[256];

	assert_true(len <= sizeof(found));
	assert_int_equal(ram_read(ram, gpa, found, len), 0);
	assert_memory_equal(found, expected, len);
}

static void test_signature_and_features(void **state)
{
	static const uint8_t features[6] = {3, 0, 0, 0, 0, 0};

	expect_bytes("QEMU\0\0", 6); /* selected at power-on; zeros behind the end */
	select_item(FW_CFG_ID);
	expect_bytes(features, sizeof(features));
	assert_int_equal(bus_read(pio, PORT + 4, 4), le32toh(0x554d4551u)); /* "QEMU" */
	assert_int_equal(bus_read(pio, PORT + 8, 4), le32toh(0x47464320u)); /* " CFG" */
}

static void test_what_does_not_exist_reads_as_zeros(void **state)
{
	select_item(0x1234);
	expect_bytes("\0\0\0", 3);
	assert_int_equal(transfer(select_and(0x3fff, DMA_READ), 4, TARGET), 0);
	expect_ram(TARGET, "\0\0\0\0", 4);
}

static void test_the_write_channel_bit_means_nothing(void **state)
{
	select_item(0x4000 | FW_CFG_SIGNATURE);
	expect_bytes("QEMU", 4);
	select_item(0x8000 | FW_CFG_SIGNATURE);
	expect_bytes("\0", 1);
}

static void test_only_a_word_selects(void **state)
{
	bus_write(pio, PORT, 1, FW_CFG_ID);
	bus_write(pio, PORT + 1, 1, FW_CFG_ID);
	expect_bytes("QEMU", 4);
	assert_int_equal(bus_read(pio, PORT, 1), 0);
	assert_int_equal(bus_read(pio, PORT, 2), 0);
}

static void test_directory(void **state)
{
	static const uint8_t expected[4 + 64] = {
		0, 0, 0, 2, 0, 0, 0, 3, 0, 0x20, 0, 0, 'o', 'p', 't', '/', 'a', 0};
	uint8_t entry[64] = {0, 0, 0, 4, 0, 0x21};

	memcpy(entry + 8, "opt/bb", 6);
	add("opt/a", "one");
	add("opt/bb", "four");
	select_item(FW_CFG_FILE_DIR);
	expect_bytes(expected, sizeof(expected));
	expect_bytes(entry, sizeof(entry));
	expect_bytes("\0", 1);
	select_item(FW_CFG_FILE_FIRST + 1);
	expect_bytes("four\0", 5);
}

static void test_names(void **state)
{
	char name[FW_CFG_NAME_MAX + 2];
	struct fw_cfg_content content = {.data = "x", .size = 1};

	memset(name, 'n', sizeof(name));
	name[FW_CFG_NAME_MAX + 1] = 0;
	assert_err(fw_cfg_add_file(fw, name, &content), "The name has 56 bytes");
	assert_err(fw_cfg_add_file(fw, "", &content), "The name has 0 bytes");
	name[FW_CFG_NAME_MAX] = 0;
	assert_ok(fw_cfg_add_file(fw, name, &content));
	assert_err(fw_cfg_add_file(fw, name, &content), "one of that name already");
	assert_err(fw_cfg_add(fw, FW_CFG_ID, &content), "has an item 0x1 already");
	content.size = 1ull << 32;
	assert_err(fw_cfg_add_file(fw, "opt/large", &content), "less than 4 GiB");
}

static void test_the_number_of_names_is_bounded(void **state)
{
	char name[16];

	for (int i = 0; i < FW_CFG_FILES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "opt/%d", i);
		add(name, "");
	}
	assert_err(fw_cfg_add_file(fw, "opt/last", &(struct fw_cfg_content){0}), "256 named items");
	select_item(FW_CFG_FILE_DIR);
	expect_bytes("\0\0\1\0", 4);
}

/* A file is read from where it lies, at any offset, also through the data port's window. */
static void test_content_of_a_file(void **state)
{
	static uint8_t bytes[5000];
	int fd = memfd_create("content", 0);

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	assert_ok(fw_cfg_add(fw, FW_CFG_KERNEL_DATA,
		&(struct fw_cfg_content){.fd = fd, .offset = 10, .size = sizeof(bytes) - 10}));
	select_item(FW_CFG_KERNEL_DATA);
	expect_bytes(bytes + 10, sizeof(bytes) - 10);
	expect_bytes("\0", 1);
	assert_int_equal(transfer(select_and(FW_CFG_KERNEL_DATA, DMA_SKIP), 4000, 0), 0);
	assert_int_equal(transfer(DMA_READ, 100, TARGET), 0);
	expect_ram(TARGET, bytes + 4010, 100);
	expect_bytes(bytes + 4110, sizeof(bytes) - 4110);
	/* A file that was cut is an error, not what happens to be there. */
	assert_int_equal(ftruncate(fd, 100), 0);
	close(fd);
	assert_int_equal(transfer(select_and(FW_CFG_KERNEL_DATA, DMA_READ), 100, TARGET), 1);
	select_item(FW_CFG_KERNEL_DATA);
	expect_bytes("\0\0", 2);
}

struct warnings {
	struct log_sink sink;
	unsigned int n;
};

static void count_warning(
	struct log_sink *sink, enum log_level level, const char *module, const char *text)
{
	struct warnings *warnings = container_of(sink, struct warnings, sink);

	if (strstr(text, "the file of \"opt/lost\" cannot be read: "))
		warnings->n++;
}

/* The guest gets zeros, the user a reason: once, as the file is not read again for each byte. */
static void test_a_file_that_was_cut_is_told(void **state)
{
	static const uint8_t zeros[1024];
	struct warnings warnings = {.sink.write = count_warning};
	int fd = memfd_create("content", 0);
	struct log *log;

	assert_int_equal(ftruncate(fd, 4096), 0);
	add("opt/first", "x");
	assert_ok(
		fw_cfg_add_file(fw, "opt/lost", &(struct fw_cfg_content){.fd = fd, .size = 4096}));
	assert_int_equal(ftruncate(fd, 0), 0);
	close(fd);
	assert_ok(log_create("warn", &warnings.sink, &log));
	(void)log_bind(log);
	select_item(FW_CFG_FILE_FIRST + 1);
	expect_bytes(zeros, sizeof(zeros));
	assert_int_equal(warnings.n, 1);
	assert_int_equal(transfer(select_and(FW_CFG_FILE_FIRST + 1, DMA_READ), 8, TARGET), 1);
	assert_int_equal(warnings.n, 2);
	(void)log_bind(NULL);
	log_free(log);
}

static void test_dma_reads_and_skips(void **state)
{
	add("opt/text", "0123456789");
	assert_int_equal(ram_fill(ram, TARGET, 0xee, 16), 0);
	assert_int_equal(transfer(select_and(FW_CFG_FILE_FIRST, DMA_READ), 4, TARGET), 0);
	expect_ram(TARGET, "0123\xee", 5);
	assert_int_equal(transfer(DMA_SKIP, 2, 0), 0);
	assert_int_equal(transfer(DMA_READ, 6, TARGET), 0);
	expect_ram(TARGET, "6789\0\0\xee", 7);
	/* Skipping saturates at the end. */
	assert_int_equal(transfer(DMA_SKIP, UINT32_MAX, 0), 0);
	assert_int_equal(transfer(DMA_SKIP, UINT32_MAX, 0), 0);
	expect_bytes("\0", 1);
	/* Without a verb only the selection happens. */
	assert_int_equal(transfer(select_and(FW_CFG_FILE_FIRST, 0), 99, TARGET), 0);
	expect_bytes("01", 2);
}

static void test_dma_does_not_write(void **state)
{
	add("opt/text", "0123");
	assert_int_equal(transfer(select_and(FW_CFG_FILE_FIRST, DMA_WRITE), 2, TARGET), DMA_ERROR);
	assert_int_equal(transfer(select_and(FW_CFG_FILE_FIRST, DMA_WRITE), 0, TARGET), 0);
	select_item(FW_CFG_FILE_FIRST);
	expect_bytes("0123", 4);
}

static void test_hostile_transfers(void **state)
{
	add("opt/text", "0123");
	/* Outside RAM, over its end, around 2^64. */
	assert_int_equal(transfer(select_and(FW_CFG_FILE_FIRST, DMA_READ), 4, RAM_SIZE), 1);
	assert_int_equal(transfer(DMA_READ, 4, RAM_SIZE - 3), 1);
	assert_int_equal(transfer(DMA_READ, 4, UINT64_MAX - 1), 1);
	expect_bytes("0123", 4);
	/* Zeros without end. */
	assert_int_equal(transfer(DMA_READ, UINT32_MAX, 0), 1);
	assert_int_equal(transfer(DMA_READ, FW_CFG_FILL_MAX + 1, TARGET), 1);
	assert_int_equal(transfer(DMA_READ, FW_CFG_FILL_MAX, TARGET), 0);
	/* Descriptions that are not there, or only in part. */
	start(RAM_SIZE);
	start(RAM_SIZE - 8);
	start(UINT64_MAX);
	start(UINT64_MAX - 15);
	/* A transfer over its own description. */
	assert_int_equal(transfer(select_and(FW_CFG_FILE_FIRST, DMA_READ), 16, DMA), 0);
	expect_ram(DMA + 4, "\0\0\0\0", 4);
}

static void test_reset(void **state)
{
	add("opt/text", "0123");
	select_item(FW_CFG_FILE_FIRST);
	expect_bytes("01", 2);
	bus_write(pio, PORT + 4, 4, UINT32_MAX);
	device_reset(fw_cfg_device(fw));
	expect_bytes("QEMU", 4);
	assert_int_equal(ram_fill(ram, DMA, 0, 16), 0);
	bus_write(pio, PORT + 8, 4, htobe32(DMA)); /* the upper half is 0 again */
	expect_bytes("\0", 1);
	select_item(FW_CFG_FILE_FIRST);
	expect_bytes("0123", 4);
}

static void test_ports_in_use_are_an_error(void **state)
{
	struct fw_cfg_options options = {.pio = pio, .ram = ram, .port = PORT - 4};
	struct fw_cfg *second;

	assert_err(fw_cfg_create(&options, &second), "Failed to create fw_cfg");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_signature_and_features, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_what_does_not_exist_reads_as_zeros, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_the_write_channel_bit_means_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_a_word_selects, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_the_number_of_names_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_content_of_a_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_file_that_was_cut_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dma_reads_and_skips, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dma_does_not_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_transfers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ports_in_use_are_an_error, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
