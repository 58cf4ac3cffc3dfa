/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bzImages: unpacked by the host where they are as usual, left to the guest's own unpacker where
 * not.
 */
#include "unit.h"

#include "loader_fixture.h"

/* ---- By the host ---- */

static void a_payload_of_each_format_is_unpacked_to_its_place(void **state)
{
	struct fixture *f = *state;

	for (enum pack_format format = 0; format < PACK_FORMATS; format++) {
		put_kernel(f, make_packed_bzimage(format, three_lists, ARRAY_SIZE(three_lists)));
		start(f);
		assert_int_equal(f->entry.kind, LOADER_LINUX64);
		assert_int_equal(f->entry.rip, PREF + ENTRY);
		assert_int_equal(f->entry.params, PARAMS);
		assert_int_equal(f->entry.map_end, PREF + INIT_SIZE);
		assert_image(f, true);
	}
}

static void nokaslr_moves_nothing(void **state)
{
	struct fixture *f = *state;

	put_default_kernel(f);
	for (unsigned int i = 0; i < 8; i++) {
		start(f);
		assert_int_equal(image_base(f), PREF);
		assert_int_equal(image_delta(f), 0);
		assert_int_equal(guest_le(f, PARAMS + LINUX_LOADFLAGS, 1) & LINUX_KASLR_FLAG, 0);
	}
}

/* Both displacements are multiples of the alignment, stay in their rooms, and differ. */
static void assert_kaslr(struct fixture *f, bool has_inverse)
{
	uint64_t bases = 0, deltas = 0;

	f->options.cmdline = "quiet";
	for (unsigned int i = 0; i < 16; i++) {
		start(f);
		assert_image(f, has_inverse);
		assert_int_equal(image_base(f) % MIB(2), 0);
		assert_in_range(image_base(f), PREF, GUEST_SIZE - INIT_SIZE);
		assert_int_equal(image_delta(f) % MIB(2), 0);
		assert_in_range(PREF + image_delta(f), PREF, GIB(1) - INIT_SIZE);
		assert_true(guest_le(f, PARAMS + LINUX_LOADFLAGS, 1) & LINUX_KASLR_FLAG);
		bases |= image_base(f) ^ PREF;
		deltas |= image_delta(f);
	}
	assert_true(bases && deltas);
}

static void kaslr_moves_all_three_kinds_of_relocations(void **state)
{
	put_default_kernel(*state);
	assert_kaslr(*state, true);
}

static void kaslr_moves_both_kinds_of_newer_kernels(void **state)
{
	struct fixture *f = *state;

	put_kernel(f, make_packed_bzimage(PACK_ZSTD, two_lists, ARRAY_SIZE(two_lists)));
	assert_kaslr(f, false);
}

static void a_kernel_without_relocations_moves_only_physically(void **state)
{
	struct fixture *f = *state;

	put_kernel(f, make_packed_bzimage(PACK_GZIP, NULL, 0));
	f->options.cmdline = NULL;
	for (unsigned int i = 0; i < 8; i++) {
		start(f);
		assert_int_equal(image_delta(f), 0);
		assert_image(f, false);
	}
}

/* No room in the 1 GiB of virtual addresses: the kernel stays, it does not move downwards. */
static void a_kernel_that_fills_the_virtual_room_stays(void **state)
{
	struct fixture *f = *state;
	struct blob file = make_packed_bzimage(PACK_GZIP, three_lists, ARRAY_SIZE(three_lists));

	store_le32(file.data + LINUX_INIT_SIZE, (uint32_t)(GIB(1) - MIB(8)));
	put_kernel(f, file);
	make_ram(f, RAM_ANON, GIB(1) + MIB(64));
	f->options.cmdline = "";
	start(f);
	assert_int_equal(image_delta(f), 0);
	assert_image(f, false);
}

static void words_that_only_look_like_nokaslr_do_not_count(void **state)
{
	static const char *const not_it[] = {"xnokaslr", "nokaslr=1", "a=nokaslr", "nokaslrx"};
	static const char *const it[] = {
		"nokaslr", "a nokaslr", "nokaslr b", "nokaslrx\tnokaslr\n"};
	struct fixture *f = *state;

	put_default_kernel(f);
	for (size_t i = 0; i < ARRAY_SIZE(not_it); i++) {
		f->options.cmdline = not_it[i];
		start(f);
		assert_true(guest_le(f, PARAMS + LINUX_LOADFLAGS, 1) & LINUX_KASLR_FLAG);
	}
	for (size_t i = 0; i < ARRAY_SIZE(it); i++) {
		f->options.cmdline = it[i];
		start(f);
		assert_false(guest_le(f, PARAMS + LINUX_LOADFLAGS, 1) & LINUX_KASLR_FLAG);
	}
}

/* A reboot: the same files again, into zeroed RAM. */
static void a_second_load_is_as_good_as_the_first(void **state)
{
	struct fixture *f = *state;

	put_default_kernel(f);
	start(f);
	assert_int_equal(ram_fill(f->ram, 0, 0xee, GUEST_SIZE), 0);
	assert_ok(ram_reset(f->ram));
	assert_ok(load_kernel(f));
	assert_image(f, true);
}

static void other_memory_backends_work_too(void **state)
{
	struct fixture *f = *state;

	put_default_kernel(f);
	make_ram(f, RAM_MEMFD, GUEST_SIZE);
	start(f);
	assert_image(f, true);
}

/* ---- By the guest ---- */

static void the_guest_unpacks_where_it_was_asked_to(void **state)
{
	struct fixture *f = *state;
	struct blob file = make_packed_bzimage(PACK_GZIP, NULL, 0);
	size_t size = file.size;

	put_kernel(f, file);
	f->options.unpack = false;
	start(f);
	assert_guest_unpacks(f, PREF, size);
	assert_int_equal(f->entry.map_end, PREF + INIT_SIZE);
}

/* Its unpacker knows what these words do to the memory that a kernel may use. */
static void the_guest_unpacks_where_the_command_line_tells_of_memory(void **state)
{
	static const char *const lines[] = {"mem=48M", "quiet mem=48M", "memmap=4M$40M"};
	struct fixture *f = *state;
	struct blob file = make_packed_bzimage(PACK_GZIP, NULL, 0);
	size_t size = file.size;

	put_kernel(f, file);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		f->options.cmdline = lines[i];
		start(f);
		assert_guest_unpacks(f, PREF, size);
	}
	f->options.cmdline = "xmem=48M nokaslr";
	start(f);
	assert_image(f, false);
}

/* Loads a bzImage that was tampered with. */
static void falls_back(struct fixture *f, struct blob file)
{
	size_t size = file.size;

	put_kernel(f, file);
	start(f);
	assert_guest_unpacks(f, PREF, size);
}

static struct blob good(void)
{
	return make_packed_bzimage(PACK_GZIP, three_lists, ARRAY_SIZE(three_lists));
}

static void a_header_that_lies_about_the_payload_leaves_it_to_the_guest(void **state)
{
	static const uint32_t offsets[] = {0, PAYLOAD_AT + 1, UINT32_MAX};
	static const uint32_t lengths[] = {0, 1, 15, 16, 100, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		struct blob file = good();

		store_le32(file.data + LINUX_PAYLOAD_OFFSET, offsets[i]);
		falls_back(*state, file);
	}
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct blob file = good();

		store_le32(file.data + LINUX_PAYLOAD_LENGTH, lengths[i]);
		falls_back(*state, file);
	}
}

/* Also a decompression bomb: never more than the size that the payload names is written. */
static void a_size_that_is_not_what_it_unpacks_to_leaves_it_to_the_guest(void **state)
{
	static const uint32_t sizes[] = {0, 64, 65, 4096, VMLINUX_SIZE - 1, VMLINUX_SIZE + 1,
		(uint32_t)MIB(47), (uint32_t)MIB(64), (uint32_t)GIB(1), UINT32_MAX};

	for (enum pack_format format = 0; format < PACK_FORMATS; format++) {
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct blob file = make_packed_bzimage(format, NULL, 0);
			uint8_t *payload = file.data + SETUP_SIZE + PAYLOAD_AT;

			store_le32(payload + load_le32(file.data + LINUX_PAYLOAD_LENGTH) - 4,
				sizes[i]);
			falls_back(*state, file);
		}
	}
}

static void a_corrupt_or_unknown_payload_leaves_it_to_the_guest(void **state)
{
	struct blob file = good();

	memcpy(file.data + SETUP_SIZE + PAYLOAD_AT, "BZh", 3);
	falls_back(*state, file);
	for (enum pack_format format = 0; format < PACK_FORMATS; format++) {
		file = make_packed_bzimage(format, NULL, 0);
		memset(file.data + SETUP_SIZE + PAYLOAD_AT + 20, 0x55, 40);
		falls_back(*state, file);
	}
}

static void an_unusual_header_leaves_it_to_the_guest(void **state)
{
	struct blob file = good();

	file.data[LINUX_RELOCATABLE] = 0;
	falls_back(*state, file);
	file = good();
	store_le32(file.data + LINUX_ALIGNMENT, 4096);
	falls_back(*state, file);
	file = good(); /* the preferred address is not aligned: 16 MiB of 32 */
	store_le32(file.data + LINUX_ALIGNMENT, (uint32_t)MIB(32));
	falls_back(*state, file);
	file = good(); /* less than the image has */
	store_le32(file.data + LINUX_INIT_SIZE, IMAGE_SIZE - 1);
	falls_back(*state, file);
}

/* A vmlinux that is not as the kernel build makes it. */
static void vmlinux_falls_back(struct fixture *f, struct blob vmlinux)
{
	struct blob file = make_bzimage(pack(PACK_LZ4, vmlinux.data, vmlinux.size));

	free(vmlinux.data);
	falls_back(f, file);
}

static struct blob good_vmlinux(void)
{
	return make_vmlinux(three_lists, ARRAY_SIZE(three_lists));
}

static void an_unusual_vmlinux_leaves_it_to_the_guest(void **state)
{
	struct blob file = good_vmlinux();

	file.data[0] = 0;
	vmlinux_falls_back(*state, file);
	file = good_vmlinux(); /* the first segment elsewhere in the file */
	put_phdr(file.data, 0, MIB(2) + 16, PREF, 0x2000, 0x2000);
	vmlinux_falls_back(*state, file);
	file = good_vmlinux(); /* ... or in memory */
	put_phdr(file.data, 0, MIB(2), PREF + MIB(2), CODE_SIZE, CODE_SIZE);
	vmlinux_falls_back(*state, file);
	file = good_vmlinux(); /* another virtual base */
	store_le64(file.data + ELF_HEADER_SIZE + 16, KERNEL_MAP);
	vmlinux_falls_back(*state, file);
	file = good_vmlinux(); /* a segment behind what the header says there is */
	put_phdr(file.data, 1, MIB(2), PREF + INIT_SIZE - 16, 17, 17);
	vmlinux_falls_back(*state, file);
	file = good_vmlinux(); /* entries outside */
	store_le64(file.data + 24, PREF - 1);
	vmlinux_falls_back(*state, file);
	file = good_vmlinux();
	store_le64(file.data + 24, PREF + IMAGE_SIZE);
	vmlinux_falls_back(*state, file);
	file = good_vmlinux(); /* two segments that are each where the other goes */
	store_le16(file.data + 56, 3);
	put_phdr(file.data, 0, MIB(2), PREF, 0x1000, 0x1000);
	put_phdr(file.data, 1, MIB(2) + 0x3000, PREF + 0x2000, 0x800, 0x800);
	put_phdr(file.data, 2, MIB(2) + 0x2000, PREF + 0x3000, 0x800, 0x800);
	vmlinux_falls_back(*state, file);
}

/* The kernel wants to be moved, and not being able to tell how is no reason to leave that out. */
static void relocations_out_of_range_leave_it_to_the_guest_unless_nokaslr(void **state)
{
	static const uint32_t bad[][4] = {
		{0, (uint32_t)LINK + INIT_SIZE - 7, 0, 0},
		{0, 0, (uint32_t)LINK + INIT_SIZE - 3, 0},
		{0, (uint32_t)LINK - 1, 0, 0},
		{0, 0, 0, 0},
		{0x1234, 0x5678, 0x9abc, 0xdef0},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		f->options.cmdline = "quiet";
		falls_back(f, make_packed_bzimage(PACK_ZSTD, bad[i], ARRAY_SIZE(bad[i])));
		f->options.cmdline = "nokaslr";
		start(f);
		assert_image(f, false);
	}
}

static void a_table_larger_than_its_payload_leaves_it_to_the_guest(void **state)
{
	struct fixture *f = *state;
	size_t n = 1 << 20;
	uint32_t *words = calloc(n, sizeof(*words));

	for (size_t i = 0; i < n; i++)
		words[i] = (uint32_t)LINK + AT_32;
	words[0] = words[1] = 0;
	f->options.cmdline = "";
	falls_back(f, make_packed_bzimage(PACK_ZSTD, words, n));
	free(words);
}

/* The compressed payload is held in memory of ours, and a file may be large and sparse. */
static void a_payload_larger_than_any_kernel_s_leaves_it_to_the_guest(void **state)
{
	struct fixture *f = *state;
	struct blob file = good();
	uint64_t length = MIB(128) + 16;
	uint8_t last[4];
	int fd;

	store_le32(file.data + LINUX_PAYLOAD_LENGTH, (uint32_t)length);
	put_kernel(f, file);
	store_le32(last, VMLINUX_SIZE + sizeof(three_lists));
	fd = open(f->kernel, O_WRONLY | O_CLOEXEC);
	assert_int_equal(fd_pwrite_full(fd, last, 4, SETUP_SIZE + PAYLOAD_AT + length - 4), 0);
	close(fd);
	make_ram(f, RAM_ANON, MIB(256));
	start(f);
	assert_int_equal(f->entry.rip, PREF + 0x200);
}

/* ---- Memory ---- */

static void a_relocatable_kernel_takes_what_memory_there_is(void **state)
{
	struct fixture *f = *state;
	struct blob file = good();
	size_t size = file.size;

	store_le32(file.data + LINUX_INIT_SIZE, (uint32_t)MIB(6));
	put_kernel(f, file);
	make_ram(f, RAM_ANON, MIB(8));
	start(f);
	assert_guest_unpacks(f, MIB(2), size);
	make_ram(f, RAM_ANON, MIB(8) - 4096);
	start_fails(f, "The kernel needs 6144 KiB from 0x200000 on; free memory ends at 0x7ff000");
}

static void a_fixed_kernel_loads_at_its_address_or_not_at_all(void **state)
{
	struct fixture *f = *state;
	struct blob file = good();

	file.data[LINUX_RELOCATABLE] = 0;
	put_kernel(f, file);
	make_ram(f, RAM_ANON, PREF + INIT_SIZE);
	start(f);
	assert_int_equal(f->entry.rip, PREF + 0x200);
	make_ram(f, RAM_ANON, PREF + INIT_SIZE - 4096);
	start_fails(f, "The kernel needs 64 KiB from 0x1000000 on");
}

static void the_unpacked_kernel_stays_below_the_initramfs(void **state)
{
	struct fixture *f = *state;

	put_default_kernel(f);
	put_initramfs(f, MIB(44));
	f->options.cmdline = "";
	for (unsigned int i = 0; i < 16; i++) {
		start(f);
		assert_in_range(image_base(f), PREF, MIB(20) - INIT_SIZE);
		assert_true(guest_is(f, MIB(20), MIB(44), 0x1f));
	}
}

/* ---- Files that change ---- */

static void a_kernel_truncated_while_it_is_open_is_an_error(void **state)
{
	struct fixture *f = *state;

	put_default_kernel(f);
	assert_ok(open_kernel(f));
	assert_int_equal(truncate(f->kernel, SETUP_SIZE + PAYLOAD_AT), 0);
	assert_err(load_kernel(f), f->kernel);
	assert_int_equal(truncate(f->kernel, 0), 0);
	assert_err(load_kernel(f), "Cannot read the kernel");
}

static void a_kernel_replaced_while_it_is_open_does_no_harm(void **state)
{
	struct fixture *f = *state;
	struct blob file = good();

	put_kernel(f, file);
	assert_ok(open_kernel(f));
	assert_int_equal(unlink(f->kernel), 0);
	put_file(f->kernel, "nothing", 7);
	assert_ok(load_kernel(f));
	assert_image(f, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(a_payload_of_each_format_is_unpacked_to_its_place),
		FIXTURE_TEST(nokaslr_moves_nothing),
		FIXTURE_TEST(kaslr_moves_all_three_kinds_of_relocations),
		FIXTURE_TEST(kaslr_moves_both_kinds_of_newer_kernels),
		FIXTURE_TEST(a_kernel_without_relocations_moves_only_physically),
		FIXTURE_TEST(a_kernel_that_fills_the_virtual_room_stays),
		FIXTURE_TEST(words_that_only_look_like_nokaslr_do_not_count),
		FIXTURE_TEST(a_second_load_is_as_good_as_the_first),
		FIXTURE_TEST(other_memory_backends_work_too),
		FIXTURE_TEST(the_guest_unpacks_where_it_was_asked_to),
		FIXTURE_TEST(the_guest_unpacks_where_the_command_line_tells_of_memory),
		FIXTURE_TEST(a_header_that_lies_about_the_payload_leaves_it_to_the_guest),
		FIXTURE_TEST(a_size_that_is_not_what_it_unpacks_to_leaves_it_to_the_guest),
		FIXTURE_TEST(a_corrupt_or_unknown_payload_leaves_it_to_the_guest),
		FIXTURE_TEST(an_unusual_header_leaves_it_to_the_guest),
		FIXTURE_TEST(an_unusual_vmlinux_leaves_it_to_the_guest),
		FIXTURE_TEST(relocations_out_of_range_leave_it_to_the_guest_unless_nokaslr),
		FIXTURE_TEST(a_table_larger_than_its_payload_leaves_it_to_the_guest),
		FIXTURE_TEST(a_payload_larger_than_any_kernel_s_leaves_it_to_the_guest),
		FIXTURE_TEST(a_relocatable_kernel_takes_what_memory_there_is),
		FIXTURE_TEST(a_fixed_kernel_loads_at_its_address_or_not_at_all),
		FIXTURE_TEST(the_unpacked_kernel_stays_below_the_initramfs),
		FIXTURE_TEST(a_kernel_truncated_while_it_is_open_is_an_error),
		FIXTURE_TEST(a_kernel_replaced_while_it_is_open_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
