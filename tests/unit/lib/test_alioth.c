/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public library, as a program uses it.
 */
#include "lib_guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <termios.h>

/* ---- Without a VM ---- */

static void test_versions(void **state)
{
	assert_int_equal(alioth_api_version(), ALIOTH_API_VERSION);
	assert_string_equal(alioth_version(), ALIOTH_VERSION);
}

static void test_errors_are_chains(void **state)
{
	struct alioth_spec *spec = alioth_spec_create();
	struct alioth_error_frame frame;
	struct alioth_error *error;
	struct alioth_vm *vm = NULL;
	unsigned int n = 0;

	assert_alioth_ok(alioth_spec_set(spec, "kernel", "/nonexistent"));
	error = alioth_vm_create(spec, NULL, &vm);
	assert_null(vm);
	assert_int_equal(alioth_error_code(error), ENOENT);
	while (alioth_error_get_frame(error, n, &frame)) {
		assert_true(*frame.text);
		assert_int_equal(strncmp(frame.file, "src/", 4), 0);
		assert_true(frame.line > 0);
		n++;
	}
	assert_true(n >= 1);
	assert_string_equal(frame.text, alioth_error_text(error)); /* the outermost came last */
	assert_true(alioth_error_get_frame(error, 0, NULL));
	assert_false(alioth_error_get_frame(error, n + 1000, &frame));
	alioth_error_free(error);
	alioth_spec_free(spec);
}

static void test_no_error_is_no_error(void **state)
{
	struct alioth_error_frame frame;

	assert_int_equal(alioth_error_code(NULL), 0);
	assert_string_equal(alioth_error_text(NULL), "");
	assert_false(alioth_error_get_frame(NULL, 0, &frame));
	alioth_error_free(NULL);
}

static void test_null_is_an_error_or_nothing(void **state)
{
	struct alioth_spec *spec = alioth_spec_create();
	struct alioth_balloon balloon = {.size = sizeof(balloon)};
	struct alioth_vm *vm = NULL;
	enum alioth_end_cause end;
	uint64_t bytes;

	assert_alioth_err(alioth_spec_set(NULL, "kernel", "x"), EINVAL, "NULL");
	assert_alioth_err(alioth_spec_set(spec, NULL, "x"), EINVAL, "NULL");
	assert_alioth_err(alioth_spec_set_json(NULL, "{}"), EINVAL, "NULL");
	assert_alioth_err(alioth_spec_set_json(spec, NULL), EINVAL, "NULL");
	assert_alioth_err(alioth_spec_check(NULL), EINVAL, "NULL");
	assert_alioth_err(alioth_vm_create(NULL, NULL, &vm), EINVAL, "NULL");
	assert_alioth_err(alioth_vm_create(spec, NULL, NULL), EINVAL, "NULL");
	assert_alioth_err(alioth_vm_boot(NULL), EINVAL, "NULL");
	assert_alioth_err(alioth_vm_pause(NULL), EINVAL, "NULL");
	assert_alioth_err(alioth_vm_resume(NULL), EINVAL, "NULL");
	assert_alioth_err(alioth_vm_power_button(NULL), EINVAL, "NULL");
	assert_alioth_err(alioth_vm_wait(NULL, 0, &end), EINVAL, "NULL");
	assert_alioth_err(alioth_vm_set_balloon(NULL, 0), EINVAL, "NULL");
	assert_alioth_err(alioth_vm_get_balloon(NULL, 0, &balloon), EINVAL, "NULL");
	assert_alioth_err(alioth_vm_hint_balloon(NULL, 0, &bytes), EINVAL, "NULL");
	assert_int_equal(alioth_vm_end_fd(NULL), -1);
	alioth_vm_take_terminal(NULL);
	alioth_vm_terminal_resized(NULL);
	alioth_vm_restore_terminal(NULL);
	alioth_vm_stop(NULL);
	alioth_vm_free(NULL);
	alioth_spec_free(NULL);
	alioth_spec_free(spec);
}

static void test_a_specification_can_be_checked(void **state)
{
	struct alioth_spec *spec = alioth_spec_create();

	assert_alioth_err(alioth_spec_check(spec), 0, "No kernel");
	assert_alioth_ok(alioth_spec_set(spec, "kernel", "/boot/vmlinuz"));
	assert_alioth_ok(alioth_spec_check(spec));
	alioth_spec_free(spec);
}

static void test_nothing_is_made_of_a_refused_option(void **state)
{
	struct alioth_spec *spec = alioth_spec_create();
	struct alioth_vm *vm = NULL;

	assert_alioth_err(alioth_spec_set(spec, "cpu", "count=4,colour=red"), 0, "colour");
	assert_alioth_err(alioth_spec_set(spec, "kernel", "x"), EINVAL, "refused before");
	assert_alioth_err(alioth_spec_set_json(spec, "{}"), EINVAL, "refused before");
	assert_alioth_err(alioth_spec_check(spec), EINVAL, "refused before");
	assert_alioth_err(alioth_vm_create(spec, NULL, &vm), EINVAL, "refused before");
	alioth_spec_free(spec);
}

/* ---- The log ---- */

struct lines {
	const char *name;
	_Atomic unsigned int n;
	_Atomic unsigned int foreign; /* lines of somebody else */
};

static void lines_write(
	void *data, enum alioth_log_level level, const char *module, const char *text)
{
	struct lines *lines = data;

	lines->n++;
	if (strstr(text, "kernel") && !strstr(text, lines->name))
		lines->foreign++;
}

struct newer_log {
	struct alioth_log log;
	void *more;
};

static void test_the_log_may_be_of_another_version(void **state)
{
	struct lines lines = {.name = "x"};
	struct newer_log log = {.log = {.write = lines_write, .data = &lines}};
	struct tiny_kernel kernel;
	struct alioth_spec *spec;
	struct alioth_vm *vm = NULL;

	guest_need_kvm();
	lib_kernel(&kernel, guest_power_off);
	spec = lib_spec(&kernel);
	assert_alioth_err(alioth_vm_create(spec, &log.log, &vm), EINVAL, "not filled in");
	log.log.size = sizeof(log.log) - 1;
	assert_alioth_err(alioth_vm_create(spec, &log.log, &vm), EINVAL, "not filled in");
	log.log.size = sizeof(log);
	log.more = &lines;
	assert_alioth_err(alioth_vm_create(spec, &log.log, &vm), E2BIG, "newer");
	log.more = NULL;
	log.log.spec = "loud";
	assert_alioth_err(alioth_vm_create(spec, &log.log, &vm), 0, "loud");
	log.log.spec = NULL;
	/* None of these took what the specification holds. */
	alioth_vm_free(lib_vm(spec, &log.log));
	tiny_kernel_free(&kernel);
}

/* ---- VMs ---- */

static void expect_end_of(const uint8_t *code, const uint8_t *end, enum alioth_end_cause cause)
{
	struct tiny_kernel kernel;
	struct alioth_spec *spec;
	struct alioth_vm *vm;

	guest_need_kvm();
	tiny_kernel_create(&kernel, code, (size_t)(end - code));
	spec = lib_spec(&kernel);
	assert_alioth_ok(alioth_spec_set(spec, "console", "null"));
	assert_alioth_ok(alioth_spec_set(spec, "no-reboot", NULL));
	vm = lib_vm(spec, NULL);
	assert_alioth_ok(alioth_vm_boot(vm));
	lib_expect_end(vm, cause);
	alioth_vm_free(vm);
	tiny_kernel_free(&kernel);
}

static void test_a_power_off_is_told(void **state)
{
	expect_end_of(guest_power_off, guest_power_off_end, ALIOTH_END_POWER_OFF);
}

static void test_a_reset_is_told(void **state)
{
	expect_end_of(guest_reset, guest_reset_end, ALIOTH_END_RESET);
}

static void test_a_triple_fault_is_told(void **state)
{
	expect_end_of(guest_triple, guest_triple_end, ALIOTH_END_TRIPLE_FAULT);
}

static bool is_readable(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, 0) == 1;
}

static void test_a_vm_waits_pauses_and_stops(void **state)
{
	enum alioth_end_cause end = ALIOTH_END_CONSOLE;
	struct tiny_kernel kernel;
	struct alioth_spec *spec;
	struct alioth_vm *vm;

	guest_need_kvm();
	lib_kernel(&kernel, guest_spin);
	spec = lib_spec(&kernel);
	assert_alioth_ok(alioth_spec_set(spec, "console", "null"));
	assert_alioth_ok(alioth_spec_set(spec, "cpu", "count=2"));
	vm = lib_vm(spec, NULL);
	assert_alioth_err(alioth_vm_power_button(vm), EINVAL, "not booted");
	assert_alioth_ok(alioth_vm_boot(vm));
	assert_alioth_err(alioth_vm_wait(vm, 10, &end), ETIMEDOUT, "still runs");
	assert_int_equal(end, ALIOTH_END_CONSOLE);
	for (int i = 0; i < 20; i++) {
		assert_alioth_ok(alioth_vm_pause(vm));
		assert_alioth_ok(alioth_vm_resume(vm));
	}
	assert_alioth_ok(alioth_vm_power_button(vm));
	assert_false(is_readable(alioth_vm_end_fd(vm)));
	alioth_vm_stop(vm);
	assert_true(is_readable(alioth_vm_end_fd(vm)));
	assert_alioth_ok(alioth_vm_wait(vm, -1, NULL));
	lib_expect_end(vm, ALIOTH_END_STOPPED);
	assert_alioth_err(alioth_vm_power_button(vm), EINVAL, "has ended");
	alioth_vm_free(vm);
	tiny_kernel_free(&kernel);
}

static void test_a_balloon_is_asked_at_any_time(void **state)
{
	struct alioth_balloon balloon = {.size = sizeof(balloon)};
	struct tiny_kernel kernel;
	struct alioth_spec *spec;
	struct alioth_vm *vm;
	uint64_t bytes;

	guest_need_kvm();
	lib_kernel(&kernel, guest_spin);
	spec = lib_spec(&kernel);
	assert_alioth_ok(alioth_spec_set(spec, "console", "null"));
	assert_alioth_ok(alioth_spec_set(spec, "balloon", "size=1M,free_page_reporting=on"));
	vm = lib_vm(spec, NULL);
	assert_alioth_ok(alioth_vm_get_balloon(vm, 0, &balloon));
	assert_int_equal(balloon.target, 1 << 20);
	assert_alioth_ok(alioth_vm_set_balloon(vm, (2 << 20) + 5000));
	assert_alioth_err(alioth_vm_set_balloon(vm, 4 << 20), EINVAL, "all of the guest's");
	assert_alioth_ok(alioth_vm_boot(vm));
	/* A guest without a driver: nobody waits for it. */
	assert_alioth_ok(alioth_vm_get_balloon(vm, 100000, &balloon));
	assert_int_equal(balloon.target, (2 << 20) + 4096);
	assert_int_equal(balloon.actual, 0);
	assert_int_equal(balloon.statistics_age_ms, UINT64_MAX);
	assert_int_equal(balloon.statistics[ALIOTH_BALLOON_FREE], UINT64_MAX);
	assert_alioth_err(alioth_vm_hint_balloon(vm, 100000, &bytes), ENOTCONN, "no driver");
	balloon.size = 8;
	assert_alioth_err(alioth_vm_get_balloon(vm, 0, &balloon), EINVAL, "no size");
	alioth_vm_stop(vm);
	assert_alioth_ok(alioth_vm_set_balloon(vm, 0));
	alioth_vm_free(vm);
	vm = lib_vm(lib_spec(&kernel), NULL);
	assert_alioth_err(alioth_vm_set_balloon(vm, 0), ENODEV, "has no balloon");
	alioth_vm_free(vm);
	tiny_kernel_free(&kernel);
}

static void test_a_guest_that_resets_for_ever_can_be_stopped(void **state)
{
	struct tiny_kernel kernel;
	struct alioth_spec *spec;
	struct alioth_vm *vm;

	guest_need_kvm();
	lib_kernel(&kernel, guest_reset);
	spec = lib_spec(&kernel);
	assert_alioth_ok(alioth_spec_set(spec, "console", "null"));
	assert_alioth_ok(alioth_spec_set(spec, "cpu", "count=4"));
	vm = lib_vm(spec, NULL);
	assert_alioth_ok(alioth_vm_boot(vm));
	for (int i = 0; i < 20; i++) {
		assert_alioth_ok(alioth_vm_pause(vm));
		assert_alioth_ok(alioth_vm_resume(vm));
	}
	alioth_vm_stop(vm);
	lib_expect_end(vm, ALIOTH_END_STOPPED);
	alioth_vm_free(vm);
	tiny_kernel_free(&kernel);
}

/* What guest_tell says of the VM; frees the specification. */
static size_t tell(struct alioth_spec *spec, int fd, uint8_t *ret_said, size_t max)
{
	struct alioth_vm *vm = lib_vm(spec, NULL);
	ssize_t n;

	assert_alioth_ok(alioth_vm_boot(vm));
	lib_expect_end(vm, ALIOTH_END_POWER_OFF);
	alioth_vm_free(vm);
	n = pread(fd, ret_said, max, 0);
	assert_true(n > 0 && (size_t)n < max);
	return (size_t)n;
}

static void test_text_and_json_make_the_same_vm(void **state)
{
	struct alioth_spec *text;
	struct alioth_spec *json;
	struct tiny_kernel kernel;
	uint8_t said[2][512];
	char path[32];
	char spec[512];
	size_t n[2];
	int fd;

	guest_need_kvm();
	text = alioth_spec_create();
	json = alioth_spec_create();
	fd = memfd_create("console", MFD_CLOEXEC);
	assert_true(fd >= 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	lib_kernel(&kernel, guest_tell);
	assert_alioth_ok(alioth_spec_set(text, "k", kernel.path));
	assert_alioth_ok(alioth_spec_set(text, "memory", "size=5M"));
	assert_alioth_ok(alioth_spec_set(text, "object", "id_cores,cores=3"));
	assert_alioth_ok(alioth_spec_set(text, "cpu", "count=3,topology=id_cores"));
	assert_alioth_ok(alioth_spec_set(text, "cmdline", "one two=3"));
	(void)snprintf(spec, sizeof(spec), "log,path=%s", path);
	assert_alioth_ok(alioth_spec_set(text, "console", spec));
	n[0] = tell(text, fd, said[0], sizeof(said[0]));
	(void)snprintf(spec, sizeof(spec),
		"{\"kernel\": \"%s\", \"memory\": {\"size\": 5242880}, \"cmdline\": \"one two=3\","
		" \"cpu\": {\"count\": 3, \"topology\": {\"cores\": 3}},"
		" \"console\": {\"kind\": \"log\", \"path\": \"%s\"}}",
		kernel.path, path);
	assert_alioth_ok(alioth_spec_set_json(json, spec));
	n[1] = tell(json, fd, said[1], sizeof(said[1]));
	assert_string_equal((const char *)said[0], "one two=3");
	assert_int_equal(said[0][n[0] - 1], 3);
	assert_int_equal(n[0], n[1]);
	assert_memory_equal(said[0], said[1], n[0]);
	close(fd);
	tiny_kernel_free(&kernel);
}

static void test_two_vms_do_not_mix(void **state)
{
	struct lines lines[2] = {{.name = "/proc"}, {.name = "/proc"}};
	struct alioth_log log = {.size = sizeof(log), .spec = "trace", .write = lines_write};
	struct tiny_kernel kernels[2];
	struct alioth_vm *vms[2];

	guest_need_kvm();
	lib_kernel(&kernels[0], guest_power_off);
	lib_kernel(&kernels[1], guest_spin);
	for (int i = 0; i < 2; i++) {
		struct alioth_spec *spec = lib_spec(&kernels[i]);

		assert_alioth_ok(alioth_spec_set(spec, "console", "null"));
		log.data = &lines[i];
		vms[i] = lib_vm(spec, &log);
	}
	lines[1].n = 0;
	assert_alioth_ok(alioth_vm_boot(vms[0]));
	lib_expect_end(vms[0], ALIOTH_END_POWER_OFF);
	alioth_vm_free(vms[0]);
	assert_true(lines[0].n > 0);
	assert_int_equal(lines[1].n, 0);
	assert_alioth_ok(alioth_vm_boot(vms[1]));
	assert_alioth_err(alioth_vm_wait(vms[1], 0, NULL), ETIMEDOUT, "still runs");
	alioth_vm_free(vms[1]);
	for (int i = 0; i < 2; i++)
		tiny_kernel_free(&kernels[i]);
}

/* One specification after another, objects included. */
static void test_a_specification_is_empty_afterwards(void **state)
{
	struct alioth_spec *spec;
	struct tiny_kernel kernel;

	guest_need_kvm();
	spec = alioth_spec_create();
	lib_kernel(&kernel, guest_power_off);
	for (int i = 0; i < 2; i++) {
		struct alioth_vm *vm = NULL;

		assert_alioth_ok(alioth_spec_set(spec, "kernel", kernel.path));
		assert_alioth_ok(alioth_spec_set(spec, "object", "id_size,size=4M"));
		assert_alioth_ok(alioth_spec_set(spec, "memory", "id_size"));
		assert_alioth_ok(alioth_spec_set(spec, "console", "null"));
		assert_alioth_ok(alioth_vm_create(spec, NULL, &vm));
		alioth_vm_free(vm);
	}
	assert_alioth_err(alioth_spec_check(spec), 0, "No kernel");
	alioth_spec_free(spec);
	tiny_kernel_free(&kernel);
}

struct owner {
	pthread_t thread;
	const struct tiny_kernel *kernel;
	unsigned int ended;
};

static void *owner_run(void *arg)
{
	struct owner *owner = arg;

	for (int i = 0; i < 10; i++) {
		struct alioth_spec *spec = alioth_spec_create();
		enum alioth_end_cause end = ALIOTH_END_ERROR;
		struct alioth_vm *vm = NULL;
		struct alioth_error *error = alioth_spec_set(spec, "kernel", owner->kernel->path);

		if (!error)
			error = alioth_spec_set_json(spec,
				"{\"memory\": {\"size\": \"4M\"}, \"cpu\": {\"count\": 2},"
				" \"console\": {\"kind\": \"null\"}}");
		if (!error)
			error = alioth_vm_create(spec, NULL, &vm);
		if (!error)
			error = alioth_vm_boot(vm);
		if (!error)
			error = alioth_vm_wait(vm, 20000, &end);
		owner->ended += !error && end == ALIOTH_END_POWER_OFF;
		alioth_error_free(error);
		alioth_vm_free(vm);
		alioth_spec_free(spec);
	}
	return NULL;
}

static void test_threads_have_vms_of_their_own(void **state)
{
	struct tiny_kernel kernel;
	struct owner owners[4];

	guest_need_kvm();
	lib_kernel(&kernel, guest_power_off);
	for (int i = 0; i < 4; i++) {
		owners[i] = (struct owner){.kernel = &kernel};
		assert_int_equal(pthread_create(&owners[i].thread, NULL, owner_run, &owners[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(owners[i].thread, NULL);
		assert_int_equal(owners[i].ended, 10);
	}
	tiny_kernel_free(&kernel);
}

/* ---- What the library leaves alone ---- */

/* Entries of a directory of /proc/self; `inherited`: descriptors that a program would inherit. */
static unsigned int count_own(const char *path, unsigned int *ret_inherited)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	unsigned int n = 0;

	*ret_inherited = 0;
	while ((entry = readdir(dir))) {
		int flags = fcntl((int)strtol(entry->d_name, NULL, 10), F_GETFD);

		n += *entry->d_name != '.';
		*ret_inherited += *entry->d_name != '.' && flags >= 0 && !(flags & FD_CLOEXEC);
	}
	closedir(dir);
	return n;
}

static void test_a_vm_leaves_nothing_behind(void **state)
{
	unsigned int inherited[3];
	unsigned int threads[3];
	struct tiny_kernel kernel;
	unsigned int files[3];
	struct alioth_spec *spec;
	struct alioth_vm *vm;
	unsigned int unused;
	char disk[64];

	guest_need_kvm();
	lib_kernel(&kernel, guest_halt);
	files[0] = count_own("/proc/self/fd", &inherited[0]);
	threads[0] = count_own("/proc/self/task", &unused);
	spec = lib_spec(&kernel);
	assert_alioth_ok(alioth_spec_set(spec, "console", "pty"));
	(void)snprintf(disk, sizeof(disk), "path=%s,readonly=on", kernel.path);
	assert_alioth_ok(alioth_spec_set(spec, "blk", disk));
	assert_alioth_ok(alioth_spec_set(spec, "entropy", NULL));
	assert_alioth_ok(alioth_spec_set(spec, "cpu", "count=4"));
	vm = lib_vm(spec, NULL);
	assert_alioth_ok(alioth_vm_boot(vm));
	files[1] = count_own("/proc/self/fd", &inherited[1]);
	threads[1] = count_own("/proc/self/task", &unused);
	alioth_vm_free(vm);
	files[2] = count_own("/proc/self/fd", &inherited[2]);
	threads[2] = count_own("/proc/self/task", &unused);
	assert_true(files[1] > files[0]);
	assert_int_equal(inherited[1], inherited[0]);
	assert_int_equal(files[2], files[0]);
	assert_true(threads[1] >= threads[0] + 5); /* KVM may have one of its own */
	assert_int_equal(threads[2], threads[0]);
	tiny_kernel_free(&kernel);
}

/* Puts fd in the place of a standard descriptor; returns a copy of what was there. */
static int replace_fd(int fd, int standard)
{
	int old = dup(standard);

	assert_true(old >= 0 && dup2(fd, standard) == standard);
	return old;
}

static void restore_fd(int old, int standard)
{
	assert_int_equal(dup2(old, standard), standard);
	close(old);
}

static void test_nothing_is_printed(void **state)
{
	int printed;
	struct alioth_error *error;
	struct tiny_kernel kernel;
	struct alioth_spec *spec;
	struct alioth_vm *vm = NULL;
	enum alioth_end_cause end = ALIOTH_END_ERROR;
	int out;
	int err;

	guest_need_kvm();
	printed = memfd_create("printed", MFD_CLOEXEC);
	lib_kernel(&kernel, guest_triple);
	spec = lib_spec(&kernel);
	fflush(stdout);
	out = replace_fd(printed, STDOUT_FILENO);
	err = replace_fd(printed, STDERR_FILENO);
	alioth_error_free(alioth_spec_set(spec, "console", "null"));
	alioth_error_free(alioth_vm_create(spec, NULL, &vm));
	alioth_error_free(alioth_vm_boot(vm));
	alioth_error_free(alioth_vm_wait(vm, 20000, &end));
	alioth_vm_free(vm);
	error = alioth_vm_create(spec, NULL, &vm);
	restore_fd(out, STDOUT_FILENO);
	restore_fd(err, STDERR_FILENO);
	assert_int_equal(end, ALIOTH_END_TRIPLE_FAULT);
	assert_non_null(error);
	alioth_error_free(error);
	assert_int_equal(lseek(printed, 0, SEEK_END), 0);
	close(printed);
	alioth_spec_free(spec);
	tiny_kernel_free(&kernel);
}

/* Is the terminal raw after a VM with it as its console was made, and so far gone? */
enum terminal_until { TERMINAL_FAILED, TERMINAL_CREATED, TERMINAL_STOPPED, TERMINAL_FREED };

static bool terminal_is_raw(const struct tiny_kernel *kernel, int slave, enum terminal_until until)
{
	struct alioth_spec *spec = lib_spec(kernel);
	struct alioth_vm *vm = NULL;
	struct termios termios;
	int in;
	int out;

	if (until == TERMINAL_FAILED)
		assert_alioth_ok(alioth_spec_set(spec, "blk", "path=/nonexistent"));
	fflush(stdout);
	in = replace_fd(slave, STDIN_FILENO);
	out = replace_fd(slave, STDOUT_FILENO);
	alioth_error_free(alioth_vm_create(spec, NULL, &vm));
	if (until == TERMINAL_STOPPED)
		alioth_vm_stop(vm);
	if (until == TERMINAL_FREED) {
		alioth_vm_free(vm);
		vm = NULL;
	}
	(void)tcgetattr(slave, &termios);
	alioth_vm_free(vm);
	restore_fd(in, STDIN_FILENO);
	restore_fd(out, STDOUT_FILENO);
	alioth_spec_free(spec);
	return !(termios.c_lflag & ICANON);
}

static void test_the_terminal_is_put_back(void **state)
{
	int master;
	struct tiny_kernel kernel;
	int slave;

	guest_need_kvm();
	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(master >= 0 && !grantpt(master) && !unlockpt(master));
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	lib_kernel(&kernel, guest_halt);
	assert_false(terminal_is_raw(&kernel, slave, TERMINAL_FAILED));
	assert_true(terminal_is_raw(&kernel, slave, TERMINAL_CREATED));
	assert_false(terminal_is_raw(&kernel, slave, TERMINAL_STOPPED));
	assert_false(terminal_is_raw(&kernel, slave, TERMINAL_FREED));
	close(slave);
	close(master);
	tiny_kernel_free(&kernel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_errors_are_chains),
		cmocka_unit_test(test_no_error_is_no_error),
		cmocka_unit_test(test_null_is_an_error_or_nothing),
		cmocka_unit_test(test_a_specification_can_be_checked),
		cmocka_unit_test(test_nothing_is_made_of_a_refused_option),
		cmocka_unit_test(test_the_log_may_be_of_another_version),
		cmocka_unit_test(test_a_power_off_is_told),
		cmocka_unit_test(test_a_reset_is_told),
		cmocka_unit_test(test_a_triple_fault_is_told),
		cmocka_unit_test(test_a_vm_waits_pauses_and_stops),
		cmocka_unit_test(test_a_balloon_is_asked_at_any_time),
		cmocka_unit_test(test_a_guest_that_resets_for_ever_can_be_stopped),
		cmocka_unit_test(test_text_and_json_make_the_same_vm),
		cmocka_unit_test(test_two_vms_do_not_mix),
		cmocka_unit_test(test_a_specification_is_empty_afterwards),
		cmocka_unit_test(test_threads_have_vms_of_their_own),
		cmocka_unit_test(test_a_vm_leaves_nothing_behind),
		cmocka_unit_test(test_nothing_is_printed),
		cmocka_unit_test(test_the_terminal_is_put_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
