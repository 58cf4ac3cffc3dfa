/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The menu on the console: a line for each entry, then a number or a letter and Enter.
 */
#include "menu.h"

#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static void menu_show(
	const struct volumes *volumes, const struct boot_menu *menu, unsigned int chosen)
{
	for (unsigned int i = 0; i < menu->n; i++) {
		printf("%s%3u  %-8s ", i == chosen ? "*" : " ", i + 1,
			volumes->list[menu->entries[i]->volume].name);
		boot_print(menu->entries[i]->title);
		putchar('\n');
	}
	printf("  s  shell    r  reboot    p  power off\n");
}

/* A key, or -1 after a time in milliseconds (-1: none), or if the console is gone. */
static int menu_key(int milliseconds)
{
	struct pollfd console = {.fd = STDIN_FILENO, .events = POLLIN};
	unsigned char key;

	if (poll(&console, 1, milliseconds) <= 0 || read(STDIN_FILENO, &key, 1) != 1)
		return -1;
	return key;
}

/* Counts down; true when a key was pressed, which *ret_key is. */
static bool menu_count_down(unsigned int seconds, const char *what, int *ret_key)
{
	for (; seconds; seconds--) {
		printf("\r%s in %u s, or your choice: \033[K", what, seconds);
		(void)fflush(stdout);
		*ret_key = menu_key(1000);
		if (*ret_key >= 0)
			return true;
	}
	putchar('\n');
	return false;
}

/* Reads a line that begins with a key, echoing it; it has no more than `size` characters. */
static void menu_read_line(int key, char *line, size_t size)
{
	size_t len = 0;

	for (; key >= 0 && key != '\r' && key != '\n'; key = menu_key(-1)) {
		if ((key == 0x7f || key == '\b') && len) {
			len--;
			printf("\b \b");
		} else if (isalnum(key) && len + 1 < size) {
			line[len++] = (char)key;
			putchar(key);
		}
		(void)fflush(stdout);
	}
	line[len] = 0;
	putchar('\n');
}

/* What a line means; false: nothing. An empty one is the entry that is already chosen. */
static bool menu_parse(const char *line, unsigned int n, unsigned int *index, enum menu_choice *ret)
{
	unsigned long number = strtoul(line, NULL, 10);

	*ret = MENU_BOOT;
	if (!strcmp(line, "s"))
		*ret = MENU_SHELL;
	else if (!strcmp(line, "r"))
		*ret = MENU_REBOOT;
	else if (!strcmp(line, "p"))
		*ret = MENU_POWER_OFF;
	else if (number >= 1 && number <= n)
		*index = (unsigned int)number - 1;
	else
		return !line[0] && *index < n;
	return true;
}

static enum menu_choice menu_ask_raw(const struct boot_menu *menu, unsigned int seconds,
	enum menu_choice fallback, unsigned int *index)
{
	char what[32];
	char line[8];
	int key;
	enum menu_choice choice;

	(void)snprintf(
		what, sizeof(what), fallback == MENU_BOOT ? "Entry %u" : "Power off", *index + 1);
	if (!menu_count_down(seconds, what, &key))
		return fallback;
	for (;;) {
		menu_read_line(key, line, sizeof(line));
		if (menu_parse(line, menu->n, index, &choice))
			return choice;
		printf("A number of the list, s, r or p: ");
		(void)fflush(stdout);
		key = menu_key(-1);
		if (key < 0)
			return fallback;
	}
}

enum menu_choice menu_ask(const struct volumes *volumes, const struct boot_menu *menu,
	unsigned int seconds, enum menu_choice fallback, unsigned int *index)
{
	struct termios before;
	struct termios raw;
	bool is_terminal = !tcgetattr(STDIN_FILENO, &before);
	enum menu_choice choice;

	menu_show(volumes, menu, *index);
	if (is_terminal) {
		raw = before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	choice = menu_ask_raw(menu, seconds, fallback, index);
	if (is_terminal)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	return choice;
}
