/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where counters start: at 0, or, in a build with LSHM_WRAP, two short of 2^bits. `bits` is the
 * width that the counter has where it is kept in the fewest, and 32 for those that are 64-bit words
 * everywhere: a place that cuts one of these to 32 bits shows within a few steps. Such a build runs
 * the same tests; what a counter may do at its end is argued where it is declared.
 *
 * Statistics are no such counters: they are sums, and nothing is decided by them.
 */
#ifndef LSI_COUNTER_H
#define LSI_COUNTER_H

#include <stdint.h>

#ifdef LSHM_WRAP
#define LSI_COUNTER_START(bits) ((UINT64_C(1) << (bits)) - 2)
#else
#define LSI_COUNTER_START(bits) UINT64_C(0)
#endif

/*
 * What comes after `value`, of a 64-bit counter of which 0 means that it was never used, as fresh
 * memory says: such a counter starts at its first step. It never ends: at 10^9 steps a second,
 * after 584 years.
 */
static inline uint64_t lsi_counter_next(uint64_t value)
{
    return (value == 0 ? LSI_COUNTER_START(32) : value) + 1;
}

#endif
