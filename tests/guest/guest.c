/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start, text and ends of the guest programs.
 */
#include "guest.h"

#include <stdarg.h>

#include "arch/x86_64/layout.h"
#include "guest_internal.h"

#define LSR_DATA_READY 0x01

static unsigned int boot_kind;
static uint64_t boot_info;
static const char *boot_cmdline = "";

void *memset(void *dst, int c, size_t n)
{
	uint8_t *p = dst;

	while (n--)
		*p++ = (uint8_t)c;
	return dst;
}

void *memcpy(void *dst, const void *src, size_t n)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	while (n--)
		*d++ = *s++;
	return dst;
}

/* Linux, Documentation/arch/x86/zero-page.rst; Xen, docs/misc/pvh.pandoc. */
static const char *find_cmdline(unsigned int kind, uint64_t info)
{
	uint64_t at;

	if (kind == GUEST_BOOT_PVH)
		at = mmio_read64(info + 24);
	else
		at = mmio_read32(info + 0x228) | (uint64_t)mmio_read32(info + 0xc8) << 32;
	return at ? (const char *)at : "";
}

void guest_start(unsigned int kind, uint32_t info)
{
	boot_kind = kind;
	boot_info = info;
	boot_cmdline = find_cmdline(kind, info);
	interrupts_init();
	guest_main();
	fail("guest_main() returned");
}

unsigned int guest_boot_kind(void)
{
	return boot_kind;
}

uint64_t guest_boot_info(void)
{
	return boot_info;
}

const char *guest_cmdline(void)
{
	return boot_cmdline;
}

/* The rest of the first word on the command line that starts with `start`; NULL without one. */
static const char *find_word(const char *start)
{
	const char *word = boot_cmdline;

	for (;;) {
		const char *a = word;
		const char *b = start;

		while (*b && *a == *b)
			a++, b++;
		if (!*b)
			return a;
		while (*word && *word != ' ')
			word++;
		if (!*word++)
			return NULL;
	}
}

unsigned int guest_option(const char *name, unsigned int otherwise)
{
	const char *rest = find_word(name);
	unsigned int value = 0;

	if (!rest || *rest++ != '=' || *rest < '0' || *rest > '9')
		return otherwise;
	while (*rest >= '0' && *rest <= '9')
		value = value * 10 + (unsigned int)(*rest++ - '0');
	return value;
}

bool guest_has_word(const char *word)
{
	const char *rest = find_word(word);

	return rest && (!*rest || *rest == ' ');
}

static void print_char(char c)
{
	if (c == '\n')
		print_char('\r');
	while (!(inb(X86_PORT_COM1 + 5) & 0x20))
		pause();
	outb(X86_PORT_COM1, (uint8_t)c);
}

static void print_text(const char *text)
{
	while (*text)
		print_char(*text++);
}

static void print_number(uint64_t value, unsigned int base, unsigned int width)
{
	char digits[24];
	unsigned int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (n < width && n < sizeof(digits))
		digits[n++] = '0';
	while (n)
		print_char(digits[--n]);
}

static void print_signed(int64_t value)
{
	if (value < 0)
		print_char('-');
	print_number(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, 0);
}

/* The conversion that starts at *fmt, behind its '%'; returns where the text goes on. */
static const char *print_conversion(const char *fmt, va_list *args)
{
	unsigned int width = 0;
	bool is_long = false;

	while (*fmt >= '0' && *fmt <= '9')
		width = width * 10 + (unsigned int)(*fmt++ - '0');
	while (*fmt == 'l') {
		is_long = true;
		fmt++;
	}
	switch (*fmt) {
	case 's':
		print_text(va_arg(*args, const char *));
		break;
	case 'c':
		print_char((char)va_arg(*args, int));
		break;
	case 'd':
		print_signed(is_long ? va_arg(*args, int64_t) : va_arg(*args, int));
		break;
	case 'u':
	case 'x':
		print_number(is_long ? va_arg(*args, uint64_t) : va_arg(*args, unsigned int),
			*fmt == 'u' ? 10 : 16, width);
		break;
	default:
		print_char('?');
	}
	return fmt + 1;
}

static void print_args(const char *fmt, va_list *args)
{
	while (*fmt) {
		if (*fmt == '%')
			fmt = print_conversion(fmt + 1, args);
		else
			print_char(*fmt++);
	}
}

void print(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_args(fmt, &args);
	va_end(args);
}

bool serial_has_input(void)
{
	return inb(X86_PORT_COM1 + 5) & LSR_DATA_READY;
}

noreturn void pass(void)
{
	print("PASS\n");
	/* Until somebody has looked at the machine from outside. */
	while (guest_has_word("stay") && !serial_has_input())
		pause();
	power_off();
}

noreturn void fail(const char *fmt, ...)
{
	va_list args;

	print("FAIL: ");
	va_start(args, fmt);
	print_args(fmt, &args);
	va_end(args);
	print("\n");
	power_off();
}

static noreturn void stop(const char *what)
{
	print("FAIL: still alive after %s\n", what);
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* ACPI 6.4, 4.8.3.7: SLP_EN and SLP_TYP 5. */
noreturn void power_off(void)
{
	outb(X86_PORT_SLEEP_CONTROL, 1U << 5 | 5U << 2);
	stop("power off");
}

noreturn void reset_acpi(void)
{
	outb(X86_PORT_RESET, X86_RESET_VALUE);
	stop("the ACPI reset");
}

noreturn void reset_control(void)
{
	outb(X86_PORT_RESET_CONTROL, 2);
	outb(X86_PORT_RESET_CONTROL, 6);
	stop("the reset by port 0xcf9");
}

noreturn void reset_keyboard(void)
{
	outb(X86_PORT_I8042_COMMAND, 0xfe);
	stop("the keyboard controller's reset");
}

noreturn void triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) no_idt;

	__asm__ volatile("lidt %0" : : "m"(no_idt));
	/* Nothing is mapped there: a page fault, whose delivery faults, whose delivery faults. */
	*(volatile uint8_t *)0x8000000000 = 0;
	stop("a triple fault");
}
