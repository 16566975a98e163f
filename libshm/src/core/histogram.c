/* SPDX-License-Identifier: Apache-2.0 */
#include "core/histogram.h"

#include <string.h>

_Static_assert(LSHM_HISTOGRAM_LINES * LSHM_LINE_BYTES == sizeof(struct lshm_histogram), "lines");
_Static_assert(LSHM_HISTOGRAM_BUCKETS == (64u - LSI_HISTOGRAM_BITS + 1) << LSI_HISTOGRAM_BITS,
               "a bucket for each value");

/* DIE none: figures for inspectors. */
static void add_one(uint64_t *word)
{
    /* RLX: only this process writes it; a reader takes it as of some instant. */
    lsi_store_relaxed(word, lsi_load_relaxed(word) + 1);
}

void lsi_histogram_begin(struct lshm_histogram *histogram, uint64_t link)
{
    /* RLX: nobody believes the lines before they have a link. */
    for (uint32_t i = 0; i < LSHM_HISTOGRAM_BUCKETS; i++)
        lsi_store_relaxed(&histogram->buckets[i], (uint64_t)0);
    lsi_store_relaxed(&histogram->untimed, (uint64_t)0);
    lsi_store_relaxed(&histogram->max, (uint64_t)0);
    /* ORD H1 release -> H2: who finds the link finds its buckets empty; without it, it takes what
     * the lines were used for before for figures.
     * DIE H1: an empty histogram, which goes with its client. */
    lsi_store_release(&histogram->link, link);
}

void lsi_histogram_end_use(struct lshm_histogram *histogram)
{
    /* RLX: ordered before what comes by the fence. DIE none: as before, and the client is dead. */
    lsi_store_relaxed(&histogram->link, (uint64_t)0);
    /* ORD H3 release -> H4: who copied something of the lines' next use finds no link behind it. */
    lsi_fence_release();
}

void lsi_histogram_count(struct lshm_histogram *histogram, uint64_t value)
{
    add_one(&histogram->buckets[lsi_histogram_bucket(value)]);
    /* RLX: as above. */
    if (value > lsi_load_relaxed(&histogram->max))
        lsi_store_relaxed(&histogram->max, value);
    /* DIE none: a maximum that its bucket does not confirm is not believed (lsi_histogram_copy). */
}

void lsi_histogram_count_untimed(struct lshm_histogram *histogram)
{
    add_one(&histogram->untimed);
}

/* A maximum outside the last bucket that counts anything is that bucket's end. */
static void bound_max(struct lshm_histogram *copy)
{
    uint32_t last = LSHM_HISTOGRAM_BUCKETS;

    while (last > 0 && copy->buckets[last - 1] == 0)
        last--;
    if (last == 0)
        copy->max = 0;
    else if (lsi_histogram_bucket(copy->max) != last - 1)
        copy->max = lsi_histogram_end(last - 1);
}

bool lsi_histogram_copy(const struct lshm_histogram *histogram, uint64_t link,
                        struct lshm_histogram *ret_copy)
{
    struct lshm_histogram *copy = ret_copy;
    bool is_its;

    /* ORD H2 acquire <- H1 */
    is_its = link != 0 && lsi_load_acquire(&histogram->link) == link;
    *copy = (struct lshm_histogram){ .link = link };
    /* RLX: figures, each of some instant. */
    for (uint32_t i = 0; is_its && i < LSHM_HISTOGRAM_BUCKETS; i++)
        copy->buckets[i] = lsi_load_relaxed(&histogram->buckets[i]);
    copy->untimed = lsi_load_relaxed(&histogram->untimed); /* RLX: as above */
    copy->max = lsi_load_relaxed(&histogram->max);         /* RLX: as above */
    /* ORD H4 acquire <- H3 */
    lsi_fence_acquire();
    /* RLX: after H4. */
    is_its = is_its && lsi_load_relaxed(&histogram->link) == link;
    if (!is_its)
        *copy = (struct lshm_histogram){ .link = link };
    bound_max(copy);
    return is_its;
}
