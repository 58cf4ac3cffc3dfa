/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema of a VM's configuration, and the rules between its parts.
 */
#include "config/vm_config.h"

#include <errno.h>
#include <string.h>

#define PAGE_SIZE           4096u

#define FIELD(type, member) .offset = offsetof(type, member)
#define UINT(type, member)                                                                         \
	FIELD(type, member), .kind = CONFIG_UINT, .width = sizeof(((type *)0)->member)

#define END                                                                                        \
	{                                                                                          \
		.name = NULL                                                                       \
	}

static const struct config_struct kvm_schema = {(const struct config_field[]){
	{.name = "dev_kvm",
		FIELD(struct hypervisor_config, dev_kvm),
		.kind = CONFIG_STRING,
		.def = "/dev/kvm",
		.meta = "path",
		.help = "KVM's device"},
	END,
}};

static const struct config_union hypervisor_union = {
	.variants =
		(const struct config_variant[]){
			{.name = "kvm", .alias = "Kvm", .fields = &kvm_schema, .help = "Linux KVM"},
			END},
	.tag_offset = offsetof(struct hypervisor_config, kind),
};

static const struct config_struct topology_schema = {(const struct config_field[]){
	{.name = "smt",
		FIELD(struct cpu_topology_config, smt),
		.kind = CONFIG_BOOL,
		.def = "off",
		.help = "two threads a core"},
	{.name = "cores",
		UINT(struct cpu_topology_config, cores),
		.def = "0",
		.help = "cores a socket; 0: as many as make up the count"},
	{.name = "sockets",
		UINT(struct cpu_topology_config, sockets),
		.def = "0",
		.help = "sockets; 0: one"},
	{.name = "thread_contiguous",
		FIELD(struct cpu_topology_config, thread_contiguous),
		.kind = CONFIG_BOOL,
		.def = "off",
		.help = "vCPUs 0 and 1 share a core; otherwise all first threads come first"},
	END,
}};

static const struct config_struct cpu_schema = {(const struct config_field[]){
	{.name = "count", UINT(struct cpu_config, count), .min = 1, .def = "1", .help = "vCPUs"},
	{.name = "topology",
		FIELD(struct cpu_config, topology),
		.kind = CONFIG_STRUCT,
		.fields = &topology_schema,
		.help = "sockets, cores and threads"},
	END,
}};

static const char *const memory_backends[] = {"anon", "memfd", NULL};

static const struct config_struct memory_schema = {(const struct config_field[]){
	{.name = "size",
		UINT(struct memory_config, size),
		.min = 1,
		.def = "1G",
		.meta = "bytes",
		.help = "bytes of RAM"},
	{.name = "backend",
		FIELD(struct memory_config, backend),
		.kind = CONFIG_ENUM,
		.choices = memory_backends,
		.def = "anon",
		.help = "what the host backs it with"},
	{.name = "shared",
		FIELD(struct memory_config, shared),
		.kind = CONFIG_BOOL,
		.def = "off",
		.help = "shared with child processes (memfd always is)"},
	{.name = "transparent_hugepage",
		.alias = "thp",
		FIELD(struct memory_config, transparent_hugepage),
		.kind = CONFIG_BOOL,
		.def = "off",
		.help = "ask for transparent huge pages"},
	{.name = "hugetlb",
		UINT(struct memory_config, hugetlb),
		.def = "0",
		.meta = "bytes",
		.help = "page size of reserved huge pages, 2M or 1G; 0: ordinary pages"},
	{.name = "prealloc",
		FIELD(struct memory_config, prealloc),
		.kind = CONFIG_BOOL,
		.def = "off",
		.help = "allocate all of it before the guest runs"},
	{.name = "lock",
		FIELD(struct memory_config, lock),
		.kind = CONFIG_BOOL,
		.def = "off",
		.help = "keep it out of swap (mlock)"},
	END,
}};

static const struct config_struct console_log_schema = {(const struct config_field[]){
	{.name = "path",
		FIELD(struct console_config, path),
		.kind = CONFIG_STRING,
		.required = true,
		.meta = "path",
		.help = "file to write"},
	{.name = "append",
		FIELD(struct console_config, append),
		.kind = CONFIG_BOOL,
		.def = "off",
		.help = "keep what the file holds"},
	END,
}};

static const struct config_struct console_socket_schema = {(const struct config_field[]){
	{.name = "path",
		FIELD(struct console_config, path),
		.kind = CONFIG_STRING,
		.required = true,
		.meta = "path",
		.help = "Unix socket to listen on"},
	END,
}};

static const struct config_union console_union = {
	.variants =
		(const struct config_variant[]){
			{.name = "stdio",
				.alias = "Stdio",
				.help = "standard input and output; on a terminal Ctrl-A X ends the VM, Ctrl-A H helps"},
			{.name = "log",
				.alias = "Log",
				.fields = &console_log_schema,
				.help = "output to a file, no input"},
			{.name = "pty",
				.help = "a new pseudo-terminal; its name is logged as a warning"},
			{.name = "socket",
				.fields = &console_socket_schema,
				.help = "a listening Unix socket, one client at a time"},
			{.name = "null", .help = "no output, no input"},
			END,
		},
	.tag_offset = offsetof(struct console_config, kind),
	.default_variant = -1,
};

static const struct config_struct blk_file_schema = {(const struct config_field[]){
	{.name = "path",
		FIELD(struct blk_config, path),
		.kind = CONFIG_STRING,
		.required = true,
		.meta = "path",
		.help = "raw image or block device"},
	{.name = "readonly",
		FIELD(struct blk_config, readonly),
		.kind = CONFIG_BOOL,
		.def = "off",
		.help = "the guest cannot write"},
	{.name = "serial",
		FIELD(struct blk_config, serial),
		.kind = CONFIG_STRING,
		.meta = "text",
		.help = "serial number that the guest sees, at most 20 bytes"},
	END,
}};

static const struct config_union blk_union = {
	.variants = (const struct config_variant[]){{.name = "file",
							    .alias = "File",
							    .fields = &blk_file_schema,
							    .help = "a file or a block device"},
		END},
	.tag_offset = offsetof(struct blk_config, kind),
	.bare_key = "path",
};

static const struct config_field blk_item = {
	.name = "blk", .kind = CONFIG_UNION, .variants = &blk_union, .help = "a disk"};

static const char *const kernel_unpack_choices[] = {"host", "guest", NULL};

const struct config_struct vm_config_schema = {(const struct config_field[]){
	{.name = "hypervisor",
		FIELD(struct vm_config, hypervisor),
		.kind = CONFIG_UNION,
		.variants = &hypervisor_union,
		.def = "kvm",
		.meta = "spec",
		.help = "what runs the guest"},
	{.name = "kernel",
		.letter = 'k',
		FIELD(struct vm_config, kernel),
		.kind = CONFIG_STRING,
		.meta = "path",
		.help = "kernel: bzImage, vmlinux or PVH ELF, told apart by content"},
	{.name = "pvh",
		FIELD(struct vm_config, pvh),
		.kind = CONFIG_STRING,
		.meta = "path",
		.help = "ELF kernel to enter by its PVH note"},
	{.name = "cmdline",
		.alias = "cmd-line",
		.letter = 'c',
		FIELD(struct vm_config, cmdline),
		.kind = CONFIG_STRING,
		.meta = "text",
		.help = "the kernel's command line"},
	{.name = "initramfs",
		.letter = 'i',
		FIELD(struct vm_config, initramfs),
		.kind = CONFIG_STRING,
		.meta = "path",
		.help = "initial RAM file system"},
	{.name = "cpu",
		.letter = 'p',
		FIELD(struct vm_config, cpu),
		.kind = CONFIG_STRUCT,
		.fields = &cpu_schema,
		.meta = "spec",
		.help = "processors"},
	{.name = "num-cpu",
		UINT(struct vm_config, cpu.count),
		.min = 1,
		.instead_of = "cpu",
		.meta = "number",
		.help = "old spelling of --cpu count=NUMBER"},
	{.name = "memory",
		.letter = 'm',
		FIELD(struct vm_config, memory),
		.kind = CONFIG_STRUCT,
		.fields = &memory_schema,
		.meta = "spec",
		.help = "RAM"},
	{.name = "mem-size",
		UINT(struct vm_config, memory.size),
		.min = 1,
		.instead_of = "memory",
		.meta = "bytes",
		.help = "old spelling of --memory size=BYTES"},
	{.name = "console",
		FIELD(struct vm_config, console),
		.kind = CONFIG_UNION,
		.variants = &console_union,
		.def = "stdio",
		.meta = "spec",
		.help = "where the serial port ends"},
	{.name = "pvpanic",
		FIELD(struct vm_config, pvpanic),
		.kind = CONFIG_BOOL,
		.help = "device by which a panicking guest ends the VM"},
	{.name = "entropy",
		FIELD(struct vm_config, entropy),
		.kind = CONFIG_BOOL,
		.help = "virtio source of random numbers"},
	{.name = "blk",
		FIELD(struct vm_config, blk),
		.count_offset = offsetof(struct vm_config, n_blk),
		.kind = CONFIG_LIST,
		.item = &blk_item,
		.item_size = sizeof(struct blk_config),
		.meta = "spec",
		.help = "virtio disk"},
	{.name = "no-reboot",
		FIELD(struct vm_config, no_reboot),
		.kind = CONFIG_BOOL,
		.help = "a reset by the guest ends the VM"},
	{.name = "power-button-timeout",
		UINT(struct vm_config, power_button_timeout),
		.def = "60",
		.meta = "seconds",
		.help = "time from the power button until the VM is ended; 0: no limit"},
	{.name = "kernel-unpack",
		FIELD(struct vm_config, kernel_unpack),
		.kind = CONFIG_ENUM,
		.choices = kernel_unpack_choices,
		.def = "host",
		.help = "who unpacks a bzImage"},
	{.name = "kernel-cache",
		FIELD(struct vm_config, kernel_cache),
		.kind = CONFIG_STRING,
		.meta = "dir",
		.help = "directory that keeps unpacked kernels for the next start"},
	END,
}};

const struct config_field *vm_config_option(const char *name)
{
	if (name[0] && !name[1]) {
		for (const struct config_field *f = vm_config_schema.fields; f->name; f++) {
			if (f->letter == name[0])
				return f;
		}
	}
	return config_find(&vm_config_schema, name, strlen(name));
}

static struct err *vm_config_prepare(struct vm_config_builder *builder)
{
	if (builder->ready)
		return NULL;
	builder->ready = true;
	return config_defaults(&vm_config_schema, &builder->config);
}

/* The option that a legacy spelling stands for shares its mark. */
static struct err *vm_config_mark(
	struct vm_config_builder *builder, const struct config_field *field)
{
	const struct config_field *real =
		field->instead_of ? vm_config_option(field->instead_of) : field;
	uint64_t bit = 1ull << (real - vm_config_schema.fields);

	if (field->kind != CONFIG_LIST && builder->seen & bit)
		return err_new(0, "--%s is given twice", real->name);
	builder->seen |= bit;
	return NULL;
}

static struct err *vm_config_apply(
	struct vm_config_builder *builder, const struct config_field *field, const char *value)
{
	if (field->kind == CONFIG_LIST)
		return config_list_append(field, &builder->objects, value, &builder->config);
	return config_parse_text(field, &builder->objects, value, &builder->config);
}

struct err *vm_config_set(struct vm_config_builder *builder, const char *option, const char *value)
{
	const struct config_field *field = vm_config_option(option);
	struct err *err = vm_config_prepare(builder);

	if (err)
		return err;
	if (!strcmp(option, "object") || !strcmp(option, "o"))
		return err_wrap(
			config_objects_add(&builder->objects, value ? value : ""), "Bad --object");
	if (!field) {
		const char *near = config_nearest(&vm_config_schema, option, strlen(option));

		return near ? err_new(0, "Unknown option '--%s'; did you mean '--%s'?", option,
				      near)
			    : err_new(0, "Unknown option '--%s'", option);
	}
	err = vm_config_mark(builder, field);
	if (err)
		return err;
	if (!value && field->kind == CONFIG_BOOL)
		value = "on";
	if (!value)
		return err_new(0, "--%s needs a value", field->name);
	return err_wrap(vm_config_apply(builder, field, value), "Bad value of --%s", field->name);
}

struct err *vm_config_set_json(struct vm_config_builder *builder, const char *json)
{
	struct err *err = vm_config_prepare(builder);

	return err ? err : config_parse_json(&vm_config_schema, json, &builder->config);
}

struct err *vm_config_finish(struct vm_config_builder *builder, struct vm_config *ret_config)
{
	struct err *err = vm_config_prepare(builder);

	if (err)
		return err;
	*ret_config = builder->config;
	builder->config = (struct vm_config){0};
	builder->ready = false;
	builder->seen = 0;
	return NULL;
}

void vm_config_builder_deinit(struct vm_config_builder *builder)
{
	vm_config_deinit(&builder->config);
	config_objects_deinit(&builder->objects);
}

void vm_config_deinit(struct vm_config *config)
{
	config_deinit(&vm_config_schema, config);
}

/* ---- Rules between options ---- */

static struct err *vm_config_check_cpu(const struct cpu_config *cpu)
{
	const struct cpu_topology_config *t = &cpu->topology;
	unsigned int threads = t->smt ? 2 : 1;
	unsigned int sockets = t->sockets ? t->sockets : 1;
	unsigned int cores = t->cores ? t->cores : cpu->count / sockets / threads;

	if ((uint64_t)sockets * cores * threads != cpu->count)
		return err_new(0,
			"--cpu: %u sockets of %u cores of %u threads are not count=%u vCPUs",
			sockets, cores, threads, cpu->count);
	return NULL;
}

static struct err *vm_config_check_memory(const struct memory_config *memory)
{
	uint64_t page = memory->hugetlb ? memory->hugetlb : PAGE_SIZE;

	if (memory->hugetlb && memory->hugetlb != MIB(2) && memory->hugetlb != GIB(1))
		return err_new(0, "--memory: hugetlb=%llu is neither 2M nor 1G",
			(unsigned long long)memory->hugetlb);
	if (memory->size % page)
		return err_new(0,
			"--memory: size=%llu is not a multiple of the page size, %llu bytes",
			(unsigned long long)memory->size, (unsigned long long)page);
	if (memory->size < MIB(2))
		return err_new(
			0, "--memory: size=%llu is less than 2M", (unsigned long long)memory->size);
	if (memory->hugetlb && memory->transparent_hugepage)
		return err_new(0, "--memory: hugetlb and transparent_hugepage exclude each other");
	return NULL;
}

static struct err *vm_config_check_payload(const struct vm_config *config)
{
	if (config->kernel && config->pvh)
		return err_new(0, "--kernel and --pvh exclude each other: give one kernel");
	if (!config->kernel && !config->pvh)
		return err_new(0, "No kernel: give --kernel PATH (or --pvh PATH)");
	return NULL;
}

struct err *vm_config_validate(const struct vm_config *config)
{
	struct err *err = vm_config_check_payload(config);

	if (!err)
		err = vm_config_check_cpu(&config->cpu);
	if (!err)
		err = vm_config_check_memory(&config->memory);
	for (size_t i = 0; !err && i < config->n_blk; i++) {
		if (config->blk[i].serial && strlen(config->blk[i].serial) > 20)
			err = err_new(0, "--blk: serial=%s is longer than 20 bytes",
				config->blk[i].serial);
	}
	return err;
}

struct err *vm_config_check(struct vm_config_builder *builder)
{
	struct err *err = vm_config_prepare(builder);

	return err ? err : vm_config_validate(&builder->config);
}
