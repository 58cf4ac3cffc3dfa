/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM's configuration in the making, and the rules between its parts.
 */
#include "config/vm_config.h"

#include <stdio.h>
#include <string.h>

#include "config/vm_config_internal.h"

#define VM_CONFIG_PAGE_SIZE      KIB(4)
#define VM_CONFIG_MEMORY_MIN     MIB(2)
#define VM_CONFIG_PMEM_ALIGN     MIB(2)
#define VM_CONFIG_MTU_MIN        68 /* virtio 1.3, 5.1.4.1 */
#define VM_CONFIG_IF_MAX         15
#define VM_CONFIG_FW_CFG_MAX     55 /* the directory's field, less the terminator */
#define VM_CONFIG_CREDENTIAL_MAX 255
#define VM_CONFIG_STRINGS_MAX    255 /* SMBIOS 3.6, 7.12: the count is a byte */
#define VM_CONFIG_SERIAL_MAX     20  /* virtio 1.3, 5.2.6: the identifier of a block device */

/* ---- Builder ---- */

static struct err *vm_config_prepare(struct vm_config_builder *builder)
{
	if (builder->ready)
		return NULL;
	builder->ready = true;
	return config_defaults(&vm_config_schema, &builder->config);
}

struct err *vm_config_set(struct vm_config_builder *builder, const char *option, const char *value)
{
	struct err *err = vm_config_prepare(builder);

	return err ? err
		   : config_option_set(&vm_config_schema, &builder->objects, &builder->seen, option,
			     value, &builder->config);
}

struct err *vm_config_set_json(struct vm_config_builder *builder, const char *json)
{
	struct err *err = vm_config_prepare(builder);

	return err ? err
		   : config_parse_json(&vm_config_schema, &builder->seen, json, &builder->config);
}

struct err *vm_config_get_json(struct vm_config_builder *builder, char **ret_json)
{
	struct err *err = vm_config_prepare(builder);

	return err ? err : config_print_json(&vm_config_schema, &builder->config, ret_json);
}

struct err *vm_config_check(struct vm_config_builder *builder)
{
	struct err *err = vm_config_prepare(builder);

	if (!err)
		err = vm_config_validate(&builder->config);
	return err ? err : config_objects_check(&builder->objects);
}

struct err *vm_config_finish(struct vm_config_builder *builder, struct vm_config *ret_config)
{
	struct err *err = vm_config_prepare(builder);

	if (err)
		return err;
	*ret_config = builder->config;
	config_objects_deinit(&builder->objects);
	*builder = (struct vm_config_builder){0};
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
	uint64_t page = memory->hugetlb ? memory->hugetlb : VM_CONFIG_PAGE_SIZE;

	if (memory->hugetlb && memory->hugetlb != MIB(2) && memory->hugetlb != GIB(1))
		return err_new(0, "--memory: hugetlb=%llu is neither 2M nor 1G",
			(unsigned long long)memory->hugetlb);
	if (memory->size % page)
		return err_new(0,
			"--memory: size=%llu is not a multiple of the page size, %llu bytes",
			(unsigned long long)memory->size, (unsigned long long)page);
	if (memory->size < VM_CONFIG_MEMORY_MIN)
		return err_new(
			0, "--memory: size=%llu is less than 2M", (unsigned long long)memory->size);
	if (memory->backend == MEMORY_MEMFD && memory->shared_given && !memory->shared)
		return err_new(
			0, "--memory: backend=memfd is always shared: shared=off excludes it");
	if (memory->hugetlb && memory->transparent_hugepage)
		return err_new(0, "--memory: hugetlb and transparent_hugepage exclude each other");
	return NULL;
}

static struct err *vm_config_check_balloon(const struct vm_config *config)
{
	uint64_t size = config->balloon.size;

	if (size % VM_CONFIG_PAGE_SIZE)
		return err_new(0, "--balloon: size=%llu is not a multiple of 4K",
			(unsigned long long)size);
	if (size >= config->memory.size)
		return err_new(0, "--balloon: size=%llu is all of the guest's %llu bytes of memory",
			(unsigned long long)size, (unsigned long long)config->memory.size);
	return NULL;
}

static struct err *vm_config_check_payload(const struct vm_config *config)
{
	if (config->kernel && config->pvh)
		return err_new(0, "--kernel and --pvh exclude each other: give one kernel");
	if (config->pvh && config->firmware.given)
		return err_new(0, "--firmware and --pvh exclude each other");
	if (!config->kernel && !config->pvh && !config->firmware.given)
		return err_new(
			0, "No kernel: give --kernel PATH (or --pvh PATH, or --firmware PATH)");
	if (config->firmware.given &&
		(config->kernel_cache || config->kernel_unpack == KERNEL_UNPACK_GUEST))
		return err_new(0,
			"--kernel-unpack and --kernel-cache have no effect with --firmware, which gets the kernel as it is");
	if (!config->kernel && !config->pvh && (config->initramfs || config->cmdline))
		return err_new(0, "--initramfs and --cmdline need --kernel");
	return NULL;
}

bool vm_config_parse_mac(const char *text, uint8_t ret_mac[6])
{
	uint8_t mac[6];

	if (strlen(text) != 17)
		return false;
	for (size_t i = 0; i < 6; i++) {
		unsigned int high = config_digit(text[3 * i]);
		unsigned int low = config_digit(text[3 * i + 1]);

		if (high > 15 || low > 15 || (i < 5 && text[3 * i + 2] != ':'))
			return false;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(ret_mac, mac, sizeof(mac));
	return true;
}

static struct err *vm_config_check_mac(const char *text)
{
	static const uint8_t zero[6];
	uint8_t mac[6];

	if (!text)
		return NULL;
	if (!vm_config_parse_mac(text, mac))
		return err_new(0, "--net: mac=%s is not like 52:54:00:12:34:56", text);
	if (mac[0] & 1 || !memcmp(mac, zero, sizeof(mac)))
		return err_new(0, "--net: mac=%s is not the address of one interface", text);
	return NULL;
}

static struct err *vm_config_check_pairs(const struct net_config *net)
{
	unsigned int pairs = MAX(net->queue_pairs, 1u);

	if (net->fd && pairs > 1)
		return err_new(0, "--net: fd is one pair of queues, not %u", pairs);
	if (net->iothreads > pairs)
		return err_new(0, "--net: iothreads=%u is more than queue_pairs=%u", net->iothreads,
			pairs);
	if (net->iothreads > 1 && net->vhost == NET_VHOST_ON)
		return err_new(
			0, "--net: iothreads=%u has nothing to do with vhost=on", net->iothreads);
	return NULL;
}

static struct err *vm_config_check_tap(const struct net_config *net)
{
	bool is_tun = !net->tap || !strcmp(net->tap, "/dev/net/tun");

	if (net->fd && (net->if_name || net->tap))
		return err_new(0, "--net: fd excludes if and tap");
	if (net->if_name && !is_tun)
		return err_new(
			0, "--net: tap=%s excludes if: it is an interface's own device", net->tap);
	if (net->fd > INT32_MAX)
		return err_new(0, "--net: fd=%u is not a descriptor", net->fd);
	if (!net->fd && is_tun && (!net->if_name || !*net->if_name))
		return err_new(0, "--net: give an interface: if=NAME, tap=/dev/tapN or fd=NUMBER");
	if (net->if_name && strlen(net->if_name) > VM_CONFIG_IF_MAX)
		return err_new(
			0, "--net: if=%s is longer than %u bytes", net->if_name, VM_CONFIG_IF_MAX);
	return vm_config_check_pairs(net);
}

static struct err *vm_config_check_passt(const struct net_config *net)
{
	if (net->socket && (net->path || net->tcp || net->udp || net->args))
		return err_new(0, "--net: socket excludes path, tcp, udp and args");
	return NULL;
}

static struct err *vm_config_check_net(const struct vm_config *config, const struct net_config *net)
{
	struct err *err =
		net->kind == NET_PASST ? vm_config_check_passt(net) : vm_config_check_tap(net);

	if (err)
		return err;
	if (net->vhost_user && config->memory.backend != MEMORY_MEMFD)
		return err_new(0,
			"--net: vhost_user=on needs memory that another process can have: "
			"--memory backend=memfd");
	if (net->mtu && net->mtu < VM_CONFIG_MTU_MIN)
		return err_new(0, "--net: mtu=%u is less than %u", net->mtu, VM_CONFIG_MTU_MIN);
	return vm_config_check_mac(net->mac);
}

bool vm_config_is_id(const char *id, size_t max)
{
	size_t len = strlen(id);

	return len && len <= max &&
	       strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
		       len;
}

void vm_config_disk_name(
	const struct vm_config *config, size_t index, char ret_name[VM_CONFIG_ID_MAX + 1])
{
	const char *id = config->blk[index].id;

	if (id)
		(void)snprintf(ret_name, VM_CONFIG_ID_MAX + 1, "%s", id);
	else
		(void)snprintf(ret_name, VM_CONFIG_ID_MAX + 1, "virtio-blk-%zu", index);
}

static struct err *vm_config_check_disk_name(const struct vm_config *config, size_t index)
{
	const char *id = config->blk[index].id;
	char name[VM_CONFIG_ID_MAX + 1];
	char other[VM_CONFIG_ID_MAX + 1];

	if (id && !vm_config_is_id(id, VM_CONFIG_ID_MAX))
		return err_new(0,
			"--blk: id=%s is not 1 to %u letters, digits, dashes, dots and underscores",
			id, VM_CONFIG_ID_MAX);
	vm_config_disk_name(config, index, name);
	for (size_t i = 0; i < index; i++) {
		vm_config_disk_name(config, i, other);
		if (!strcmp(name, other))
			return err_new(0, "--blk: two disks have id=%s", name);
	}
	return NULL;
}

static struct err *vm_config_check_blk(const struct vm_config *config, size_t index)
{
	const struct blk_config *blk = &config->blk[index];

	if (blk->serial && strlen(blk->serial) > VM_CONFIG_SERIAL_MAX)
		return err_new(0, "--blk: serial=%s is longer than 20 bytes", blk->serial);
	if (blk->queue_size & (blk->queue_size - 1u))
		return err_new(0, "--blk: queue_size=%u is not a power of two", blk->queue_size);
	if (blk->iothreads > blk->queues)
		return err_new(0, "--blk: iothreads=%u is more than queues=%u", blk->iothreads,
			blk->queues);
	if (blk->iothreads > 1 && blk->format != BLK_FORMAT_RAW)
		return err_new(0, "--blk: iothreads=%u needs format=raw: qcow2 has one thread",
			blk->iothreads);
	if (blk->backing && blk->format != BLK_FORMAT_QCOW2)
		return err_new(0, "--blk: backing=%s needs format=qcow2", blk->backing);
	if (!blk->backing && blk->backing_format != BLK_FORMAT_RAW)
		return err_new(
			0, "--blk: backing_format is for a backing image: give backing=PATH");
	if (blk->cache == BLK_CACHE_NONE && blk->direct_given && !blk->direct)
		return err_new(0, "--blk: cache=none is direct=on: direct=off excludes it");
	if (blk->registered_memory &&
		(blk->format != BLK_FORMAT_RAW || blk->api != BLK_API_IO_URING))
		return err_new(0, "--blk: registered_memory=on needs api=io_uring and format=raw");
	if (blk->registered_memory && config->balloon.given)
		return err_new(0,
			"--blk: registered_memory=on pins all of the guest's memory, and --balloon would give none back: give one of them");
	return vm_config_check_disk_name(config, index);
}

static struct err *vm_config_check_pmem(const struct pmem_config *pmem)
{
	if (pmem->size % VM_CONFIG_PMEM_ALIGN)
		return err_new(0, "--pmem: size=%llu is not a multiple of 2M",
			(unsigned long long)pmem->size);
	if (pmem->size > INT64_MAX)
		return err_new(0, "--pmem: size=%llu is more than a file can have",
			(unsigned long long)pmem->size);
	return NULL;
}

/* ---- What the guest is told by name ---- */

static struct err *vm_config_check_fw_cfg(const struct vm_config *config, size_t index)
{
	const struct fw_cfg_config *item = &config->fw_cfg[index];
	size_t len = strlen(item->name);

	if (!len || len > VM_CONFIG_FW_CFG_MAX)
		return err_new(0, "--fw-cfg: name=%s has %zu bytes; 1 to %u are possible",
			item->name, len, VM_CONFIG_FW_CFG_MAX);
	if (!item->file == !item->string)
		return err_new(0, "--fw-cfg: name=%s: give one of file and string", item->name);
	for (size_t i = 0; i < index; i++) {
		if (!strcmp(config->fw_cfg[i].name, item->name))
			return err_new(0, "--fw-cfg: two items have name=%s", item->name);
	}
	return NULL;
}

static struct err *vm_config_check_credential(const struct vm_config *config, size_t index)
{
	const struct credential_config *credential = &config->credential[index];
	const char *name = credential->name;
	size_t len = strlen(name);

	for (const char *p = name; *p; p++) {
		if (*p <= ' ' || *p > '~' || strchr("/:=", *p))
			len = 0;
	}
	if (!len || len > VM_CONFIG_CREDENTIAL_MAX || name[0] == '.')
		return err_new(0, "--credential: name=%s cannot name a credential", name);
	if (!credential->file == !credential->value)
		return err_new(0, "--credential: name=%s: give one of file and value", name);
	for (size_t i = 0; i < index; i++) {
		if (!strcmp(config->credential[i].name, name))
			return err_new(0, "--credential: two have name=%s", name);
	}
	return NULL;
}

static struct err *vm_config_check_texts(const struct vm_config *config)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < config->n_fw_cfg; i++)
		err = vm_config_check_fw_cfg(config, i);
	for (size_t i = 0; !err && i < config->n_credential; i++)
		err = vm_config_check_credential(config, i);
	for (size_t i = 0; !err && i < config->n_oem_string; i++) {
		if (!*config->oem_string[i])
			err = err_new(0, "--oem-string: the text is empty");
	}
	if (!err && config->n_credential + config->n_oem_string > VM_CONFIG_STRINGS_MAX)
		err = err_new(0, "--credential and --oem-string: together more than %u",
			VM_CONFIG_STRINGS_MAX);
	return err;
}

struct err *vm_config_validate(const struct vm_config *config)
{
	struct err *err = vm_config_check_payload(config);

	if (!err)
		err = vm_config_check_cpu(&config->cpu);
	if (!err)
		err = vm_config_check_memory(&config->memory);
	if (!err)
		err = vm_config_check_balloon(config);
	if (!err)
		err = vm_config_check_consoles(config);
	for (size_t i = 0; !err && i < config->n_net; i++)
		err = vm_config_check_net(config, &config->net[i]);
	for (size_t i = 0; !err && i < config->n_blk; i++)
		err = vm_config_check_blk(config, i);
	for (size_t i = 0; !err && i < config->n_pmem; i++)
		err = vm_config_check_pmem(&config->pmem[i]);
	return err ? err : vm_config_check_texts(config);
}
