/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "text.h"
#include "watch.h"

const char usage_bw[] =
    "usage: lshm bw TOPIC [OPTION]...\n"
    "\n"
    "Show how many payload bytes are published on TOPIC, and in what sizes, until Ctrl-C; then a\n"
    "summary. Messages that were skipped count as large as the one that was seen after them.\n"
    "\n" WATCH_USAGE_OPTIONS "\n"
    "  lshm bw camera/front\n"
    "  lshm bw camera/front --window 100 --interval 250ms\n"
    "  lshm bw backup --json --duration 10s | jq -c 'select(.summary) | .bytes_per_second'\n";

static bool measure(const struct lshm_message *message, uint64_t now, struct meter_sample *sample)
{
    (void)now;
    sample->value = message->length;
    return true;
}

static void print_text(const struct meter_sum *sum)
{
    char rate[TEXT_FIGURE_BYTES], mean[TEXT_FIGURE_BYTES], min[TEXT_FIGURE_BYTES];
    char max[TEXT_FIGURE_BYTES];

    printf("%s/s  size mean %s  min %s  max %s  window %llu\n",
           text_bytes(rate, (uint64_t)meter_values_per_second(sum)),
           text_bytes(mean, (uint64_t)sum->mean), text_bytes(min, sum->min),
           text_bytes(max, sum->max), (unsigned long long)sum->samples);
}

static void print_json(struct json *json, const struct meter_sum *sum)
{
    json_real(json, "bytes_per_second", meter_values_per_second(sum));
    json_object(json, "bytes");
    json_figure(json, "mean", sum->samples > 0 ? (uint64_t)sum->mean : LSHM_UNKNOWN);
    json_figure(json, "min", sum->samples > 0 ? sum->min : LSHM_UNKNOWN);
    json_figure(json, "max", sum->samples > 0 ? sum->max : LSHM_UNKNOWN);
    json_end(json);
}

int cmd_bw(struct tool *tool, int argc, char **argv)
{
    static const struct watch_kind kind = { measure, print_text, print_json, true, NULL };

    return watch_run(&kind, tool, argc, argv);
}
