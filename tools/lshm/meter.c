/* SPDX-License-Identifier: Apache-2.0 */
#include "meter.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_MIN 64

void meter_init(struct meter *meter, size_t window)
{
    memset(meter, 0, sizeof *meter);
    meter->window = window;
}

void meter_free(struct meter *meter)
{
    free(meter->samples);
}

/* Welford's sum, which loses no digits when the deviation is small beside the mean. */
static void sum_add(struct meter_sum *sum, const struct meter_sample *sample)
{
    double value = (double)sample->value, weight = (double)sample->weight;
    double distance = value - sum->mean;

    if (sum->samples == 0 || sample->value < sum->min)
        sum->min = sample->value;
    if (sample->value > sum->max)
        sum->max = sample->value;
    sum->samples++;
    sum->weight += weight;
    sum->mean += distance * weight / sum->weight;
    sum->squares += weight * distance * (value - sum->mean);
    lshm_histogram_add(&sum->histogram, sample->value);
    if (sample->is_first)
        return;
    sum->rated += weight;
    sum->rated_value += value * weight;
    sum->seconds += (double)sample->elapsed_ns / 1e9;
}

/* While there is room to grow the ring has not wrapped: `next` is its end. */
static int grow(struct meter *meter)
{
    size_t room = meter->room > 0 ? meter->room * 2 : ROOM_MIN;
    struct meter_sample *samples;

    room = room < meter->window ? room : meter->window;
    samples = reallocarray(meter->samples, room, sizeof *samples);
    if (samples == NULL)
        return -ENOMEM;
    meter->next = meter->room;
    meter->samples = samples;
    meter->room = room;
    return 0;
}

int meter_add(struct meter *meter, const struct meter_sample *sample)
{
    if (meter->used == meter->room && meter->room < meter->window && grow(meter) < 0)
        return -ENOMEM;
    meter->samples[meter->next] = *sample;
    meter->next = (meter->next + 1) % meter->room;
    meter->used += meter->used < meter->room;
    sum_add(&meter->all, sample);
    return 0;
}

void meter_sum_window(const struct meter *meter, struct meter_sum *ret_sum)
{
    memset(ret_sum, 0, sizeof *ret_sum);
    for (size_t i = 0; i < meter->used; i++)
        sum_add(ret_sum, &meter->samples[i]);
}

double meter_deviation(const struct meter_sum *sum)
{
    return sum->weight > 0 ? sqrt(sum->squares / sum->weight) : 0;
}

double meter_messages_per_second(const struct meter_sum *sum)
{
    return sum->seconds > 0 ? sum->rated / sum->seconds : 0;
}

double meter_values_per_second(const struct meter_sum *sum)
{
    return sum->seconds > 0 ? sum->rated_value / sum->seconds : 0;
}
