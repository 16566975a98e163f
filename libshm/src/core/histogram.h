/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histograms of times in shared memory: their buckets, their one writer, and copies of them.
 *
 * MODEL  Log-linear buckets as in HdrHistogram (G. Tene), with three significant bits: a value
 *        below 8 has a bucket of its own, then each power of two has eight of equal width. So a
 *        bucket's bounds lie at most an eighth apart, from 0 to 2^64 - 1, and the place of a value
 *        is a count of leading zeros and a shift.
 *
 * One thread of the reader's process counts; whoever copies may meet it in the middle. Each word is
 * whole, and none of them depends on another: the copy's total is that of its buckets. The link's
 * number, looked at before and behind, tells that the lines did not serve another one meanwhile.
 */
#ifndef LSI_HISTOGRAM_H
#define LSI_HISTOGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include <lshm/abi.h>

#include "base/atomic.h"

#define LSI_HISTOGRAM_BITS 3u /* significant ones, behind the first */

static inline uint32_t lsi_histogram_bucket(uint64_t value)
{
    uint32_t power;

    if (value < 1u << LSI_HISTOGRAM_BITS)
        return (uint32_t)value;
    power = 63u - (uint32_t)__builtin_clzll(value);
    return ((power - LSI_HISTOGRAM_BITS + 1) << LSI_HISTOGRAM_BITS) +
           ((uint32_t)(value >> (power - LSI_HISTOGRAM_BITS)) & ((1u << LSI_HISTOGRAM_BITS) - 1));
}

/* The largest value that a bucket counts. */
static inline uint64_t lsi_histogram_end(uint32_t bucket)
{
    uint32_t step = bucket >> LSI_HISTOGRAM_BITS; /* 0 and 1: buckets of one value each */
    uint64_t first = bucket & ((1u << LSI_HISTOGRAM_BITS) - 1);

    if (step == 0)
        return bucket;
    first += UINT64_C(1) << LSI_HISTOGRAM_BITS;
    return (first << (step - 1)) + ((UINT64_C(1) << (step - 1)) - 1);
}

/* Makes lines that may have served before an empty histogram of this link. */
void lsi_histogram_begin(struct lshm_histogram *histogram, uint64_t link);
/* Before the lines serve something else: nobody believes them any more. */
void lsi_histogram_end_use(struct lshm_histogram *histogram);
void lsi_histogram_count(struct lshm_histogram *histogram, uint64_t value);
void lsi_histogram_count_untimed(struct lshm_histogram *histogram);
/* False, and an empty copy: it is not this link's. */
bool lsi_histogram_copy(const struct lshm_histogram *histogram, uint64_t link,
                        struct lshm_histogram *ret_copy);

#endif
