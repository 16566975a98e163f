/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "table.h"
#include "text.h"
#include "tool.h"

const char usage_holders[] =
    "usage: lshm holders [TOPIC] [--json] [--socket PATH]\n"
    "\n"
    "Who keeps which messages, and so which slots, from being used again:\n"
    "  hold     a sample kept while younger ones were released; exact, with its age\n"
    "  window   taken, and the oldest of them not released: at most so many\n"
    "  ahead    published and not taken yet by a lossless subscriber: at most so many\n"
    "  loan     slots that the publisher itself has loaned and not published\n"
    "  unknown  a process whose memory cannot be seen may hold anything\n"
    "\n"
    "  lshm holders\n"
    "  lshm holders camera/front\n"
    "  lshm holders --json | jq '.holders[] | select(.age_ns > 1e9)'\n";

static const char *kind_name(uint32_t kind)
{
    static const char *const names[] = { "?", "hold", "window", "ahead", "loan", "unknown" };

    return names[kind < sizeof names / sizeof names[0] ? kind : 0];
}

static uint64_t age(const struct lshm_holder_info *h)
{
    uint64_t now = now_ns();

    if (h->since_ns == 0)
        return LSHM_UNKNOWN;
    return now > h->since_ns ? now - h->since_ns : 0;
}

static void json_holder(struct json *json, const struct arena *arena,
                        const struct lshm_holder_info *h)
{
    const struct lshm_topic_info *topic = arena_topic(arena, h->topic);
    const struct lshm_client_info *client = arena_client(arena, h->client);

    json_object(json, NULL);
    if (topic != NULL)
        json_string(json, "topic", topic->name);
    else
        json_null(json, "topic");
    json_number(json, "publisher", h->publisher);
    json_number(json, "client", h->client);
    json_figure(json, "pid", client != NULL ? client->pid : LSHM_UNKNOWN);
    json_figure(json, "subscriber", h->subscriber != 0 ? h->subscriber : LSHM_UNKNOWN);
    json_string(json, "kind", kind_name(h->kind));
    json_figure(json, "seq", h->seq);
    json_number(json, "count", h->count);
    json_boolean(json, "at_most", h->at_most);
    json_figure(json, "age_ns", age(h));
    json_end(json);
}

static void cell_holder(struct table *table, const struct arena *arena,
                        const struct lshm_holder_info *h)
{
    const struct lshm_topic_info *topic = arena_topic(arena, h->topic);
    const struct lshm_client_info *client = arena_client(arena, h->client);
    char figure[TEXT_FIGURE_BYTES];

    table_cell(table, "%s", topic != NULL ? topic->name : "?");
    table_cell(table, "%llu", (unsigned long long)h->publisher);
    if (client != NULL)
        table_cell(table, "%s (pid %llu)", client->name, (unsigned long long)client->pid);
    else
        table_cell(table, "client %llu", (unsigned long long)h->client);
    table_cell(table, "%s", kind_name(h->kind));
    table_cell(table, "%s%s", h->at_most ? "at most " : "", text_count(figure, h->count));
    if (h->seq == LSHM_UNKNOWN)
        table_cell(table, "-");
    else
        table_cell(table, "%llu", (unsigned long long)h->seq);
    table_cell(table, "%s", h->since_ns == 0 ? "-" : text_duration(figure, age(h)));
}

static void print_holders(const struct tool *tool, const struct arena *arena,
                          const struct lshm_holder_info *holders, int count,
                          uint64_t topic)
{
    static const char *const headers[] = { "TOPIC",     ">PUBLISHER", "HOLDER", "KIND",
                                           ">MESSAGES", ">FROM",      ">SINCE" };
    struct table table;
    struct json json;

    json_init(&json, stdout);
    if (tool->json) {
        json_object(&json, NULL);
        json_array(&json, "holders");
    }
    table_init(&table, headers, sizeof headers / sizeof headers[0]);
    for (int i = 0; i < count; i++) {
        if (topic != 0 && holders[i].topic != topic)
            continue;
        if (tool->json)
            json_holder(&json, arena, &holders[i]);
        else
            cell_holder(&table, arena, &holders[i]);
    }
    if (tool->json) {
        json_end(&json);
        json_end(&json);
    } else {
        table_end(&table, tool->colour);
    }
}

static int load_holders(const struct tool *tool, struct lshm_holder_info **ret_holders)
{
    struct lshm_inspector *inspector;
    int n, r = tool_open_inspector(tool, &inspector);

    if (r != EX_OK)
        return -r;
    n = list_holders(inspector, ret_holders);
    lshm_inspector_close(inspector);
    return n < 0 ? -tool_fail_result(tool, n, NULL, "cannot list the holders") : n;
}

int cmd_holders(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = { TOOL_OPTIONS };
    struct lshm_holder_info *holders;
    struct arena arena;
    const char *name;
    int n, r;

    while (tool_next_option(tool, argc, argv, options) != -1)
        continue;
    if (argc - optind > 1)
        return tool_fail(tool, EX_USAGE, "one topic at most; see lshm holders --help");
    name = argv[optind];
    n = load_holders(tool, &holders);
    if (n < 0)
        return -n;
    r = arena_load(tool, name, &arena);
    if (r == EX_OK)
        print_holders(tool, &arena, holders, n, name != NULL ? arena.topic.topic : 0);
    free(holders);
    arena_free(&arena);
    return r == EX_OK ? tool_finish(tool) : r;
}
