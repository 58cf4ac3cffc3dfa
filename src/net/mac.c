/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses for guests that were given none.
 */
#include "net/mac.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/hash.h"

#define MAC_LOCAL 0x02u
#define MAC_GROUP 0x01u

static uint64_t mac_hash_host(uint64_t hash)
{
	auto_close int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct utsname host;
	char id[64];
	ssize_t n = fd < 0 ? 0 : read(fd, id, sizeof(id));

	if (n > 0)
		return hash_add(hash, id, (size_t)n);
	return uname(&host) ? hash : hash_add(hash, host.nodename, strlen(host.nodename));
}

static uint64_t mac_hash_socket(uint64_t hash, int fd)
{
	struct stat st;

	return fstat(fd, &st) ? hash : hash_add(hash, &st.st_ino, sizeof(st.st_ino));
}

void net_mac_generate(
	const struct net_backend *backend, unsigned int index, uint8_t ret_mac[NET_ADDRESS])
{
	uint64_t hash = HASH_START;
	uint8_t raw[8];

	if (backend->has_address) {
		memcpy(ret_mac, backend->address, NET_ADDRESS);
		return;
	}
	hash = mac_hash_host(hash);
	hash = *backend->name ? hash_add(hash, backend->name, strlen(backend->name) + 1)
			      : mac_hash_socket(hash, backend->fds[0]);
	store_le32(raw, index);
	hash = hash_add(hash, raw, 4);
	/* The high bits depend on all that went in. */
	store_le64(raw, hash >> 16);
	raw[0] = (uint8_t)((raw[0] & ~MAC_GROUP) | MAC_LOCAL);
	memcpy(ret_mac, raw, NET_ADDRESS);
}
