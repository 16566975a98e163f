/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "text.h"
#include "watch.h"

const char usage_hz[] =
    "usage: lshm hz TOPIC [OPTION]...\n"
    "\n"
    "Show how often messages are published on TOPIC, until Ctrl-C; then a summary. Intervals are\n"
    "those of the publications if the messages carry a time (pub --timestamps), else of their\n"
    "arrivals. Messages that were skipped count: their numbers are known.\n"
    "\n" WATCH_USAGE_OPTIONS "\n"
    "  lshm hz camera/front\n"
    "  lshm hz sensors --by-publisher --window 100\n"
    "  lshm hz sensors --json --duration 10s | jq -c 'select(.summary) | .rate'\n";

static bool measure(const struct lshm_message *message, uint64_t now, struct meter_sample *sample)
{
    (void)message;
    (void)now;
    sample->value = sample->elapsed_ns / sample->weight;
    return !sample->is_first;
}

static void print_text(const struct meter_sum *sum)
{
    char rate[TEXT_FIGURE_BYTES], mean[TEXT_FIGURE_BYTES], min[TEXT_FIGURE_BYTES];
    char max[TEXT_FIGURE_BYTES], deviation[TEXT_FIGURE_BYTES];

    if (sum->samples == 0) {
        puts("only one message so far");
        return;
    }
    printf("%s msg/s  interval mean %s  min %s  max %s  stddev %s  window %llu\n",
           text_rate(rate, meter_messages_per_second(sum)),
           text_duration(mean, (uint64_t)sum->mean), text_duration(min, sum->min),
           text_duration(max, sum->max), text_duration(deviation, (uint64_t)meter_deviation(sum)),
           (unsigned long long)sum->samples);
}

static void print_json(struct json *json, const struct meter_sum *sum)
{
    json_real(json, "rate", meter_messages_per_second(sum));
    json_object(json, "interval_ns");
    json_figure(json, "mean", sum->samples > 0 ? (uint64_t)sum->mean : LSHM_UNKNOWN);
    json_figure(json, "min", sum->samples > 0 ? sum->min : LSHM_UNKNOWN);
    json_figure(json, "max", sum->samples > 0 ? sum->max : LSHM_UNKNOWN);
    json_figure(json, "stddev", sum->samples > 0 ? (uint64_t)meter_deviation(sum) : LSHM_UNKNOWN);
    json_end(json);
}

int cmd_hz(struct tool *tool, int argc, char **argv)
{
    static const struct watch_kind kind = { measure, print_text, print_json, true, NULL };

    return watch_run(&kind, tool, argc, argv);
}
