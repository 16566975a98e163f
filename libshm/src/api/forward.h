/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forwarding, as the rest of the library sees it: forward.c has the model.
 */
#ifndef LSI_FORWARD_H
#define LSI_FORWARD_H

#include "api/internal.h"

/* release.c */
/* The sample that a message is, if it is out: 0, −LSHM_ESTALE, −LSHM_EFOREIGN. */
int lsi_subscriber_find(struct lshm_subscriber *subscriber, const struct lshm_message *message,
                        struct lsi_link **ret_link, uint32_t *ret_sample);
/* After releases on a link: moves the cursor, wakes a publisher that waits. */
void lsi_link_settle(struct lsi_link *link, bool dropped);

/* forward.c */
/* The application is done with a sample: true, its views are not. */
bool lsi_forward_keep(struct lsi_link *link, uint32_t sample);
/* Whether a hold was dropped: a publisher that waits is told once for each wait, so not in vain. */
static inline bool lsi_link_release(struct lsi_link *link, uint32_t sample)
{
    bool held = link->window.samples[sample].state == LSI_SAMPLE_HELD;

    if (LSI_UNLIKELY(link->views != NULL) && lsi_forward_keep(link, sample))
        return false;
    lsi_window_release(&link->window, sample);
    return held;
}
/* Lets go of what nobody reads any more of what the subscriber's messages were forwarded to. */
void lsi_forward_reclaim(struct lshm_subscriber *subscriber);
void lsi_forward_look(struct lshm_publisher *publisher);
/* Whether that would bring something; only looks. And before a sleep. */
bool lsi_forward_ready(const struct lshm_subscriber *subscriber);
void lsi_forward_sleep(struct lshm_subscriber *subscriber);
/* What stands for a view's slot in its descriptor. */
void lsi_forward_describe(const struct lshm_publisher *publisher, uint32_t slot,
                          struct lsi_descriptor *descriptor);
/* A port that is to be closed has views, and stays until they are gone, or its context is. */
bool lsi_forward_delays_publisher(struct lshm_publisher *publisher);
bool lsi_forward_delays_subscriber(struct lshm_subscriber *subscriber);
/* Nothing is forwarded any more. */
void lsi_forward_free_publisher(struct lshm_publisher *publisher);
void lsi_forward_free_subscriber(struct lshm_subscriber *subscriber);

/* publisher.c, subscriber.c: without a look at views */
void lsi_publisher_end(struct lshm_publisher *publisher);
void lsi_subscriber_end(struct lshm_subscriber *subscriber);

/* loan.c */
/* Its waiting word: it waits for room, or, lacking a slot, for any release. */
void lsi_publisher_store_waiting(struct lshm_publisher *publisher, bool waiting);

#endif
