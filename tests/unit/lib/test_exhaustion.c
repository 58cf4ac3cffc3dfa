/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that runs out of memory, threads or file descriptors at any moment: each call fails with
 * an error chain or works, and nothing is left behind. The allocation functions are wrapped by the
 * linker (see meson.build); leaks are found by AddressSanitizer.
 */
#include "lib_guest.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>

/* The n-th allocation from now on fails; 0: none; -1: it has failed. */
static _Atomic int countdown;
static bool for_good;   /* all that follow fail too */
static bool has_failed; /* in the last live() */

static bool fails(void)
{
	int now = countdown;

	do {
		if (now <= 0)
			return now < 0 && for_good;
	} while (!atomic_compare_exchange_weak(&countdown, &now, now == 1 ? -1 : now - 1));
	return now == 1;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__real_strndup(const char *text, size_t n);
char *__wrap_strndup(const char *text, size_t n);
int __real_vasprintf(char **ret, const char *fmt, va_list args);
int __wrap_vasprintf(char **ret, const char *fmt, va_list args);
int __real_pthread_create(
	pthread_t *id, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int __wrap_pthread_create(
	pthread_t *id, const pthread_attr_t *attr, void *(*run)(void *), void *arg);

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t n)
{
	return fails() ? NULL : __real_strndup(text, n);
}

int __wrap_vasprintf(char **ret, const char *fmt, va_list args)
{
	return fails() ? -1 : __real_vasprintf(ret, fmt, args);
}

int __wrap_pthread_create(
	pthread_t *id, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	return fails() ? EAGAIN : __real_pthread_create(id, attr, run, arg);
}

/* Every option that makes something; NULL when all worked. */
static struct alioth_error *fill(struct alioth_spec *spec, const struct tiny_kernel *kernel)
{
	char disk[64];
	struct alioth_error *error = alioth_spec_set(spec, "kernel", kernel->path);

	(void)snprintf(disk, sizeof(disk), "path=%s,readonly=on", kernel->path);
	if (!error)
		error = alioth_spec_set(spec, "memory", "size=4M");
	if (!error)
		error = alioth_spec_set_json(spec, "{\"cpu\": {\"count\": 2}, \"pvpanic\": true}");
	if (!error)
		error = alioth_spec_set(spec, "object", "id_log,path=/dev/null");
	if (!error)
		error = alioth_spec_set(spec, "console", "log,path=/dev/null");
	if (!error)
		error = alioth_spec_set(spec, "blk", disk);
	return error ? error : alioth_spec_set(spec, "entropy", NULL);
}

static void ignore_line(
	void *data, enum alioth_log_level level, const char *module, const char *text)
{
}

/* The whole life of a VM; true if it came to its natural end. Disarms the countdown. */
static bool live(const struct tiny_kernel *kernel)
{
	struct alioth_log log = {.size = sizeof(log), .spec = "debug", .write = ignore_line};
	enum alioth_end_cause end = ALIOTH_END_CONSOLE;
	struct alioth_spec *spec = alioth_spec_create();
	struct alioth_vm *vm = NULL;
	/* Without a specification this is an error too. */
	struct alioth_error *error = fill(spec, kernel);

	if (!error)
		error = alioth_vm_create(spec, &log, &vm);
	if (!error)
		error = alioth_vm_boot(vm);
	if (!error)
		error = alioth_vm_wait(vm, 20000, &end);
	has_failed = countdown < 0;
	countdown = 0;
	assert_true(!error || *alioth_error_text(error));
	assert_true(alioth_error_code(error) != ETIMEDOUT);
	alioth_vm_free(vm);
	alioth_spec_free(spec);
	alioth_error_free(error);
	return end == ALIOTH_END_POWER_OFF;
}

static void expect_lives(bool all_that_follow)
{
	struct tiny_kernel kernel;
	bool lived = false;
	int n = 0;

	guest_need_kvm();
	lib_kernel(&kernel, guest_tell);
	for_good = all_that_follow;
	do {
		countdown = ++n;
		lived = live(&kernel);
	} while (has_failed && n < 5000);
	assert_true(lived && n > 50 && n < 5000);
	for_good = false;
	tiny_kernel_free(&kernel);
}

static void test_one_allocation_fails(void **state)
{
	expect_lives(false);
}

static void test_all_further_allocations_fail(void **state)
{
	expect_lives(true);
}

/* A guest that resets for ever, and an allocation that fails in one of its reboots. */
static void test_an_allocation_fails_in_a_reboot(void **state)
{
	struct tiny_kernel kernel;

	guest_need_kvm();
	lib_kernel(&kernel, guest_reset);
	for (int n = 1; n < 120; n += 1 + n / 20) {
		struct alioth_spec *spec = lib_spec(&kernel);
		struct alioth_vm *vm;
		enum alioth_end_cause end = ALIOTH_END_CONSOLE;

		assert_alioth_ok(alioth_spec_set(spec, "console", "null"));
		vm = lib_vm(spec, NULL);
		countdown = n + 1; /* the control thread is not what is tested here */
		assert_alioth_ok(alioth_vm_boot(vm));
		while (countdown > 0)
			sched_yield();
		alioth_vm_stop(vm);
		alioth_error_free(alioth_vm_wait(vm, 20000, &end));
		countdown = 0;
		assert_true(end == ALIOTH_END_ERROR || end == ALIOTH_END_STOPPED);
		alioth_vm_free(vm);
	}
	tiny_kernel_free(&kernel);
}

static void test_descriptors_run_out(void **state)
{
	struct tiny_kernel kernel;
	struct rlimit before;
	bool lived = false;
	rlim_t n;

	guest_need_kvm();
	lib_kernel(&kernel, guest_tell);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (n = 1; !lived && n < 64; n++) {
		struct rlimit limit = {.rlim_cur = n, .rlim_max = before.rlim_max};

		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		lived = live(&kernel);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	}
	assert_true(lived && n > 8);
	tiny_kernel_free(&kernel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_allocation_fails),
		cmocka_unit_test(test_all_further_allocations_fail),
		cmocka_unit_test(test_an_allocation_fails_in_a_reboot),
		cmocka_unit_test(test_descriptors_run_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
