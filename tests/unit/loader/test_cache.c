/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of unpacked kernels: what is found in it is what was unpacked, whatever happens to its
 * directory.
 *
 * A start that finds an entry is told from one that unpacks by a mark in the entry's image.
 */
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "loader_fixture.h"

#define HEADER  4096u  /* of an entry, before the image */
#define MARK_AT 0x900u /* in the image */
#define MARK    0x4du

static int make_cache(void **state)
{
	struct fixture *f;

	if (make_fixture(state))
		return -1;
	f = *state;
	put_default_kernel(f);
	f->options.cache = f->cache;
	return mkdir(f->cache, 0700);
}

/* Paths of the files in the cache directory, at most 4; their number. */
static unsigned int list(struct fixture *f, char paths[4][400])
{
	DIR *dir = opendir(f->cache);
	struct dirent *entry;
	unsigned int n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		assert_true(n < 4);
		(void)snprintf(paths[n++], 400, "%s/%s", f->cache, entry->d_name);
	}
	closedir(dir);
	return n;
}

/* The path of the only file in the cache. */
static const char *the_entry(struct fixture *f)
{
	static char paths[4][400];

	assert_int_equal(list(f, paths), 1);
	return paths[0];
}

static void assert_empty(struct fixture *f)
{
	char paths[4][400];

	assert_int_equal(list(f, paths), 0);
}

static void poke(const char *path, off_t at, uint8_t byte)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void mark(struct fixture *f)
{
	poke(the_entry(f), HEADER + MARK_AT, MARK);
}

static bool was_hit(const struct fixture *f)
{
	uint64_t byte = guest_le(f, image_base(f) + MARK_AT, 1);

	assert_true(byte == MARK || byte == 0x90);
	return byte == MARK;
}

/* Starts; the kernel comes out of the marked entry, or is unpacked. */
static void hits(struct fixture *f)
{
	start(f);
	assert_true(was_hit(f));
}

static void misses(struct fixture *f)
{
	start(f);
	assert_false(was_hit(f));
	assert_image(f, true);
}

/* ---- Hits and misses ---- */

static void the_second_start_finds_what_the_first_unpacked(void **state)
{
	struct fixture *f = *state;
	struct loader_entry first;

	misses(f);
	first = f->entry;
	start(f);
	assert_image(f, true);
	assert_memory_equal(&f->entry, &first, sizeof(first));
	mark(f);
	hits(f);
}

static void a_backend_that_copies_finds_it_too(void **state)
{
	struct fixture *f = *state;

	make_ram(f, RAM_MEMFD, GUEST_SIZE);
	misses(f);
	start(f);
	assert_image(f, true);
	mark(f);
	hits(f);
}

/* The virtual base belongs to the entry, the physical one to the start. */
static void a_cached_kernel_has_a_physical_base_of_its_own(void **state)
{
	struct fixture *f = *state;
	uint64_t delta, bases = 0;
	unsigned int same = 0;

	f->options.cmdline = "";
	misses(f);
	delta = image_delta(f);
	for (unsigned int i = 0; i < 16; i++) {
		start(f);
		assert_image(f, true);
		same += image_delta(f) == delta;
		bases |= image_base(f) ^ PREF;
		assert_true(guest_le(f, PARAMS + LINUX_LOADFLAGS, 1) & LINUX_KASLR_FLAG);
	}
	assert_true(bases);
	assert_true(same >= 1); /* all, but for the rare renewal, after which it is another */
}

static void a_guest_that_writes_to_its_kernel_does_not_write_to_the_cache(void **state)
{
	struct fixture *f = *state;

	misses(f);
	mark(f);
	hits(f);
	assert_int_equal(ram_fill(f->ram, image_base(f), 0xee, INIT_SIZE), 0);
	hits(f);
}

static void with_and_without_kaslr_are_different_entries(void **state)
{
	struct fixture *f = *state;
	char paths[4][400];

	misses(f);
	f->options.cmdline = "";
	misses(f);
	assert_int_equal(list(f, paths), 2);
}

static void a_kernel_changed_in_place_is_another(void **state)
{
	struct fixture *f = *state;

	misses(f);
	mark(f);
	hits(f);
	/* The same size and setup header: another byte in the unpacker. */
	poke(f->kernel, SETUP_SIZE + 5, 1);
	misses(f);
}

/* What was unpacked is then not what the file holds now. */
static void a_kernel_that_changes_while_it_is_open_is_not_kept(void **state)
{
	struct fixture *f = *state;

	assert_ok(open_kernel(f));
	poke(f->kernel, SETUP_SIZE + 5, 1);
	assert_ok(load_kernel(f));
	assert_image(f, true);
	assert_empty(f);
}

static void an_image_whose_size_is_no_multiple_of_a_page_is_kept_whole(void **state)
{
	struct fixture *f = *state;
	struct blob vmlinux = make_vmlinux(NULL, 0);
	struct blob file;

	put_phdr(vmlinux.data, 1, MIB(2) + CODE_SIZE, PREF + DATA, DATA_SIZE, DATA_SIZE);
	file = make_bzimage(pack(PACK_GZIP, vmlinux.data, vmlinux.size));
	free(vmlinux.data);
	store_le32(file.data + LINUX_INIT_SIZE, DATA + DATA_SIZE);
	put_kernel(f, file);
	start(f);
	assert_image(f, false);
	mark(f);
	start(f);
	assert_true(was_hit(f));
	assert_true(guest_is(f, PREF + DATA, DATA_SIZE, 0xda));
}

/* ---- Damage ---- */

static void an_entry_that_does_not_fit_is_made_again(void **state)
{
	static const off_t header[] = {0, 15, 16, 16 + LINUX_VERSION, 700, 740};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(header); i++) {
		misses(f);
		mark(f);
		poke(the_entry(f), header[i], 0xa5);
		misses(f);
		mark(f);
		hits(f);
		assert_int_equal(unlink(the_entry(f)), 0);
	}
}

static void an_entry_of_another_length_is_made_again(void **state)
{
	static const int by[] = {-1, 1, -4096, 4096};
	struct fixture *f = *state;
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(by); i++) {
		misses(f);
		mark(f);
		assert_int_equal(stat(the_entry(f), &st), 0);
		assert_int_equal(truncate(the_entry(f), st.st_size + by[i]), 0);
		misses(f);
		mark(f);
		hits(f);
		assert_int_equal(unlink(the_entry(f)), 0);
	}
	misses(f);
	assert_int_equal(truncate(the_entry(f), 0), 0);
	misses(f);
}

/* It was not flushed to the disk, so that a crash may have left holes. */
static void an_entry_from_before_the_host_started_is_made_again(void **state)
{
	static const struct timespec old[] = {{.tv_sec = 86400}, {.tv_sec = 86400}};
	struct fixture *f = *state;

	misses(f);
	mark(f);
	assert_int_equal(utimensat(AT_FDCWD, the_entry(f), old, 0), 0);
	misses(f);
	mark(f);
	hits(f);
}

static void an_entry_that_others_may_write_to_is_made_again(void **state)
{
	struct fixture *f = *state;

	misses(f);
	mark(f);
	assert_int_equal(chmod(the_entry(f), 0620), 0);
	misses(f);
	mark(f);
	assert_int_equal(chmod(the_entry(f), 0602), 0);
	misses(f);
}

static void a_link_in_the_place_of_an_entry_is_not_followed(void **state)
{
	struct fixture *f = *state;
	char elsewhere[96], entry[400];

	(void)snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", f->dir);
	misses(f);
	mark(f);
	(void)snprintf(entry, sizeof(entry), "%s", the_entry(f));
	assert_int_equal(rename(entry, elsewhere), 0);
	assert_int_equal(symlink(elsewhere, entry), 0);
	misses(f);
	mark(f);
	hits(f);
}

static void a_fifo_or_directory_in_the_place_of_an_entry_does_no_harm(void **state)
{
	struct fixture *f = *state;
	char entry[400];

	misses(f);
	(void)snprintf(entry, sizeof(entry), "%s", the_entry(f));
	assert_int_equal(unlink(entry), 0);
	assert_int_equal(mkfifo(entry, 0600), 0);
	misses(f); /* and takes its place */
	mark(f);
	hits(f);
	assert_int_equal(unlink(entry), 0);
	assert_int_equal(mkdir(entry, 0700), 0);
	misses(f);
	assert_string_equal(the_entry(f), entry); /* nothing besides it */
}

/* ---- The directory ---- */

static void a_directory_that_others_may_write_to_is_not_used(void **state)
{
	struct fixture *f = *state;

	misses(f);
	mark(f);
	assert_int_equal(chmod(f->cache, 0770), 0);
	misses(f);
	assert_int_equal(chmod(f->cache, 0702), 0);
	misses(f);
	assert_int_equal(chmod(f->cache, 0755), 0);
	hits(f);
}

static void a_directory_of_somebody_else_is_not_used(void **state)
{
	struct fixture *f = *state;

	if (geteuid())
		skip();
	misses(f);
	mark(f);
	assert_int_equal(chown(f->cache, 1234, 1234), 0);
	misses(f);
}

static void no_directory_or_a_file_is_no_cache(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rmdir(f->cache), 0);
	misses(f);
	put_file(f->cache, "x", 1);
	misses(f);
}

/* Runs `test` as a user to whom file modes mean something; its parts say what went wrong. */
static void as_nobody(struct fixture *f, void (*test)(struct fixture *f))
{
	bool root = !geteuid();

	if (root) {
		assert_int_equal(chown(f->dir, 65534, 65534), 0);
		assert_int_equal(chown(f->cache, 65534, 65534), 0);
		assert_int_equal(chown(f->kernel, 65534, 65534), 0);
		assert_int_equal(seteuid(65534), 0);
	}
	test(f);
	if (root)
		assert_int_equal(seteuid(0), 0);
}

static void read_only_steps(struct fixture *f)
{
	assert_int_equal(chmod(f->cache, 0500), 0);
	misses(f);
	assert_empty(f);
	assert_int_equal(chmod(f->cache, 0700), 0);
	misses(f);
	mark(f);
	assert_int_equal(chmod(f->cache, 0500), 0);
	hits(f);
	assert_int_equal(chmod(f->cache, 0), 0);
	misses(f);
	assert_int_equal(chmod(f->cache, 0700), 0);
}

static void a_read_only_directory_serves_what_it_has(void **state)
{
	as_nobody(*state, read_only_steps);
}

static void unreadable_steps(struct fixture *f)
{
	misses(f);
	mark(f);
	assert_int_equal(chmod(the_entry(f), 0), 0);
	misses(f);
	mark(f);
	hits(f);
}

static void an_unreadable_entry_is_made_again(void **state)
{
	as_nobody(*state, unreadable_steps);
}

/* ---- Writing ---- */

/* A file size limit stands for the full disk: the write fails in the middle. */
static void a_write_that_fails_leaves_nothing_behind(void **state)
{
	static const rlim_t limits[] = {0, HEADER, HEADER + 0x8000};
	struct fixture *f = *state;
	struct rlimit old;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		const struct rlimit limit = {.rlim_cur = limits[i], .rlim_max = old.rlim_max};

		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		misses(f);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
		assert_empty(f);
	}
	misses(f);
	mark(f);
	hits(f);
}

static const char *temporary(struct fixture *f)
{
	static char path[400];

	(void)snprintf(path, sizeof(path), "%s/new.temporary", f->cache);
	return path;
}

/* Killed in the middle of its write: no more than one file is ever left, and not for long. */
static void what_a_killed_process_left_is_taken_over(void **state)
{
	struct fixture *f = *state;
	uint8_t *junk = malloc(MIB(1));

	memset(junk, 0x66, MIB(1));
	put_file(temporary(f), junk, MIB(1)); /* longer than the entry will be */
	free(junk);
	misses(f);
	mark(f);
	hits(f);
}

static void while_another_process_writes_nothing_is_kept(void **state)
{
	struct fixture *f = *state;
	int fd;

	put_file(temporary(f), "theirs", 6);
	fd = open(temporary(f), O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	misses(f);
	assert_string_equal(the_entry(f), temporary(f)); /* nothing else, and untouched */
	assert_int_equal(lseek(fd, 0, SEEK_END), 6);
	close(fd);
	misses(f);
	mark(f);
	hits(f);
}

static void a_link_in_the_place_of_the_temporary_file_is_not_followed(void **state)
{
	struct fixture *f = *state;
	char elsewhere[96];
	struct stat st;

	(void)snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", f->dir);
	put_file(elsewhere, "precious", 8);
	assert_int_equal(symlink(elsewhere, temporary(f)), 0);
	misses(f);
	assert_int_equal(stat(elsewhere, &st), 0);
	assert_int_equal(st.st_size, 8);
}

/* In a process of its own, where a failure aborts. */
static void start_often(struct fixture *f, const char *entry)
{
	(void)setenv("CMOCKA_TEST_ABORT", "1", 1);
	for (unsigned int i = 0; i < 20; i++) {
		start(f);
		assert_image(f, true);
		if (i % 3 == 2)
			(void)unlink(entry);
	}
	_exit(0);
}

/* Whatever order they come in, each sees a whole kernel, and nothing but an entry is left. */
static void processes_that_start_at_once_do_not_disturb_each_other(void **state)
{
	struct fixture *f = *state;
	char entry[400];
	pid_t pids[4];

	misses(f);
	(void)snprintf(entry, sizeof(entry), "%s", the_entry(f));
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (!pids[i])
			start_often(f, entry);
	}
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	misses(f);
	assert_string_equal(the_entry(f), entry);
}

#define CACHE_TEST(name) cmocka_unit_test_setup_teardown(name, make_cache, free_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CACHE_TEST(the_second_start_finds_what_the_first_unpacked),
		CACHE_TEST(a_backend_that_copies_finds_it_too),
		CACHE_TEST(a_cached_kernel_has_a_physical_base_of_its_own),
		CACHE_TEST(a_guest_that_writes_to_its_kernel_does_not_write_to_the_cache),
		CACHE_TEST(with_and_without_kaslr_are_different_entries),
		CACHE_TEST(a_kernel_changed_in_place_is_another),
		CACHE_TEST(a_kernel_that_changes_while_it_is_open_is_not_kept),
		CACHE_TEST(an_image_whose_size_is_no_multiple_of_a_page_is_kept_whole),
		CACHE_TEST(an_entry_that_does_not_fit_is_made_again),
		CACHE_TEST(an_entry_of_another_length_is_made_again),
		CACHE_TEST(an_entry_from_before_the_host_started_is_made_again),
		CACHE_TEST(an_entry_that_others_may_write_to_is_made_again),
		CACHE_TEST(a_link_in_the_place_of_an_entry_is_not_followed),
		CACHE_TEST(a_fifo_or_directory_in_the_place_of_an_entry_does_no_harm),
		CACHE_TEST(a_directory_that_others_may_write_to_is_not_used),
		CACHE_TEST(a_directory_of_somebody_else_is_not_used),
		CACHE_TEST(no_directory_or_a_file_is_no_cache),
		CACHE_TEST(a_read_only_directory_serves_what_it_has),
		CACHE_TEST(an_unreadable_entry_is_made_again),
		CACHE_TEST(a_write_that_fails_leaves_nothing_behind),
		CACHE_TEST(what_a_killed_process_left_is_taken_over),
		CACHE_TEST(while_another_process_writes_nothing_is_kept),
		CACHE_TEST(a_link_in_the_place_of_the_temporary_file_is_not_followed),
		CACHE_TEST(processes_that_start_at_once_do_not_disturb_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
