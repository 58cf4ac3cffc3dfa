/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of a VM: plain data, described by vm_config_schema (vm_config.c), which is also
 * the list of the options of `alioth boot`.
 */
#pragma once

#include "config/schema.h"

enum hypervisor_kind { HYPERVISOR_KVM };

struct hypervisor_config {
	enum hypervisor_kind kind;
	char *dev_kvm;
};

struct cpu_topology_config {
	bool smt;
	uint16_t cores;  /* 0: what makes up the count */
	uint8_t sockets; /* 0: 1 */
	bool thread_contiguous;
};

struct cpu_config {
	uint16_t count;
	struct cpu_topology_config topology;
};

enum memory_backend { MEMORY_ANON, MEMORY_MEMFD };

struct memory_config {
	uint64_t size;
	enum memory_backend backend;
	bool shared;
	bool shared_given; /* on the command line */
	bool transparent_hugepage;
	uint64_t hugetlb; /* page size in bytes; 0: ordinary pages */
	bool prealloc;
	bool lock;
};

enum console_config_kind {
	CONSOLE_CONFIG_STDIO,
	CONSOLE_CONFIG_LOG,
	CONSOLE_CONFIG_PTY,
	CONSOLE_CONFIG_SOCKET,
	CONSOLE_CONFIG_NULL
};

enum console_device { CONSOLE_DEVICE_SERIAL, CONSOLE_DEVICE_VIRTIO };

struct console_config {
	enum console_config_kind kind;
	char *path;
	bool append;
	enum console_device device;
	bool device_given; /* on the command line */
	char *name;        /* of a virtio port that is no console; or NULL */
	bool packed;       /* virtio: the device's rings, which all its ports share */
};

enum blk_kind { BLK_FILE };

enum blk_api { BLK_API_IO_URING, BLK_API_MIO };
enum blk_cache { BLK_CACHE_WRITEBACK, BLK_CACHE_WRITETHROUGH, BLK_CACHE_NONE };
enum blk_format { BLK_FORMAT_RAW, BLK_FORMAT_QCOW2 };

struct blk_config {
	enum blk_kind kind;
	char *path;
	enum blk_format format;
	char *backing; /* of a qcow2 image; NULL: none */
	enum blk_format backing_format;
	bool readonly;
	enum blk_api api;
	enum blk_cache cache;
	bool direct;
	bool direct_given; /* on the command line */
	bool discard;
	uint16_t queues;
	uint16_t iothreads;
	bool registered_memory;
	uint16_t queue_size; /* a power of two */
	uint64_t iops, bw;   /* a second, bw in bytes; 0: no limit */
	char *id;            /* NULL: virtio-blk-N */
	char *serial;        /* NULL: the device's name */
	bool packed;
};

enum pmem_kind { PMEM_FILE };

struct pmem_config {
	enum pmem_kind kind;
	char *path;
	uint64_t size; /* 0: the file's */
	bool discard_writes;
	bool packed;
};

enum net_kind { NET_TAP, NET_PASST };

/* Which engine serves it. */
enum device_api { DEVICE_API_MIO, DEVICE_API_IO_URING };

enum net_vhost_use { NET_VHOST_OFF, NET_VHOST_ON, NET_VHOST_AUTO };

struct net_config {
	enum net_kind kind;
	char *if_name;
	char *tap;
	char *mac;            /* NULL: generated */
	uint16_t mtu;         /* 0: none */
	uint16_t queue_pairs; /* 0: 1 */
	uint16_t iothreads;   /* 0: 1 */
	uint32_t fd;          /* 0: none */
	enum device_api api;
	bool packed;
	enum net_vhost_use vhost;
	/* NET_PASST; NULL: not given */
	char *socket;
	char *path;
	char *tcp;
	char *udp;
	char *args;
	bool reconnect;
	bool vhost_user;
};

struct entropy_config {
	bool given;
	uint64_t rate; /* bytes a second; 0: no limit */
	bool packed;
};

struct balloon_config {
	bool given;
	uint64_t size; /* bytes that the guest is asked to give up, from the start */
	bool deflate_on_oom;
	bool free_page_reporting;
	bool packed;
};

struct firmware_config {
	bool given;
	char *path;
	char *vars; /* NULL: variables do not persist */
};

/* An item of fw_cfg: one of the two contents. */
struct fw_cfg_config {
	char *name;
	char *file;
	char *string;
};

/* A credential for the guest's systemd: one of the two contents. */
struct credential_config {
	char *name;
	char *file;
	char *value;
};

enum watchdog_action { WATCHDOG_RESET, WATCHDOG_POWEROFF, WATCHDOG_PAUSE, WATCHDOG_NONE };

struct watchdog_config {
	bool given;
	enum watchdog_action action;
};

enum kernel_unpack { KERNEL_UNPACK_HOST, KERNEL_UNPACK_GUEST };

struct vm_config {
	struct hypervisor_config hypervisor;
	char *kernel;
	char *pvh;
	char *cmdline;
	char *initramfs;
	struct firmware_config firmware;
	struct cpu_config cpu;
	struct memory_config memory;
	struct console_config *console;
	size_t n_console;
	bool pvpanic;
	struct entropy_config entropy;
	struct net_config *net;
	size_t n_net;
	struct blk_config *blk;
	size_t n_blk;
	struct pmem_config *pmem;
	size_t n_pmem;
	struct balloon_config balloon;
	bool rtc;
	struct fw_cfg_config *fw_cfg;
	size_t n_fw_cfg;
	struct credential_config *credential;
	size_t n_credential;
	char **oem_string;
	size_t n_oem_string;
	struct watchdog_config watchdog;
	bool no_reboot;
	uint32_t power_button_timeout; /* seconds; 0: none */
	enum kernel_unpack kernel_unpack;
	char *kernel_cache; /* directory; NULL: no cache */
};

extern const struct config_struct vm_config_schema;

/* A configuration in the making: options come one by one. Zero-initialised. After an error it is
 * good for vm_config_builder_deinit() only. */
struct vm_config_builder {
	struct vm_config config;
	struct config_objects objects;
	uint64_t seen; /* a bit for each field of the schema */
	bool ready;    /* defaults are in place */
};

/*
 * One option without its dashes ("kernel", "k", "blk", "object"); value NULL for one that takes
 * none. Errors name the option. Objects must come before the options that use them.
 */
struct err *must_check vm_config_set(
	struct vm_config_builder *builder, const char *option, const char *value);
/* Options as a JSON object; what was given before, in either way, is an error. */
struct err *must_check vm_config_set_json(struct vm_config_builder *builder, const char *json);
/* What there is so far, defaults included, as such a JSON object; the caller frees it. */
struct err *must_check vm_config_get_json(struct vm_config_builder *builder, char **ret_json);
/* vm_config_validate() of what is there so far. */
struct err *must_check vm_config_check(struct vm_config_builder *builder);
/* Moves the finished configuration out; the builder is as new. */
struct err *must_check vm_config_finish(
	struct vm_config_builder *builder, struct vm_config *ret_config);
void vm_config_builder_deinit(struct vm_config_builder *builder);

/* Six pairs of hexadecimal digits with ':' between them; false if the text is anything else. */
bool must_check vm_config_parse_mac(const char *text, uint8_t ret_mac[6]);

/* Is it the virtio console's, rather than the serial port's? */
bool vm_config_is_virtio(const struct console_config *console);
/* Where the serial port ends: as given, or on standard input and output unless another console has
 * those. */
struct console_config vm_config_serial(const struct vm_config *config);

#define VM_CONFIG_ID_MAX 31 /* bytes */
/* The name of a disk, by which log lines and the library know it: its id=, or virtio-blk-N. */
void vm_config_disk_name(
	const struct vm_config *config, size_t index, char ret_name[VM_CONFIG_ID_MAX + 1]);

/* What the schema cannot say: combinations, alignment. */
struct err *must_check vm_config_validate(const struct vm_config *config);
void vm_config_deinit(struct vm_config *config);
