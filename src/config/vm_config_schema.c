/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of `alioth boot`: names, types, ranges, defaults and help.
 */
#include "config/vm_config.h"

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

static const struct config_choice memory_backends[] = {
	{"anon", "Anonymous"}, {"memfd", "Memfd"}, {NULL, NULL}};

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

static const struct config_choice device_apis[] = {
	{"mio", NULL}, {"io_uring", "iouring"}, {NULL, NULL}};

static const struct config_struct net_tap_schema = {(const struct config_field[]){
	{.name = "if",
		.alias = "if_name",
		FIELD(struct net_config, if_name),
		.kind = CONFIG_STRING,
		.meta = "name",
		.help = "TAP interface of the host"},
	{.name = "tap",
		FIELD(struct net_config, tap),
		.kind = CONFIG_STRING,
		.meta = "path",
		.help = "/dev/tapN of a macvtap or ipvtap interface, instead of if; [default: /dev/net/tun]"},
	{.name = "fd",
		UINT(struct net_config, fd),
		.meta = "number",
		.help = "open descriptor of a TAP, or of a datagram or seqpacket socket, instead of both; 0: none"},
	{.name = "mac",
		FIELD(struct net_config, mac),
		.kind = CONFIG_STRING,
		.meta = "aa:bb:cc:dd:ee:ff",
		.help = "the guest's address; otherwise the macvtap's, or one made of the host's identity and the interface's name"},
	{.name = "mtu",
		UINT(struct net_config, mtu),
		.def = "0",
		.help = "MTU that the guest is told, 68 or more; 0: none"},
	{.name = "queue_pairs",
		.alias = "qp",
		UINT(struct net_config, queue_pairs),
		.max = 16,
		.def = "0",
		.help = "pairs of queues, at most 16; 0: one"},
	{.name = "api",
		FIELD(struct net_config, api),
		.kind = CONFIG_ENUM,
		.choices = device_apis,
		.def = "mio",
		.help = "accepted for compatibility: packets go through epoll, readv and writev"},
	END,
}};

static const struct config_union net_union = {
	.variants = (const struct config_variant[]){{.name = "tap",
							    .alias = "Tap",
							    .fields = &net_tap_schema,
							    .help = "an interface of the host"},
		END},
	.tag_offset = offsetof(struct net_config, kind),
};

static const struct config_field net_item = {
	.name = "net", .kind = CONFIG_UNION, .variants = &net_union, .help = "a network card"};

static const struct config_choice kernel_unpack_choices[] = {
	{"host", NULL}, {"guest", NULL}, {NULL, NULL}};

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
	{.name = "net",
		FIELD(struct vm_config, net),
		.count_offset = offsetof(struct vm_config, n_net),
		.kind = CONFIG_LIST,
		.item = &net_item,
		.item_size = sizeof(struct net_config),
		.meta = "spec",
		.help = "virtio network card"},
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
	{.name = "object",
		.letter = 'o',
		.kind = CONFIG_OBJECT,
		.meta = "id_NAME,TEXT",
		.help = "a named text: id_NAME may stand wherever a value, a list item or a key does, and is the only way to write a value with commas or a nested value of several keys"},
	END,
}};
