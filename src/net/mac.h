/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses for guests that were given none.
 */
#pragma once

#include "net/backend.h"

/*
 * The address for card `index` of a VM on this back end: a macvtap's own; otherwise a locally
 * administered one that is the same at every start, made of the host's identity (/etc/machine-id,
 * or else its name), its name and the index. One without a name has no identity that lasts: its
 * address is another each time. [main]
 */
void net_mac_generate(
	const struct net_backend *backend, unsigned int index, uint8_t ret_mac[NET_ADDRESS]);
