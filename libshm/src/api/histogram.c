/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic of private histograms: for inspectors, and for what a program measures itself. */
#include <lshm/inspect.h>

#include "api/internal.h"
#include "core/histogram.h"

/* Figures of others may be anything: a sum that has no room stays at the end. */
static uint64_t sum(uint64_t a, uint64_t b)
{
    return a <= UINT64_MAX - b ? a + b : UINT64_MAX;
}

LSI_API void lshm_histogram_add(struct lshm_histogram *histogram, uint64_t value)
{
    uint64_t *bucket = &histogram->buckets[lsi_histogram_bucket(value)];

    *bucket = sum(*bucket, 1);
    if (value > histogram->max)
        histogram->max = value;
}

LSI_API void lshm_histogram_merge(struct lshm_histogram *histogram,
                                  const struct lshm_histogram *other)
{
    for (uint32_t i = 0; i < LSHM_HISTOGRAM_BUCKETS; i++)
        histogram->buckets[i] = sum(histogram->buckets[i], other->buckets[i]);
    histogram->untimed = sum(histogram->untimed, other->untimed);
    if (other->max > histogram->max)
        histogram->max = other->max;
}

static uint64_t difference(uint64_t later, uint64_t earlier)
{
    return later > earlier ? later - earlier : 0;
}

LSI_API void lshm_histogram_subtract(struct lshm_histogram *histogram,
                                     const struct lshm_histogram *earlier)
{
    uint64_t end = 0;

    for (uint32_t i = 0; i < LSHM_HISTOGRAM_BUCKETS; i++) {
        histogram->buckets[i] = difference(histogram->buckets[i], earlier->buckets[i]);
        if (histogram->buckets[i] > 0)
            end = lsi_histogram_end(i);
    }
    histogram->untimed = difference(histogram->untimed, earlier->untimed);
    if (end == 0 || (histogram->max <= earlier->max && histogram->max > end))
        histogram->max = end; /* the largest one came before */
}

LSI_API uint64_t lshm_histogram_count(const struct lshm_histogram *histogram)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < LSHM_HISTOGRAM_BUCKETS; i++)
        count = sum(count, histogram->buckets[i]);
    return count;
}

LSI_API uint64_t lshm_histogram_quantile(const struct lshm_histogram *histogram, double part)
{
    double wanted = (double)lshm_histogram_count(histogram) * part;
    uint64_t seen = 0;

    for (uint32_t i = 0; i < LSHM_HISTOGRAM_BUCKETS; i++) {
        seen = sum(seen, histogram->buckets[i]);
        if ((double)seen > wanted) {
            uint64_t end = lsi_histogram_end(i);

            return end < histogram->max ? end : histogram->max;
        }
    }
    return histogram->max;
}
