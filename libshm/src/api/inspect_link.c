/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subscribers and holders: what each (subscriber, publisher) pair says in its cell, next to the
 * ring it reads.
 *
 * HOLDERS  of a message of ring p, by reader cell:  [cursor, position) taken, not all released: at
 *          most;  [position, tail) not taken yet: at most, the tail being a hint;  hold entries:
 *          exact. A position that does not lie in [cursor, min(tail, cursor + B)] is no use, then
 *          the whole of that range is "at most".
 */
#include <stdlib.h>
#include <string.h>

#include "api/inspector.h"

/* All pairs, and the publishers by number. */
struct links {
    struct lsi_ctl_link_record *records;
    struct lsi_ctl_publisher_record *publishers;
    int count;
    int publisher_count;
};

static int compare_publishers(const void *a, const void *b)
{
    const struct lsi_ctl_publisher_record *one = a, *other = b;

    return one->publisher < other->publisher ? -1 : one->publisher > other->publisher;
}

static int compare_words(const void *a, const void *b)
{
    const uint64_t *one = a, *other = b;

    return *one < *other ? -1 : *one > *other;
}

static int collect(struct lshm_inspector *inspector, struct links *ret_links)
{
    *ret_links = (struct links){ 0 };
    ret_links->count = lsi_inspector_collect(inspector, LSI_CTL_LIST_LINKS,
                                             (void **)&ret_links->records);
    if (ret_links->count < 0)
        return ret_links->count;
    ret_links->publisher_count = lsi_inspector_collect(inspector, LSI_CTL_LIST_PUBLISHERS,
                                                       (void **)&ret_links->publishers);
    if (ret_links->publisher_count < 0)
        return ret_links->publisher_count;
    qsort(ret_links->publishers, (size_t)ret_links->publisher_count,
          sizeof *ret_links->publishers, compare_publishers);
    return 0;
}

static void forget(struct links *links)
{
    free(links->records);
    free(links->publishers);
}

static const struct lsi_ctl_publisher_record *find_publisher(const struct links *links,
                                                             uint64_t publisher)
{
    struct lsi_ctl_publisher_record key = { .publisher = publisher };

    return bsearch(&key, links->publishers, (size_t)links->publisher_count,
                   sizeof *links->publishers, compare_publishers);
}

/* The ring of a pair; not seen when its publisher is not known (any more). */
static const struct lsi_ctl_publisher_record *look_ring(struct lshm_inspector *inspector,
                                                        const struct links *links,
                                                        uint64_t publisher,
                                                        struct lsi_ring_look *ret_ring)
{
    static const struct lsi_ctl_geometry nothing;
    const struct lsi_ctl_publisher_record *found = find_publisher(links, publisher);

    lsi_inspector_look_ring(inspector, found != NULL ? &found->geometry : &nothing, false,
                            ret_ring);
    return found;
}

static void fill_link(struct lshm_inspector *inspector, const struct links *links,
                      const struct lsi_ctl_link_record *record, struct lshm_subscriber_info *info)
{
    struct lsi_cell_look cell;
    struct lsi_ring_look ring;

    lsi_inspector_look_cell(inspector, record, NULL, &cell);
    look_ring(inspector, links, record->publisher, &ring);
    *info = (struct lshm_subscriber_info){
        .subscriber = record->subscriber,
        .topic = record->topic,
        .client = record->client,
        .publisher = record->publisher,
        .taken = cell.taken,
        .lost = LSHM_UNKNOWN,
        .lost_start = cell.lost_start,
        .lost_lapped = cell.lost_lapped,
        .lost_limit = cell.lost_limit,
        .lost_evicted = cell.lost_evicted,
        .lost_corrupt = cell.lost_corrupt,
        .holds = cell.hold_count,
        .position = cell.position,
        .cursor = cell.cursor,
        .tail = ring.tail,
        .window = record->window,
        .holds_max = record->holds,
        .flags = record->flags,
        .state = record->state,
    };
    if (cell.joined)
        info->lost = cell.lost_start + cell.lost_lapped + cell.lost_limit + cell.lost_evicted +
                     cell.lost_corrupt;
}

static void fill_bare(const struct lsi_ctl_subscriber_record *record,
                      struct lshm_subscriber_info *info)
{
    memset(info, 0xff, sizeof *info);
    info->subscriber = record->subscriber;
    info->topic = record->topic;
    info->client = record->client;
    info->publisher = 0;
    info->window = record->window;
    info->holds_max = record->holds;
    info->flags = record->flags;
    info->state = LSHM_ROW_FREE;
}

/* Subscribers that read no publisher: appended to infos, which has `filled` entries already. */
static int list_bare(struct lshm_inspector *inspector, const struct links *links,
                     struct lshm_subscriber_info *infos, size_t count)
{
    struct lsi_ctl_subscriber_record *records = NULL;
    uint64_t *reading = calloc((size_t)links->count + 1, sizeof *reading);
    int n = -ENOMEM, total = links->count;

    if (reading != NULL)
        n = lsi_inspector_collect(inspector, LSI_CTL_LIST_SUBSCRIBERS, (void **)&records);
    for (int i = 0; n > 0 && i < links->count; i++)
        reading[i] = links->records[i].subscriber;
    if (n > 0)
        qsort(reading, (size_t)links->count, sizeof *reading, compare_words);
    for (int i = 0; i < n; i++) {
        if (bsearch(&records[i].subscriber, reading, (size_t)links->count, sizeof *reading,
                    compare_words) != NULL)
            continue;
        if ((size_t)total < count)
            fill_bare(&records[i], &infos[total]);
        total++;
    }
    free(reading);
    free(records);
    return n < 0 ? n : total;
}

LSI_API int lshm_inspector_list_subscribers(struct lshm_inspector *inspector,
                                            struct lshm_subscriber_info *infos, size_t count)
{
    struct links links;
    int n = lsi_inspector_begin(inspector);

    if (n < 0)
        return n;
    n = collect(inspector, &links);
    for (int i = 0; n == 0 && i < links.count && (size_t)i < count; i++)
        fill_link(inspector, &links, &links.records[i], &infos[i]);
    if (n == 0)
        n = list_bare(inspector, &links, infos, count);
    forget(&links);
    return lsi_inspector_end(inspector, n);
}

/* Where holders go. */
struct holders {
    struct lshm_holder_info *infos;
    size_t count;
    int total;
};

static void add(struct holders *holders, const struct lshm_holder_info *info)
{
    if ((size_t)holders->total < holders->count)
        holders->infos[holders->total] = *info;
    if (holders->total < INT32_MAX)
        holders->total++;
}

static void add_range(struct holders *holders, struct lshm_holder_info info, uint32_t kind,
                      uint64_t from, uint64_t to)
{
    if (to <= from)
        return;
    info.kind = kind;
    info.seq = from;
    info.count = to - from;
    info.at_most = 1;
    add(holders, &info);
}

static void add_holds(struct holders *holders, struct lshm_holder_info info,
                      const struct lshm_hold *holds, uint64_t count, uint64_t seq_end)
{
    uint64_t now = lsi_now_ns();

    info.kind = LSHM_HOLDER_HOLD;
    info.count = 1;
    for (uint64_t i = 0; i < count; i++) {
        if (holds[i].seq_plus_1 > seq_end)
            continue; /* no such message: it keeps nothing */
        info.seq = holds[i].seq_plus_1 - 1;
        info.since_ns = holds[i].since_ns <= now ? holds[i].since_ns : 0;
        add(holders, &info);
    }
}

/* The window and what is ahead of it. */
static void add_window(struct holders *holders, const struct lshm_holder_info *info,
                       const struct lsi_ctl_link_record *record, const struct lsi_cell_look *cell,
                       const struct lsi_ring_look *ring)
{
    uint64_t cursor = cell->joined ? cell->cursor : ring->horizon;
    uint64_t tail = ring->tail, end, position;

    if (cell->closed || cursor > tail)
        return;
    end = tail - cursor < record->window ? tail : cursor + record->window;
    position = cell->joined ? cell->position : cursor;
    if (position < cursor || position > end)
        position = end;
    add_range(holders, *info, LSHM_HOLDER_WINDOW, cursor, position);
    if (!(record->flags & LSHM_READER_LOSSY))
        add_range(holders, *info, LSHM_HOLDER_AHEAD, position, tail);
}

static void add_link(struct lshm_inspector *inspector, const struct links *links,
                     const struct lsi_ctl_link_record *record, struct lshm_hold *holds,
                     struct holders *holders)
{
    struct lshm_holder_info info = {
        .topic = record->topic,
        .publisher = record->publisher,
        .client = record->client,
        .subscriber = record->subscriber,
        .seq = LSHM_UNKNOWN,
    };
    const struct lsi_ctl_publisher_record *publisher;
    struct lsi_cell_look cell;
    struct lsi_ring_look ring;

    lsi_inspector_look_cell(inspector, record, holds, &cell);
    publisher = look_ring(inspector, links, record->publisher, &ring);
    if (publisher == NULL)
        return; /* its memory is gone with it */
    if (!cell.seen || !ring.seen) {
        info.kind = LSHM_HOLDER_UNKNOWN;
        info.count = (uint64_t)publisher->geometry.entry_count + record->holds;
        info.at_most = 1;
        add(holders, &info);
        return;
    }
    add_window(holders, &info, record, &cell, &ring);
    /* The tail is a hint that lags by less than the ring. */
    add_holds(holders, info, holds, cell.hold_count, ring.tail + publisher->geometry.entry_count);
}

static void add_loans(struct lshm_inspector *inspector,
                      const struct lsi_ctl_publisher_record *publisher, struct holders *holders)
{
    struct lshm_holder_info info = {
        .topic = publisher->topic,
        .publisher = publisher->publisher,
        .client = publisher->client,
        .seq = LSHM_UNKNOWN,
        .kind = LSHM_HOLDER_LOAN,
    };
    struct lsi_ring_look ring;

    if (publisher->dead)
        return;
    lsi_inspector_look_ring(inspector, &publisher->geometry, true, &ring);
    info.count = ring.in_state[LSHM_SLOT_LOANED];
    if (ring.seen && info.count > 0)
        add(holders, &info);
}

LSI_API int lshm_inspector_list_holders(struct lshm_inspector *inspector,
                                        struct lshm_holder_info *infos, size_t count)
{
    struct holders holders = { .infos = infos, .count = count };
    struct lshm_hold *holds;
    struct links links;
    int n = lsi_inspector_begin(inspector);

    if (n < 0)
        return n;
    n = collect(inspector, &links);
    holds = calloc(LSHM_HOLDS_MAX, sizeof *holds);
    if (n == 0 && holds == NULL)
        n = -ENOMEM;
    for (int i = 0; n == 0 && i < links.count; i++)
        if (links.records[i].state != LSHM_ROW_GONE)
            add_link(inspector, &links, &links.records[i], holds, &holders);
    for (int i = 0; n == 0 && i < links.publisher_count; i++)
        add_loans(inspector, &links.publishers[i], &holders);
    free(holds);
    forget(&links);
    return lsi_inspector_end(inspector, n < 0 ? n : holders.total);
}
