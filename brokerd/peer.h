/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has been sent which control part of whom: a publisher's client gets each part that holds a
 * reader's cell once, and hears once that the reader's client is gone.
 */
#ifndef BROKERD_PEER_H
#define BROKERD_PEER_H

#include "worker.h"

/* Sends the part with the link's cell to the publisher's client, unless it has it. */
void peer_tell(struct broker *broker, struct link *link);
/* `client` has the region `number`: so have all links between the two. */
void peer_acknowledge(struct broker *broker, struct client *client, uint64_t number);
/* After a change of worker, for a link that was acknowledged. */
void peer_remember(struct broker *broker, struct link *link);
/* `client` is gone: whoever has its parts is told, what it had is forgotten. */
void peer_forget(struct broker *broker, struct client *client);

#endif
