/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link: one ring that a subscriber reads, from the message that brings its memory to the moment
 * it is left.
 *
 *   RING push -> create (map, check) -> incoming -> adopt (join) -> take … -> DEAD seen, drained,
 *   all samples back -> close the cell -> LINK_LEAVE -> reset the cell -> LINK_RESET
 */
#include <stdlib.h>
#include <string.h>

#include "api/internal.h"
#include "api/token.h"
#include "core/histogram.h"
#include "ctl/geometry.h"

static int map_ring(struct lsi_link *link, const struct lsi_ctl_packet *push)
{
    const struct lsi_ctl_geometry *geometry = &link->geometry;
    int r = lsi_reader_map(link->subscriber, push->fds[0], geometry->ring_bytes, &link->ring);

    for (uint32_t i = 0; r == 0 && i < geometry->segment_count; i++)
        r = lsi_reader_map(link->subscriber, push->fds[1 + i], geometry->segments[i].bytes,
                           &link->segments[i]);
    if (r < 0)
        return r;
    lsi_ring_reader_init(&link->reader, link->ring.base,
                         (unsigned char *)link->ring.base + geometry->entries_offset,
                         geometry->entry_count, geometry->entry_bytes);
    link->inline_bytes = lsi_ring_inline_bytes(geometry->entry_bytes);
    link->may_block = geometry->flags & LSHM_RING_MAY_BLOCK;
    return 0;
}

static int make_window(struct lsi_link *link, struct lshm_cell *cell)
{
    struct lsi_window *window = &link->window;
    uint32_t samples = window->window + window->holds;

    window->cell = cell;
    window->at = calloc(lsi_window_slots(window->window), sizeof *window->at);
    window->samples = calloc(samples, sizeof *window->samples);
    window->free_samples = calloc(samples, sizeof *window->free_samples);
    window->free_holds = calloc(window->holds + 1, sizeof *window->free_holds);
    link->segment_of = calloc(samples, sizeof *link->segment_of);
    link->blocks = calloc(samples, link->inline_bytes > 0 ? link->inline_bytes : 1);
    if (window->at == NULL || window->samples == NULL || window->free_samples == NULL ||
        window->free_holds == NULL || link->blocks == NULL || link->segment_of == NULL)
        return -ENOMEM;
    return 0;
}

int lsi_link_create(struct lshm_context *context, struct lshm_subscriber *subscriber,
                    const struct lsi_ctl_packet *push, struct lsi_link **ret_link)
{
    const struct lsi_ctl_push_ring *message = &push->push_ring;
    uint64_t cell_bytes = (uint64_t)lsi_cell_lines(subscriber->holds) * LSHM_LINE_BYTES;
    struct lshm_cell *cell = lsi_part_at(context->control_parts, message->cell, cell_bytes);
    struct lsi_link *link = calloc(1, sizeof *link);
    int r;

    if (link == NULL)
        return -ENOMEM;
    STAILQ_INIT(&link->arrivals);
    link->subscriber = subscriber;
    link->port = message->subscriber;
    link->number = message->link;
    link->publisher = message->publisher;
    link->client = message->client;
    link->fresh = message->flags & LSI_CTL_RING_NEW;
    link->retained = message->retained;
    link->lossy = subscriber->flags & LSHM_SUBSCRIBER_LATEST;
    link->geometry = message->geometry;
    link->window.window = message->window;
    link->window.holds = message->holds;
    link->record = lsi_part_at(context->board, message->record, sizeof *link->record);
    r = cell == NULL || link->record == NULL ? -ENOMEM : 0;
    if (message->window == 0 || message->window > subscriber->window ||
        message->holds > subscriber->holds)
        r = -LSHM_EPROTO;
    if (r == 0)
        r = map_ring(link, push);
    if (r == 0)
        r = make_window(link, cell);
    if (r < 0) {
        lsi_link_destroy(link);
        return r;
    }
    *ret_link = link;
    return 0;
}

void lsi_link_destroy(struct lsi_link *link)
{
    struct lsi_window *window = &link->window;

    lsi_link_drop_arrivals(link);
    if (link->ring.base != NULL)
        lsi_memory_unmap(link->ring.base, link->ring.bytes);
    for (uint32_t i = 0; i < LSI_CTL_SEGMENTS; i++)
        if (link->segments[i].base != NULL)
            lsi_memory_unmap(link->segments[i].base, link->segments[i].bytes);
    free(window->at);
    free(window->samples);
    free(window->free_samples);
    free(window->free_holds);
    free(link->blocks);
    free(link->views);
    free(link->segment_of);
    free(link);
}

bool lsi_subscriber_knows(const struct lshm_subscriber *subscriber, uint64_t number)
{
    const struct lsi_leaving *leaving;
    const struct lsi_link *link;

    for (uint32_t i = 0; i < subscriber->links_count; i++)
        if (subscriber->links[i] != NULL && subscriber->links[i]->number == number)
            return true;
    LIST_FOREACH(leaving, &subscriber->context->leaving, entry)
        if (leaving->link == number)
            return true;
    STAILQ_FOREACH(link, &subscriber->incoming, entry)
        if (link->number == number)
            return true;
    return false;
}

/* The rings of a subscriber that was given up may come while the next one is opened, of which
 * nobody knows the number yet. They were not joined; the broker takes their cells with the port. */
void lsi_links_keep(struct lshm_subscriber *subscriber, uint64_t number)
{
    struct lsi_link_queue all = STAILQ_HEAD_INITIALIZER(all);
    struct lsi_link *link;

    STAILQ_CONCAT(&all, &subscriber->incoming);
    while ((link = STAILQ_FIRST(&all)) != NULL) {
        STAILQ_REMOVE_HEAD(&all, entry);
        if (link->port == number)
            STAILQ_INSERT_TAIL(&subscriber->incoming, link, entry);
        else
            lsi_link_destroy(link);
    }
}

/* Who sees DEAD here takes nothing from the final tail on. */
static void note_death(struct lsi_link *link)
{
    /* RLX: after D2. */
    link->final_tail = lsi_load_relaxed(&link->record->final_tail);
    link->dead = true;
}

/* A ring that is written no more promises what its publisher kept when it ended: no horizon moves,
 * nobody looks at the cursor. How much that is, and where it ends, the broker says. */
static void join_retained(struct lsi_link *link)
{
    uint32_t history = link->subscriber->history;
    uint64_t count = history < link->retained ? history : link->retained;

    /* ORD D2 acquire <- D1: the final tail; the push came behind both. */
    (void)lsi_load_acquire(&link->record->state);
    note_death(link);
    if (link->final_tail > LSI_SEQ_MAX) /* what it says of itself is not to be believed */
        link->final_tail = LSI_SEQ_MAX;
    link->start = link->final_tail > count ? link->final_tail - count : 0;
    lsi_cell_set_cursor(link->window.cell, link->start);
}

/* DIE none: as of join(). */
static void join_live(struct lsi_link *link)
{
    const struct lshm_subscriber *subscriber = link->subscriber;
    /* RLX: a hint. Older is earlier, and the join raises what is too early. */
    uint64_t start = link->fresh ? LSI_SEQ_FIRST
                                 : lsi_load_relaxed(&link->reader.ring->tail);
    struct lsi_link *before = lsi_link_predecessor(link);
    uint64_t history = link->geometry.history;

    if (history > subscriber->history)
        history = subscriber->history;
    if (before != NULL)
        start = start > before->window.position ? start : before->window.position;
    else if (!link->fresh)
        start = start > history ? start - history : 0;
    link->start = lsi_cell_join(link->window.cell, link->reader.ring, start);
    if (link->fresh)
        link->account.lost_start = link->start - LSI_SEQ_FIRST;
    if (before != NULL)
        lsi_link_replaced(before, link->start);
}

/* DIE none: the link number and the position are for inspectors; joining has its own rows. */
static void join(struct lsi_link *link)
{
    struct lsi_window *window = &link->window;
    /* A publisher gives its ring room in steps of a quarter: who keeps more than the rest in its
     * window would wait for what it holds up itself. */
    uint32_t most = link->geometry.entry_count - link->geometry.entry_count / 4;
    uint32_t size = window->window < most ? window->window : most;

    lsi_store_relaxed(&window->cell->link, link->number); /* RLX: for inspectors */
    if (link->retained > 0)
        join_retained(link);
    else
        join_live(link);
    lsi_window_init(window, window->cell, size, window->holds, link->start);
    lsi_link_count(link);
}

/* An index of the links' table, UINT32_MAX: full. */
static uint32_t free_index(struct lshm_subscriber *subscriber)
{
    for (uint32_t i = 0; i < subscriber->links_count; i++)
        if (subscriber->links[i] == NULL)
            return i;
    return subscriber->links_count < LSI_LINKS_MAX ? subscriber->links_count++ : UINT32_MAX;
}

/* Joins the next ring that has arrived; NULL: there is none.
 * DIE none: private memory; join() has its own. */
static struct lsi_link *adopt_one(struct lshm_subscriber *subscriber)
{
    struct lshm_context *context = subscriber->context;
    struct lsi_link *link;
    uint32_t index;

    pthread_mutex_lock(&context->control);
    lsi_control_drain(context);
    lsi_subscriber_adopt_segments(subscriber);
    link = STAILQ_FIRST(&subscriber->incoming);
    index = link != NULL ? free_index(subscriber) : UINT32_MAX;
    if (index == UINT32_MAX) {
        /* RLX: with control held, as all who set it. */
        lsi_store_relaxed(&subscriber->news, 0);
        link = NULL;
    } else {
        STAILQ_REMOVE_HEAD(&subscriber->incoming, entry);
        join(link);
        link->token = lsi_token_of_link(subscriber->port, index);
        subscriber->links[index] = link;
        subscriber->only = NULL;
        /* RLX: only shortens the next sleeps. */
        lsi_store_relaxed(&context->joined_ns, lsi_now_ns());
    }
    pthread_mutex_unlock(&context->control);
    return link;
}

void lsi_subscriber_adopt(struct lshm_subscriber *subscriber)
{
    struct lsi_link *link;

    /* A cell that was unset has gated: its publisher may sleep for want of this cursor. */
    while ((link = adopt_one(subscriber)) != NULL)
        lsi_link_notify(link);
}

static void send_leave(struct lshm_context *context, const struct lsi_leaving *leaving)
{
    struct lsi_ctl_link message = {
        .header = { .type = LSI_CTL_LINK_LEAVE, .id = leaving->request },
        .subscriber = leaving->subscriber,
        .link = leaving->link,
    };

    lsi_control_send(context, &message.header, sizeof message);
}

/* Tells the broker that nothing is used through this link any more; nobody waits for the answer,
 * since a broker that is away must not hold up the data path. With control held. */
static void leave(struct lshm_context *context, const struct lsi_leaving *what)
{
    struct lsi_leaving *leaving = calloc(1, sizeof *leaving);

    if (what->cell != NULL)
        lsi_cell_close(what->cell);
    if (leaving == NULL)
        return; /* the cell is lost to this client, and nobody else needs it */
    *leaving = *what;
    leaving->request = lsi_control_next_id(context);
    LIST_INSERT_HEAD(&context->leaving, leaving, entry);
    send_leave(context, leaving);
}

/* DIE none: private memory. */
void lsi_link_refuse(struct lshm_context *context, struct lshm_subscriber *subscriber,
                     const struct lsi_ctl_packet *push, int error)
{
    const struct lsi_ctl_push_ring *message = &push->push_ring;
    uint64_t cell_bytes = (uint64_t)lsi_cell_lines(subscriber->holds) * LSHM_LINE_BYTES;
    const struct lsi_leaving what = {
        .subscriber = message->subscriber,
        .link = message->link,
        .cell = lsi_part_at(context->control_parts, message->cell, cell_bytes),
        .holds = subscriber->holds,
    };

    leave(context, &what);
    /* RLX: the port's thread tells the application; the news bring it to look. */
    lsi_store_relaxed(&subscriber->failed, error);
}

void lsi_link_left(struct lshm_context *context, uint64_t request)
{
    struct lsi_leaving *leaving;

    LIST_FOREACH(leaving, &context->leaving, entry) {
        struct lsi_ctl_link message = {
            .header = { .type = LSI_CTL_LINK_RESET },
            .subscriber = leaving->subscriber,
            .link = leaving->link,
        };

        if (leaving->request != request)
            continue;
        if (leaving->histogram != NULL)
            lsi_histogram_end_use(leaving->histogram);
        if (leaving->cell != NULL)
            lsi_cell_reset(leaving->cell, leaving->holds);
        LIST_REMOVE(leaving, entry);
        free(leaving);
        lsi_control_send(context, &message.header, sizeof message);
        return;
    }
}

void lsi_links_leave_again(struct lshm_context *context)
{
    const struct lsi_leaving *leaving;

    LIST_FOREACH(leaving, &context->leaving, entry)
        send_leave(context, leaving);
}

void lsi_subscriber_prune(struct lshm_subscriber *subscriber)
{
    struct lshm_context *context = subscriber->context;
    bool busy = false;

    pthread_mutex_lock(&context->control);
    for (uint32_t i = 0; i < subscriber->links_count; i++) {
        struct lsi_link *link = subscriber->links[i];

        if (link == NULL || !link->drained || lsi_window_out(&link->window) > 0)
            continue;
        pthread_mutex_lock(&subscriber->release_lock);
        /* RLX: with the lock held nobody adds to the list. */
        busy = lsi_load_relaxed(&subscriber->released) != 0;
        if (!busy)
            subscriber->links[i] = NULL;
        pthread_mutex_unlock(&subscriber->release_lock);
        if (busy)
            break; /* its list may name this link: drained first, at the next call */
        leave(context, &(struct lsi_leaving){
            .subscriber = subscriber->number,
            .link = link->number,
            .cell = link->window.cell,
            .histogram = link->histogram,
            .holds = link->window.holds,
        });
        lsi_account_add(&subscriber->before, &link->account);
        lsi_link_destroy(link);
    }
    while (subscriber->links_count > 0 && subscriber->links[subscriber->links_count - 1] == NULL)
        subscriber->links_count--;
    if (subscriber->rejoining > 0) /* what it has left may have been in the way */
        lsi_subscribers_rejoin(context);
    subscriber->drained = busy;
    pthread_mutex_unlock(&context->control);
}

/* The broker has seen these messages there, and now they are not: who wrote the ring still does,
 * against the rules. DIE none: private memory. */
static void give_up_rest(struct lsi_link *link)
{
    struct lshm_subscriber *subscriber = link->subscriber;
    uint64_t rest = link->final_tail - link->window.position;

    /* Its tail may be as wrong: no more than a ring is believed. */
    link->account.lost_corrupt += rest < link->geometry.entry_count ? rest
                                                                    : link->geometry.entry_count;
    link->final_tail = link->window.position;
    lsi_link_count(link);
    /* RLX: this port's own thread reads it; the news bring a sleeper to look. */
    lsi_store_relaxed(&subscriber->failed, -LSHM_ECORRUPT);
    lsi_store_relaxed(&subscriber->news, 1); /* RLX: as above */
}

bool lsi_link_look(struct lsi_link *link)
{
    if (link->drained || link->evicted)
        return false;
    if (!link->dead) {
        /* ORD D2 acquire <- D1, X1: the final tail is there once the state says DEAD; what is read
         * behind a look that says LIVE, up to B from the cursor, the quarantine covers. */
        uint64_t state = lsi_load_acquire(&link->record->state);

        if (LSI_LIKELY(state == LSHM_LINK_LIVE))
            return true;
        link->subscriber->only = NULL;
        if (state == LSHM_LINK_EVICTED) {
            lsi_link_evict(link);
            return false;
        }
        note_death(link);
    }
    if (LSI_LIKELY(lsi_ring_has(&link->reader, link->window.position)) &&
        link->window.position < link->final_tail)
        return true;
    if (link->window.position < link->final_tail)
        give_up_rest(link);
    link->drained = true;
    link->subscriber->drained++;
    return false;
}

void lsi_link_notify(struct lsi_link *link)
{
    uint64_t generation;

    if (!link->may_block || link->dead)
        return;
    generation = lsi_cell_waited_for(link->window.cell, link->reader.ring);
    if (generation == 0 || generation == link->signalled)
        return;
    if (lsi_peer_wake(link->subscriber->context, link->client))
        link->signalled = generation;
}
