/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of a VM: defaults, spellings, and the rules between them.
 */
#include <stdlib.h>
#include <string.h>

#include "config/vm_config.h"
#include "unit.h"

struct fixture {
	struct vm_config_builder builder;
	struct vm_config config;
};

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	vm_config_deinit(&f->config);
	vm_config_builder_deinit(&f->builder);
	free(f);
	return 0;
}

static void set(struct fixture *f, const char *option, const char *value)
{
	assert_ok(vm_config_set(&f->builder, option, value));
}

static void finish(struct fixture *f)
{
	assert_ok(vm_config_check(&f->builder));
	assert_ok(vm_config_finish(&f->builder, &f->config));
}

/* A fresh builder with a kernel and one more option must fail the check. */
static void refuses(const char *option, const char *value, const char *part)
{
	struct vm_config_builder builder = {0};

	assert_ok(vm_config_set(&builder, "kernel", "k"));
	assert_ok(vm_config_set(&builder, option, value));
	assert_err(vm_config_check(&builder), part);
	vm_config_builder_deinit(&builder);
}

/* The same, with the option given twice. */
static void refuses2(const char *option, const char *first, const char *second, const char *part)
{
	struct vm_config_builder builder = {0};

	assert_ok(vm_config_set(&builder, "kernel", "k"));
	assert_ok(vm_config_set(&builder, option, first));
	assert_ok(vm_config_set(&builder, option, second));
	assert_err(vm_config_check(&builder), part);
	vm_config_builder_deinit(&builder);
}

static void registered_memory_goes_without_balloon(void)
{
	struct vm_config_builder builder = {0};

	assert_ok(vm_config_set(&builder, "kernel", "k"));
	assert_ok(vm_config_set(&builder, "blk", "path=x,registered_memory=on"));
	assert_ok(vm_config_check(&builder));
	assert_true(builder.config.blk[0].registered_memory);
	assert_ok(vm_config_set(&builder, "balloon", "size=16M"));
	assert_err(vm_config_check(&builder), "pins all of the guest's memory");
	vm_config_builder_deinit(&builder);
}

/* An option that is refused at once. */
static void rejects(const char *option, const char *value, const char *part)
{
	struct vm_config_builder builder = {0};

	assert_err(vm_config_set(&builder, option, value), part);
	vm_config_builder_deinit(&builder);
}

static void test_defaults(void **state)
{
	struct fixture *f = *state;

	set(f, "kernel", "vmlinuz");
	finish(f);
	assert_string_equal(f->config.hypervisor.dev_kvm, "/dev/kvm");
	assert_string_equal(f->config.kernel, "vmlinuz");
	assert_null(f->config.cmdline);
	assert_int_equal(f->config.cpu.count, 1);
	assert_int_equal(f->config.memory.size, GIB(1));
	assert_int_equal(f->config.memory.backend, MEMORY_ANON);
	assert_false(f->config.memory.shared);
	assert_int_equal(f->config.n_console, 0);
	assert_int_equal(vm_config_serial(&f->config).kind, CONSOLE_CONFIG_STDIO);
	assert_int_equal(f->config.n_blk, 0);
	assert_false(f->config.watchdog.given);
	assert_int_equal(f->config.power_button_timeout, 60);
	assert_int_equal(f->config.kernel_unpack, KERNEL_UNPACK_HOST);
	assert_false(f->config.no_reboot);
}

static void test_texts_for_the_guest(void **state)
{
	struct fixture *f = *state;

	set(f, "kernel", "vmlinuz");
	set(f, "rtc", NULL);
	set(f, "fw-cfg", "name=opt/a,string=one");
	set(f, "fw-cfg", "name=opt/b,file=/b");
	set(f, "credential", "name=passwd.hashed-password.root,value=$1$x");
	set(f, "credential", "name=ssh,file=/key");
	set(f, "oem-string", "a=b,c");
	finish(f);
	assert_true(f->config.rtc);
	assert_int_equal(f->config.n_fw_cfg, 2);
	assert_string_equal(f->config.fw_cfg[0].string, "one");
	assert_null(f->config.fw_cfg[0].file);
	assert_string_equal(f->config.fw_cfg[1].file, "/b");
	assert_int_equal(f->config.n_credential, 2);
	assert_string_equal(f->config.credential[0].value, "$1$x");
	assert_string_equal(f->config.oem_string[0], "a=b,c");
}

static void test_bad_texts_for_the_guest(void **state)
{
	refuses("fw-cfg", "name=opt/a", "give one of file and string");
	refuses("fw-cfg", "name=opt/a,file=x,string=y", "give one of file and string");
	refuses("fw-cfg", "name=,string=y", "has 0 bytes");
	refuses("fw-cfg",
		"name=opt/3456789012345678901234567890123456789012345678901234567,string=",
		"has 59 bytes; 1 to 55 are possible");
	rejects("fw-cfg", "string=y", "name");
	refuses("credential", "name=a", "give one of file and value");
	refuses("credential", "name=a/b,value=x", "cannot name a credential");
	refuses("credential", "name=,value=x", "cannot name a credential");
	refuses("credential", "name=..,value=x", "cannot name a credential");
	refuses("oem-string", "", "the text is empty");
	refuses2("fw-cfg", "name=opt/a,string=x", "name=opt/a,file=y", "two items have name=opt/a");
	refuses2("credential", "name=a,value=x", "name=a,value=y", "two have name=a");
}

static void test_everything(void **state)
{
	struct fixture *f = *state;

	set(f, "hypervisor", "kvm,dev_kvm=/dev/other");
	set(f, "pvh", "vmlinux");
	set(f, "c", "console=ttyS0,115200 id_x");
	set(f, "initramfs", "id_initramfs");
	set(f, "object", "id_t,smt=on,cores=2,sockets=2,thread_contiguous=on");
	set(f, "cpu", "count=8,topology=id_t");
	set(f, "memory", "size=4g,backend=memfd,shared=on,thp=on,prealloc=true,lock=true");
	set(f, "console", "log,path=out,append=on");
	set(f, "console", "stdio,device=virtio,packed=off");
	set(f, "console", "socket,path=s,name=org.example.agent.0");
	set(f, "pvpanic", NULL);
	set(f, "entropy", "packed=off");
	set(f, "blk", "file,path=a,readonly=true,serial=one,packed=off");
	set(f, "blk", "path=b");
	set(f, "blk", "c.img");
	set(f, "pmem", "file,path=p,size=1G");
	set(f, "pmem", "file=q,discard_writes=on,packed=off");
	set(f, "pmem", "r.img");
	set(f, "net", "tap,if=tap0,mac=52:54:00:12:34:56,mtu=1500,qp=4,api=iouring,packed=off");
	set(f, "net", "tap=/dev/tap7,queue_pairs=2,vhost=auto");
	set(f, "net", "fd=9");
	set(f, "net", "passt");
	set(f, "net", "passt,tcp=2222:22,udp=53,args=-4 --no-ndp,path=/opt/passt,mtu=1400");
	set(f, "net", "passt,socket=/run/passt.socket,reconnect=off,mac=52:54:00:12:34:57");
	set(f, "watchdog", "action=poweroff");
	set(f, "no-reboot", NULL);
	set(f, "power-button-timeout", "0");
	set(f, "kernel-unpack", "guest");
	set(f, "kernel-cache", "/cache");
	finish(f);
	assert_string_equal(f->config.hypervisor.dev_kvm, "/dev/other");
	assert_string_equal(f->config.cmdline, "console=ttyS0,115200 id_x");
	assert_string_equal(f->config.initramfs, "id_initramfs");
	assert_int_equal(f->config.cpu.topology.sockets, 2);
	assert_true(f->config.cpu.topology.thread_contiguous);
	assert_int_equal(f->config.memory.backend, MEMORY_MEMFD);
	assert_true(f->config.memory.transparent_hugepage && f->config.memory.lock);
	assert_int_equal(f->config.n_console, 3);
	assert_int_equal(vm_config_serial(&f->config).kind, CONSOLE_CONFIG_LOG);
	assert_true(vm_config_serial(&f->config).append);
	assert_true(vm_config_is_virtio(&f->config.console[1]));
	assert_true(vm_config_is_virtio(&f->config.console[2]));
	assert_string_equal(f->config.console[2].name, "org.example.agent.0");
	assert_false(f->config.console[1].packed || f->config.entropy.packed);
	assert_true(f->config.console[0].packed && f->config.console[2].packed);
	assert_int_equal(f->config.n_blk, 3);
	assert_true(f->config.blk[0].readonly);
	assert_string_equal(f->config.blk[0].serial, "one");
	assert_null(f->config.blk[1].serial);
	assert_null(f->config.blk[1].id);
	assert_int_equal(f->config.blk[1].api, BLK_API_IO_URING);
	assert_int_equal(f->config.blk[1].cache, BLK_CACHE_WRITEBACK);
	assert_true(f->config.blk[1].discard);
	assert_false(f->config.blk[1].direct);
	assert_int_equal(f->config.blk[1].queues, 1);
	assert_int_equal(f->config.blk[1].iothreads, 1);
	assert_int_equal(f->config.blk[1].queue_size, 256);
	assert_false(f->config.blk[0].packed || f->config.net[0].packed);
	assert_true(f->config.blk[1].packed && f->config.net[1].packed);
	assert_string_equal(f->config.blk[2].path, "c.img");
	assert_true(f->config.watchdog.given);
	assert_int_equal(f->config.watchdog.action, WATCHDOG_POWEROFF);
	assert_int_equal(f->config.n_pmem, 3);
	assert_int_equal(f->config.pmem[0].size, GIB(1));
	assert_false(f->config.pmem[0].discard_writes);
	assert_string_equal(f->config.pmem[1].path, "q");
	assert_int_equal(f->config.pmem[1].size, 0);
	assert_true(f->config.pmem[1].discard_writes);
	assert_true(f->config.pmem[0].packed && !f->config.pmem[1].packed);
	assert_string_equal(f->config.pmem[2].path, "r.img");
	assert_int_equal(f->config.kernel_unpack, KERNEL_UNPACK_GUEST);
	assert_int_equal(f->config.n_net, 6);
	assert_string_equal(f->config.net[0].if_name, "tap0");
	assert_string_equal(f->config.net[0].mac, "52:54:00:12:34:56");
	assert_int_equal(f->config.net[0].mtu, 1500);
	assert_int_equal(f->config.net[0].queue_pairs, 4);
	assert_int_equal(f->config.net[0].iothreads, 1);
	assert_int_equal(f->config.net[0].api, DEVICE_API_IO_URING);
	assert_string_equal(f->config.net[1].tap, "/dev/tap7");
	assert_null(f->config.net[1].mac);
	assert_int_equal(f->config.net[1].vhost, NET_VHOST_AUTO);
	assert_int_equal(f->config.net[2].vhost, NET_VHOST_OFF);
	assert_int_equal(f->config.net[2].fd, 9);
	assert_int_equal(f->config.net[2].kind, NET_TAP);
	assert_int_equal(f->config.net[3].kind, NET_PASST);
	assert_true(f->config.net[3].reconnect && f->config.net[3].packed);
	assert_null(f->config.net[3].socket);
	assert_string_equal(f->config.net[4].tcp, "2222:22");
	assert_string_equal(f->config.net[4].udp, "53");
	assert_string_equal(f->config.net[4].args, "-4 --no-ndp");
	assert_string_equal(f->config.net[4].path, "/opt/passt");
	assert_int_equal(f->config.net[4].mtu, 1400);
	assert_string_equal(f->config.net[5].socket, "/run/passt.socket");
	assert_false(f->config.net[5].reconnect);
}

static void test_legacy_spellings(void **state)
{
	struct fixture *f = *state;

	set(f, "kernel", "k");
	set(f, "cmd-line", "quiet");
	set(f, "num-cpu", "3");
	set(f, "mem-size", "512M");
	finish(f);
	assert_string_equal(f->config.cmdline, "quiet");
	assert_int_equal(f->config.cpu.count, 3);
	assert_int_equal(f->config.memory.size, MIB(512));
}

static void test_single_options_come_once(void **state)
{
	struct fixture *f = *state;
	static const char *const pairs[][4] = {
		{"kernel", "a", "k", "b"},
		{"cmdline", "a", "cmd-line", "b"},
		{"cpu", "count=1", "num-cpu", "2"},
		{"mem-size", "1G", "memory", "size=1G"},
		{"hypervisor", "kvm", "hypervisor", "kvm"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		set(f, pairs[i][0], pairs[i][1]);
		assert_err(vm_config_set(&f->builder, pairs[i][2], pairs[i][3]), "is given twice");
	}
	set(f, "entropy", NULL);
	assert_err(vm_config_set(&f->builder, "entropy", NULL), "--entropy is given twice");
}

static void test_a_device_may_come_with_keys_or_without(void **state)
{
	struct fixture *f = *state;
	char *json = NULL;

	set(f, "kernel", "k");
	set(f, "entropy", NULL);
	assert_ok(vm_config_get_json(&f->builder, &json));
	assert_non_null(strstr(json, "\"entropy\":{\"rate\":1048576,\"packed\":true}"));
	free(json);
	finish(f);
	assert_true(f->config.entropy.given);
	assert_int_equal(f->config.entropy.rate, MIB(1));
	vm_config_deinit(&f->config);
	set(f, "kernel", "k");
	set(f, "entropy", "rate=10k");
	finish(f);
	assert_true(f->config.entropy.given);
	assert_int_equal(f->config.entropy.rate, KIB(10));
	vm_config_deinit(&f->config);
	assert_ok(vm_config_set_json(&f->builder, "{\"kernel\": \"k\", \"entropy\": true}"));
	finish(f);
	assert_true(f->config.entropy.given);
	assert_int_equal(f->config.entropy.rate, MIB(1));
	vm_config_deinit(&f->config);
	assert_ok(vm_config_set_json(&f->builder, "{\"kernel\": \"k\", \"entropy\": false}"));
	assert_ok(vm_config_get_json(&f->builder, &json));
	assert_non_null(strstr(json, "\"entropy\":false"));
	free(json);
	finish(f);
	assert_false(f->config.entropy.given);
}

static void test_kernel_rules(void **state)
{
	struct vm_config_builder none = {0};

	assert_err(vm_config_check(&none), "No kernel: give --kernel PATH");
	vm_config_builder_deinit(&none);
	refuses("pvh", "p", "--kernel and --pvh exclude each other");
}

static void test_firmware_rules(void **state)
{
	struct fixture *f = *state;

	refuses("pvh", "p", "exclude each other");
	rejects("firmware", "vars=v", "path");
	rejects("firmware", "code.fd,other.fd", "other.fd");
	rejects("firmware", "code.fd,path=x", "given twice");
	rejects("firmware", NULL, "--firmware needs a value");
	set(f, "firmware", "code.fd,vars=vars.fd");
	finish(f);
	assert_true(f->config.firmware.given);
	assert_string_equal(f->config.firmware.path, "code.fd");
	assert_string_equal(f->config.firmware.vars, "vars.fd");
	assert_null(f->config.kernel);
	vm_config_deinit(&f->config);
	set(f, "f", "path=code.fd");
	finish(f);
	assert_string_equal(f->config.firmware.path, "code.fd");
	assert_null(f->config.firmware.vars);
	vm_config_deinit(&f->config);
	set(f, "f", "code.fd");
	set(f, "cmdline", "x");
	assert_err(vm_config_check(&f->builder), "--initramfs and --cmdline need --kernel");
	set(f, "kernel", "k");
	finish(f);
}

static void test_firmware_gets_the_kernel_as_it_is(void **state)
{
	static const char *const options[][2] = {{"kernel-unpack", "guest"}, {"kernel-cache", "d"}};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		struct vm_config_builder builder = {0};

		assert_ok(vm_config_set(&builder, "firmware", "code.fd"));
		assert_ok(vm_config_set(&builder, options[i][0], options[i][1]));
		assert_err(vm_config_check(&builder), "have no effect with --firmware");
		vm_config_builder_deinit(&builder);
	}
}

static void test_firmware_in_json(void **state)
{
	struct fixture *f = *state;
	struct vm_config_builder builder = {0};

	assert_err(vm_config_set_json(&builder, "{\"firmware\": true}"), "must be an object");
	vm_config_builder_deinit(&builder);
	assert_ok(vm_config_set_json(&f->builder, "{\"kernel\": \"k\", \"firmware\": false}"));
	finish(f);
	assert_false(f->config.firmware.given);
}

static void test_cpu_rules(void **state)
{
	rejects("cpu", "count=0", "0 is out of range (1 to 65535)");
	rejects("cpu", "count=65536", "out of range");
	rejects("num-cpu", "0", "0 is out of range");
	refuses("cpu", "count=4,topology=cores=3", "1 sockets of 3 cores of 1 threads");
	refuses("cpu", "count=3,topology=smt=on", "are not count=3");
	refuses("cpu", "count=1,topology=sockets=2", "are not count=1");
	refuses("cpu", "topology=cores=65535", "are not count=1");
}

static void test_memory_rules(void **state)
{
	refuses("memory", "size=5000000", "--memory: size=5000000 is not a multiple of the page");
	refuses("memory", "size=1M", "is less than 2M");
	refuses("memory", "size=3M,hugetlb=2M", "is not a multiple of the page size");
	refuses("memory", "hugetlb=4K", "hugetlb=4096 is neither 2M nor 1G");
	refuses("memory", "hugetlb=2M,thp=on", "exclude each other");
	refuses("memory", "backend=memfd,shared=off", "shared=off excludes it");
	refuses("mem-size", "1k", "--memory: size=1024");
	rejects("memory", "size=0", "0 is out of range");
}

static void test_balloon_rules(void **state)
{
	struct fixture *f = *state;

	refuses("balloon", "size=5000", "--balloon: size=5000 is not a multiple of 4K");
	refuses("balloon", "size=1G", "is all of the guest's 1073741824 bytes");
	set(f, "kernel", "k");
	finish(f);
	assert_false(f->config.balloon.given);
	vm_config_deinit(&f->config);
	set(f, "kernel", "k");
	set(f, "balloon", NULL);
	finish(f);
	assert_true(f->config.balloon.given);
	assert_true(f->config.balloon.deflate_on_oom);
	assert_false(f->config.balloon.free_page_reporting);
	vm_config_deinit(&f->config);
	set(f, "kernel", "k");
	set(f, "balloon", "size=512M,deflate_on_oom=off,free_page_reporting=on,packed=off");
	finish(f);
	assert_int_equal(f->config.balloon.size, MIB(512));
	assert_false(f->config.balloon.deflate_on_oom);
	assert_true(f->config.balloon.free_page_reporting);
	assert_false(f->config.balloon.packed);
}

static void test_disk_rules(void **state)
{
	struct fixture *f = *state;

	set(f, "kernel", "k");
	set(f, "blk", "path=x,id=root,iops=100,bw=1M,api=mio,cache=none,queues=4");
	set(f, "blk", "path=y,id=data");
	assert_ok(vm_config_check(&f->builder));
	set(f, "blk", "path=z,id=root");
	assert_err(vm_config_check(&f->builder), "two disks have id=root");
	refuses2("blk", "path=a,id=virtio-blk-1", "path=b", "two disks have id=virtio-blk-1");
	refuses("blk", "path=x,cache=none,direct=off", "direct=off excludes it");
	refuses("blk", "path=x,backing_format=qcow2", "give backing=PATH");
	registered_memory_goes_without_balloon();
	refuses("blk", "path=x,serial=123456789012345678901", "is longer than 20 bytes");
	refuses("blk", "path=x,queue_size=100", "is not a power of two");
	rejects("blk", "path=x,queue_size=2", "is out of range");
	rejects("blk", "path=x,queue_size=512", "is out of range");
	rejects("blk", "path=x,queues=0", "is out of range");
	rejects("blk", "path=x,queues=33", "is out of range");
	rejects("blk", "path=x,queues=4,iothreads=0", "is out of range");
	rejects("blk", "path=x,queues=32,iothreads=33", "is out of range");
	refuses("blk", "path=x,iothreads=2", "iothreads=2 is more than queues=1");
	refuses("blk", "path=x,queues=4,iothreads=4,format=qcow2", "qcow2 has one thread");
	refuses("blk", "path=x,registered_memory=on,format=qcow2",
		"needs api=io_uring and format=raw");
	refuses("blk", "path=x,registered_memory=on,api=mio", "needs api=io_uring and format=raw");
	refuses("blk", "path=x,id=", "is not 1 to 31 letters");
	refuses("blk", "path=x,id=a/b", "is not 1 to 31 letters");
	refuses("blk", "path=x,id=12345678901234567890123456789012", "is not 1 to 31 letters");
	rejects("blk", "path=x,api=aio", "api");
	rejects("blk", "path=x,cache=unsafe", "cache");
	rejects("blk", "path=x,format=vmdk", "format");
}

static void test_persistent_memory_rules(void **state)
{
	refuses("pmem", "path=x,size=1M", "--pmem: size=1048576 is not a multiple of 2M");
	refuses("pmem", "path=x,size=0xffffffffffe00000", "is more than a file can have");
	rejects("pmem", "size=2M", "path");
	rejects("pmem", "path=x,readonly=perhaps", "perhaps");
	rejects("watchdog", "action=explode", "explode");
}

static void test_network_rules(void **state)
{
	refuses("net", "mtu=1500", "--net: give an interface");
	refuses("net", "if=", "--net: give an interface");
	refuses("net", "passt,socket=/s,tcp=22", "--net: socket excludes");
	refuses("net", "passt,mtu=67", "--net: mtu=67 is less than 68");
	refuses("net", "passt,mac=01:00:00:00:00:01", "not the address of one interface");
	refuses("net", "tap=/dev/net/tun", "--net: give an interface");
	refuses("net", "if=a123456789012345", "is longer than 15 bytes");
	refuses("net", "if=t,mtu=67", "mtu=67 is less than 68");
	refuses("net", "if=t,fd=5", "fd excludes if and tap");
	refuses("net", "tap=/dev/tap1,fd=5", "fd excludes if and tap");
	refuses("net", "fd=5,qp=2", "one pair of queues");
	refuses("net", "fd=0x80000000", "is not a descriptor");
	rejects("net", "if=t,qp=17", "17 is out of range");
	rejects("net", "if=t,qp=16,iothreads=17", "17 is out of range");
	rejects("net", "if=t,iothreads=0", "0 is out of range");
	rejects("net", "passt,iothreads=2", "'iothreads' is a key of 'tap'");
	rejects("net", "if=x,tcp=22", "'tcp' is a key of 'passt'");
	rejects("net", "tap0", "'tap0' is not key=value; did you mean if=tap0?");
	rejects("net", "pasta", "'pasta' is not one of tap, passt; did you mean 'passt'?");
	rejects("net", "if", "'if' has no value");
	refuses("net", "if=tap0,tap=/dev/tap7", "tap=/dev/tap7 excludes if");
	refuses("net", "if=t,iothreads=2", "iothreads=2 is more than queue_pairs=1");
	refuses("net", "if=t,qp=2,iothreads=2,vhost=on", "nothing to do with vhost=on");
	rejects("net", "if=t,mtu=65536", "65536 is out of range");
	rejects("net", "if=t,api=epoll", "epoll");
	rejects("net", "if=t,vhost=yes", "yes");
	rejects("net", "if=t,ifname=u", "Unknown key");
}

/* Paths that nothing can be opened by, and texts and specs that say nothing. */
static void test_empty_values(void **state)
{
	static const char *const empty[][2] = {
		{"kernel", ""},
		{"pvh", ""},
		{"initramfs", ""},
		{"kernel-cache", ""},
		{"firmware", "path="},
		{"firmware", "code.fd,vars="},
		{"firmware", ""},
		{"blk", "path="},
		{"blk", "path=x,backing="},
		{"blk", "path=x,serial="},
		{"blk", ""},
		{"pmem", "path="},
		{"pmem", ""},
		{"net", "tap="},
		{"net", "passt,socket="},
		{"net", "passt,path="},
		{"net", "passt,tcp="},
		{"net", "passt,udp="},
		{"net", "passt,args="},
		{"net", ""},
		{"console", "log,path="},
		{"console", "socket,path="},
		{"console", ""},
		{"credential", "name=a,file="},
		{"fw-cfg", "name=a,file="},
		{"hypervisor", "kvm,dev_kvm="},
		{"memory", ""},
		{"cpu", ""},
		{"cpu", "topology="},
		{"balloon", ""},
		{"entropy", ""},
		{"watchdog", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(empty); i++)
		rejects(empty[i][0], empty[i][1], "The value is empty");
}

static void test_words_without_a_key(void **state)
{
	rejects("memory", "1G", "'1G' is not key=value; did you mean size=1G?");
	rejects("cpu", "4", "did you mean count=4?");
	rejects("balloon", "1G", "did you mean size=1G?");
	rejects("entropy", "1M", "did you mean rate=1M?");
	rejects("watchdog", "reset", "did you mean action=reset?");
	rejects("blk", "a,b.img", "a path with a comma goes through an object: path=id_x");
	rejects("blk", "path", "'path' has no value");
	rejects("blk", "readonly", "'readonly' has no value: write readonly=VALUE");
	rejects("firmware", "path", "'path' has no value");
	rejects("console", "stdoi", "did you mean 'stdio'?");
	rejects("cpu", "count=4,topology=smt=on,cores=2",
		"'cores' is a key of 'topology': write topology=cores=VALUE, or several keys as topology=id_x with -o id_x,cores=VALUE,...");
}

static void test_objects_are_used(void **state)
{
	refuses("object", "id_unused,foo", "Nothing refers to the object 'id_unused'");
}

static void test_network_addresses(void **state)
{
	static const char *const bad[] = {"", "x", "52:54:00:12:34", "52:54:00:12:34:5",
		"52:54:00:12:34:567", "52-54-00-12-34-56", "52:54:00:12:34:5g", "525:4:00:12:34:56",
		"52:54:00:12:34:56:"};
	uint8_t mac[6];

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		char spec[64];

		(void)snprintf(spec, sizeof(spec), "if=t,mac=%s", bad[i]);
		refuses("net", spec, "is not like");
	}
	refuses("net", "if=t,mac=01:00:5e:00:00:01", "not the address of one interface");
	refuses("net", "if=t,mac=00:00:00:00:00:00", "not the address of one interface");
	assert_true(vm_config_parse_mac("0a:Bc:De:f0:99:Ff", mac));
	assert_memory_equal(mac, "\x0a\xbc\xde\xf0\x99\xff", 6);
}

static void test_console_rules(void **state)
{
	refuses2("console", "pty", "log,path=x", "the serial port has one end, not 2");
	refuses2("console", "stdio", "stdio,device=virtio", "one console can have stdio, not 2");
	refuses2("console", "pty,name=a", "null,name=a", "two ports have name=a");
	refuses("console", "stdio,device=serial,name=a", "device=serial excludes it");
	refuses("console", "pty,name=", "name= is not 1 to 63 letters");
	refuses("console", "pty,name=a/b", "name=a/b is not 1 to 63 letters");
	rejects("console", "log", "'path' is missing");
	rejects("console", "pty,device=hvc", "device");
	refuses("console", "pty,packed=off", "packed=off is for virtio consoles and ports");
	rejects("console", "null,name=a,packed=perhaps", "perhaps");
	rejects("entropy", "packed=1of", "1of");
}

static void test_serial_port_without_a_console_of_its_own(void **state)
{
	struct fixture *f = *state;

	set(f, "kernel", "k");
	set(f, "console", "pty,device=virtio");
	set(f, "console", "pty,name=a");
	assert_ok(vm_config_check(&f->builder));
	assert_int_equal(vm_config_serial(&f->builder.config).kind, CONSOLE_CONFIG_STDIO);
	/* Standard input and output have one owner. */
	set(f, "console", "stdio,name=b");
	assert_ok(vm_config_check(&f->builder));
	assert_int_equal(vm_config_serial(&f->builder.config).kind, CONSOLE_CONFIG_NULL);
	set(f, "console", "off");
	assert_int_equal(vm_config_serial(&f->builder.config).kind, CONSOLE_CONFIG_NULL);
}

static void test_so_many_ports(void **state)
{
	struct fixture *f = *state;
	char text[32];

	set(f, "kernel", "k");
	for (int i = 0; i < 14; i++) {
		(void)snprintf(text, sizeof(text), "null,name=p%d", i);
		set(f, "console", text);
	}
	assert_ok(vm_config_check(&f->builder));
	set(f, "console", "null,device=virtio");
	assert_ok(vm_config_check(&f->builder));
	set(f, "console", "null,device=virtio");
	assert_err(vm_config_check(&f->builder), "2 virtio consoles and 14 named ports");
}

static void test_json_is_the_same(void **state)
{
	struct fixture *f = *state;
	struct vm_config_builder other = {0};
	char *json = NULL;
	char *again = NULL;

	set(f, "kernel", "k");
	set(f, "blk", "a.img");
	set(f, "console", "socket,path=/tmp/s");
	set(f, "entropy", NULL);
	set(f, "net", "if=tap0");
	assert_ok(vm_config_get_json(&f->builder, &json));
	assert_ok(vm_config_set_json(&other, json));
	assert_ok(vm_config_check(&other));
	assert_ok(vm_config_get_json(&other, &again));
	assert_string_equal(json, again);
	free(json);
	free(again);
	vm_config_builder_deinit(&other);
}

static void test_json_and_options_do_not_overlap(void **state)
{
	struct fixture *f = *state;

	assert_ok(vm_config_set_json(
		&f->builder, "{\"kernel\": \"k\", \"blk\": [{\"path\": \"a\"}]}"));
	assert_err(vm_config_set(&f->builder, "kernel", "x"), "--kernel is given twice");
	set(f, "blk", "b");
	finish(f);
	assert_int_equal(f->config.n_blk, 2);
}

static void test_builder_can_be_used_again(void **state)
{
	struct fixture *f = *state;

	set(f, "kernel", "k");
	finish(f);
	set(f, "kernel", "l");
	assert_ok(vm_config_check(&f->builder));
}

/* The tables themselves: what the parsers rely on. */
static void check_schema(const struct config_struct *schema)
{
	for (const struct config_field *a = schema->fields; a->name; a++) {
		assert_non_null(a->help);
		assert_true(a - schema->fields < CONFIG_FIELDS_MAX);
		if (a->kind == CONFIG_STRUCT)
			check_schema(a->fields);
		for (const struct config_field *b = schema->fields; b != a; b++) {
			assert_string_not_equal(a->name, b->name);
			assert_true(!a->letter || a->letter != b->letter);
		}
	}
}

static void test_schema_is_sound(void **state)
{
	check_schema(&vm_config_schema);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		TEST(test_everything),
		TEST(test_legacy_spellings),
		TEST(test_single_options_come_once),
		TEST(test_a_device_may_come_with_keys_or_without),
		TEST(test_kernel_rules),
		TEST(test_firmware_rules),
		TEST(test_firmware_gets_the_kernel_as_it_is),
		TEST(test_firmware_in_json),
		TEST(test_cpu_rules),
		TEST(test_memory_rules),
		TEST(test_balloon_rules),
		TEST(test_disk_rules),
		TEST(test_persistent_memory_rules),
		TEST(test_network_rules),
		TEST(test_empty_values),
		TEST(test_words_without_a_key),
		TEST(test_objects_are_used),
		TEST(test_network_addresses),
		TEST(test_texts_for_the_guest),
		TEST(test_bad_texts_for_the_guest),
		TEST(test_console_rules),
		TEST(test_serial_port_without_a_console_of_its_own),
		TEST(test_so_many_ports),
		TEST(test_json_is_the_same),
		TEST(test_json_and_options_do_not_overlap),
		TEST(test_builder_can_be_used_again),
		TEST(test_schema_is_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
