/* SPDX-License-Identifier: Apache-2.0 */
/* The line of `lshm sub --stats`: rates and latency since the last one. */
#ifndef LSHM_TOOL_SUB_STATS_H
#define LSHM_TOOL_SUB_STATS_H

#include <stdint.h>

#include <lshm/inspect.h>
#include <lshm/lshm.h>

struct sub_stats {
    uint64_t since_ns;
    uint64_t messages;
    uint64_t bytes;
    uint64_t lost_before;
    struct lshm_histogram latency;
};

void sub_stats_init(struct sub_stats *stats);
/* latency_ns is used when the message has a time. */
void sub_stats_count(struct sub_stats *stats, const struct lshm_message *message, uint64_t now_ns);
/* Prints on stderr once a second has passed, or now; and begins anew. */
void sub_stats_print(struct sub_stats *stats, struct lshm_subscriber *subscriber, int now,
                     int json);

#endif
