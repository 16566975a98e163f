/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forwarding: messages of our own ring that name a slot of another publisher's.
 *
 *   sample out -> hold (I6) -> view published -> its entry retired, no hold on it -> view dropped
 *   last view of a sample dropped and the sample released -> the hold is dropped
 *
 * Holds chain, they never hop: a hold is in the cell of the ring through which the message came,
 * and its publisher looks at nobody but its own readers. Readers of a view look at this ring.
 *
 * The segment has a number of our ring for them, which the broker gave it (an import). It ends with
 * the link, which stays as long as something is held through it.
 *
 * One thread uses a publisher and the subscribers whose samples it forwards: so each call on one of
 * them may drop views.
 */
#include "api/forward.h"

#include <stdlib.h>
#include <string.h>

#include "api/token.h"
#include "core/handle.h"

/* Views in limbo, beyond those that the ring has. */
#define LIMBO_VIEWS 1024u
#define RELEASED 1u
#define ONE_VIEW 2u
#define VIEWS_MAX (UINT16_MAX - ONE_VIEW - RELEASED)

/* DIE none: private memory. */
bool lsi_forward_keep(struct lsi_link *link, uint32_t sample)
{
    struct lsi_sample *s = &link->window.samples[sample];

    if (link->views[sample] < ONE_VIEW)
        return false;
    link->views[sample] |= RELEASED;
    /* RLX: as in lsi_window_free(): the token is good no more. */
    lsi_store_relaxed(&s->generation, s->generation + 1);
    return true;
}

static uint32_t views_out(const struct lshm_publisher *publisher)
{
    return publisher->views.count - publisher->views.free_count;
}

static void drop_view(void *owner, uint32_t index)
{
    struct lshm_publisher *publisher = owner;
    const struct lsi_forwarded *view = &publisher->views.views[index];
    struct lsi_link *link = view->link;
    uint16_t *word = &link->views[view->sample];

    publisher->views.free[publisher->views.free_count++] = index;
    *word = (uint16_t)(*word - ONE_VIEW);
    if (*word != RELEASED)
        return;
    *word = 0;
    lsi_window_release(&link->window, view->sample);
    lsi_link_settle(link, true);
}

/* Past lossy readers half of what may be held. */
static uint32_t spared(const struct lshm_publisher *publisher)
{
    const struct lsi_forwarder *source = SLIST_FIRST(&publisher->sources);

    return source != NULL ? source->subscriber->holds / 2 : 0;
}

static void reclaim(struct lshm_publisher *publisher, uint32_t but)
{
    struct lsi_publication *p = &publisher->publication;
    uint64_t committed;

    p->spared = but;
    do {
        committed = p->committed;
        lsi_reclaim(p, 1);
    } while (p->committed > committed && views_out(publisher) > 0);
    p->spared = 0;
}

void lsi_forward_reclaim(struct lshm_subscriber *subscriber)
{
    struct lsi_forwarder *forwarder, *next;

    for (forwarder = SLIST_FIRST(&subscriber->forwarders); forwarder != NULL; forwarder = next) {
        struct lshm_publisher *publisher = forwarder->publisher;

        next = SLIST_NEXT(forwarder, of_subscriber);
        if (publisher->sleeps_with_views) {
            publisher->sleeps_with_views = false;
            lsi_publisher_store_waiting(publisher, false);
        }
        if (views_out(publisher) > 0)
            reclaim(publisher, spared(publisher));
        if (publisher->closing && views_out(publisher) == 0)
            lsi_publisher_end(publisher);
    }
}

static bool has_views(const struct lsi_link *link)
{
    for (uint32_t k = 0; link->views != NULL && k < link->window.window + link->window.holds; k++)
        if (link->views[k] >= ONE_VIEW)
            return true;
    return false;
}

static bool any_has_views(const struct lshm_subscriber *subscriber)
{
    for (uint32_t i = 0; i < subscriber->links_count; i++)
        if (subscriber->links[i] != NULL && has_views(subscriber->links[i]))
            return true;
    return false;
}

void lsi_forward_look(struct lshm_publisher *publisher)
{
    struct lsi_forwarder *source, *next;

    if (views_out(publisher) > 0)
        reclaim(publisher, spared(publisher));
    for (source = SLIST_FIRST(&publisher->sources); source != NULL; source = next) {
        next = SLIST_NEXT(source, of_publisher);
        if (source->subscriber->closing && !any_has_views(source->subscriber))
            lsi_subscriber_end(source->subscriber);
    }
}

bool lsi_forward_ready(const struct lshm_subscriber *subscriber)
{
    const struct lsi_forwarder *forwarder;

    SLIST_FOREACH(forwarder, &subscriber->forwarders, of_subscriber) {
        struct lshm_publisher *publisher = forwarder->publisher;
        bool may;

        if (views_out(publisher) == 0)
            continue;
        publisher->publication.spared = spared(publisher);
        may = lsi_roster_changed(&publisher->publication.roster) ||
              lsi_publication_may_gain(&publisher->publication);
        publisher->publication.spared = 0;
        if (may)
            return true;
    }
    return false;
}

void lsi_forward_sleep(struct lshm_subscriber *subscriber)
{
    struct lsi_forwarder *forwarder;

    SLIST_FOREACH(forwarder, &subscriber->forwarders, of_subscriber) {
        struct lshm_publisher *publisher = forwarder->publisher;

        if (views_out(publisher) == 0 || publisher->sleeps_with_views || publisher->wants_room)
            continue;
        publisher->lacks_slot = true; /* then every release signals */
        publisher->sleeps_with_views = true;
        lsi_publisher_store_waiting(publisher, true);
    }
}

void lsi_forward_describe(const struct lshm_publisher *publisher, uint32_t slot,
                          struct lsi_descriptor *d)
{
    const struct lsi_forwarded *view = &publisher->views.views[slot & ~LSI_SLOT_VIEW];

    d->flags |= LSHM_ENTRY_VIEW;
    d->handle = view->handle;
    d->offset = view->offset;
}

static int prepare_publisher(struct lshm_publisher *publisher)
{
    struct lsi_publication *p = &publisher->publication;
    struct lsi_views *v = &publisher->views;
    uint32_t count = publisher->geometry.entry_count + LIMBO_VIEWS;
    struct lsi_limbo *limbo;

    if (v->views != NULL)
        return 0;
    limbo = reallocarray(p->limbo, (size_t)publisher->geometry.slot_room + count, sizeof *limbo);
    if (limbo != NULL)
        p->limbo = limbo;
    v->free = calloc(count, sizeof *v->free);
    v->views = calloc(count, sizeof *v->views);
    if (limbo == NULL || v->free == NULL || v->views == NULL) {
        free(v->free);
        free(v->views);
        v->free = NULL;
        v->views = NULL;
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++)
        v->free[i] = count - 1 - i;
    v->count = v->free_count = count;
    p->drop_view = drop_view;
    p->owner = publisher;
    return 0;
}

/* All that forwarding from this subscriber's link by this publisher needs. */
static int prepare(struct lshm_publisher *publisher, struct lshm_subscriber *subscriber,
                   struct lsi_link *link)
{
    struct lsi_forwarder *forwarder;
    int r = prepare_publisher(publisher);

    if (r == 0 && link->views == NULL) {
        link->views = calloc(link->window.window + link->window.holds, sizeof *link->views);
        r = link->views == NULL ? -ENOMEM : 0;
    }
    SLIST_FOREACH(forwarder, &subscriber->forwarders, of_subscriber)
        if (forwarder->publisher == publisher)
            return r;
    forwarder = calloc(1, sizeof *forwarder);
    if (r < 0 || forwarder == NULL) {
        free(forwarder);
        return -ENOMEM;
    }
    forwarder->publisher = publisher;
    forwarder->subscriber = subscriber;
    SLIST_INSERT_HEAD(&publisher->sources, forwarder, of_publisher);
    SLIST_INSERT_HEAD(&subscriber->forwarders, forwarder, of_subscriber);
    return 0;
}

static int ask_import(struct lshm_publisher *publisher, const struct lsi_link *link,
                      uint64_t region, uint32_t *ret_number)
{
    struct lshm_context *context = publisher->context;
    struct lsi_ctl_segment_import request = {
        .header = { .type = LSI_CTL_SEGMENT_IMPORT },
        .publisher = publisher->number,
        .link = link->number,
        .region = region,
    };
    struct lsi_ctl_packet reply;
    int r;

    pthread_mutex_lock(&context->control);
    r = lsi_control_request(context, &request.header, sizeof request, &reply, NULL);
    lsi_ctl_close_fds(&reply, 0);
    pthread_mutex_unlock(&context->control);
    if (r < 0)
        return r;
    if (reply.header.type != (LSI_CTL_SEGMENT_IMPORT | LSI_CTL_REPLY))
        return -LSHM_EPROTO;
    *ret_number = reply.segment_reply.number;
    return 0;
}

/* The number that our ring has for a segment of the link's. */
static int import(struct lshm_publisher *publisher, const struct lsi_link *link, uint64_t region,
                  uint32_t *ret_number)
{
    struct lsi_views *v = &publisher->views;
    int r;

    for (uint32_t i = 0; i < LSI_CTL_SEGMENTS; i++) {
        if (v->imports[i].link == link->number && v->imports[i].region == region) {
            *ret_number = v->imports[i].number;
            return 0;
        }
    }
    r = ask_import(publisher, link, region, ret_number);
    if (r < 0)
        return r;
    v->imports[v->next_import] = (struct lsi_import){ link->number, region, *ret_number };
    v->next_import = (v->next_import + 1) % LSI_CTL_SEGMENTS;
    return 0;
}

/* Where a slice is; the sample is held. 0, or why it cannot be a view. */
static int make_view(struct lshm_publisher *publisher, struct lsi_link *link, uint32_t sample,
                     const unsigned char *data, struct lsi_forwarded *ret_view)
{
    uint32_t segment = link->segment_of[sample], number = 0;
    const struct lsi_ctl_segment *layout = &link->geometry.segments[segment];
    uint64_t at = (uint64_t)(data - (const unsigned char *)link->segments[segment].base);
    int r = import(publisher, link, layout->region, &number);

    *ret_view = (struct lsi_forwarded){
        .link = link,
        .handle = lsi_handle(1 + number, 1, (uint32_t)(at / layout->slot_bytes)),
        .sample = sample,
        .offset = (uint32_t)(at % layout->slot_bytes),
    };
    return r;
}

static bool hold(struct lshm_publisher *publisher, struct lsi_link *link, uint32_t sample)
{
    const struct lsi_sample *s = &link->window.samples[sample];
    uint64_t now = lsi_now_coarse_ns();

    if (s->copied || publisher->geometry.retain > 0 || link->views[sample] >= VIEWS_MAX)
        return false;
    if (publisher->views.free_count > 0 && lsi_window_hold(&link->window, sample, now))
        return true;
    reclaim(publisher, 0); /* of lossy readers what is in the way */
    return publisher->views.free_count > 0 && lsi_window_hold(&link->window, sample, now);
}

static int publish(struct lshm_publisher *publisher, struct lshm_message *loan,
                   struct lshm_slice *slice)
{
    int r;

    loan->length = slice->length;
    loan->user[0] = slice->user[0];
    loan->user[1] = slice->user[1];
    loan->flags = slice->flags & 0xffff0000u;
    loan->schema = slice->schema;
    r = lshm_publisher_publish(publisher, loan);
    slice->seq = loan->seq;
    publisher->views.forwarded += r == 0 && loan->seq != LSHM_SEQ_NONE;
    return r;
}

static int copy(struct lshm_publisher *publisher, const unsigned char *data,
                struct lshm_slice *slice)
{
    struct lshm_message loan;
    int r;

    if (slice->length > publisher->payload_bytes)
        return -LSHM_EHELD;
    r = lshm_publisher_loan(publisher, slice->length, &loan);
    if (r < 0)
        return r;
    if (slice->length > 0)
        memcpy(loan.data, data, slice->length);
    r = publish(publisher, &loan, slice);
    publisher->views.copied += r == 0 && loan.seq != LSHM_SEQ_NONE;
    return r;
}

static int forward(struct lshm_publisher *publisher, struct lsi_link *link, uint32_t sample,
                   const unsigned char *data, struct lshm_slice *slice)
{
    struct lsi_views *v = &publisher->views;
    struct lshm_message loan;
    struct lsi_forwarded view;
    struct lsi_loan *place;
    uint32_t index;
    int r;

    if (!hold(publisher, link, sample) ||
        make_view(publisher, link, sample, data, &view) < 0)
        return copy(publisher, data, slice);
    r = lshm_publisher_loan(publisher, 0, &loan);
    if (r < 0)
        return r;
    place = &publisher->loans[lsi_token_link(loan.token)]; /* where a loan has its place */
    if (place->slot != LSI_SLOT_SCRATCH) {
        index = v->free[--v->free_count];
        v->views[index] = view;
        link->views[sample] = (uint16_t)(link->views[sample] + ONE_VIEW);
        place->slot = LSI_SLOT_VIEW | index;
        place->capacity = slice->length;
    }
    return publish(publisher, &loan, slice);
}

/* The payload, and behind it nothing of another slot. */
static bool is_inside(const struct lsi_link *link, uint32_t sample, const struct lshm_message *m)
{
    uint32_t segment = link->segment_of[sample];
    const struct lsi_ctl_segment *layout;
    uint64_t at;

    if (link->window.samples[sample].copied)
        return m->length <= link->inline_bytes;
    layout = &link->geometry.segments[segment];
    at = (uint64_t)((const unsigned char *)m->data -
                    (const unsigned char *)link->segments[segment].base);
    return at < layout->slot_count * layout->slot_bytes &&
           m->length <= layout->slot_bytes - at % layout->slot_bytes;
}

static int forward_all(struct lshm_publisher *publisher, struct lshm_subscriber *subscriber,
                       const struct lshm_message *m, struct lshm_slice *slices, size_t count)
{
    struct lsi_link *link;
    uint32_t sample;
    size_t done;
    int r = lsi_subscriber_find(subscriber, m, &link, &sample);

    if (r == 0 && !is_inside(link, sample, m))
        r = -EINVAL;
    for (size_t i = 0; i < count && r == 0; i++)
        if (slices[i].offset > m->length || slices[i].length > m->length - slices[i].offset)
            r = -EINVAL;
    if (r == 0)
        r = prepare(publisher, subscriber, link);
    if (r < 0)
        return r;
    for (done = 0; done < count; done++) {
        r = forward(publisher, link, sample, (const unsigned char *)m->data + slices[done].offset,
                    &slices[done]);
        if (r < 0)
            break;
    }
    lsi_link_settle(link, false); /* the cursor may pass what is held */
    lsi_forward_look(publisher);
    return done > 0 ? (int)done : r;
}

LSI_API int lshm_publisher_forward(struct lshm_publisher *publisher,
                                   struct lshm_subscriber *subscriber,
                                   const struct lshm_message *sample, struct lshm_slice *slices,
                                   size_t count)
{
    int r;

    LSI_ENTER(publisher, LSI_PUBLISHER_MAGIC);
    LSI_ENTER(subscriber, LSI_SUBSCRIBER_MAGIC);
    if (publisher->context != subscriber->context)
        return -LSHM_EFOREIGN;
    if (count > INT32_MAX)
        count = INT32_MAX;
    if (!lsi_port_enter(&subscriber->busy))
        return -LSHM_EBUSY;
    r = forward_all(publisher, subscriber, sample, slices, count);
    lsi_port_leave(&subscriber->busy);
    return r;
}

bool lsi_forward_delays_publisher(struct lshm_publisher *publisher)
{
    if (views_out(publisher) > 0)
        reclaim(publisher, 0);
    if (views_out(publisher) == 0)
        return false;
    publisher->closing = true;
    publisher->magic = 0;
    return true;
}

/* What the application has not released goes; what is not taken, too. */
static void keep_views(struct lsi_link *link)
{
    struct lsi_window *w = &link->window;

    for (uint32_t k = 0; k < w->window + w->holds; k++)
        if (w->samples[k].state != LSI_SAMPLE_FREE &&
            (link->views == NULL || !(link->views[k] & RELEASED)))
            (void)lsi_link_release(link, k);
    w->cursor = w->position;
    w->released_ahead = 0;
    lsi_cell_close(w->cell);
    lsi_link_notify(link);
}

bool lsi_forward_delays_subscriber(struct lshm_subscriber *subscriber)
{
    lsi_forward_reclaim(subscriber);
    if (!any_has_views(subscriber))
        return false;
    lsi_subscriber_drain_released(subscriber);
    for (uint32_t i = 0; i < subscriber->links_count; i++)
        if (subscriber->links[i] != NULL)
            keep_views(subscriber->links[i]);
    subscriber->closing = true;
    subscriber->magic = 0;
    return true;
}

static void forget(struct lsi_forwarder *forwarder)
{
    SLIST_REMOVE(&forwarder->publisher->sources, forwarder, lsi_forwarder, of_publisher);
    SLIST_REMOVE(&forwarder->subscriber->forwarders, forwarder, lsi_forwarder, of_subscriber);
    free(forwarder);
}

void lsi_forward_free_publisher(struct lshm_publisher *publisher)
{
    while (!SLIST_EMPTY(&publisher->sources))
        forget(SLIST_FIRST(&publisher->sources));
    free(publisher->views.views);
    free(publisher->views.free);
}

void lsi_forward_free_subscriber(struct lshm_subscriber *subscriber)
{
    while (!SLIST_EMPTY(&subscriber->forwarders))
        forget(SLIST_FIRST(&subscriber->forwarders));
}
