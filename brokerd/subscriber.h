/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subscriptions.
 *
 *   OPENING -linked to every publisher there is-> OPEN -SUBSCRIBER_CLOSE-> CLOSED -all reset-> FREE
 */
#ifndef BROKERD_SUBSCRIBER_H
#define BROKERD_SUBSCRIBER_H

#include "worker.h"

/* Requests of a client; each answers or refuses. */
void subscriber_open(struct broker *broker, struct client *client,
                     const struct lsi_ctl_subscriber_open *request);
void subscriber_close(struct broker *broker, struct client *client,
                      const struct lsi_ctl_port_close *request);
void subscriber_leave(struct broker *broker, struct client *client,
                      const struct lsi_ctl_link *request);
void subscriber_reset(struct broker *broker, struct client *client,
                      const struct lsi_ctl_link *request);
/* OPENING: goes on, and answers when it is done. */
void subscriber_advance(struct broker *broker, struct subscriber *subscriber);
/* All its links go at once: its client is dead. */
void subscriber_bury(struct broker *broker, struct subscriber *subscriber);
void subscriber_free_if_left(struct broker *broker, struct subscriber *subscriber);
/* Whether new publishers are to be linked to it. */
int subscriber_wants(const struct subscriber *subscriber, const struct publisher *publisher);
int subscriber_rebuild(struct broker *broker, struct subscriber *subscriber);

#endif
