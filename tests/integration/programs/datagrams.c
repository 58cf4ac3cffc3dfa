/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For guests: UDP, of which busybox has nothing.
 *
 *   datagrams flood ADDRESS PORT
 *
 * sends for ever, from the same port, whatever comes of it: much, but not so much that an emulated
 * host does nothing else.
 *
 *   datagrams answer PORT
 *
 * prints the text of each that comes, and sends it back.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FLOOD_SIZE     1000
#define FLOOD_BATCH    20
#define FLOOD_SLEEP_US 20000

static int open_port(struct in_addr address, unsigned long port, struct sockaddr_in *ret_address)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	if (fd < 0 || bind(fd, (const struct sockaddr *)&own, sizeof(own))) {
		perror("datagrams");
		exit(1);
	}
	*ret_address = own;
	ret_address->sin_addr = address;
	return fd;
}

static void flood(struct in_addr address, unsigned long port)
{
	char data[FLOOD_SIZE] = {0};
	struct sockaddr_in to;
	int fd = open_port(address, port, &to);

	for (;;) {
		for (int i = 0; i < FLOOD_BATCH; i++)
			(void)sendto(fd, data, sizeof(data), 0, (const struct sockaddr *)&to,
				sizeof(to));
		usleep(FLOOD_SLEEP_US);
	}
}

static void answer(unsigned long port)
{
	char text[FLOOD_SIZE];
	struct sockaddr_in from;
	int fd = open_port((struct in_addr){0}, port, &from);

	for (;;) {
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&from, &size);

		if (n < 0)
			continue;
		printf("%.*s\n", (int)n, text);
		(void)fflush(stdout);
		(void)sendto(fd, text, (size_t)n, 0, (const struct sockaddr *)&from, size);
	}
}

int main(int argc, char **argv)
{
	struct in_addr address;

	if (argc == 4 && !strcmp(argv[1], "flood") && inet_pton(AF_INET, argv[2], &address) == 1) {
		flood(address, strtoul(argv[3], NULL, 10));
	} else if (argc == 3 && !strcmp(argv[1], "answer")) {
		answer(strtoul(argv[2], NULL, 10));
	}
	(void)fprintf(stderr, "usage: datagrams flood ADDRESS PORT | answer PORT\n");
	return 1;
}
