/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the broker sends unasked: new parts, rings to read, peers' memory, channels.
 *
 * Runs on whichever thread reads the socket, with context->control held. What belongs to a port in
 * use elsewhere is queued for it. Repeats (a new worker pushes again what was not acknowledged) are
 * recognised and dropped.
 */
#include <unistd.h>

#include "api/internal.h"
#include "os/memory.h"
#include "os/seal.h"

static int map_reader(const struct lshm_context *context, int fd, uint64_t bytes, void **ret_base)
{
    int r = lsi_seal_check_reader(fd, bytes);

    return r < 0 ? r : lsi_memory_map(fd, bytes, lsi_context_map_flags(context), ret_base);
}

static void take_board_part(struct lshm_context *context, const struct lsi_ctl_packet *push)
{
    const struct lsi_ctl_push_part *message = &push->push_part;
    struct lsi_part *part;

    if (message->part >= LSI_PARTS_MAX || context->board[message->part].base != NULL)
        return;
    part = &context->board[message->part];
    if (map_reader(context, push->fds[0], message->bytes, &part->base) == 0)
        part->bytes = message->bytes;
}

static void take_control_part(struct lshm_context *context, const struct lsi_ctl_packet *push)
{
    const struct lsi_ctl_push_part *message = &push->push_part;
    struct lsi_ctl_mapped answer = {
        .header = { .type = LSI_CTL_MAPPED, .id = message->header.id },
        .count = 1,
        .regions = { message->region },
    };
    int r = 0;

    if (message->part >= LSI_PARTS_MAX)
        r = -LSHM_ELIMIT;
    else if (context->control_parts[message->part].base == NULL)
        r = lsi_context_map_control(context, push->fds[0], message->region, message->part,
                                    message->bytes);
    answer.header.status = r;
    lsi_control_send(context, &answer.header, sizeof answer);
}

static void take_peer(struct lshm_context *context, const struct lsi_ctl_packet *push)
{
    const struct lsi_ctl_push_part *message = &push->push_part;
    struct lsi_peer *peer;

    if (message->part >= LSI_PARTS_MAX)
        return;
    pthread_mutex_lock(&context->peers_lock);
    peer = lsi_peer_get(context, message->client, true);
    if (peer != NULL && peer->parts[message->part].base == NULL) {
        struct lsi_part *part = &peer->parts[message->part];

        if (map_reader(context, push->fds[0], message->bytes, &part->base) == 0)
            part->bytes = message->bytes;
    }
    pthread_mutex_unlock(&context->peers_lock);
}

static void take_channel(struct lshm_context *context, struct lsi_ctl_packet *push)
{
    const struct lsi_ctl_push_channel *message = &push->push_channel;
    struct lsi_peer *peer;

    if (!(message->flags & LSI_CTL_CHANNEL_SEND)) {
        if (lsi_wait_add_channel(context, push->fds[0]) == 0)
            push->fds[0] = -1;
        return;
    }
    pthread_mutex_lock(&context->peers_lock);
    peer = lsi_peer_get(context, message->peer, true);
    if (peer != NULL) {
        if (peer->channel >= 0)
            close(peer->channel);
        peer->channel = push->fds[0];
        peer->asked_ns = 0;
        push->fds[0] = -1;
    }
    pthread_mutex_unlock(&context->peers_lock);
}

static struct lshm_subscriber *find_subscriber(struct lshm_context *context, uint64_t number)
{
    struct lshm_subscriber *subscriber;

    LIST_FOREACH(subscriber, &context->subscribers, entry)
        if (subscriber->number == number)
            return subscriber;
    return context->opening;
}

/* DIE none: private memory. */
static void take_ring(struct lshm_context *context, const struct lsi_ctl_packet *push)
{
    struct lshm_subscriber *subscriber = find_subscriber(context, push->push_ring.subscriber);
    struct lsi_link *link;
    int r;

    if (subscriber == NULL || lsi_subscriber_knows(subscriber, push->push_ring.link))
        return;
    r = subscriber->closing ? -LSHM_ECLOSED : lsi_link_create(context, subscriber, push, &link);
    if (r == 0)
        STAILQ_INSERT_TAIL(&subscriber->incoming, link, entry);
    else
        lsi_link_refuse(context, subscriber, push, r);
    /* RLX: a hint; the port's thread takes the link with control held. */
    lsi_store_relaxed(&subscriber->news, 1);
    lsi_wait_kick(context);
}

void lsi_push_handle(struct lshm_context *context, struct lsi_ctl_packet *push)
{
    switch (push->header.type) {
    case LSI_CTL_PUSH_BOARD_PART:
        take_board_part(context, push);
        break;
    case LSI_CTL_PUSH_CONTROL_PART:
        take_control_part(context, push);
        break;
    case LSI_CTL_PUSH_PEER:
        take_peer(context, push);
        break;
    case LSI_CTL_PUSH_PEER_GONE:
        lsi_peer_forget(context, push->push_client.value);
        break;
    case LSI_CTL_PUSH_CHANNEL:
        take_channel(context, push);
        break;
    case LSI_CTL_PUSH_RING:
        take_ring(context, push);
        break;
    case LSI_CTL_PUSH_SEGMENT:
    case LSI_CTL_PUSH_SEGMENT_GONE:
        lsi_segment_take(context, push);
        break;
    case LSI_CTL_PUSH_WORKER: /* whoever waits for an answer repeats the question */
        lsi_links_leave_again(context);
        lsi_subscribers_rejoin(context);
        break;
    case LSI_CTL_PUSH_LOOK: /* what changed is on the board */
        lsi_wait_kick(context);
        break;
    }
}
