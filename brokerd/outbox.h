/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes to one client: a bounded queue in front of its socket.
 *
 * Nothing here waits. A packet is tried at once; when the client does not read, it stays queued
 * until the socket is writable again. Pushes that bring descriptors are held back while
 * LSI_CTL_UNACKED_FDS of them are unacknowledged; control parts overtake the others. A client that
 * lets OUTBOX_MESSAGES_MAX pile up is cut off. Regions whose descriptors are in the queue are
 * pinned: a descriptor's number cannot be given to another file before it was sent.
 *
 * The queue dies with the worker. What matters of it is in the registry as "not acknowledged".
 */
#ifndef BROKERD_OUTBOX_H
#define BROKERD_OUTBOX_H

#include "worker.h"

#define OUTBOX_MESSAGES_MAX 65536u
#define OUTBOX_REGIONS_MAX (1u + LSI_CTL_SEGMENTS)

/* What a RECEIVED for a push means. */
enum acknowledge {
    ACKNOWLEDGE_NOTHING,
    ACKNOWLEDGE_REGION,
    ACKNOWLEDGE_RING,
    ACKNOWLEDGE_SEGMENT,
    ACKNOWLEDGE_PEER
};

struct outgoing {
    void *packet;           /* begins with struct lsi_ctl_header; type, id and status are set */
    size_t bytes;
    struct region *regions[OUTBOX_REGIONS_MAX]; /* whose descriptors go with it */
    uint32_t region_count;
    int is_writable;        /* the read-write ones of those that are not sealed: for their writer */
    int fd;                 /* one more, closed when sent; −1: none */
    enum acknowledge acknowledge;
    uint64_t number;        /* of what is acknowledged: a region, a link */
    uint64_t segment;       /* of a link: a region's number */
};

void outbox_open(struct outbox *outbox);
void outbox_close(struct broker *broker, struct client *client);
/* Replies, and pushes: their header.id is given here. Nothing without a session. */
void outbox_put(struct broker *broker, struct client *client, const struct outgoing *outgoing);
/* A packet without descriptors. */
void outbox_reply(struct broker *broker, struct client *client, void *packet, size_t bytes);
/* "Something on your board changed." */
void outbox_look(struct broker *broker, struct client *client);
/* Sends what can be sent. */
void outbox_flush(struct broker *broker, struct client *client);
void outbox_acknowledge(struct broker *broker, struct client *client, uint64_t up_to);
/* Whether a CHANNEL push with that peer waits in the queue. */
int outbox_has_channel(const struct client *client, uint64_t peer, uint32_t flags);

#endif
