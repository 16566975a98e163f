/* SPDX-License-Identifier: Apache-2.0 */
/* What a publisher keeps of messages that it forwards. */
#ifndef LSI_VIEWS_H
#define LSI_VIEWS_H

#include <stdint.h>
#include <sys/queue.h>

#include "ctl/layout.h"

struct lsi_link;
struct lshm_publisher;
struct lshm_subscriber;

/* A message of another publisher, published in a ring of ours. */
struct lsi_forwarded {
    struct lsi_link *link;      /* through which it came, and where it is held */
    uint64_t handle;
    uint32_t sample;
    uint32_t offset;            /* in the slot */
};

/* A publisher that forwards what a subscriber takes; of both, one in the other's list. */
struct lsi_forwarder {
    SLIST_ENTRY(lsi_forwarder) of_publisher;
    SLIST_ENTRY(lsi_forwarder) of_subscriber;
    struct lshm_publisher *publisher;
    struct lshm_subscriber *subscriber;
};
SLIST_HEAD(lsi_forwarder_list, lsi_forwarder);

/* Which number a ring has for a segment of another. Regions are never used again. */
struct lsi_import {
    uint64_t link;
    uint64_t region;
    uint32_t number;
};

struct lsi_views {
    struct lsi_forwarded *views;
    uint32_t *free;
    uint32_t count;
    uint32_t free_count;
    uint32_t next_import;
    struct lsi_import imports[LSI_CTL_SEGMENTS];
    uint64_t forwarded;         /* messages */
    uint64_t copied;            /* of those, because they could not be views */
};

#endif
