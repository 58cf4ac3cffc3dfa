/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boots two virtual machines in one process with libalioth, and waits for both:
 *
 *     cc boot.c $(pkg-config --cflags --libs alioth) -o boot && ./boot KERNEL INITRAMFS LOG1 LOG2
 */
#include <alioth.h>
#include <stdio.h>
#include <stdlib.h>

static void print_line(
	void *data, enum alioth_log_level level, const char *module, const char *text)
{
	(void)level;
	printf("%s: %s: %s\n", (const char *)data, module, text);
}

static void fail(struct alioth_error *error)
{
	char *text;

	if (!error)
		return;
	text = alioth_error_format(error);
	fputs(text ? text : "out of memory\n", stderr);
	free(text);
	alioth_error_free(error);
	exit(1);
}

static struct alioth_vm *start(char **argv, char *name, const char *console)
{
	struct alioth_log log = {.size = sizeof(log), .spec = "info", .write = print_line};
	struct alioth_spec *spec = alioth_spec_create();
	struct alioth_vm *vm = NULL;
	char json[512];

	log.data = name;
	fail(alioth_spec_set(spec, "kernel", argv[1]));
	fail(alioth_spec_set(spec, "initramfs", argv[2]));
	snprintf(json, sizeof(json),
		"{\"cmdline\": \"console=ttyS0 quiet alioth.run=echo+hello+from+%s\", \"memory\": {\"size\": \"192M\"},"
		" \"console\": {\"kind\": \"log\", \"path\": \"%s\"}}",
		name, console);
	fail(alioth_spec_set_json(spec, json));
	fail(alioth_vm_create(spec, &log, &vm));
	alioth_spec_free(spec);
	fail(alioth_vm_boot(vm));
	fail(alioth_vm_pause(vm));
	fail(alioth_vm_resume(vm));
	return vm;
}

int main(int argc, char **argv)
{
	static char one[] = "one";
	static char two[] = "two";
	struct alioth_vm *vms[2];

	if (argc != 5) {
		fprintf(stderr, "usage: %s KERNEL INITRAMFS LOG1 LOG2\n", argv[0]);
		return 2;
	}
	vms[0] = start(argv, one, argv[3]);
	vms[1] = start(argv, two, argv[4]);
	for (int i = 0; i < 2; i++) {
		enum alioth_end_cause end;

		fail(alioth_vm_wait(vms[i], -1, &end));
		printf("ended: %d\n", (int)end);
		alioth_vm_free(vms[i]);
	}
	return 0;
}
