/* SPDX-License-Identifier: Apache-2.0 */
/* Taking: what a subscription's rings have next, and whether they have anything. */
#include "api/forward.h"
#include "api/internal.h"
#include "api/token.h"
#include "core/handle.h"

/* A publisher that laps its reader this often during one call may do so for ever. */
#define LAPPED_TRIES 8

bool lsi_subscriber_ready(void *port)
{
    const struct lshm_subscriber *subscriber = port;

    /* RLX: set once; nothing ever comes to who has no rings when the broker is gone. */
    if (subscriber->links_count == 0 && lsi_load_relaxed(&subscriber->context->broken) != 0)
        return true;
    /* RLX: a look; take does it properly. */
    if (lsi_load_relaxed(&subscriber->news) || lsi_control_has_news(subscriber->context) ||
        lsi_load_relaxed(&subscriber->released) != 0)
        return true;
    if (LSI_UNLIKELY(!SLIST_EMPTY(&subscriber->forwarders)) && lsi_forward_ready(subscriber))
        return true;
    for (uint32_t i = 0; i < subscriber->links_count; i++) {
        const struct lsi_link *link = subscriber->links[i];

        if (link == NULL || link->drained)
            continue;
        /* RLX: as above. */
        if (link->evicted && lsi_load_relaxed(&link->record->final_tail) == 0)
            continue;
        if (!link->dead && lsi_load_relaxed(&link->record->state) != LSHM_LINK_LIVE)
            return true;
        if (!link->lacks && lsi_ring_has(&link->reader, link->window.position))
            return true;
    }
    return false;
}

/* Where the descriptor says the payload is; NULL when it cannot be. The copy is private. */
static void *locate(const struct lsi_link *link, const struct lsi_descriptor *d)
{
    uint32_t number = lsi_handle_segment(d->handle) - 1; /* of 0: out of range */
    uint32_t slot = lsi_handle_slot(d->handle);
    uint64_t end = (uint64_t)d->offset + d->length;
    const struct lsi_ctl_segment *segment;

    if (number >= LSI_CTL_SEGMENTS)
        return NULL;
    segment = &link->geometry.segments[number];
    if (slot >= segment->slot_count || end > segment->slot_bytes)
        return NULL;
    return (unsigned char *)link->segments[number].base + slot * segment->slot_bytes + d->offset;
}

LSI_HOT void fill_message(const struct lsi_link *link, uint32_t sample,
                         const struct lsi_descriptor *d, void *data, struct lshm_message *m)
{
    const struct lsi_sample *s = &link->window.samples[sample];

    m->data = data;
    m->length = d->length;
    m->seq = s->seq;
    m->publisher = link->publisher;
    m->time_ns = d->time_ns;
    m->user[0] = d->user[0];
    m->user[1] = d->user[1];
    m->flags = d->flags & (LSHM_MESSAGE_TIME | 0xffff0000u);
    m->schema = d->schema;
    m->token = lsi_token(link->token, sample, s->generation);
}

/* The message at the position, for which there is room: 1, 0, −LSHM_ECORRUPT. */
LSI_HOT int take_one(struct lsi_link *link, struct lshm_message *m)
{
    struct lsi_window *window = &link->window;
    uint32_t sample = window->free_samples[window->free_count - 1];
    void *block = link->blocks + (uint64_t)sample * link->inline_bytes, *data = NULL;
    struct lsi_descriptor d;
    int r = lsi_ring_take(&link->reader, window->position, &d, block);

    if (r == LSI_RING_NOTHING)
        return 0;
    if (LSI_LIKELY(r == LSI_RING_TAKEN))
        data = d.flags & LSHM_ENTRY_INLINE ? block : locate(link, &d);
    if (LSI_UNLIKELY(data == NULL)) {
        if (r != LSI_RING_TAKEN)
            return r == LSI_RING_LAPPED ? -LSHM_EAGAIN : -LSHM_ECORRUPT;
        r = lsi_link_fetch(link, lsi_handle_segment(d.handle) - 1);
        if (r <= 0)
            return r;
        data = locate(link, &d);
        if (data == NULL)
            return -LSHM_ECORRUPT;
    }
    sample = lsi_window_add(window, d.flags & LSHM_ENTRY_INLINE);
    link->segment_of[sample] = (uint8_t)(lsi_handle_segment(d.handle) - 1); /* inline: none */
    fill_message(link, sample, &d, data, m);
    link->account.taken++;
    return 1;
}

/* Room for `count` messages, or less: how many, 0: there is nothing, −LSHM_EHELD. The cursor does
 * not move between this and the end of the call: what is taken lies within B of where it is now. */
static int64_t make_room(struct lsi_link *link, uint64_t count)
{
    struct lsi_window *w = &link->window;
    uint64_t room;

    if (LSI_UNLIKELY(lsi_window_room(w) == 0)) {
        if (!lsi_ring_has(&link->reader, w->position))
            return 0;
        if (!lsi_window_make_room(w, lsi_now_coarse_ns()))
            return -LSHM_EHELD;
    }
    room = lsi_window_room(w);
    return (int64_t)(count < room ? count : room);
}

/* A descriptor that makes no sense is passed over; so is a message that its publisher wrote over
 * although its horizon has not passed it, or before a lossless reader had taken it. */
static int pass_corrupt(struct lsi_link *link)
{
    lsi_window_skip(&link->window);
    lsi_window_settle(&link->window, lsi_now_coarse_ns());
    link->account.lost_corrupt++;
    return -LSHM_ECORRUPT;
}

/* Up to `room` messages. *ret_result: 1, or what the first that was not taken gave. */
LSI_HOT int take_some(struct lsi_link *link, struct lshm_message *m, int64_t room,
                            int *ret_result)
{
    int got = 0, r = 1;

    while (got < room) {
        if (LSI_UNLIKELY(link->dead && link->window.position >= link->final_tail))
            break;
        r = take_one(link, &m[got]);
        if (r <= 0)
            break;
        got++;
    }
    *ret_result = r;
    return got;
}

/* Up to count messages of one link; the result of the first that fails when there was none, 0 also
 * after *ret_again was set: it was lapped, and has passed what is gone. */
static int try_link(struct lsi_link *link, struct lshm_message *m, size_t count, bool *ret_again)
{
    int64_t room;
    int got, r;

    room = make_room(link, count);
    if (LSI_UNLIKELY(link->lossy) && room > 0)
        room = lsi_link_announce(link, (uint32_t)room);
    if (LSI_UNLIKELY(room < 0))
        return (int)room;
    if (!lsi_link_look(link))
        return 0;
    got = take_some(link, m, room, &r);
    if (LSI_UNLIKELY(r < 0)) {
        if (r == -LSHM_EAGAIN && link->lossy)
            r = lsi_link_pass_lapped(link);
        else if (r == -LSHM_EAGAIN && !lsi_link_look(link) && link->evicted)
            r = 1; /* that is why it was lapped */
        else
            r = 0;
        *ret_again = r > 0 && got == 0;
        if (r == 0)
            r = pass_corrupt(link);
    }
    if (got > 0 || r < 0)
        lsi_link_count(link);
    return got > 0 || r > 0 ? got : r;
}

static int take_link(struct lshm_subscriber *subscriber, uint32_t index, struct lshm_message *m,
                     size_t count)
{
    struct lsi_link *link = subscriber->links[index];
    bool again = false;
    int r;

    if (link == NULL)
        return 0;
    r = try_link(link, m, count, &again);
    for (int i = 0; LSI_UNLIKELY(again) && i < LAPPED_TRIES; i++) {
        again = false;
        r = try_link(link, m, count, &again);
    }
    /* RLX: on the line of the look; from which message on is counted is a matter of chance. */
    if (LSI_UNLIKELY(lsi_load_relaxed(&link->record->histogram) != 0))
        return lsi_link_count_latencies(link, m, r);
    return r;
}

/* Releases by this thread go straight to the window. DIE none: private memory. */
static void set_owner(struct lshm_subscriber *subscriber)
{
    /* RLX: other threads only learn that it is not them. */
    if (LSI_UNLIKELY(lsi_load_relaxed(&subscriber->owner) != lsi_thread()))
        lsi_store_relaxed(&subscriber->owner, lsi_thread());
}

/* What other threads and the broker have left for this port. */
static void take_in_news(struct lshm_subscriber *subscriber)
{
    set_owner(subscriber);
    /* RLX: both are hints to do it properly. */
    if (LSI_UNLIKELY(lsi_load_relaxed(&subscriber->released) != 0))
        lsi_subscriber_drain_released(subscriber);
    if (LSI_UNLIKELY(lsi_load_relaxed(&subscriber->news) ||
                     lsi_control_has_news(subscriber->context)))
        lsi_subscriber_adopt(subscriber);
    if (LSI_UNLIKELY(subscriber->rejoining > 0))
        lsi_subscriber_end_evictions(subscriber);
    if (LSI_UNLIKELY(!SLIST_EMPTY(&subscriber->forwarders)))
        lsi_forward_reclaim(subscriber);
}

bool lsi_subscriber_has(struct lshm_subscriber *subscriber)
{
    bool has;

    take_in_news(subscriber);
    /* RLX: see where it is set. */
    has = lsi_load_relaxed(&subscriber->failed) != 0 || subscriber->evictions > 0;
    for (uint32_t i = 0; i < subscriber->links_count && !has; i++) {
        struct lsi_link *link = subscriber->links[i];

        has = link != NULL && lsi_link_look(link) && !link->lacks &&
              lsi_ring_has(&link->reader, link->window.position);
    }
    if (LSI_UNLIKELY(subscriber->drained > 0))
        lsi_subscriber_prune(subscriber);
    return has || subscriber->evictions > 0;
}

/* Of several rings: each call begins with the one behind the last that gave something. */
static int take_around(struct lshm_subscriber *subscriber, struct lshm_message *m, size_t count)
{
    uint32_t links = subscriber->links_count;
    uint32_t first = subscriber->next_link < links ? subscriber->next_link : 0;
    size_t got = 0;
    int error = 0;

    for (uint32_t i = 0; i < links && got < count; i++) {
        uint32_t index = first + i < links ? first + i : first + i - links;
        int r = take_link(subscriber, index, m + got, count - got);

        if (r > 0) {
            got += (size_t)r;
            subscriber->next_link = index + 1;
        } else if (r < 0) {
            error = r;
        }
    }
    return got > 0 ? (int)got : error;
}

/* The ring whose next message has the earliest time; links_count: none has one. */
static uint32_t earliest(const struct lshm_subscriber *subscriber)
{
    uint32_t found = subscriber->links_count;
    uint64_t lowest = UINT64_MAX, time_ns;

    for (uint32_t i = 0; i < subscriber->links_count; i++) {
        const struct lsi_link *link = subscriber->links[i];

        if (link == NULL || link->drained || link->evicted ||
            !lsi_ring_peek_time(&link->reader, link->window.position, &time_ns) ||
            time_ns >= lowest)
            continue;
        lowest = time_ns;
        found = i;
    }
    return found;
}

/* One by one, each from the ring that has the earliest; what is not to be had that way, as ever. */
static int take_by_time(struct lshm_subscriber *subscriber, struct lshm_message *m, size_t count)
{
    size_t got = 0;

    while (got < count) {
        uint32_t index = earliest(subscriber);
        int r = index < subscriber->links_count ? take_link(subscriber, index, m + got, 1) : 0;

        if (r < 0 && got == 0)
            return r;
        if (r <= 0)
            break;
        got++;
    }
    return got > 0 ? (int)got : take_around(subscriber, m, 1);
}

/* Nothing was there: the descriptor will tell when there is. 0, or why there never will be. */
static int wait_by_descriptor(struct lshm_subscriber *subscriber)
{
    struct lshm_context *context = subscriber->context;

    lsi_wait_arm(context);
    /* RLX: set once. */
    if (LSI_LIKELY(lsi_load_relaxed(&context->broken) == 0))
        return 0;
    if (subscriber->links_count == 0) /* nobody can ever bring it one */
        return -LSHM_EGONE;
    return lsi_subscriber_wait_alone(subscriber);
}

/* Nothing but messages can come of a take, when its one ring is as it was. DIE none: private. */
static void find_only(struct lshm_subscriber *subscriber)
{
    struct lsi_link *link = subscriber->links[0];

    if (subscriber->links_count == 1 && link != NULL && !link->lossy && !link->dead &&
        !link->drained && !link->evicted && subscriber->evictions == 0 &&
        subscriber->drained == 0)
        subscriber->only = link;
}

/* DIE none: private memory; what is taken has its own. */
static LSI_NOINLINE int take_properly(struct lshm_subscriber *subscriber, struct lshm_message *m,
                                      size_t count)
{
    int r;

    take_in_news(subscriber);
    if (LSI_UNLIKELY(subscriber->evictions > 0))
        return lsi_subscriber_tell_evictions(subscriber);
    if (LSI_LIKELY(subscriber->links_count == 1))
        r = take_link(subscriber, 0, m, count);
    else if (subscriber->flags & LSHM_SUBSCRIBER_BY_TIME)
        r = take_by_time(subscriber, m, count);
    else
        r = take_around(subscriber, m, count);
    if (LSI_UNLIKELY(subscriber->drained > 0))
        lsi_subscriber_prune(subscriber);
    if (r == 0 && LSI_UNLIKELY(subscriber->evictions > 0))
        return lsi_subscriber_tell_evictions(subscriber);
    /* RLX: see where it is set. */
    if (r == 0 && LSI_UNLIKELY(lsi_load_relaxed(&subscriber->failed) != 0)) {
        r = lsi_load_relaxed(&subscriber->failed);
        lsi_store_relaxed(&subscriber->failed, 0);
    }
    if (r == 0 && subscriber->context->polled) {
        lsi_forward_sleep(subscriber);
        return wait_by_descriptor(subscriber);
    }
    if (r > 0)
        find_only(subscriber);
    return r;
}

/* From the only ring: how many, −LSHM_EAGAIN: look properly. */
LSI_HOT int take_only(struct lshm_subscriber *subscriber, struct lshm_message *m, size_t count)
{
    struct lsi_link *link = subscriber->only;
    uint64_t room;
    int got, r;

    /* RLX: hints to look properly, as in take_in_news(). */
    if (LSI_UNLIKELY(link == NULL || !SLIST_EMPTY(&subscriber->forwarders) ||
                     lsi_load_relaxed(&subscriber->owner) != lsi_thread() ||
                     lsi_load_relaxed(&subscriber->released) != 0 ||
                     lsi_load_relaxed(&subscriber->news) ||
                     lsi_control_has_news(subscriber->context)))
        return -LSHM_EAGAIN;
    /* ORD D2 acquire <- D1, X1: as in lsi_link_look(). */
    if (LSI_UNLIKELY(lsi_load_acquire(&link->record->state) != LSHM_LINK_LIVE))
        return -LSHM_EAGAIN;
    /* RLX: as in take_link(). */
    if (LSI_UNLIKELY(lsi_load_relaxed(&link->record->histogram) != 0))
        return -LSHM_EAGAIN;
    room = lsi_window_room(&link->window);
    if (LSI_UNLIKELY(room == 0))
        return -LSHM_EAGAIN;
    got = take_some(link, m, count < room ? (int64_t)count : (int64_t)room, &r);
    if (LSI_LIKELY(got > 0)) {
        lsi_link_count_taken(link);
        return got;
    }
    return r;
}

LSI_HOT int take(struct lshm_subscriber *subscriber, struct lshm_message *m, size_t count)
{
    int r = take_only(subscriber, m, count);

    if (LSI_LIKELY(r > 0))
        return r;
    /* RLX: see where it is set. */
    if (LSI_LIKELY(r == 0 && lsi_load_relaxed(&subscriber->failed) == 0 &&
                   !subscriber->context->polled))
        return 0;
    return take_properly(subscriber, m, count);
}

LSI_API int lshm_subscriber_take_batch(struct lshm_subscriber *subscriber,
                                       struct lshm_message *ret_messages, size_t count)
{
    int r;

    LSI_ENTER(subscriber, LSI_SUBSCRIBER_MAGIC);
    if (count > INT32_MAX)
        count = INT32_MAX;
    if (!lsi_port_enter(&subscriber->busy))
        return -LSHM_EBUSY;
    r = take(subscriber, ret_messages, count);
    lsi_port_leave(&subscriber->busy);
    return r;
}

LSI_API int lshm_subscriber_take(struct lshm_subscriber *subscriber,
                                 struct lshm_message *ret_message)
{
    int r;

    LSI_ENTER(subscriber, LSI_SUBSCRIBER_MAGIC);
    if (!lsi_port_enter(&subscriber->busy))
        return -LSHM_EBUSY;
    r = take(subscriber, ret_message, 1);
    lsi_port_leave(&subscriber->busy);
    return r;
}
