/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a subscription's messages: taken, lost and by what, still ahead (I7).
 *
 * LOSSY  Before it takes anything a lossy subscription announces what it is about to read, and
 *        passes what the ring no longer promises (core/window.h). A queue limit makes it pass what
 *        is further than that behind the tail.
 */
#include "api/internal.h"

/* Every message below it that was published has been taken or counted. */
static uint64_t end_of(const struct lsi_link *link)
{
    /* RLX: a hint; what it says is believed up to a number that cannot overflow. */
    uint64_t tail = link->dead ? link->final_tail : lsi_load_relaxed(&link->reader.ring->tail);

    return tail < LSI_SEQ_MAX ? tail : LSI_SEQ_MAX;
}

static uint64_t now_if_any_is_out(const struct lsi_window *window)
{
    return window->position == window->cursor ? 0 : lsi_now_coarse_ns();
}

/* Passes what the queue limit makes too old. False: samples are out that cannot become holds. */
static bool keep_to_limit(struct lsi_link *link)
{
    struct lsi_window *window = &link->window;
    uint64_t limit = link->subscriber->queue_limit, end = end_of(link);
    uint64_t position = window->position;

    if (limit == 0 || end <= limit || end - limit <= position)
        return true;
    if (!lsi_window_skip_to(window, end - limit, now_if_any_is_out(window)))
        return false;
    link->account.lost_limit += window->position - position;
    return true;
}

/* Passes what is gone: LSI_ANNOUNCE_…. */
static int announce(struct lsi_link *link, uint32_t count)
{
    struct lsi_window *window = &link->window;
    uint64_t end = link->dead ? link->final_tail : LSI_SEQ_MAX, lost;
    /* RLX: the broker raises it before it lets the messages below go, and only for a dead ring,
     * whose memory stays as long as it is mapped here. */
    uint64_t floor = lsi_load_relaxed(&link->record->closing_floor);
    int r = lsi_window_announce(window, link->reader.ring, floor, end, count,
                                now_if_any_is_out(window), &lost);

    link->account.lost_lapped += lost;
    return r;
}

int64_t lsi_link_announce(struct lsi_link *link, uint32_t count)
{
    struct lsi_window *window = &link->window;
    int r;

    if (!lsi_ring_has(&link->reader, window->position))
        return 0;
    if (!keep_to_limit(link))
        return -LSHM_EHELD;
    if (window->sure >= window->position + count)
        return count;
    r = announce(link, count);
    if (r == LSI_ANNOUNCE_HELD)
        return -LSHM_EHELD;
    if (r == LSI_ANNOUNCE_AGAIN)
        return 0;
    if (count > window->sure - window->position)
        count = (uint32_t)(window->sure - window->position);
    return count;
}

int lsi_link_pass_lapped(struct lsi_link *link)
{
    uint64_t position = link->window.position;
    int r = announce(link, 1);

    if (r == LSI_ANNOUNCE_HELD)
        return -LSHM_EHELD;
    return r == LSI_ANNOUNCE_AGAIN || link->window.position > position;
}

uint64_t lsi_link_ahead(const struct lsi_link *link)
{
    uint64_t end = link->evicted ? 0 : end_of(link); /* evicted: its successor counts */
    uint64_t ahead = end > link->window.position ? end - link->window.position : 0;

    /* A lossy reader can be further behind than the ring is long. */
    return link->lossy || ahead < link->geometry.entry_count ? ahead : link->geometry.entry_count;
}

/* DIE none: counters for inspectors. */
void lsi_link_count(struct lsi_link *link)
{
    struct lshm_cell *cell = link->window.cell;
    const struct lsi_account *account = &link->account;

    lsi_link_count_taken(link);
    if (LSI_LIKELY(lsi_account_lost(account) == link->lost_told))
        return;
    link->lost_told = lsi_account_lost(account);
    /* RLX: only this process writes them; an inspector takes them as of some instant. */
    lsi_store_relaxed(&cell->lost_start, account->lost_start);
    lsi_store_relaxed(&cell->lost_lapped, account->lost_lapped);
    lsi_store_relaxed(&cell->lost_limit, account->lost_limit);
    lsi_store_relaxed(&cell->lost_evicted, account->lost_evicted);
    lsi_store_relaxed(&cell->lost_corrupt, account->lost_corrupt);
}

uint64_t lsi_account_lost(const struct lsi_account *account)
{
    return account->lost_start + account->lost_lapped + account->lost_limit +
           account->lost_evicted + account->lost_corrupt;
}

void lsi_account_add(struct lsi_account *sum, const struct lsi_account *account)
{
    sum->taken += account->taken;
    sum->lost_start += account->lost_start;
    sum->lost_lapped += account->lost_lapped;
    sum->lost_limit += account->lost_limit;
    sum->lost_evicted += account->lost_evicted;
    sum->lost_corrupt += account->lost_corrupt;
}

static void add_oldest(struct lshm_subscriber_statistics *s, const struct lsi_link *link)
{
    const struct lsi_window *window = &link->window;

    for (uint32_t k = 0; k < window->window + window->holds; k++) {
        const struct lsi_sample *sample = &window->samples[k];

        if (sample->state != LSI_SAMPLE_FREE &&
            (s->oldest_publisher == 0 || sample->seq < s->oldest_seq)) {
            s->oldest_publisher = link->publisher;
            s->oldest_seq = sample->seq;
        }
    }
}

LSI_API int lshm_subscriber_get_statistics(struct lshm_subscriber *subscriber,
                                           struct lshm_subscriber_statistics *statistics)
{
    struct lshm_subscriber_statistics s = { .size = sizeof s };
    struct lsi_account sum;

    LSI_ENTER(subscriber, LSI_SUBSCRIBER_MAGIC);
    sum = subscriber->before;
    for (uint32_t i = 0; i < subscriber->links_count; i++) {
        const struct lsi_link *link = subscriber->links[i];

        if (link == NULL)
            continue;
        lsi_account_add(&sum, &link->account);
        s.publishers++;
        s.out += lsi_window_out(&link->window);
        s.holds += link->window.holds - link->window.free_hold_count;
        s.ahead += lsi_link_ahead(link);
        add_oldest(&s, link);
    }
    s.taken = sum.taken;
    s.lost = lsi_account_lost(&sum);
    s.lost_start = sum.lost_start;
    s.lost_lapped = sum.lost_lapped;
    s.lost_limit = sum.lost_limit;
    s.lost_evicted = sum.lost_evicted;
    s.corrupt = sum.lost_corrupt;
    return lsi_statistics_copy(statistics, &s, sizeof s);
}
