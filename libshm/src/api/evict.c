/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eviction, at both ends: the publisher's stall clock, and a subscriber that has lost its place.
 *
 *   LIVE -(board)-> evicted: nothing more is taken; REJOIN
 *     -(window empty, or all of it holds)-> closed: the quarantine ends
 *     -(successor joined: lost = its start − position; or final tail)-> drained
 *     -(all samples back)-> left, as any link
 *
 * Until the successor has joined, what it missed is not counted yet.
 */
#include "api/internal.h"

/* The broker may be away: asked again after this long. */
#define ASK_AGAIN_NS UINT64_C(100000000)

void lsi_link_close_if_empty(struct lsi_link *link)
{
    struct lsi_window *window = &link->window;

    if (link->closed || window->cursor < window->position)
        return;
    lsi_cell_close(window->cell);
    link->closed = true;
    lsi_link_notify(link);
}

static void send_rejoin(const struct lsi_link *link)
{
    struct lsi_ctl_link message = {
        .header = { .type = LSI_CTL_REJOIN },
        .subscriber = link->subscriber->number,
        .link = link->number,
    };

    lsi_control_send(link->subscriber->context, &message.header, sizeof message);
}

void lsi_link_evict(struct lsi_link *link)
{
    link->evicted = true;
    link->subscriber->evictions++;
    link->subscriber->rejoining++;
    lsi_link_close_if_empty(link);
}

static bool is_rejoining(const struct lsi_link *link)
{
    return link != NULL && link->evicted && !link->drained;
}

struct lsi_link *lsi_link_predecessor(const struct lsi_link *link)
{
    const struct lshm_subscriber *subscriber = link->subscriber;

    for (uint32_t i = 0; i < subscriber->links_count; i++)
        if (is_rejoining(subscriber->links[i]) &&
            subscriber->links[i]->publisher == link->publisher)
            return subscriber->links[i];
    return NULL;
}

void lsi_link_replaced(struct lsi_link *evicted, uint64_t start)
{
    struct lshm_subscriber *subscriber = evicted->subscriber;

    if (start > evicted->window.position)
        evicted->account.lost_evicted += start - evicted->window.position;
    evicted->drained = true;
    subscriber->drained++;
    subscriber->rejoining--;
    lsi_link_count(evicted);
}

void lsi_subscriber_end_evictions(struct lshm_subscriber *subscriber)
{
    for (uint32_t i = 0; i < subscriber->links_count; i++) {
        struct lsi_link *link = subscriber->links[i];
        uint64_t final_tail;

        if (!is_rejoining(link))
            continue;
        /* ORD X4 acquire <- X3 */
        final_tail = lsi_load_acquire(&link->record->final_tail);
        if (final_tail != 0)
            lsi_link_replaced(link, final_tail < LSI_SEQ_MAX ? final_tail : LSI_SEQ_MAX);
    }
}

void lsi_subscribers_rejoin(struct lshm_context *context)
{
    const struct lshm_subscriber *subscriber;

    LIST_FOREACH(subscriber, &context->subscribers, entry)
        for (uint32_t i = 0; i < subscriber->links_count && subscriber->rejoining > 0; i++)
            if (is_rejoining(subscriber->links[i]))
                send_rejoin(subscriber->links[i]);
}

int lsi_subscriber_tell_evictions(struct lshm_subscriber *subscriber)
{
    pthread_mutex_lock(&subscriber->context->control);
    for (uint32_t i = 0; i < subscriber->links_count; i++)
        if (is_rejoining(subscriber->links[i]))
            send_rejoin(subscriber->links[i]);
    pthread_mutex_unlock(&subscriber->context->control);
    subscriber->evictions = 0;
    return -LSHM_EEVICTED;
}

/* How long this reader has gated at the same place, in ns. */
static uint64_t gated_for(const struct lsi_publication *p, struct lsi_reader *reader,
                          uint64_t goal, uint64_t now)
{
    uint64_t gate;

    if (!lsi_reader_gates(reader) || (gate = lsi_publication_gate_of(p, reader)) >= goal) {
        reader->gate_since_ns = 0;
        return 0;
    }
    if (reader->gate_since_ns == 0 || gate != reader->gate_seen) {
        reader->gate_seen = gate;
        reader->gate_since_ns = now;
    }
    return now - reader->gate_since_ns;
}

static void ask(const struct lshm_publisher *publisher, const struct lsi_reader *reader)
{
    struct lsi_ctl_evict message = {
        .header = { .type = LSI_CTL_EVICT },
        .publisher = publisher->number,
        .link = reader->link,
    };

    pthread_mutex_lock(&publisher->context->control);
    lsi_control_send(publisher->context, &message.header, sizeof message);
    pthread_mutex_unlock(&publisher->context->control);
}

uint64_t lsi_publisher_watch_stalls(struct lshm_publisher *publisher, uint64_t gain)
{
    const struct lsi_publication *p = &publisher->publication;
    uint64_t now, longest = 0, limit = (uint64_t)publisher->stall_ns;
    bool due;

    if (publisher->stall_ns <= 0)
        return UINT64_MAX;
    now = lsi_now_ns();
    due = now - publisher->evict_asked_ns >= ASK_AGAIN_NS;
    for (uint32_t i = 0; i < p->roster.active_count; i++) {
        struct lsi_reader *reader = &p->roster.readers[p->roster.active[i]];
        uint64_t gated = gated_for(p, reader, p->committed + gain, now);

        if (gated >= limit && due) {
            ask(publisher, reader);
            publisher->evict_asked_ns = now;
        }
        if (gated > longest)
            longest = gated;
    }
    return longest >= limit ? now + ASK_AGAIN_NS : now + limit - longest;
}
