/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link: one subscription reading one publisher. It joins a cell on the subscriber's control
 * region, a reader record on the subscriber's board and a row on the publisher's roster.
 *
 *   WANTED -has all three-> PLACED -row LIVE, both told-> LIVE -leaves-> LEFT -reset-> FREE
 *
 * When the subscriber's client dies, the row goes GONE and the link is FREE at once. When the
 * publisher ends, the reader record says DEAD and the link stays until the reader leaves. A link to
 * what a publisher retained is made with a reader record that says so, and has no row.
 */
#ifndef BROKERD_LINK_H
#define BROKERD_LINK_H

#include "worker.h"

/* A new link, and as far as it goes: as link_advance(); −LSHM_ELIMIT, too many; −LSHM_EQUOTA,
 * grant_explain() says why. */
int link_make(struct broker *broker, struct publisher *publisher, struct subscriber *subscriber);
/* The same, for a subscriber that was evicted from this publisher. */
int link_make_again(struct broker *broker, struct publisher *publisher,
                    struct subscriber *subscriber);
/* As far as it goes: 1 LIVE, 0 it waits for the subscriber's client, −errno. */
int link_advance(struct broker *broker, struct link *link);
/* RING and PEER pushes for what was not acknowledged. */
void link_tell(struct broker *broker, struct link *link);
/* The reader leaves: row GONE; the cell waits for its reset. */
void link_leave(struct broker *broker, struct link *link);
/* The cell may be given out again; publisher and subscriber may go with their last link. */
void link_free(struct broker *broker, struct link *link);
/* Private half after a change of worker; 0 or −errno. */
int link_rebuild(struct broker *broker, struct link *link);

#endif
