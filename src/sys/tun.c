/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioctls of TUN/TAP and macvtap devices.
 */
#include "sys/tun.h"

#include <errno.h>
#include <string.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

static_assert(SYS_TUN_NAME_SIZE == IFNAMSIZ, "names");
static_assert(SYS_TUN_F_CSUM == TUN_F_CSUM && SYS_TUN_F_TSO4 == TUN_F_TSO4 &&
		      SYS_TUN_F_TSO6 == TUN_F_TSO6 && SYS_TUN_F_TSO_ECN == TUN_F_TSO_ECN &&
		      SYS_TUN_F_UFO == TUN_F_UFO,
	"offloads");
static_assert(SYS_TUN_MULTI_QUEUE == IFF_MULTI_QUEUE && SYS_TUN_VNET_HDR == IFF_VNET_HDR, "flags");
static_assert(offsetof(struct sys_tun_filter, addresses) == sizeof(struct tun_filter), "filter");

int sys_tun_attach(int fd, const char *name, unsigned int flags)
{
	struct ifreq request = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags)};

	strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
	return ioctl(fd, TUNSETIFF, &request) ? -errno : 0;
}

int sys_tun_query(
	int fd, char ret_name[SYS_TUN_NAME_SIZE], unsigned int *ret_flags, bool *ret_is_tap)
{
	struct ifreq request = {0};

	if (ioctl(fd, TUNGETIFF, &request))
		return -errno;
	memcpy(ret_name, request.ifr_name, SYS_TUN_NAME_SIZE);
	ret_name[SYS_TUN_NAME_SIZE - 1] = 0;
	*ret_flags = (unsigned short)request.ifr_flags;
	*ret_is_tap = *ret_flags & IFF_TAP && *ret_flags & IFF_NO_PI;
	return 0;
}

int sys_tun_set_header_size(int fd, int bytes)
{
	return ioctl(fd, TUNSETVNETHDRSZ, &bytes) ? -errno : 0;
}

int sys_tun_set_offload(int fd, unsigned int offloads)
{
	return ioctl(fd, TUNSETOFFLOAD, (unsigned long)offloads) ? -errno : 0;
}

int sys_tun_set_queue(int fd, bool attached)
{
	struct ifreq request = {.ifr_flags = attached ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

	return ioctl(fd, TUNSETQUEUE, &request) ? -errno : 0;
}

int sys_tun_set_filter(int fd, const struct sys_tun_filter *filter)
{
	return ioctl(fd, TUNSETTXFILTER, filter) < 0 ? -errno : 0;
}

int sys_tun_get_address(int fd, uint8_t ret_address[SYS_TUN_ADDRESS])
{
	struct ifreq request = {0};

	if (ioctl(fd, SIOCGIFHWADDR, &request))
		return -errno;
	memcpy(ret_address, request.ifr_hwaddr.sa_data, SYS_TUN_ADDRESS);
	return 0;
}
