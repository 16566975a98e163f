/* SPDX-License-Identifier: Apache-2.0 */
#include "outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lshm/error.h>

#include "client.h"
#include "log.h"
#include "memory.h"
#include "peer.h"
#include "segment.h"
#include "session.h"

struct message {
    TAILQ_ENTRY(message) entry;
    struct region *regions[OUTBOX_REGIONS_MAX];
    uint32_t region_count;
    int is_writable;
    int fd;
    uint64_t push; /* its number; 0: none yet */
    enum acknowledge acknowledge;
    uint64_t number;
    uint64_t segment;
    size_t bytes;
    union {
        struct lsi_ctl_header header;
        unsigned char packet[1];
    };
};

void outbox_open(struct outbox *outbox)
{
    memset(outbox, 0, sizeof(*outbox));
    TAILQ_INIT(&outbox->queued);
    TAILQ_INIT(&outbox->unacknowledged);
}

static int is_push(const struct message *message)
{
    return (message->header.type & LSI_CTL_PUSH) != 0;
}

static uint32_t count_fds(const struct message *message)
{
    return message->region_count + (message->fd >= 0);
}

/* Its descriptors are sent, or never will be. */
static void unpin(struct broker *broker, struct message *message)
{
    uint32_t i;

    for (i = 0; i < message->region_count; i++)
        region_unpin(broker, message->regions[i]);
    message->region_count = 0;
    if (message->fd >= 0)
        close(message->fd);
    message->fd = -1;
}

static void drop_list(struct broker *broker, struct message_list *list)
{
    struct message *message;

    while ((message = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, message, entry);
        unpin(broker, message);
        free(message);
    }
}

void outbox_close(struct broker *broker, struct client *client)
{
    struct outbox *outbox = &client->outbox;

    drop_list(broker, &outbox->queued);
    drop_list(broker, &outbox->unacknowledged);
    outbox_open(outbox);
}

/* The number goes on the board before the push can be received. */
static void number_push(struct client *client, struct message *message)
{
    struct lshm_board *board = client_board(client);
    uint64_t number;

    if (message->push != 0 || !board)
        return;
    /* RLX: only the broker writes it; this is its own last value. */
    number = lsi_counter_next(lsi_load_relaxed(&board->pushed));
    /* RLX: a client that sees it too early finds nothing in its socket and looks again, one that
     * sees it late is woken by the socket. DIE U1: a number is missing; clients only compare. */
    lsi_store_relaxed(&board->pushed, number);
    message->push = number;
    message->header.id = number;
}

static int send_message(struct client *client, struct message *message)
{
    int fds[OUTBOX_REGIONS_MAX + 1];
    uint32_t i, count = 0;

    if (is_push(message))
        number_push(client, message);
    for (i = 0; i < message->region_count; i++) {
        const struct region_record *region = message->regions[i]->record;

        fds[count++] = message->is_writable && region->fd >= 0 ? region->fd : region->reader_fd;
    }
    if (message->fd >= 0)
        fds[count++] = message->fd;
    return lsi_ctl_send(client->record->socket_fd, message->packet, message->bytes, fds, count);
}

static int is_control_part(const struct message *message)
{
    return message->header.type == LSI_CTL_PUSH_CONTROL_PART;
}

/* One of the descriptors that may be on their way is kept for a control part. */
static int must_wait(const struct outbox *outbox, const struct message *message)
{
    const uint32_t fds = count_fds(message);
    const uint32_t limit = LSI_CTL_UNACKED_FDS - !is_control_part(message);

    return is_push(message) && fds > 0 && outbox->fds_unacknowledged > 0 &&
           outbox->fds_unacknowledged + fds > limit;
}

/*
 * A control part overtakes pushes that wait for acknowledgements: a client that seldom calls the
 * library maps it at its next call, however many rings are queued, and publishers wait for nothing
 * else. Not those that have their number already: a client acknowledges up to a number.
 */
static void insert(struct outbox *outbox, struct message *message)
{
    struct message *first = TAILQ_FIRST(&outbox->queued);

    while (first && (!is_push(first) || count_fds(first) == 0 || first->push != 0 ||
                     is_control_part(first)))
        first = TAILQ_NEXT(first, entry);
    if (first && is_control_part(message))
        TAILQ_INSERT_BEFORE(first, message, entry);
    else
        TAILQ_INSERT_TAIL(&outbox->queued, message, entry);
    outbox->queued_count++;
}

static void sent(struct broker *broker, struct client *client, struct message *message)
{
    struct outbox *outbox = &client->outbox;
    const uint32_t fds = count_fds(message);

    TAILQ_REMOVE(&outbox->queued, message, entry);
    outbox->queued_count--;
    if (message->header.type == LSI_CTL_PUSH_LOOK)
        outbox->is_look_queued = 0;
    if (!is_push(message) || fds == 0) {
        unpin(broker, message);
        free(message);
        return;
    }
    outbox->fds_unacknowledged += fds;
    unpin(broker, message);
    message->bytes = fds; /* what the acknowledgement gives back */
    TAILQ_INSERT_TAIL(&outbox->unacknowledged, message, entry);
}

void outbox_flush(struct broker *broker, struct client *client)
{
    struct outbox *outbox = &client->outbox;
    struct message *message;
    int status = 0;

    if (client->record->socket_fd < 0)
        return;
    while ((message = TAILQ_FIRST(&outbox->queued)) && !must_wait(outbox, message)) {
        status = send_message(client, message);
        if (status < 0)
            break;
        sent(broker, client, message);
    }
    if (status == -ETOOMANYREFS || status == -ENOMEM || status == -ENOBUFS) {
        broker->is_send_retry_due = 1;
        return;
    }
    worker_watch_writes(broker, client, status == -EAGAIN);
    if (status < 0 && status != -EAGAIN)
        session_hang_up(broker, client);
}

static struct message *make_message(const struct outgoing *outgoing)
{
    struct message *message = calloc(1, sizeof(*message) + outgoing->bytes);
    uint32_t i;

    if (!message)
        return NULL;
    memcpy(message->packet, outgoing->packet, outgoing->bytes);
    message->bytes = outgoing->bytes;
    message->is_writable = outgoing->is_writable;
    message->fd = outgoing->fd;
    message->acknowledge = outgoing->acknowledge;
    message->number = outgoing->number;
    message->segment = outgoing->segment;
    message->region_count = outgoing->region_count;
    for (i = 0; i < outgoing->region_count; i++) {
        message->regions[i] = outgoing->regions[i];
        message->regions[i]->pins++;
    }
    return message;
}

void outbox_put(struct broker *broker, struct client *client, const struct outgoing *outgoing)
{
    struct outbox *outbox = &client->outbox;
    struct message *message;

    if (client->record->socket_fd < 0) {
        if (outgoing->fd >= 0)
            close(outgoing->fd);
        return;
    }
    message = make_message(outgoing);
    if (!message || outbox->queued_count >= OUTBOX_MESSAGES_MAX) {
        if (message) {
            unpin(broker, message);
            free(message);
        } else if (outgoing->fd >= 0) {
            close(outgoing->fd);
        }
        session_cut(broker, client, -LSHM_EPEER,
                    "%u messages of the broker wait unread; read the control socket "
                    "(call into the library) more often",
                    outbox->queued_count);
        return;
    }
    insert(outbox, message);
    outbox_flush(broker, client);
}

void outbox_reply(struct broker *broker, struct client *client, void *packet, size_t bytes)
{
    struct outgoing outgoing = {.packet = packet, .bytes = bytes, .fd = -1};

    outbox_put(broker, client, &outgoing);
}

void outbox_look(struct broker *broker, struct client *client)
{
    struct lsi_ctl_push_client push = {.header.type = LSI_CTL_PUSH_LOOK};

    if (client->outbox.is_look_queued || client->record->socket_fd < 0)
        return;
    client->outbox.is_look_queued = 1;
    outbox_reply(broker, client, &push, sizeof(push));
}

static void acknowledge(struct broker *broker, struct client *client,
                        const struct message *message)
{
    struct region *region;
    struct link *link;

    switch (message->acknowledge) {
    case ACKNOWLEDGE_REGION:
        region = region_find(broker, message->number);
        if (region)
            region->record->is_acknowledged = 1;
        break;
    case ACKNOWLEDGE_RING:
        link = link_find(broker, message->number);
        if (link)
            link->record->is_ring_acknowledged = 1;
        break;
    case ACKNOWLEDGE_SEGMENT:
        link = link_find(broker, message->number);
        if (link)
            segment_acknowledge(link, message->segment);
        break;
    case ACKNOWLEDGE_PEER:
        peer_acknowledge(broker, client, message->number);
        break;
    default:
        break;
    }
}

void outbox_acknowledge(struct broker *broker, struct client *client, uint64_t up_to)
{
    struct outbox *outbox = &client->outbox;
    struct message *message;

    while ((message = TAILQ_FIRST(&outbox->unacknowledged)) && message->push <= up_to) {
        TAILQ_REMOVE(&outbox->unacknowledged, message, entry);
        outbox->fds_unacknowledged -= (uint32_t)message->bytes;
        acknowledge(broker, client, message);
        free(message);
    }
    outbox_flush(broker, client);
}

int outbox_has_channel(const struct client *client, uint64_t peer, uint32_t flags)
{
    const struct message *message;

    TAILQ_FOREACH (message, &client->outbox.queued, entry) {
        const struct lsi_ctl_push_channel *push = (const void *)message->packet;

        if (message->header.type == LSI_CTL_PUSH_CHANNEL && push->peer == peer &&
            push->flags == flags)
            return 1;
    }
    return 0;
}
