/* SPDX-License-Identifier: Apache-2.0 */
/* A histogram of 64-bit figures: log-linear, within 12 %, its maximum exact. */
#ifndef LSHM_TOOL_HISTOGRAM_H
#define LSHM_TOOL_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS (64 * 8) /* eight for each power of two */

struct histogram {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t figure);
/* The figure that `part` (0 … 1) of all are below; 0 when there is none. */
uint64_t histogram_percentile(const struct histogram *histogram, double part);

#endif
