/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine with firmware in flash: where its files appear, what is refused, what a reboot keeps.
 */
#include "vm/machine.h"

#include <fcntl.h>
#include <sys/mman.h>

#define CODE_SIZE 0x3c000u
#define VARS_SIZE 0x4000u
#define CODE_BASE (X86_ROM_END - CODE_SIZE)
#define VARS_BASE (CODE_BASE - VARS_SIZE)

struct files {
	char code[64], vars[64];
	char option[160];
	int code_fd, vars_fd;
};

static struct files files;

/* A file that its descriptor's name leads to, each byte made of its offset. */
static int make_file(char path[64], size_t size)
{
	int fd = memfd_create("firmware", 0);

	for (size_t i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)(i >> 8 ^ i * 3);

		assert_int_equal(pwrite(fd, &byte, 1, (off_t)i), 1);
	}
	(void)snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static int setup(void **state)
{
	files.code_fd = make_file(files.code, CODE_SIZE);
	files.vars_fd = make_file(files.vars, VARS_SIZE);
	(void)snprintf(files.option, sizeof(files.option), "%s,vars=%s", files.code, files.vars);
	return 0;
}

static int teardown(void **state)
{
	close(files.code_fd);
	close(files.vars_fd);
	return 0;
}

static void create(struct machine *m)
{
	const char *const options[] = {"firmware", files.option, NULL};

	machine_create(m, 1, options);
}

/* `kernel` may be NULL. */
static void refuse_with(const char *option, const char *kernel, const char *part)
{
	const char *const options[] = {"firmware", option, kernel ? "kernel" : NULL, kernel, NULL};
	struct machine m;

	assert_err(machine_try(&m, 1, options), part);
	machine_free(&m);
}

static void refuse(const char *option, const char *part)
{
	refuse_with(option, NULL, part);
}

static void test_where_it_is(void **state)
{
	struct hv_fake_map map;
	struct machine m;

	create(&m);
	assert_true(hv_fake_find_map(m.hv, CODE_BASE, &map));
	assert_int_equal(map.size, CODE_SIZE);
	assert_true(map.readonly);
	assert_true(hv_fake_find_map(m.hv, VARS_BASE, &map));
	assert_int_equal(map.size, VARS_SIZE);
	assert_true(map.readonly);
	/* The end once more below 1 MiB. */
	assert_memory_equal(machine_ram(&m, 0xe0000), machine_ram(&m, 0xfffe0000), 0x20000);
	/* No tables that nobody would look for. */
	assert_int_equal(*machine_ram(&m, X86_ACPI_BASE), 0);
	machine_free(&m);
}

static void push_flash(struct machine *m, uint64_t off, uint8_t value)
{
	hv_fake_push_mmio(m->vcpus[0], VARS_BASE + off, true, 1, value);
}

static void test_variables_are_kept(void **state)
{
	uint8_t byte = 0xff;
	struct machine m;

	create(&m);
	assert_ok(vm_boot(m.vm));
	push_flash(&m, 0x123, 0x10);
	push_flash(&m, 0x123, 0);
	push_flash(&m, 0x123, 0xff);
	machine_reset(&m, 0);
	machine_await_resets(&m, 0, 1);
	assert_ok(vm_pause(m.vm));
	assert_int_equal(*machine_ram(&m, VARS_BASE + 0x123), 0);
	assert_memory_equal(machine_ram(&m, 0xe0000), machine_ram(&m, 0xfffe0000), 0x20000);
	machine_free(&m);
	assert_int_equal(pread(files.vars_fd, &byte, 1, 0x123), 1);
	assert_int_equal(byte, 0);
}

static void test_the_code_is_kept_as_it_is(void **state)
{
	uint8_t byte = 0;
	struct machine m;

	create(&m);
	assert_ok(vm_boot(m.vm));
	hv_fake_push_mmio(m.vcpus[0], CODE_BASE, true, 1, 0x10);
	hv_fake_push_mmio(m.vcpus[0], CODE_BASE, true, 1, 0x55);
	machine_power_off(&m, 0);
	machine_expect_end(&m, VM_END_POWER_OFF);
	machine_free(&m);
	assert_int_equal(pread(files.code_fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 0);
}

/* An image of another size, with code at its end. */
static void resize_code(size_t size)
{
	assert_int_equal(ftruncate(files.code_fd, (off_t)size), 0);
	assert_int_equal(pwrite(files.code_fd, "\xeb\xfe", 2, (off_t)size - 16), 2);
}

/* What was mapped from the file must not be touched when the file is shorter by now. */
static void test_code_that_was_cut_ends_the_vm_at_a_reboot(void **state)
{
	enum vm_end end = VM_END_STOPPED;
	struct machine m;

	create(&m);
	assert_ok(vm_boot(m.vm));
	assert_int_equal(ftruncate(files.code_fd, CODE_SIZE / 2), 0);
	machine_reset(&m, 0);
	assert_err(vm_wait(m.vm, 10000, &end), "Cannot load the firmware");
	assert_int_equal(end, VM_END_ERROR);
	machine_free(&m);
}

static void test_sizes(void **state)
{
	char option[160];

	refuse("/nowhere", "No such file");
	assert_int_equal(ftruncate(files.vars_fd, VARS_SIZE / 2), 0);
	refuse(files.option, "are not those of this firmware");
	assert_int_equal(ftruncate(files.vars_fd, VARS_SIZE - 1), 0);
	refuse(files.option, "not a multiple of 4 KiB up to 16 MiB");
	assert_int_equal(ftruncate(files.vars_fd, 0), 0);
	refuse(files.option, ", 0 bytes, is not a multiple");
	assert_int_equal(ftruncate(files.code_fd, CODE_SIZE + 1), 0);
	refuse(files.code, "not a multiple of 4 KiB up to 16 MiB");
	assert_int_equal(ftruncate(files.code_fd, 0), 0);
	refuse(files.code, ", 0 bytes, is not a multiple");
	assert_int_equal(ftruncate(files.code_fd, (32 << 20)), 0);
	refuse(files.code, "up to 16 MiB");
	(void)snprintf(option, sizeof(option), "%s,vars=/dev", files.code);
	resize_code(CODE_SIZE);
	refuse(option, "Cannot write the firmware's variables");
	(void)snprintf(option, sizeof(option), "%s,vars=/dev/null", files.code);
	refuse(option, "not a regular file");
	(void)snprintf(option, sizeof(option), "%s,vars=/nowhere/vars.fd", files.code);
	refuse(option, "copy the image's template there");
}

/* Half a flash each, so that the sizes would be right; by its name, and by another one. */
static void test_the_code_holds_no_variables(void **state)
{
	char option[200];

	resize_code(MIB(1));
	(void)snprintf(option, sizeof(option), "%s,vars=%s", files.code, files.code);
	refuse(option, "is the firmware itself");
	(void)snprintf(option, sizeof(option), "%s,vars=/dev/fd/%d", files.code, files.code_fd);
	refuse(option, "is the firmware itself");
}

/* A volume that says that it is longer than its file. */
static void test_variables_that_were_cut(void **state)
{
	uint8_t header[48] = {0};

	memcpy(header + 40, "_FVH", 4);
	store_le64(header + 32, VARS_SIZE + 1);
	assert_int_equal(pwrite(files.vars_fd, header, sizeof(header), 0), sizeof(header));
	refuse(files.option, "were cut");
}

/* Erased flash, as variables end in it, and zeros. One byte of code is enough to be believed. */
static void test_code_that_does_not_start(void **state)
{
	static const uint8_t fill[] = {0xff, 0x00};
	uint8_t end[16];
	struct machine m;

	for (size_t i = 0; i < ARRAY_SIZE(fill); i++) {
		memset(end, fill[i], sizeof(end));
		assert_int_equal(pwrite(files.code_fd, end, 16, CODE_SIZE - 16), 16);
		refuse(files.code, "no code at the reset vector");
		refuse(files.option, "are image and variables swapped?");
		for (unsigned int at = 0; at < sizeof(end); at += 15) {
			end[at] = 0xeb;
			assert_int_equal(pwrite(files.code_fd, end, 16, CODE_SIZE - 16), 16);
			create(&m);
			machine_free(&m);
			end[at] = fill[i];
		}
	}
	memset(end, 0x90, sizeof(end));
	assert_int_equal(pwrite(files.code_fd, end, 16, CODE_SIZE - 16), 16);
	create(&m);
	machine_free(&m);
}

/* What a kernel alone is refused for; what UEFI can start besides goes to it as it is. */
static void test_kernels(void **state)
{
	const char *options[] = {"firmware", files.option, "kernel", NULL, NULL};
	uint8_t image[2048] = {0};
	struct machine m;
	char kernel[64];
	int fd = memfd_create("kernel", 0);

	(void)snprintf(kernel, sizeof(kernel), "/proc/self/fd/%d", fd);
	options[3] = kernel;
	refuse_with(files.option, "/nowhere", "No such file");
	refuse_with(files.option, kernel, "It is empty");
	assert_int_equal(pwrite(fd, "M", 1, 0), 1);
	refuse_with(files.option, kernel, "It is neither a bzImage nor an EFI program");
	assert_int_equal(pwrite(fd, "\177ELF", 4, 0), 4);
	refuse_with(files.option, kernel, "It is neither a bzImage nor an EFI program");
	assert_int_equal(pwrite(fd, "MZ", 2, 0), 2);
	machine_create(&m, 1, options);
	machine_free(&m);
	memcpy(image + 0x202, "HdrS\x01\x02", 6);
	assert_int_equal(pwrite(fd, image, sizeof(image), 0), sizeof(image));
	refuse_with(files.option, kernel, "older than 2.12");
	assert_int_equal(ftruncate(fd, 0x206), 0);
	refuse_with(files.option, kernel, "The bzImage is truncated");
	close(fd);
}

static void test_variables_belong_to_one_machine(void **state)
{
	struct machine m, second;
	const char *const options[] = {"firmware", files.option, NULL};

	create(&m);
	assert_err(machine_try(&second, 1, options), "in use by another virtual machine");
	(void)log_bind(NULL);
	log_free(second.log);
	tiny_kernel_free(&second.kernel);
	machine_now = &m;
	machine_free(&m);
}

static void test_an_elf_file_is_started_by_its_note(void **state)
{
	assert_int_equal(pwrite(files.code_fd, "\177ELF", 4, 0), 4);
	refuse(files.code, "Cannot use the firmware");
	refuse_with(files.code, "/nowhere", "neither variables nor a kernel");
	refuse(files.option, "neither variables nor a kernel");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_where_it_is),
		TEST(test_variables_are_kept),
		TEST(test_the_code_is_kept_as_it_is),
		TEST(test_code_that_was_cut_ends_the_vm_at_a_reboot),
		TEST(test_sizes),
		TEST(test_the_code_holds_no_variables),
		TEST(test_variables_that_were_cut),
		TEST(test_code_that_does_not_start),
		TEST(test_kernels),
		TEST(test_variables_belong_to_one_machine),
		TEST(test_an_elf_file_is_started_by_its_note),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
