/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "tool.h"

int tool_open_inspector(const struct tool *tool, struct lshm_inspector **ret_inspector)
{
    struct lshm_context_options options = { .size = sizeof options, .socket = tool->socket };
    struct lshm_error error = { 0 };
    int r = lshm_inspector_open(&options, &error, ret_inspector);

    return r < 0 ? tool_fail_result(tool, r, &error, "cannot attach to the broker") : EX_OK;
}

/* A list may grow between two calls: try again until it fits. */
#define LIST_FUNCTION(what, type)                                                                  \
    int list_##what(struct lshm_inspector *inspector, struct type **ret_infos)                     \
    {                                                                                              \
        size_t room = 64;                                                                          \
                                                                                                   \
        for (;;) {                                                                                 \
            struct type *infos = calloc(room, sizeof *infos);                                      \
            int n = infos == NULL ? -ENOMEM                                                        \
                                  : lshm_inspector_list_##what(inspector, infos, room);            \
                                                                                                   \
            if (n >= 0 && (size_t)n <= room) {                                                     \
                *ret_infos = infos;                                                                \
                return n;                                                                          \
            }                                                                                      \
            free(infos);                                                                           \
            if (n < 0)                                                                             \
                return n;                                                                          \
            room = (size_t)n + 64;                                                                 \
        }                                                                                          \
    }

LIST_FUNCTION(clients, lshm_client_info)
LIST_FUNCTION(topics, lshm_topic_info)
LIST_FUNCTION(publishers, lshm_publisher_info)
LIST_FUNCTION(segments, lshm_segment_info)
LIST_FUNCTION(subscribers, lshm_subscriber_info)
LIST_FUNCTION(holders, lshm_holder_info)
LIST_FUNCTION(latencies, lshm_latency_info)

int arena_load(const struct tool *tool, const char *topic, struct arena *ret_arena)
{
    struct arena *a = ret_arena;
    struct lshm_error error = { 0 };
    struct lshm_inspector *inspector;
    int r = tool_open_inspector(tool, &inspector);

    *a = (struct arena){ 0 };
    if (r != EX_OK)
        return r;
    r = topic == NULL ? 0 : lshm_inspector_find_topic(inspector, topic, &error, &a->topic);
    if (r == 0 && (r = a->client_count = list_clients(inspector, &a->clients)) >= 0 &&
        (r = a->topic_count = list_topics(inspector, &a->topics)) >= 0 &&
        (r = a->publisher_count = list_publishers(inspector, &a->publishers)) >= 0 &&
        (r = a->segment_count = list_segments(inspector, &a->segments)) >= 0)
        r = a->subscriber_count = list_subscribers(inspector, &a->subscribers);
    lshm_inspector_close(inspector);
    if (r >= 0)
        return EX_OK;
    arena_free(a);
    return tool_fail_result(tool, r, &error, "cannot list what the broker has");
}

void arena_free(struct arena *arena)
{
    free(arena->clients);
    free(arena->topics);
    free(arena->publishers);
    free(arena->segments);
    free(arena->subscribers);
    *arena = (struct arena){ 0 };
}

const struct lshm_client_info *arena_client(const struct arena *arena, uint64_t client)
{
    for (int i = 0; i < arena->client_count; i++)
        if (arena->clients[i].client == client)
            return &arena->clients[i];
    return NULL;
}

const struct lshm_topic_info *arena_topic(const struct arena *arena, uint64_t topic)
{
    for (int i = 0; i < arena->topic_count; i++)
        if (arena->topics[i].topic == topic)
            return &arena->topics[i];
    return NULL;
}
