/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Talks on the serial port, for tests of what is behind it: "lines=N" prints N numbered lines,
 * "flood" prints without end, "wait" waits for the letter q.
 */
#include "arch/x86_64/layout.h"
#include "guest.h"

static char read_char(void)
{
	while (!serial_has_input())
		pause();
	return (char)inb(X86_PORT_COM1);
}

static void print_lines(unsigned int n)
{
	for (unsigned int i = 1; i <= n; i++)
		print("line %u\n", i);
}

void guest_main(void)
{
	print("talking\n");
	print_lines(guest_option("lines", 0));
	while (guest_has_word("flood"))
		print_lines(1000);
	while (guest_has_word("wait") && read_char() != 'q')
		;
	pass();
}
