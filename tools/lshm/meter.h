/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A figure measured again and again: over a moving window of samples, and over all of them.
 *
 * A sample stands for `weight` messages: a reader that skips some sees only the last of them. It
 * took `elapsed_ns` since the sample before; the first one has none before, so it counts as a
 * figure, but not in rates.
 */
#ifndef LSHM_TOOL_METER_H
#define LSHM_TOOL_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lshm/inspect.h>

struct meter_sample {
    uint64_t value;
    uint64_t elapsed_ns;
    uint64_t weight;
    bool is_first;
};

struct meter_sum {
    uint64_t samples;
    double weight;
    double mean;
    double squares;     /* sum of squared distances from the mean */
    uint64_t min;
    uint64_t max;
    double rated;       /* weight of the samples that have an elapsed time */
    double rated_value; /* sum of their values */
    double seconds;     /* sum of their times */
    struct lshm_histogram histogram;
};

struct meter {
    struct meter_sample *samples; /* the window: a ring of `room`, which grows up to `window` */
    size_t window;
    size_t room;
    size_t used;
    size_t next;
    struct meter_sum all;
};

void meter_init(struct meter *meter, size_t window);
void meter_free(struct meter *meter);
/* 0 or −ENOMEM. */
int meter_add(struct meter *meter, const struct meter_sample *sample);
/* Of the samples in the window. */
void meter_sum_window(const struct meter *meter, struct meter_sum *ret_sum);

/* 0 without samples. */
double meter_deviation(const struct meter_sum *sum);
double meter_messages_per_second(const struct meter_sum *sum);
double meter_values_per_second(const struct meter_sum *sum);

#endif
