/* SPDX-License-Identifier: Apache-2.0 */
/* Wake-up channels: a socket pair, one end for each of two clients; the broker keeps neither. */
#ifndef BROKERD_CHANNEL_H
#define BROKERD_CHANNEL_H

#include "worker.h"

/* `client` wants to wake `peer`. Ignored unless the two share a link. */
void channel_make(struct broker *broker, struct client *client, uint64_t peer);

#endif
