/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LinuxBoot: the init of a small Linux that finds the systems on a machine's disks and starts one
 * of them by kexec. Disks are only read. On the kernel's command line: linuxboot.timeout=SECONDS
 * (3) until the default starts, linuxboot.entry=ID, TITLE or POSITION to start instead of the
 * disk's own choice.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "kexec.h"
#include "menu.h"

/* Time for a person to read why nothing was started. */
#define MAIN_NOTHING_SECONDS 30
#define MAIN_PANIC_SECONDS   "30"
#define MAIN_LOOKS           10

static void main_mount(void)
{
	static const char *const mounts[][2] = {
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}};

	for (unsigned int i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		(void)mkdir(mounts[i][1], 0755);
		if (mount("none", mounts[i][1], mounts[i][0], 0, NULL) && errno != EBUSY)
			printf("cannot mount %s: %s\n", mounts[i][1], strerror(errno));
	}
	(void)mkdir("/volumes", 0700);
}

/* Whatever a disk makes the kernel stumble over: the machine starts again, and does not hang. */
static void main_reboot_after_panic(void)
{
	auto_close int fd = open("/proc/sys/kernel/panic", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, MAIN_PANIC_SECONDS, strlen(MAIN_PANIC_SECONDS)) < 0)
		printf("cannot set the time to a reboot after a panic: %s\n", strerror(errno));
}

/* Modules are numbered in the order of loading. */
static void main_load_modules(void)
{
	struct dirent **list;
	int n = scandir("/lib/modules", &list, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		char path[320];
		auto_close int fd = -1;

		(void)snprintf(path, sizeof(path), "/lib/modules/%s", list[i]->d_name);
		free(list[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (strstr(path, ".ko") && (fd < 0 || syscall(SYS_finit_module, fd, "", 0)) &&
			errno != EEXIST)
			printf("%s: %s\n", path, strerror(errno));
	}
	if (n >= 0)
		free(list);
}

/* The value of an option of the kernel's command line, owned by the caller; quotes keep blanks. */
static char *main_option(const char *name)
{
	char text[4096] = "";
	auto_close int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	const char *value;
	size_t start;

	text[len > 0 ? len : 0] = 0;
	value = strstr(text, name);
	if (!value)
		return NULL;
	start = strlen(name) + (value[strlen(name)] == '"');
	return strndup(
		value + start, strcspn(value + start, value[start - 1] == '"' ? "\"\n" : " \n"));
}

static unsigned int main_timeout(void)
{
	auto_free char *value = main_option("linuxboot.timeout=");
	unsigned long seconds = value ? strtoul(value, NULL, 10) : 3;

	return seconds > 3600 ? 3600 : (unsigned int)seconds;
}

static void main_power(int command)
{
	sync();
	(void)reboot(command);
	printf("the machine does not obey: %s\n", strerror(errno));
}

static void main_shell(void)
{
	pid_t child = fork();

	if (!child) {
		setsid();
		(void)ioctl(STDIN_FILENO, TIOCSCTTY, 1);
		execl("/bin/busybox", "sh", (char *)NULL);
		printf("no shell: %s\n", strerror(errno));
		_exit(127);
	}
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Looks at the disks; again while none has an entry and others come, but for so many times. */
static void main_look(
	struct volumes *volumes, struct boot_menu *menu, bool is_first, unsigned int *index)
{
	volumes_mount(volumes);
	volumes_find_entries(volumes, menu, index);
	for (int i = 0; is_first && !menu->n && i < MAIN_LOOKS && volumes_await_others(volumes);
		i++) {
		volumes_unmount(volumes);
		volumes_mount(volumes);
		volumes_find_entries(volumes, menu, index);
	}
}

/* One look at the disks, and what was chosen. */
static void main_round(bool is_first, bool *failed)
{
	struct volumes *volumes = new0(struct volumes);
	struct boot_menu *menu = new0(struct boot_menu);
	auto_free char *wanted = main_option("linuxboot.entry=");
	enum menu_choice choice;
	unsigned int index;
	int found;

	if (!volumes || !menu)
		return main_power(RB_POWER_OFF);
	main_look(volumes, menu, is_first, &index);
	found = wanted ? boot_menu_find(menu, 0, wanted) : -1;
	if (found >= 0)
		index = (unsigned int)found;
	else if (wanted)
		printf("no entry '%s'\n", wanted);
	if (!menu->n)
		printf("LinuxBoot: no disk has a boot entry\n");
	if (menu->n && !*failed)
		choice = menu_ask(volumes, menu, is_first ? main_timeout() : MAIN_NOTHING_SECONDS,
			MENU_BOOT, &index);
	else
		choice = menu_ask(volumes, menu, MAIN_NOTHING_SECONDS, MENU_POWER_OFF, &index);
	*failed = choice == MENU_BOOT && !kexec_load(volumes, menu->entries[index]);
	volumes_unmount(volumes);
	boot_menu_deinit(menu);
	free(menu);
	free(volumes);
	if (choice == MENU_SHELL)
		main_shell();
	else if (choice == MENU_REBOOT)
		main_power(RB_AUTOBOOT);
	else if (choice == MENU_POWER_OFF)
		main_power(RB_POWER_OFF);
	else if (!*failed)
		kexec_start();
}

int main(void)
{
	bool failed = false;

	setvbuf(stdout, NULL, _IOLBF, 0);
	main_mount();
	main_reboot_after_panic();
	main_load_modules();
	printf("LinuxBoot\n");
	for (bool first = true;; first = false)
		main_round(first, &failed);
}
