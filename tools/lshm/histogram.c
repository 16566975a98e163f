/* SPDX-License-Identifier: Apache-2.0 */
#include "histogram.h"

static unsigned bucket_of(uint64_t figure)
{
    unsigned power;

    if (figure < 8)
        return (unsigned)figure;
    power = 63u - (unsigned)__builtin_clzll(figure);
    return (power - 2) * 8 + (unsigned)(figure >> (power - 3) & 7);
}

/* The largest figure that a bucket counts. */
static uint64_t bucket_end(unsigned bucket)
{
    unsigned power = bucket / 8 + 2;

    if (bucket < 8)
        return bucket;
    return ((UINT64_C(8) + bucket % 8 + 1) << (power - 3)) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t figure)
{
    histogram->count++;
    histogram->buckets[bucket_of(figure)]++;
    if (figure > histogram->max)
        histogram->max = figure;
}

uint64_t histogram_percentile(const struct histogram *histogram, double part)
{
    uint64_t wanted = (uint64_t)((double)histogram->count * part), seen = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen > wanted)
            return bucket_end(i) < histogram->max ? bucket_end(i) : histogram->max;
    }
    return histogram->max;
}
