/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "table.h"
#include "text.h"
#include "tool.h"

const char usage_topic[] =
    "usage: lshm topic ls [--json] [--socket PATH]\n"
    "       lshm topic info NAME [--json] [--socket PATH]\n"
    "       lshm topic rm NAME [--json] [--socket PATH]\n"
    "\n"
    "ls    all topics: their ports, what their publishers have published, lost messages.\n"
    "      RETAINED is the part of MEMORY that publishers left which have ended.\n"
    "info  one topic: each publisher's slots by state, each subscriber's position.\n"
    "      MEMORY is what it is charged for, GROWN the part that came on demand and may go.\n"
    "      AHEAD is published and not yet taken; '?' cannot be seen from outside.\n"
    "rm    drop what publishers left that have ended (pub --retain); ports that are there stay.\n"
    "\n"
    "  lshm topic ls\n"
    "  lshm topic info camera/front\n"
    "  lshm topic rm camera/front\n"
    "  lshm topic info camera/front --json | jq '.subscribers[].lost'\n";

#define HEADERS(headers) (headers), sizeof(headers) / sizeof((headers)[0])

static uint64_t sum_lost(const struct arena *arena, uint64_t topic)
{
    uint64_t lost = 0;

    for (int i = 0; i < arena->subscriber_count; i++) {
        const struct lshm_subscriber_info *s = &arena->subscribers[i];

        if (s->topic != topic || s->publisher == 0)
            continue;
        if (s->lost == LSHM_UNKNOWN)
            return LSHM_UNKNOWN;
        lost += s->lost;
    }
    return lost;
}

/* Figures of different instants: never below 0. */
static uint64_t ahead(const struct lshm_subscriber_info *s)
{
    if (s->tail == LSHM_UNKNOWN || s->position == LSHM_UNKNOWN)
        return LSHM_UNKNOWN;
    return s->tail > s->position ? s->tail - s->position : 0;
}

static void json_topic(struct json *json, const struct arena *arena,
                       const struct lshm_topic_info *t)
{
    json_number(json, "topic", t->topic);
    json_string(json, "name", t->name);
    json_number(json, "publisher_count", t->publishers);
    json_number(json, "subscriber_count", t->subscribers);
    json_figure(json, "published", t->published);
    json_figure(json, "bytes", t->bytes);
    json_number(json, "memory_bytes", t->memory_bytes);
    json_number(json, "retained_count", t->retained);
    json_number(json, "retained_bytes", t->retained_bytes);
    json_figure(json, "lost", sum_lost(arena, t->topic));
}

static int topic_ls(const struct tool *tool, const struct arena *arena)
{
    static const char *const headers[] = { "TOPIC",  ">PUBS",    ">SUBS", ">PUBLISHED",
                                           ">BYTES", ">MEMORY", ">RETAINED", ">LOST" };
    char figure[TEXT_FIGURE_BYTES];
    struct table table;
    struct json json;

    json_init(&json, stdout);
    if (tool->json) {
        json_object(&json, NULL);
        json_array(&json, "topics");
    }
    table_init(&table, HEADERS(headers));
    for (int i = 0; i < arena->topic_count; i++) {
        const struct lshm_topic_info *t = &arena->topics[i];

        if (tool->json) {
            json_object(&json, NULL);
            json_topic(&json, arena, t);
            json_end(&json);
            continue;
        }
        table_cell(&table, "%s", t->name);
        table_cell(&table, "%s", text_count(figure, t->publishers));
        table_cell(&table, "%s", text_count(figure, t->subscribers));
        table_cell(&table, "%s", text_count(figure, t->published));
        table_cell(&table, "%s", text_bytes(figure, t->bytes));
        table_cell(&table, "%s", text_bytes(figure, t->memory_bytes));
        table_cell(&table, "%s", text_bytes(figure, t->retained_bytes));
        table_cell(&table, "%s", text_count(figure, sum_lost(arena, t->topic)));
    }
    if (tool->json) {
        json_end(&json);
        json_end(&json);
    } else {
        table_end(&table, tool->colour);
    }
    return tool_finish(tool);
}

static void json_client(struct json *json, const struct arena *arena, uint64_t client)
{
    const struct lshm_client_info *c = arena_client(arena, client);

    json_number(json, "client", client);
    json_figure(json, "pid", c != NULL ? c->pid : LSHM_UNKNOWN);
}

static const char *pages_name(uint32_t pages)
{
    return pages == LSHM_PAGES_HUGETLB ? "hugetlb" : pages == LSHM_PAGES_HUGE ? "huge" : "normal";
}

static void json_segments(struct json *json, const struct arena *arena, uint64_t publisher)
{
    json_array(json, "segments");
    for (int i = 0; i < arena->segment_count; i++) {
        const struct lshm_segment_info *s = &arena->segments[i];

        if (s->publisher != publisher)
            continue;
        json_object(json, NULL);
        json_number(json, "number", s->number);
        json_number(json, "bytes", s->bytes);
        json_number(json, "slot_bytes", s->slot_bytes);
        json_number(json, "slots", s->slots);
        json_boolean(json, "grown", s->grown);
        json_string(json, "pages", pages_name(s->pages));
        json_end(json);
    }
    json_end(json);
}

static void json_publisher(struct json *json, const struct arena *arena,
                           const struct lshm_publisher_info *p)
{
    json_object(json, NULL);
    json_number(json, "publisher", p->publisher);
    json_number(json, "client", p->client);
    json_number(json, "pid", p->pid);
    json_string(json, "name", p->name);
    json_boolean(json, "dead", p->dead);
    json_number(json, "retained", p->retained);
    json_figure(json, "ended_ns", p->dead ? p->ended_ns : LSHM_UNKNOWN);
    if (p->waiting == LSHM_UNKNOWN_32)
        json_null(json, "waiting");
    else
        json_boolean(json, "waiting", p->waiting);
    json_figure(json, "published", p->published);
    json_figure(json, "bytes", p->bytes);
    json_figure(json, "refused", p->refused);
    json_figure(json, "aborts", p->aborts);
    json_figure(json, "unmapped", p->unmapped);
    json_number(json, "memory_bytes", p->memory_bytes);
    json_number(json, "grown_bytes", p->grown_bytes);
    json_figure(json, "memory_max", p->memory_max ? p->memory_max : LSHM_UNKNOWN);
    json_number(json, "ring_entries", p->ring_entries);
    json_number(json, "entry_bytes", p->entry_bytes);
    json_number(json, "slot_bytes", p->slot_bytes);
    json_number(json, "slots", p->slots);
    json_object(json, "slot_states");
    json_figure(json, "free", p->slots_free);
    json_figure(json, "loaned", p->slots_loaned);
    json_figure(json, "window", p->slots_window);
    json_figure(json, "limbo", p->slots_limbo);
    json_figure(json, "quarantine", p->slots_quarantine);
    json_end(json);
    json_segments(json, arena, p->publisher);
    json_end(json);
}

static void json_subscriber(struct json *json, const struct arena *arena,
                            const struct lshm_subscriber_info *s)
{
    json_object(json, NULL);
    json_number(json, "subscriber", s->subscriber);
    json_client(json, arena, s->client);
    json_figure(json, "publisher", s->publisher != 0 ? s->publisher : LSHM_UNKNOWN);
    json_figure(json, "taken", s->taken);
    json_figure(json, "lost", s->lost);
    json_object(json, "lost_by_cause");
    json_figure(json, "start", s->lost_start);
    json_figure(json, "lapped", s->lost_lapped);
    json_figure(json, "limit", s->lost_limit);
    json_figure(json, "evicted", s->lost_evicted);
    json_figure(json, "corrupt", s->lost_corrupt);
    json_end(json);
    json_figure(json, "position", s->position);
    json_figure(json, "cursor", s->cursor);
    json_figure(json, "tail", s->tail);
    json_figure(json, "ahead", ahead(s));
    json_figure(json, "holds", s->holds);
    json_number(json, "window", s->window);
    json_number(json, "holds_max", s->holds_max);
    json_boolean(json, "lossy", s->flags & LSHM_READER_LOSSY);
    json_end(json);
}

static void info_json(const struct arena *arena, const struct lshm_topic_info *topic)
{
    struct json json;

    json_init(&json, stdout);
    json_object(&json, NULL);
    json_topic(&json, arena, topic);
    json_array(&json, "publishers");
    for (int i = 0; i < arena->publisher_count; i++)
        if (arena->publishers[i].topic == topic->topic)
            json_publisher(&json, arena, &arena->publishers[i]);
    json_end(&json);
    json_array(&json, "subscribers");
    for (int i = 0; i < arena->subscriber_count; i++)
        if (arena->subscribers[i].topic == topic->topic)
            json_subscriber(&json, arena, &arena->subscribers[i]);
    json_end(&json);
    json_end(&json);
}

static void cell_client(struct table *table, const struct arena *arena, uint64_t client)
{
    const struct lshm_client_info *c = arena_client(arena, client);

    if (c != NULL)
        table_cell(table, "%s (pid %llu)", c->name, (unsigned long long)c->pid);
    else
        table_cell(table, "client %llu", (unsigned long long)client);
}

/* Also of a process that is gone. */
static void cell_process(struct table *table, const struct lshm_publisher_info *p)
{
    table_cell(table, "%s (pid %llu)", p->name, (unsigned long long)p->pid);
}

static void publishers_table(const struct tool *tool, const struct arena *arena, uint64_t topic)
{
    static const char *const headers[] = { ">PUBLISHER", "CLIENT",  ">PUBLISHED", ">BYTES",
                                           ">SLOT",      ">SLOTS",  ">FREE",      ">LOANED",
                                           ">WINDOW",    ">LIMBO",  ">REFUSED",   ">MEMORY",
                                           ">GROWN",     "STATE" };
    char figure[TEXT_FIGURE_BYTES];
    struct table table;

    table_init(&table, HEADERS(headers));
    for (int i = 0; i < arena->publisher_count; i++) {
        const struct lshm_publisher_info *p = &arena->publishers[i];

        if (p->topic != topic || p->retained > 0)
            continue;
        table_cell(&table, "%llu", (unsigned long long)p->publisher);
        cell_process(&table, p);
        table_cell(&table, "%s", text_count(figure, p->published));
        table_cell(&table, "%s", text_bytes(figure, p->bytes));
        table_cell(&table, "%s", text_bytes(figure, p->slot_bytes));
        table_cell(&table, "%s", text_count(figure, p->slots));
        table_cell(&table, "%s", text_count(figure, p->slots_free));
        table_cell(&table, "%s", text_count(figure, p->slots_loaned));
        table_cell(&table, "%s", text_count(figure, p->slots_window));
        table_cell(&table, "%s", text_count(figure, p->slots_limbo));
        table_cell(&table, "%s", text_count(figure, p->refused));
        table_cell(&table, "%s", text_bytes(figure, p->memory_bytes));
        table_cell(&table, "%s", text_bytes(figure, p->grown_bytes));
        table_cell(&table, "%s", p->dead ? "dead" : p->waiting == LSHM_UNKNOWN_32 ? "?"
                                 : p->waiting ? "waits for room" : "running");
    }
    table_end(&table, tool->colour);
}

/* What publishers left that have ended; nothing, when there is nothing. */
static void retained_table(const struct tool *tool, const struct arena *arena,
                           const struct lshm_topic_info *topic)
{
    static const char *const headers[] = { ">PUBLISHER", "CLIENT", ">RETAINED", ">MEMORY",
                                           ">ENDED" };
    uint64_t now = wall_ns();
    char figure[TEXT_FIGURE_BYTES];
    struct table table;

    if (topic->retained == 0)
        return;
    putchar('\n');
    table_init(&table, HEADERS(headers));
    for (int i = 0; i < arena->publisher_count; i++) {
        const struct lshm_publisher_info *p = &arena->publishers[i];

        if (p->topic != topic->topic || p->retained == 0)
            continue;
        table_cell(&table, "%llu", (unsigned long long)p->publisher);
        cell_process(&table, p);
        table_cell(&table, "%s", text_count(figure, p->retained));
        table_cell(&table, "%s", text_bytes(figure, p->memory_bytes));
        table_cell(&table, "%s ago", text_duration(figure, now > p->ended_ns ? now - p->ended_ns
                                                                             : 0));
    }
    table_end(&table, tool->colour);
}

static void subscribers_table(const struct tool *tool, const struct arena *arena, uint64_t topic)
{
    static const char *const headers[] = { ">SUBSCRIBER", "CLIENT",  ">PUBLISHER", ">TAKEN",
                                           ">AHEAD",      ">HOLDS",  ">LOST",      "KIND" };
    char figure[TEXT_FIGURE_BYTES];
    struct table table;

    table_init(&table, HEADERS(headers));
    for (int i = 0; i < arena->subscriber_count; i++) {
        const struct lshm_subscriber_info *s = &arena->subscribers[i];
        bool bare = s->publisher == 0;

        if (s->topic != topic)
            continue;
        table_cell(&table, "%llu", (unsigned long long)s->subscriber);
        cell_client(&table, arena, s->client);
        if (bare)
            table_cell(&table, "none");
        else
            table_cell(&table, "%llu", (unsigned long long)s->publisher);
        table_cell(&table, "%s", bare ? "-" : text_count(figure, s->taken));
        table_cell(&table, "%s", bare ? "-" : text_count(figure, ahead(s)));
        table_cell(&table, "%s", bare ? "-" : text_count(figure, s->holds));
        table_cell(&table, "%s", bare ? "-" : text_count(figure, s->lost));
        table_cell(&table, "%s", s->flags & LSHM_READER_LOSSY ? "latest" : "lossless");
    }
    table_end(&table, tool->colour);
}

static int topic_info(const struct tool *tool, const struct arena *arena)
{
    const struct lshm_topic_info *topic = &arena->topic;
    char a[TEXT_FIGURE_BYTES], b[TEXT_FIGURE_BYTES], c[TEXT_FIGURE_BYTES];

    if (tool->json) {
        info_json(arena, topic);
        return tool_finish(tool);
    }
    printf("%s: %s messages, %s published, %s of memory\n\n", topic->name,
           text_count(a, topic->published), text_bytes(b, topic->bytes),
           text_bytes(c, topic->memory_bytes));
    publishers_table(tool, arena, topic->topic);
    putchar('\n');
    subscribers_table(tool, arena, topic->topic);
    retained_table(tool, arena, topic);
    return tool_finish(tool);
}

static int topic_rm(const struct tool *tool, const char *name)
{
    struct lshm_context_options options = { .size = sizeof options, .socket = tool->socket };
    struct lshm_context *context = NULL;
    struct lshm_error error = { 0 };
    struct json json;
    int r = lshm_context_open(&options, &error, &context);

    if (r == 0)
        r = lshm_context_clear_topic(context, name, &error);
    lshm_context_close(context);
    if (r < 0)
        return tool_fail_result(tool, r, &error, "cannot remove what is retained");
    if (tool->json) {
        json_init(&json, stdout);
        json_object(&json, NULL);
        json_string(&json, "topic", name);
        json_number(&json, "removed_count", (uint64_t)r);
        json_end(&json);
    }
    return tool_finish(tool);
}

int cmd_topic(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = { TOOL_OPTIONS };
    struct arena arena;
    const char *verb, *name;
    bool ls;
    int r;

    while (tool_next_option(tool, argc, argv, options) != -1)
        continue;
    verb = argc - optind > 0 ? argv[optind] : "";
    name = argc - optind == 2 ? argv[optind + 1] : NULL;
    ls = argc - optind == 1 && strcmp(verb, "ls") == 0;
    if (name != NULL && strcmp(verb, "rm") == 0)
        return topic_rm(tool, name);
    if (!ls && (name == NULL || strcmp(verb, "info") != 0))
        return tool_fail(tool, EX_USAGE, "say 'lshm topic ls', 'lshm topic info NAME' or 'lshm "
                         "topic rm NAME'; see lshm topic --help");
    r = arena_load(tool, name, &arena);
    if (r != EX_OK)
        return r;
    r = ls ? topic_ls(tool, &arena) : topic_info(tool, &arena);
    arena_free(&arena);
    return r;
}
