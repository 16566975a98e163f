/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments that a ring gets while it is read.
 *
 *   SEGMENT push -> arrival (mapped, on the link's list) -> adopted by the port's thread
 *   SEGMENT_GONE push -> the same list -> unmapped by the port's thread, which says LEFT
 *
 * The push comes before any message that names the segment, but may wait in the socket, or in the
 * broker, until others were acknowledged. The board says whether a descriptor that names memory
 * which is not there is early or wrong: the reader stops at an early one as if nothing were there.
 *
 * A segment goes when its publisher says that none of its slots is in use. Nobody needs to believe
 * it: who has a sample there unmaps it later.
 */
#include <stdlib.h>
#include <unistd.h>

#include "api/internal.h"

static struct lsi_link *find_in(struct lshm_subscriber *subscriber, uint64_t number)
{
    struct lsi_link *link;

    for (uint32_t i = 0; i < subscriber->links_count; i++)
        if (subscriber->links[i] != NULL && subscriber->links[i]->number == number)
            return subscriber->links[i];
    STAILQ_FOREACH(link, &subscriber->incoming, entry)
        if (link->number == number)
            return link;
    return NULL;
}

static struct lsi_link *find_link(struct lshm_context *context, uint64_t number)
{
    struct lshm_subscriber *subscriber;
    struct lsi_link *link = context->opening != NULL ? find_in(context->opening, number) : NULL;

    LIST_FOREACH(subscriber, &context->subscribers, entry)
        if (link == NULL)
            link = find_in(subscriber, number);
    return link;
}

static bool is_queued(const struct lsi_link *link, uint32_t number, uint64_t region, bool is_gone)
{
    const struct lsi_arrival *arrival;

    STAILQ_FOREACH(arrival, &link->arrivals, entry)
        if (arrival->number == number && arrival->layout.region == region &&
            arrival->is_gone == is_gone)
            return true;
    return false;
}

/* With control held. */
static void say_left(struct lsi_link *link, uint32_t number, uint64_t region)
{
    struct lsi_ctl_segment_end message = {
        .header = { .type = LSI_CTL_SEGMENT_LEFT },
        .port = link->number,
        .region = region,
        .number = number,
    };

    lsi_control_send(link->subscriber->context, &message.header, sizeof message);
}

static int map(const struct lshm_subscriber *subscriber, struct lsi_arrival *arrival)
{
    int r = lsi_reader_map(subscriber, arrival->fd, arrival->layout.bytes, &arrival->part);

    if (r < 0)
        return r;
    close(arrival->fd);
    arrival->fd = -1;
    return 0;
}

/* DIE none: private memory. */
static void tell(struct lshm_subscriber *subscriber, int failed)
{
    /* RLX: the port's thread tells the application; the news bring it to look. */
    if (failed < 0)
        lsi_store_relaxed(&subscriber->failed, failed);
    lsi_store_relaxed(&subscriber->news, 1); /* RLX: as above */
    lsi_wait_kick(subscriber->context);
}

/* A new worker repeats what it does not know to have come. */
static bool is_repeated(struct lsi_link *link, uint32_t number, uint64_t region, bool is_gone)
{
    bool is_adopted = link->geometry.segments[number].region == region;

    if (is_queued(link, number, region, is_gone))
        return true;
    if (!is_gone)
        return is_adopted;
    if (is_adopted || is_queued(link, number, region, false))
        return false;
    say_left(link, number, region);
    return true;
}

void lsi_segment_take(struct lshm_context *context, struct lsi_ctl_packet *push)
{
    const struct lsi_ctl_push_segment *message = &push->push_segment;
    struct lsi_link *link = find_link(context, message->link);
    bool is_gone = message->header.type == LSI_CTL_PUSH_SEGMENT_GONE;
    struct lsi_arrival *arrival;

    if (link == NULL || is_repeated(link, message->number, message->layout.region, is_gone))
        return;
    arrival = calloc(1, sizeof *arrival);
    if (arrival == NULL) {
        tell(link->subscriber, -ENOMEM);
        return;
    }
    arrival->number = message->number;
    arrival->layout = message->layout;
    arrival->is_gone = is_gone;
    arrival->fd = -1;
    STAILQ_INSERT_TAIL(&link->arrivals, arrival, entry);
    if (!is_gone) {
        arrival->fd = push->fds[0];
        push->fds[0] = -1;
    }
    tell(link->subscriber, is_gone ? 0 : map(link->subscriber, arrival));
}

static bool has_samples(const struct lsi_link *link, uint32_t number)
{
    const struct lsi_window *w = &link->window;

    for (uint32_t i = 0; w->samples != NULL && i < w->window + w->holds; i++)
        if (w->samples[i].state != LSI_SAMPLE_FREE && link->segment_of[i] == number)
            return true;
    return false;
}

/* What could not be done is tried again. */
static bool see_to(struct lsi_link *link, struct lsi_arrival *arrival)
{
    struct lsi_part *part = &link->segments[arrival->number];
    struct lsi_ctl_segment *layout = &link->geometry.segments[arrival->number];

    if (arrival->is_gone) {
        if (layout->region != arrival->layout.region || has_samples(link, arrival->number))
            return false;
        lsi_memory_unmap(part->base, part->bytes);
        *part = (struct lsi_part){ 0 };
        *layout = (struct lsi_ctl_segment){ 0 };
        say_left(link, arrival->number, arrival->layout.region);
        return true;
    }
    if (part->base != NULL ||
        (arrival->part.base == NULL && map(link->subscriber, arrival) < 0))
        return false;
    *part = arrival->part;
    *layout = arrival->layout;
    link->lacks = false;
    return true;
}

/* With control held, by the port's thread. */
static void adopt(struct lsi_link *link)
{
    struct lsi_arrival *arrival, *next;

    for (arrival = STAILQ_FIRST(&link->arrivals); arrival != NULL; arrival = next) {
        next = STAILQ_NEXT(arrival, entry);
        if (!see_to(link, arrival))
            continue;
        STAILQ_REMOVE(&link->arrivals, arrival, lsi_arrival, entry);
        free(arrival);
    }
}

void lsi_subscriber_adopt_segments(struct lshm_subscriber *subscriber)
{
    for (uint32_t i = 0; i < subscriber->links_count; i++)
        if (subscriber->links[i] != NULL)
            adopt(subscriber->links[i]);
}

int lsi_link_fetch(struct lsi_link *link, uint32_t number)
{
    struct lshm_context *context = link->subscriber->context;

    if (number >= LSI_CTL_SEGMENTS || link->segments[number].base != NULL)
        return -LSHM_ECORRUPT;
    /* ORD M2 acquire <- M1: a descriptor that names it was published after its bit was set. */
    if (!(lsi_load_acquire(&link->record->segments) >> number & 1))
        return -LSHM_ECORRUPT;
    pthread_mutex_lock(&context->control);
    lsi_control_drain(context);
    adopt(link);
    pthread_mutex_unlock(&context->control);
    link->lacks = link->segments[number].base == NULL;
    return !link->lacks;
}

void lsi_link_drop_arrivals(struct lsi_link *link)
{
    struct lsi_arrival *arrival;

    while ((arrival = STAILQ_FIRST(&link->arrivals)) != NULL) {
        STAILQ_REMOVE_HEAD(&link->arrivals, entry);
        if (arrival->part.base != NULL)
            lsi_memory_unmap(arrival->part.base, arrival->part.bytes);
        if (arrival->fd >= 0)
            close(arrival->fd);
        free(arrival);
    }
}
