/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and responses of one byte over one TCP connection, as many as a time allows.
 *   ping_pong serve PORT                answers one client after another
 *   ping_pong ask ADDRESS PORT SECONDS  prints: requests, and microseconds: median, 99th percentile
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX 1000000

static uint32_t samples[SAMPLES_MAX]; /* ns */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static void no_delay(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static int serve(const char *port)
{
	struct sockaddr_in any = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, 1)) {
		perror("ping_pong");
		return 1;
	}
	for (;;) {
		int client = accept(fd, NULL, NULL);
		char byte;

		no_delay(client);
		while (read(client, &byte, 1) == 1 && write(client, &byte, 1) == 1)
			continue;
		close(client);
	}
}

static int compare(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a;
	uint32_t right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

static int ask(const char *address, const char *port, const char *seconds)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
	uint64_t end = now_ns() + (uint64_t)(strtod(seconds, NULL) * 1e9);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t n = 0;

	inet_pton(AF_INET, address, &to.sin_addr);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		perror("ping_pong");
		return 1;
	}
	no_delay(fd);
	for (uint64_t last = now_ns(); n < SAMPLES_MAX && last < end;) {
		char byte = 'a';
		uint64_t now;

		if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
			break;
		now = now_ns();
		samples[n++] = (uint32_t)(now - last);
		last = now;
	}
	if (!n)
		return 1;
	qsort(samples, n, sizeof(samples[0]), compare);
	printf("%zu %.1f %.1f\n", n, samples[n / 2] / 1e3, samples[n * 99 / 100] / 1e3);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve(argv[2]);
	if (argc == 5 && !strcmp(argv[1], "ask"))
		return ask(argv[2], argv[3], argv[4]);
	return 2;
}
