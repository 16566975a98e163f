/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long messages took until they were taken, counted while somebody watches.
 *
 * The broker says on the reader's board whether, and on which lines of its own control region. It
 * keeps those lines for the link until the link has left, so a count that comes late hits nothing
 * else.
 */
#include "api/internal.h"
#include "core/histogram.h"

/* Where the board says; NULL: it makes no sense. */
static struct lshm_histogram *find(const struct lsi_link *link)
{
    struct lshm_context *context = link->subscriber->context;
    /* RLX: the lines are ours since they were mapped, before the broker could name them. */
    uint64_t place = lsi_load_relaxed(&link->record->histogram);
    struct lshm_ref ref = { .part = (uint32_t)(place >> 32) - 1, .line = (uint32_t)place };
    struct lshm_histogram *histogram;

    pthread_mutex_lock(&context->control); /* another thread may be taking in a part */
    histogram = lsi_part_at(context->control_parts, ref, sizeof *histogram);
    pthread_mutex_unlock(&context->control);
    return histogram;
}

/* DIE none: figures; the histogram has its own. */
int lsi_link_count_latencies(struct lsi_link *link, const struct lshm_message *m, int count)
{
    uint64_t now;

    if (count <= 0)
        return count;
    if (link->histogram == NULL) {
        link->histogram = find(link);
        if (link->histogram == NULL)
            return count;
        lsi_histogram_begin(link->histogram, link->number);
    }
    now = lsi_now_ns();
    for (int i = 0; i < count; i++) {
        if (!(m[i].flags & LSHM_MESSAGE_TIME))
            lsi_histogram_count_untimed(link->histogram);
        else
            lsi_histogram_count(link->histogram, now > m[i].time_ns ? now - m[i].time_ns : 0);
    }
    return count;
}
