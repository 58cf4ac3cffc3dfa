/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses for guests that were given none.
 */
#pragma once

#include "net/tap.h"

/*
 * The address for card `index` of a VM on this interface: a macvtap's own; otherwise a locally
 * administered one that is the same at every start, made of the host's identity (/etc/machine-id,
 * or else its name), the interface's name and the index. A socket has no identity that lasts: its
 * address is another each time. [main]
 */
void net_mac_generate(const struct net_tap *tap, unsigned int index, uint8_t ret_mac[NET_ADDRESS]);
