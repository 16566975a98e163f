/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other clients: where their reader cells are mapped, and how they are woken.
 *
 * A sleeper is woken through a socket pair that the broker made for this ordered pair of clients;
 * the first wake-up goes through the broker, whose message carries the pair's end and wakes by
 * itself. Sends never block: a full channel is one that was signalled already (design.md, section
 * 4, Sleep).
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/internal.h"
#include "core/cell.h"
#include "os/memory.h"

/* A channel that was asked for and did not come is asked for again after this long. */
#define ASK_AGAIN_NS 100000000u

static struct lsi_peer_list *bucket(struct lshm_context *context, uint64_t client)
{
    return &context->peers[client % LSI_PEER_BUCKETS];
}

struct lsi_peer *lsi_peer_get(struct lshm_context *context, uint64_t client, bool create)
{
    struct lsi_peer *peer;

    LIST_FOREACH(peer, bucket(context, client), entry)
        if (peer->client == client)
            return peer;
    if (!create || (peer = calloc(1, sizeof *peer)) == NULL)
        return NULL;
    peer->client = client;
    peer->channel = -1;
    LIST_INSERT_HEAD(bucket(context, client), peer, entry);
    return peer;
}

static void peer_destroy(struct lsi_peer *peer)
{
    LIST_REMOVE(peer, entry);
    for (uint32_t i = 0; i < LSI_PARTS_MAX; i++)
        if (peer->parts[i].base != NULL)
            lsi_memory_unmap(peer->parts[i].base, peer->parts[i].bytes);
    if (peer->channel >= 0)
        close(peer->channel);
    free(peer);
}

/* With peers_lock held. */
static void drop_if_unused(struct lsi_peer *peer)
{
    if (peer->gone && peer->readers == 0)
        peer_destroy(peer);
}

void lsi_peer_forget(struct lshm_context *context, uint64_t client)
{
    struct lsi_peer *peer;

    pthread_mutex_lock(&context->peers_lock);
    peer = lsi_peer_get(context, client, false);
    if (peer != NULL) {
        peer->gone = true;
        drop_if_unused(peer);
    }
    pthread_mutex_unlock(&context->peers_lock);
}

void lsi_peers_clear(struct lshm_context *context)
{
    for (uint32_t i = 0; i < LSI_PEER_BUCKETS; i++)
        while (!LIST_EMPTY(&context->peers[i]))
            peer_destroy(LIST_FIRST(&context->peers[i]));
}

/* With peers_lock held. The request needs no answer and so not the control lock. */
static void ask_channel(struct lshm_context *context, struct lsi_peer *peer)
{
    struct lsi_ctl_channel message = {
        .header = { .type = LSI_CTL_CHANNEL },
        .peer = peer->client,
    };
    uint64_t now = lsi_now_ns();

    if (peer->asked_ns != 0 && now - peer->asked_ns < ASK_AGAIN_NS)
        return;
    peer->asked_ns = now;
    lsi_ctl_send(context->socket, &message, sizeof message, NULL, 0);
}

/* DIE none: counters. */
static bool wake(struct lshm_context *context, struct lsi_peer *peer)
{
    struct lshm_control *own = context->control0;

    if (peer->channel < 0) {
        ask_channel(context, peer);
        return false;
    }
    if (send(peer->channel, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
        /* RLX: a counter for inspectors, written under peers_lock only. */
        lsi_store_relaxed(&own->wakes_sent, own->wakes_sent + 1);
    } else if (errno == EAGAIN) {
        /* RLX: as above. */
        lsi_store_relaxed(&own->wakes_full, own->wakes_full + 1);
    } else { /* its other end is closed: that client is gone, or will get a new one */
        close(peer->channel);
        peer->channel = -1;
        return false;
    }
    return true;
}

bool lsi_peer_wake(struct lshm_context *context, uint64_t client)
{
    struct lsi_peer *peer;
    bool sent;

    if (client == context->client) {
        lsi_wait_kick(context);
        return true;
    }
    if (lsi_control_has_news(context))
        lsi_control_poll(context);
    pthread_mutex_lock(&context->peers_lock);
    peer = lsi_peer_get(context, client, true);
    sent = peer != NULL && wake(context, peer);
    pthread_mutex_unlock(&context->peers_lock);
    return sent;
}

void lsi_peer_signal(struct lshm_context *context, uint64_t client, uint64_t generation)
{
    struct lsi_peer *peer;

    if (lsi_control_has_news(context)) /* the channel may be in it */
        lsi_control_poll(context);
    pthread_mutex_lock(&context->peers_lock);
    peer = lsi_peer_get(context, client, true);
    if (peer != NULL && peer->signalled != generation) {
        bool sent = true;

        if (client == context->client)
            lsi_wait_kick(context);
        else
            sent = wake(context, peer);
        if (sent)
            peer->signalled = generation;
    }
    pthread_mutex_unlock(&context->peers_lock);
}

static const struct lshm_roster_row *map_rows(void *port, struct lshm_ref ref, uint32_t rows)
{
    const struct lshm_publisher *publisher = port;
    const struct lshm_roster_row *found;
    struct lshm_context *context = publisher->context;

    pthread_mutex_lock(&context->control);
    found = lsi_part_at(context->board, ref, rows * sizeof *found);
    if (found == NULL) {
        lsi_control_drain(context);
        found = lsi_part_at(context->board, ref, rows * sizeof *found);
    }
    pthread_mutex_unlock(&context->control);
    return found;
}

/* With control held. Counts the reader as a user of the peer's memory when it is found. */
static bool find_cell(struct lshm_context *context, struct lsi_reader *reader)
{
    uint64_t bytes = (uint64_t)lsi_cell_lines(reader->holds) * LSHM_LINE_BYTES;
    const struct lsi_part *parts = context->control_parts;
    struct lsi_peer *peer = NULL;

    pthread_mutex_lock(&context->peers_lock);
    if (reader->client != context->client) {
        peer = lsi_peer_get(context, reader->client, false);
        parts = peer != NULL ? peer->parts : NULL;
    }
    if (parts != NULL && parts[0].base != NULL) {
        reader->sleep = &((const struct lshm_control *)parts[0].base)->sleep;
        reader->cell = lsi_part_at(parts, reader->cell_ref, bytes);
        if (reader->cell != NULL && peer != NULL)
            peer->readers++;
    }
    pthread_mutex_unlock(&context->peers_lock);
    return reader->cell != NULL;
}

static int attach(void *port, struct lsi_reader *reader)
{
    struct lshm_publisher *publisher = port;
    struct lshm_context *context = publisher->context;
    bool found;

    if (reader->window > LSHM_WINDOW_MAX || reader->holds > LSHM_HOLDS_MAX)
        return -LSHM_ECORRUPT;
    if (reader->held == NULL && reader->holds > 0) {
        reader->held = calloc(reader->holds, sizeof *reader->held);
        if (reader->held == NULL)
            return -ENOMEM;
    }
    pthread_mutex_lock(&context->control);
    found = find_cell(context, reader);
    if (!found) {
        lsi_control_drain(context);
        found = find_cell(context, reader);
    }
    pthread_mutex_unlock(&context->control);
    return found ? 0 : -EAGAIN;
}

static void detach(void *port, struct lsi_reader *reader)
{
    struct lshm_publisher *publisher = port;
    struct lshm_context *context = publisher->context;
    struct lsi_peer *peer;

    free(reader->held);
    if (reader->cell == NULL || reader->client == context->client)
        return;
    pthread_mutex_lock(&context->peers_lock);
    peer = lsi_peer_get(context, reader->client, false);
    if (peer != NULL) {
        peer->readers--;
        drop_if_unused(peer);
    }
    pthread_mutex_unlock(&context->peers_lock);
}

static int reserve(void *port, struct lsi_roster *roster, uint32_t rows)
{
    struct lsi_sleeper *sleepers;
    struct lsi_reader *readers;
    uint32_t *active;

    (void)port;
    sleepers = reallocarray(roster->sleepers, rows, sizeof *sleepers);
    if (sleepers == NULL)
        return -1;
    roster->sleepers = sleepers;
    active = reallocarray(roster->active, rows, sizeof *active);
    if (active == NULL)
        return -1;
    roster->active = active;
    readers = reallocarray(roster->readers, rows, sizeof *readers);
    if (readers == NULL)
        return -1;
    for (uint32_t i = roster->capacity; i < rows; i++)
        readers[i] = (struct lsi_reader){ 0 };
    roster->readers = readers;
    roster->capacity = rows;
    return 0;
}

static int reserve_kept(void *port, uint64_t count)
{
    struct lshm_publisher *publisher = port;
    struct lsi_seqset *kept = &publisher->publication.kept;
    uint64_t words = 64;
    uint64_t *memory;

    if (count == 0 || (kept->words != NULL && count <= (kept->mask + UINT64_C(1)) / 2))
        return 0;
    while (words < 2 * count + 2)
        words *= 2;
    if (words > UINT32_MAX || (memory = calloc(words, sizeof *memory)) == NULL)
        return -1;
    free(kept->words);
    lsi_seqset_init(kept, memory, (uint32_t)words);
    return 0;
}

static void signal_reader(void *port, uint64_t client, uint64_t generation)
{
    struct lshm_publisher *publisher = port;

    lsi_peer_signal(publisher->context, client, generation);
}

const struct lsi_roster_operations lsi_publisher_roster_operations = {
    .map_rows = map_rows,
    .attach = attach,
    .detach = detach,
    .reserve = reserve,
    .reserve_kept = reserve_kept,
    .signal = signal_reader,
};
