/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For guests, whose kernels mostly have no /dev/port: I/O ports.
 *
 *   ports cmos REGISTER...
 *
 * prints what CMOS has there, two hexadecimal digits each, on a line.
 *
 *   ports debug TEXT
 *
 * prints, likewise, what firmware's debug port says, and writes a line there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>

#define PORT_CMOS_INDEX 0x70
#define PORT_CMOS_DATA  0x71
#define PORT_DEBUG      0x402

static void read_cmos(int n, char **registers)
{
	for (int i = 0; i < n; i++) {
		outb((unsigned char)strtoul(registers[i], NULL, 0), PORT_CMOS_INDEX);
		printf(" %02x", inb(PORT_CMOS_DATA));
	}
	printf("\n");
}

static void write_line(const char *text)
{
	printf(" %02x\n", inb(PORT_DEBUG));
	while (*text)
		outb((unsigned char)*text++, PORT_DEBUG);
	outb('\n', PORT_DEBUG);
}

int main(int argc, char **argv)
{
	if (iopl(3)) {
		perror("ports");
		return 1;
	}
	if (argc > 2 && !strcmp(argv[1], "cmos")) {
		read_cmos(argc - 2, argv + 2);
	} else if (argc == 3 && !strcmp(argv[1], "debug")) {
		write_line(argv[2]);
	} else {
		(void)fprintf(stderr, "usage: ports cmos REGISTER... | debug TEXT\n");
		return 1;
	}
	return 0;
}
