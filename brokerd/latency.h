/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who wants to know how long messages take: an inspector watches one topic at a time, as long as
 * its session lasts. While anybody watches a topic its publishers' boards say that messages are to
 * be stamped, and its readers' boards where to count. The counts lie in the readers' own memory,
 * for which they pay; a link that was watched keeps its lines until it leaves.
 */
#ifndef BROKERD_LATENCY_H
#define BROKERD_LATENCY_H

#include "worker.h"

/* WATCH. */
void latency_watch(struct broker *broker, struct client *client,
                   const struct lsi_ctl_watch *request);
/* Its session ends. */
void latency_unwatch(struct broker *broker, struct client *client);
/* What the boards of a new link, of a subscriber that has more memory now, say. */
void latency_show(struct broker *broker, struct link *link);
void latency_show_subscriber(struct broker *broker, struct subscriber *subscriber);
/* After a change of worker: who watches what; then all boards once more. */
void latency_rebuild(struct broker *broker, const struct client *client);
void latency_redo(struct broker *broker, struct topic *topic);

#endif
