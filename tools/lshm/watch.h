/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watching a topic: what `hz`, `bw` and `delay` share.
 *
 * Each of them is a kind: what it measures of a message, and how it shows the sum. A message's time
 * is that of its publication if it has one, else that of its arrival. The
 * subscription never makes a publisher wait; messages that were published and not seen are known by
 * their numbers, per publisher: they count as skipped, and with the message that follows them.
 */
#ifndef LSHM_TOOL_WATCH_H
#define LSHM_TOOL_WATCH_H

#include "json.h"
#include "meter.h"
#include "tool.h"

struct watch_kind {
    /* The sample's value, from its other fields and the message; false when it has none. */
    bool (*measure)(const struct lshm_message *message, uint64_t now, struct meter_sample *sample);
    void (*print_text)(const struct meter_sum *sum);
    void (*print_json)(struct json *json, const struct meter_sum *sum); /* the sum may be empty */
    bool may_nap; /* it need not see a message at once */
    const char *unmeasured; /* the error when no message had a value; NULL: it is none */
};

/* Parses the options, watches, prints; returns the exit code. */
int watch_run(const struct watch_kind *kind, struct tool *tool, int argc, char **argv);

#define WATCH_USAGE_OPTIONS                                                                        \
    "  --window N       of the last N messages, 10000 by default\n"                                \
    "  --interval TIME  how often to print, 1s by default\n"                                       \
    "  --by-publisher   a line for each publisher too\n"                                           \
    "  --count N        stop after N messages\n"                                                   \
    "  --duration TIME  stop after this time; exit code 75 if nothing came\n"                      \
    "  --json           an object on each line\n"                                                  \
    "  --socket PATH\n"

#endif
