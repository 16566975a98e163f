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

void sub_stats_count(struct sub_stats *stats, const struct lshm_message *message, uint64_t now)
{
    uint64_t latency;

    stats->messages++;
    stats->bytes += message->length;
    if (!(message->flags & LSHM_MESSAGE_TIME))
        return;
    latency = now > message->time_ns ? now - message->time_ns : 0;
    lshm_histogram_add(&stats->latency, latency);
}

static void print_text(const struct sub_stats *stats, double seconds, uint64_t lost,
                       uint64_t ahead)
{
    char a[TEXT_FIGURE_BYTES], b[TEXT_FIGURE_BYTES], c[TEXT_FIGURE_BYTES];

    fprintf(stderr, "%s msg/s  %s/s", text_count(a, (uint64_t)((double)stats->messages / seconds)),
            text_bytes(b, (uint64_t)((double)stats->bytes / seconds)));
    if (lshm_histogram_count(&stats->latency) > 0)
        fprintf(stderr, "  latency p50 %s  p99 %s  max %s",
                text_duration(a, lshm_histogram_quantile(&stats->latency, 0.5)),
                text_duration(b, lshm_histogram_quantile(&stats->latency, 0.99)),
                text_duration(c, stats->latency.max));
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
    if (lshm_histogram_count(&stats->latency) > 0) {
        json_object(&json, "latency_ns");
        json_number(&json, "p50", lshm_histogram_quantile(&stats->latency, 0.5));
        json_number(&json, "p99", lshm_histogram_quantile(&stats->latency, 0.99));
        json_number(&json, "max", stats->latency.max);
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
