/* SPDX-License-Identifier: Apache-2.0 */
#include "sub_stats.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "text.h"
#include "tool.h"

#define PERIOD_NS 1000000000u

void sub_stats_init(struct sub_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    stats->since_ns = now_ns();
}

static unsigned bucket_of(uint64_t ns)
{
    unsigned power;

    if (ns < 8)
        return (unsigned)ns;
    power = 63u - (unsigned)__builtin_clzll(ns);
    return (power - 2) * 8 + (unsigned)(ns >> (power - 3) & 7);
}

/* The largest latency that a bucket counts. */
static uint64_t bucket_end(unsigned bucket)
{
    unsigned power = bucket / 8 + 2;

    if (bucket < 8)
        return bucket;
    return ((UINT64_C(8) + bucket % 8 + 1) << (power - 3)) - 1;
}

void sub_stats_count(struct sub_stats *stats, const struct lshm_message *message, uint64_t now)
{
    uint64_t latency;

    stats->messages++;
    stats->bytes += message->length;
    if (!(message->flags & LSHM_MESSAGE_TIME))
        return;
    latency = now > message->time_ns ? now - message->time_ns : 0;
    stats->stamped++;
    stats->buckets[bucket_of(latency)]++;
    if (latency > stats->max_ns)
        stats->max_ns = latency;
}

static uint64_t percentile(const struct sub_stats *stats, double part)
{
    uint64_t wanted = (uint64_t)((double)stats->stamped * part), seen = 0;

    for (unsigned i = 0; i < SUB_STATS_BUCKETS; i++) {
        seen += stats->buckets[i];
        if (seen > wanted)
            return bucket_end(i) < stats->max_ns ? bucket_end(i) : stats->max_ns;
    }
    return stats->max_ns;
}

static void print_text(const struct sub_stats *stats, double seconds, uint64_t lost,
                       uint64_t ahead)
{
    char a[TEXT_FIGURE_BYTES], b[TEXT_FIGURE_BYTES], c[TEXT_FIGURE_BYTES];

    fprintf(stderr, "%s msg/s  %s/s", text_count(a, (uint64_t)((double)stats->messages / seconds)),
            text_bytes(b, (uint64_t)((double)stats->bytes / seconds)));
    if (stats->stamped > 0)
        fprintf(stderr, "  latency p50 %s  p99 %s  max %s",
                text_duration(a, percentile(stats, 0.5)),
                text_duration(b, percentile(stats, 0.99)), text_duration(c, stats->max_ns));
    fprintf(stderr, "  ahead %s  lost %s\n", text_count(a, ahead), text_count(b, lost));
}

static void print_json(const struct sub_stats *stats, double seconds, uint64_t lost,
                       uint64_t ahead)
{
    struct json json;

    json_init(&json, stderr);
    json_object(&json, NULL);
    json_real(&json, "seconds", seconds);
    json_number(&json, "messages", stats->messages);
    json_number(&json, "bytes", stats->bytes);
    if (stats->stamped > 0) {
        json_object(&json, "latency_ns");
        json_number(&json, "p50", percentile(stats, 0.5));
        json_number(&json, "p99", percentile(stats, 0.99));
        json_number(&json, "max", stats->max_ns);
        json_end(&json);
    }
    json_number(&json, "ahead", ahead);
    json_number(&json, "lost", lost);
    json_end(&json);
}

void sub_stats_print(struct sub_stats *stats, struct lshm_subscriber *subscriber, int now,
                     int json)
{
    struct lshm_subscriber_statistics s = { .size = sizeof s };
    uint64_t passed = now_ns() - stats->since_ns, lost;
    double seconds = (double)(passed > 0 ? passed : 1) / 1e9;

    if (passed < PERIOD_NS && !now)
        return;
    if (lshm_subscriber_get_statistics(subscriber, &s) < 0)
        return;
    lost = s.lost - stats->lost_before;
    if (json)
        print_json(stats, seconds, lost, s.ahead);
    else
        print_text(stats, seconds, lost, s.ahead);
    sub_stats_init(stats);
    stats->lost_before = s.lost;
}
