/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eviction: a lossless reader that has held up its publisher for longer than the publisher's stall
 * limit gates no more. Its record says EVICTED first; behind a barrier in all processes its row
 * says so too, and the publisher goes on around what the reader may still be reading (design.md,
 * section 4, Eviction).
 */
#ifndef BROKERD_EVICT_H
#define BROKERD_EVICT_H

#include "worker.h"

/* A publisher asks for it. What is not its link, or not one that gates, is passed over. */
void evict(struct broker *broker, struct client *client, const struct lsi_ctl_evict *request);
/* The evicted reader wants a new place, at the live end. */
void evict_rejoin(struct broker *broker, struct client *client,
                  const struct lsi_ctl_link *request);
/* All steps once more, for a new worker. */
void evict_redo(struct broker *broker, struct link *link);

#endif
