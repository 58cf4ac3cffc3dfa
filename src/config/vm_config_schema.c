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
		.filled = true,
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
		.given_offset = offsetof(struct memory_config, shared_given),
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

static const struct config_choice console_devices[] = {
	{"serial", NULL}, {"virtio", NULL}, {NULL, NULL}};

/* A virtio device's rings. */
#define PACKED(type)                                                                               \
	{                                                                                          \
		.name = "packed", FIELD(type, packed), .kind = CONFIG_BOOL, .def = "on",           \
		.help = "offer packed queues; a driver that knows none uses split ones anyway"     \
	}

/* The keys of every kind of console. */
#define CONSOLE_DEVICE                                                                             \
	{                                                                                          \
		.name = "device", FIELD(struct console_config, device), .kind = CONFIG_ENUM,       \
		.given_offset = offsetof(struct console_config, device_given),                     \
		.choices = console_devices, .def = "serial",                                       \
		.help = "the guest's end: ttyS0, or a virtio console (hvcN)"                       \
	}
#define CONSOLE_NAME                                                                               \
	{                                                                                          \
		.name = "name", FIELD(struct console_config, name), .kind = CONFIG_STRING,         \
		.meta = "name",                                                                    \
		.help = "a virtio port of that name instead, /dev/virtio-ports/NAME"               \
	}
#define CONSOLE_PACKED                                                                             \
	{                                                                                          \
		.name = "packed", FIELD(struct console_config, packed), .kind = CONFIG_BOOL,       \
		.def = "on",                                                                       \
		.help = "offer packed queues; off at one virtio console or port: for all of them"  \
	}

static const struct config_struct console_schema = {
	(const struct config_field[]){CONSOLE_DEVICE, CONSOLE_NAME, CONSOLE_PACKED, END}};

static const struct config_struct console_log_schema = {(const struct config_field[]){
	{.name = "path",
		FIELD(struct console_config, path),
		.kind = CONFIG_STRING,
		.filled = true,
		.required = true,
		.meta = "path",
		.help = "file to write"},
	{.name = "append",
		FIELD(struct console_config, append),
		.kind = CONFIG_BOOL,
		.def = "off",
		.help = "keep what the file holds"},
	CONSOLE_DEVICE,
	CONSOLE_NAME,
	CONSOLE_PACKED,
	END,
}};

static const struct config_struct console_socket_schema = {(const struct config_field[]){
	{.name = "path",
		FIELD(struct console_config, path),
		.kind = CONFIG_STRING,
		.filled = true,
		.required = true,
		.meta = "path",
		.help = "Unix socket to listen on"},
	CONSOLE_DEVICE,
	CONSOLE_NAME,
	CONSOLE_PACKED,
	END,
}};

static const struct config_union console_union = {
	.variants =
		(const struct config_variant[]){
			{.name = "stdio",
				.alias = "Stdio",
				.fields = &console_schema,
				.help = "standard input and output; on a terminal Ctrl-A X ends the VM, Ctrl-A H helps"},
			{.name = "log",
				.alias = "Log",
				.fields = &console_log_schema,
				.help = "output to a file, no input"},
			{.name = "pty",
				.fields = &console_schema,
				.help = "a new pseudo-terminal; its name is logged as a warning"},
			{.name = "socket",
				.fields = &console_socket_schema,
				.help = "a listening Unix socket, one client at a time"},
			{.name = "null",
				.alias = "off",
				.fields = &console_schema,
				.help = "no output, no input"},
			END,
		},
	.tag_offset = offsetof(struct console_config, kind),
	.default_variant = -1,
};

static const struct config_field console_item = {
	.name = "console", .kind = CONFIG_UNION, .variants = &console_union, .help = "a console"};

static const struct config_choice blk_formats[] = {{"raw", NULL}, {"qcow2", NULL}, {NULL, NULL}};
static const struct config_choice blk_apis[] = {
	{"io_uring", "iouring"}, {"mio", NULL}, {NULL, NULL}};
static const struct config_choice blk_caches[] = {
	{"writeback", NULL}, {"writethrough", NULL}, {"none", NULL}, {NULL, NULL}};

static const struct config_struct blk_file_schema = {(const struct config_field[]){
	{.name = "path",
		FIELD(struct blk_config, path),
		.kind = CONFIG_STRING,
		.filled = true,
		.required = true,
		.meta = "path",
		.help = "image file or block device"},
	{.name = "readonly",
		FIELD(struct blk_config, readonly),
		.kind = CONFIG_BOOL,
		.def = "off",
		.help = "the guest cannot write"},
	{.name = "format",
		FIELD(struct blk_config, format),
		.kind = CONFIG_ENUM,
		.choices = blk_formats,
		.def = "raw",
		.help = "what the file is; never guessed from its content"},
	{.name = "backing",
		FIELD(struct blk_config, backing),
		.kind = CONFIG_STRING,
		.filled = true,
		.meta = "path",
		.help = "image that a qcow2 image stands on; what the image itself names is not opened"},
	{.name = "backing_format",
		FIELD(struct blk_config, backing_format),
		.kind = CONFIG_ENUM,
		.choices = blk_formats,
		.def = "raw",
		.help = "what the backing image is"},
	{.name = "api",
		FIELD(struct blk_config, api),
		.kind = CONFIG_ENUM,
		.choices = blk_apis,
		.def = "io_uring",
		.help = "how the host is asked: many requests at a time, or one after the other (mio), as also where the host refuses io_uring"},
	{.name = "cache",
		FIELD(struct blk_config, cache),
		.kind = CONFIG_ENUM,
		.choices = blk_caches,
		.def = "writeback",
		.help = "when writes are stable: once flushed, or when done (writethrough); none: once flushed, and with direct=on"},
	{.name = "direct",
		FIELD(struct blk_config, direct),
		.given_offset = offsetof(struct blk_config, direct_given),
		.kind = CONFIG_BOOL,
		.def = "off",
		.help = "past the host's page cache (O_DIRECT)"},
	{.name = "discard",
		FIELD(struct blk_config, discard),
		.kind = CONFIG_BOOL,
		.def = "on",
		.help = "the guest's discards give space back to the host"},
	{.name = "queues",
		UINT(struct blk_config, queues),
		.min = 1,
		.max = 32,
		.def = "1",
		.help = "queues that the guest's vCPUs share"},
	{.name = "iothreads",
		UINT(struct blk_config, iothreads),
		.min = 1,
		.max = 32,
		.def = "1",
		.help = "threads that the queues are shared out over, at most as many; raw images only"},
	{.name = "registered_memory",
		FIELD(struct blk_config, registered_memory),
		.kind = CONFIG_BOOL,
		.def = "off",
		.help = "io_uring knows all of the guest's memory beforehand, which pins it"},
	{.name = "queue_size",
		UINT(struct blk_config, queue_size),
		.min = 4,
		.max = 256,
		.def = "256",
		.help = "entries of each queue, a power of two"},
	{.name = "iops",
		UINT(struct blk_config, iops),
		.def = "0",
		.help = "requests a second at most; 0: no limit"},
	{.name = "bw",
		UINT(struct blk_config, bw),
		.def = "0",
		.meta = "bytes",
		.help = "bytes a second at most, reads and writes together; 0: no limit"},
	{.name = "id",
		FIELD(struct blk_config, id),
		.kind = CONFIG_STRING,
		.meta = "name",
		.help = "name of the device, instead of virtio-blk-N"},
	{.name = "serial",
		FIELD(struct blk_config, serial),
		.kind = CONFIG_STRING,
		.filled = true,
		.meta = "text",
		.help = "serial number that the guest sees, at most 20 bytes; otherwise the name"},
	PACKED(struct blk_config),
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

static const struct config_struct pmem_file_schema = {(const struct config_field[]){
	{.name = "path",
		.alias = "file",
		FIELD(struct pmem_config, path),
		.kind = CONFIG_STRING,
		.filled = true,
		.required = true,
		.meta = "path",
		.help = "file or block device, of a multiple of 2 MiB"},
	{.name = "size",
		UINT(struct pmem_config, size),
		.def = "0",
		.meta = "bytes",
		.help = "makes the file, or extends it to so much; 0: the file's own size"},
	{.name = "discard_writes",
		.alias = "readonly",
		FIELD(struct pmem_config, discard_writes),
		.kind = CONFIG_BOOL,
		.def = "off",
		.help = "the file is only read; what the guest writes is kept in memory until it resets"},
	PACKED(struct pmem_config),
	END,
}};

static const struct config_union pmem_union = {
	.variants = (const struct config_variant[]){{.name = "file",
							    .alias = "File",
							    .fields = &pmem_file_schema,
							    .help = "a file or a block device"},
		END},
	.tag_offset = offsetof(struct pmem_config, kind),
	.bare_key = "path",
};

static const struct config_field pmem_item = {
	.name = "pmem", .kind = CONFIG_UNION, .variants = &pmem_union, .help = "persistent memory"};

static const struct config_choice device_apis[] = {
	{"mio", NULL}, {"io_uring", "iouring"}, {NULL, NULL}};

static const struct config_choice net_vhost_uses[] = {
	{"off", NULL}, {"on", NULL}, {"auto", NULL}, {NULL, NULL}};

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
		.filled = true,
		.meta = "path",
		.help = "/dev/tapN of a macvtap or ipvtap interface, instead of if [default: /dev/net/tun]"},
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
	{.name = "iothreads",
		UINT(struct net_config, iothreads),
		.min = 1,
		.max = 16,
		.def = "1",
		.help = "threads that the pairs are shared out over, at most as many; without vhost-net"},
	{.name = "api",
		FIELD(struct net_config, api),
		.kind = CONFIG_ENUM,
		.choices = device_apis,
		.def = "mio",
		.help = "accepted for compatibility: packets go through epoll, readv and writev"},
	PACKED(struct net_config),
	{.name = "vhost",
		FIELD(struct net_config, vhost),
		.kind = CONFIG_ENUM,
		.choices = net_vhost_uses,
		.def = "off",
		.help = "the kernel's vhost-net moves the packets; auto: if it can be had"},
	END,
}};

static const struct config_struct net_passt_schema = {(const struct config_field[]){
	{.name = "socket",
		FIELD(struct net_config, socket),
		.kind = CONFIG_STRING,
		.filled = true,
		.meta = "path",
		.help = "socket of a passt that runs; without it, one is started that ends with the VM"},
	{.name = "tcp",
		FIELD(struct net_config, tcp),
		.kind = CONFIG_STRING,
		.filled = true,
		.meta = "ports",
		.help = "TCP ports to forward to the guest, as passt's --tcp-ports has them: 2222:22"},
	{.name = "udp",
		FIELD(struct net_config, udp),
		.kind = CONFIG_STRING,
		.filled = true,
		.meta = "ports",
		.help = "UDP ports to forward to the guest"},
	{.name = "args",
		FIELD(struct net_config, args),
		.kind = CONFIG_STRING,
		.filled = true,
		.meta = "words",
		.help = "further arguments of passt, apart by spaces"},
	{.name = "path",
		FIELD(struct net_config, path),
		.kind = CONFIG_STRING,
		.filled = true,
		.meta = "path",
		.help = "the program to start [default: passt, looked for in PATH]"},
	{.name = "reconnect",
		FIELD(struct net_config, reconnect),
		.kind = CONFIG_BOOL,
		.def = "on",
		.help = "start passt, or connect to the socket, again when it is gone"},
	{.name = "vhost_user",
		FIELD(struct net_config, vhost_user),
		.kind = CONFIG_BOOL,
		.def = "off",
		.help = "passt moves packets in guest memory itself (passt of 2025, --memory "
			"backend=memfd)"},
	{.name = "mac",
		FIELD(struct net_config, mac),
		.kind = CONFIG_STRING,
		.meta = "aa:bb:cc:dd:ee:ff",
		.help = "the guest's address; otherwise one made of the host's identity"},
	{.name = "mtu",
		UINT(struct net_config, mtu),
		.def = "0",
		.help = "MTU that the guest is told by card and by DHCP, 68 or more; 0: passt's own, by DHCP"},
	PACKED(struct net_config),
	END,
}};

static const struct config_union net_union = {
	.variants = (const struct config_variant[]){{.name = "tap",
							    .alias = "Tap",
							    .fields = &net_tap_schema,
							    .help = "an interface of the host"},
		{.name = "passt",
			.fields = &net_passt_schema,
			.help = "a passt process: the host's network without any rights"},
		END},
	.tag_offset = offsetof(struct net_config, kind),
};

static const struct config_field net_item = {
	.name = "net", .kind = CONFIG_UNION, .variants = &net_union, .help = "a network card"};

static const struct config_struct entropy_schema = {(const struct config_field[]){
	{.name = "rate",
		UINT(struct entropy_config, rate),
		.def = "1M",
		.meta = "bytes",
		.help = "bytes a second at most; 0: no limit"},
	PACKED(struct entropy_config),
	END,
}};

static const struct config_struct balloon_schema = {(const struct config_field[]){
	{.name = "size",
		UINT(struct balloon_config, size),
		.def = "0",
		.meta = "bytes",
		.help = "bytes that the guest is asked to give up, from its start"},
	{.name = "deflate_on_oom",
		FIELD(struct balloon_config, deflate_on_oom),
		.kind = CONFIG_BOOL,
		.def = "on",
		.help = "the guest may take memory back before it ends a process for want of it"},
	{.name = "free_page_reporting",
		FIELD(struct balloon_config, free_page_reporting),
		.kind = CONFIG_BOOL,
		.def = "off",
		.help = "the guest tells of memory that it has freed, which the host then reclaims"},
	PACKED(struct balloon_config),
	END,
}};

static const struct config_choice watchdog_actions[] = {
	{"reset", NULL}, {"poweroff", NULL}, {"pause", NULL}, {"none", NULL}, {NULL, NULL}};

static const struct config_struct watchdog_schema = {(const struct config_field[]){
	{.name = "action",
		FIELD(struct watchdog_config, action),
		.kind = CONFIG_ENUM,
		.choices = watchdog_actions,
		.def = "reset",
		.help = "what happens when the guest does not restart it in time: the machine resets, ends, or stands still; none: a log line"},
	END,
}};

static const struct config_struct firmware_schema = {(const struct config_field[]){
	{.name = "path",
		FIELD(struct firmware_config, path),
		.kind = CONFIG_STRING,
		.filled = true,
		.required = true,
		.leads = true,
		.meta = "path",
		.help = "image that ends at 4 GiB, or an ELF file with a PVH note; its key may be left out"},
	{.name = "vars",
		FIELD(struct firmware_config, vars),
		.kind = CONFIG_STRING,
		.filled = true,
		.meta = "path",
		.help = "flash right below it, which keeps the firmware's variables: a copy of the image's template, for this machine alone"},
	END,
}};

static const struct config_struct fw_cfg_schema = {(const struct config_field[]){
	{.name = "name",
		FIELD(struct fw_cfg_config, name),
		.kind = CONFIG_STRING,
		.required = true,
		.meta = "name",
		.help = "name of the item, at most 55 bytes; opt/ is where names of users belong"},
	{.name = "file",
		FIELD(struct fw_cfg_config, file),
		.kind = CONFIG_STRING,
		.filled = true,
		.meta = "path",
		.help = "file that it holds"},
	{.name = "string",
		FIELD(struct fw_cfg_config, string),
		.kind = CONFIG_STRING,
		.meta = "text",
		.help = "text that it holds, without a terminator"},
	END,
}};

static const struct config_field fw_cfg_item = {
	.name = "fw-cfg", .kind = CONFIG_STRUCT, .fields = &fw_cfg_schema, .help = "an item"};

static const struct config_struct credential_schema = {(const struct config_field[]){
	{.name = "name",
		FIELD(struct credential_config, name),
		.kind = CONFIG_STRING,
		.required = true,
		.meta = "name",
		.help = "name of the credential, as passwd.hashed-password.root"},
	{.name = "file",
		FIELD(struct credential_config, file),
		.kind = CONFIG_STRING,
		.filled = true,
		.meta = "path",
		.help = "file that it holds"},
	{.name = "value",
		FIELD(struct credential_config, value),
		.kind = CONFIG_STRING,
		.meta = "text",
		.help = "text that it holds"},
	END,
}};

static const struct config_field credential_item = {.name = "credential",
	.kind = CONFIG_STRUCT,
	.fields = &credential_schema,
	.help = "a credential"};

static const struct config_field oem_string_item = {
	.name = "oem-string", .kind = CONFIG_STRING, .help = "a text"};

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
		.filled = true,
		.meta = "path",
		.help = "kernel: bzImage, vmlinux or PVH ELF, told apart by content"},
	{.name = "pvh",
		FIELD(struct vm_config, pvh),
		.kind = CONFIG_STRING,
		.filled = true,
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
		.filled = true,
		.meta = "path",
		.help = "initial RAM file system"},
	{.name = "firmware",
		.letter = 'f',
		FIELD(struct vm_config, firmware),
		.given_offset = offsetof(struct vm_config, firmware.given),
		.kind = CONFIG_STRUCT,
		.fields = &firmware_schema,
		.meta = "spec",
		.help = "firmware, as UEFI; it may be given a kernel, or finds a system on a disk"},
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
		.count_offset = offsetof(struct vm_config, n_console),
		.kind = CONFIG_LIST,
		.item = &console_item,
		.item_size = sizeof(struct console_config),
		.meta = "spec",
		.help = "where the serial port, a virtio console or a virtio port ends; without one for the serial port, that is on stdio"},
	{.name = "pvpanic",
		FIELD(struct vm_config, pvpanic),
		.kind = CONFIG_BOOL,
		.help = "device by which a panicking guest ends the VM"},
	{.name = "entropy",
		FIELD(struct vm_config, entropy),
		.given_offset = offsetof(struct vm_config, entropy.given),
		.kind = CONFIG_STRUCT,
		.fields = &entropy_schema,
		.meta = "spec",
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
	{.name = "pmem",
		FIELD(struct vm_config, pmem),
		.count_offset = offsetof(struct vm_config, n_pmem),
		.kind = CONFIG_LIST,
		.item = &pmem_item,
		.item_size = sizeof(struct pmem_config),
		.meta = "spec",
		.help = "virtio persistent memory: a file in the guest's memory"},
	{.name = "balloon",
		FIELD(struct vm_config, balloon),
		.given_offset = offsetof(struct vm_config, balloon.given),
		.kind = CONFIG_STRUCT,
		.fields = &balloon_schema,
		.meta = "spec",
		.help = "virtio memory balloon: RAM that the guest does not need goes back to the host"},
	{.name = "rtc",
		FIELD(struct vm_config, rtc),
		.kind = CONFIG_BOOL,
		.help = "a real-time clock that the guest's system finds"},
	{.name = "fw-cfg",
		FIELD(struct vm_config, fw_cfg),
		.count_offset = offsetof(struct vm_config, n_fw_cfg),
		.kind = CONFIG_LIST,
		.item = &fw_cfg_item,
		.item_size = sizeof(struct fw_cfg_config),
		.meta = "spec",
		.help = "item of fw_cfg, QEMU's firmware configuration device"},
	{.name = "credential",
		FIELD(struct vm_config, credential),
		.count_offset = offsetof(struct vm_config, n_credential),
		.kind = CONFIG_LIST,
		.item = &credential_item,
		.item_size = sizeof(struct credential_config),
		.meta = "spec",
		.help = "credential for the guest's systemd, by SMBIOS"},
	{.name = "oem-string",
		FIELD(struct vm_config, oem_string),
		.count_offset = offsetof(struct vm_config, n_oem_string),
		.kind = CONFIG_LIST,
		.item = &oem_string_item,
		.item_size = sizeof(char *),
		.meta = "text",
		.help = "OEM string of SMBIOS (type 11)"},
	{.name = "watchdog",
		FIELD(struct vm_config, watchdog),
		.given_offset = offsetof(struct vm_config, watchdog.given),
		.kind = CONFIG_STRUCT,
		.fields = &watchdog_schema,
		.meta = "spec",
		.help = "watchdog timer (i6300esb): notices that the guest hangs"},
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
		.filled = true,
		.meta = "dir",
		.help = "directory that keeps unpacked kernels for the next start"},
	{.name = "object",
		.letter = 'o',
		.kind = CONFIG_OBJECT,
		.meta = "id_NAME,TEXT",
		.help = "a named text: id_NAME may stand wherever a value, a list item or a key does, and is the only way to write a value with commas or a nested value of several keys"},
	END,
}};
