/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "text.h"
#include "watch.h"

const char usage_delay[] =
    "usage: lshm delay TOPIC [OPTION]...\n"
    "\n"
    "Show how long messages of TOPIC take from their publication until they are taken here, until\n"
    "Ctrl-C; then a summary. Messages need a time: pub --timestamps, or in a program's publisher\n"
    "LSHM_PUBLISHER_TIMESTAMPS. Percentiles are within 12 %, the maximum is exact.\n"
    "\n" WATCH_USAGE_OPTIONS "\n"
    "  lshm delay camera/front\n"
    "  lshm delay sensors --by-publisher\n"
    "  lshm delay sensors --json --count 1000 | jq -c 'select(.summary) | .delay_ns'\n";

static bool measure(const struct lshm_message *message, uint64_t now, struct meter_sample *sample)
{
    sample->value = now > message->time_ns ? now - message->time_ns : 0;
    sample->weight = 1;
    return message->flags & LSHM_MESSAGE_TIME;
}

static void print_text(const struct meter_sum *sum)
{
    char p50[TEXT_FIGURE_BYTES], p90[TEXT_FIGURE_BYTES], p99[TEXT_FIGURE_BYTES];
    char p999[TEXT_FIGURE_BYTES], max[TEXT_FIGURE_BYTES];

    if (sum->samples == 0) {
        puts("no message with a time");
        return;
    }
    printf("delay p50 %s  p90 %s  p99 %s  p99.9 %s  max %s  window %llu\n",
           text_duration(p50, lshm_histogram_quantile(&sum->histogram, 0.5)),
           text_duration(p90, lshm_histogram_quantile(&sum->histogram, 0.9)),
           text_duration(p99, lshm_histogram_quantile(&sum->histogram, 0.99)),
           text_duration(p999, lshm_histogram_quantile(&sum->histogram, 0.999)),
           text_duration(max, sum->max), (unsigned long long)sum->samples);
}

static uint64_t percentile(const struct meter_sum *sum, double part)
{
    return sum->samples > 0 ? lshm_histogram_quantile(&sum->histogram, part) : LSHM_UNKNOWN;
}

static void print_json(struct json *json, const struct meter_sum *sum)
{
    json_object(json, "delay_ns");
    json_figure(json, "p50", percentile(sum, 0.5));
    json_figure(json, "p90", percentile(sum, 0.9));
    json_figure(json, "p99", percentile(sum, 0.99));
    json_figure(json, "p999", percentile(sum, 0.999));
    json_figure(json, "max", sum->samples > 0 ? sum->max : LSHM_UNKNOWN);
    json_end(json);
}

int cmd_delay(struct tool *tool, int argc, char **argv)
{
    static const struct watch_kind kind = {
        measure, print_text, print_json, false,
        "the messages of this topic carry no time: publish them with lshm pub --timestamps, or "
        "open the publisher with LSHM_PUBLISHER_TIMESTAMPS"
    };

    return watch_run(&kind, tool, argc, argv);
}
