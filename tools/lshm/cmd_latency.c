/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "table.h"
#include "text.h"
#include "tool.h"

#define INTERVAL_NS_DEFAULT 1000000000u
#define INTERVAL_NS_MIN 10000000u
#define LOOK_NS 50000000u /* how often it looks, and how late it may end */

const char usage_latency[] =
    "usage: lshm latency TOPIC [OPTION]...\n"
    "\n"
    "Show how long messages of TOPIC take from their publication until each of its subscribers\n"
    "takes them, until Ctrl-C; then a summary. The subscribers count it themselves while someone\n"
    "looks, and publishers stamp their messages meanwhile: nothing is subscribed here, and\n"
    "nothing is counted once this ends. Percentiles are within 12 %; so is a maximum that is not\n"
    "the greatest there ever was.\n"
    "\n"
    "  --interval TIME  how often to print what was taken since the last time, 1s by default\n"
    "  --count N        stop when N messages were counted\n"
    "  --duration TIME  stop after this time\n"
    "  --json           an object on each line\n"
    "  --socket PATH\n"
    "\n"
    "  lshm latency camera/front\n"
    "  lshm latency sensors --duration 10s --interval forever --json | jq .all.delay_ns\n";

/* What one subscriber takes from one publisher. */
struct pair {
    struct lshm_latency_info info;
    struct lshm_histogram first; /* when it was seen first: counted for somebody before us */
    struct lshm_histogram last;  /* at the last report */
    uint64_t pid;                /* 0: not known */
    char name[LSHM_NAME_BYTES];
};

struct latency {
    const struct tool *tool;
    const char *topic;
    uint64_t interval_ns;
    uint64_t count;
    int64_t duration_ns; /* −1: no end */
    uint64_t start_ns;
    struct lshm_inspector *inspector;
    struct lshm_topic_info info;
    struct pair *pairs;
    size_t pair_count;
};

static int parse(struct latency *latency, struct tool *tool, int argc, char **argv)
{
    enum { OPT_INTERVAL = 1, OPT_COUNT, OPT_DURATION };
    static const struct option options[] = {
        { "interval", required_argument, NULL, OPT_INTERVAL },
        { "count", required_argument, NULL, OPT_COUNT },
        { "duration", required_argument, NULL, OPT_DURATION },
        TOOL_OPTIONS,
    };
    int64_t interval_ns = INTERVAL_NS_DEFAULT;
    int option;

    while ((option = tool_next_option(tool, argc, argv, options)) != -1) {
        switch (option) {
        case OPT_INTERVAL:
            interval_ns = tool_duration(tool, "--interval", optarg);
            break;
        case OPT_COUNT:
            latency->count = tool_number(tool, "--count", optarg, 1, UINT64_MAX - 1);
            break;
        case OPT_DURATION:
            latency->duration_ns = tool_duration(tool, "--duration", optarg);
            break;
        }
    }
    if (argc - optind != 1)
        return tool_fail(tool, EX_USAGE, "exactly one topic is needed; see lshm latency --help");
    if (interval_ns >= 0 && interval_ns < INTERVAL_NS_MIN)
        return tool_fail(tool, EX_USAGE, "--interval is too short: give 10 (ms) or more, or "
                         "forever");
    latency->interval_ns = interval_ns < 0 ? UINT64_MAX : (uint64_t)interval_ns;
    latency->topic = argv[optind];
    return EX_OK;
}

static struct pair *find_pair(struct latency *latency, const struct lshm_latency_info *info)
{
    struct pair *pairs;

    for (size_t i = 0; i < latency->pair_count; i++)
        if (latency->pairs[i].info.link == info->link)
            return &latency->pairs[i];
    pairs = reallocarray(latency->pairs, latency->pair_count + 1, sizeof *pairs);
    if (pairs == NULL)
        return NULL;
    latency->pairs = pairs;
    memset(&pairs[latency->pair_count], 0, sizeof *pairs);
    return &pairs[latency->pair_count++];
}

static void name_pair(struct pair *pair, const struct lshm_client_info *clients, int count)
{
    for (int i = 0; i < count && pair->pid == 0; i++) {
        if (clients[i].client != pair->info.client)
            continue;
        pair->pid = clients[i].pid;
        memcpy(pair->name, clients[i].name, sizeof pair->name);
    }
}

/* Those that have gone keep what they said last. */
static int take_in(struct latency *latency, const struct lshm_latency_info *infos, int count)
{
    struct lshm_client_info *clients = NULL;
    int client_count = list_clients(latency->inspector, &clients), r = 0;

    for (int i = 0; i < count && r == 0; i++) {
        struct pair *pair = NULL;

        if (infos[i].topic != latency->info.topic || !infos[i].known)
            continue;
        pair = find_pair(latency, &infos[i]);
        if (pair == NULL)
            r = -ENOMEM;
        else
            pair->info = infos[i];
        if (pair != NULL)
            name_pair(pair, clients, client_count);
    }
    free(clients);
    return r;
}

/* 0, or what went wrong; a topic that has gone may come again. */
static int look(struct latency *latency)
{
    struct lshm_latency_info *infos = NULL;
    int r = lshm_inspector_find_topic(latency->inspector, latency->topic, NULL, &latency->info);

    if (r == 0)
        r = list_latencies(latency->inspector, &infos);
    if (r > 0)
        r = take_in(latency, infos, r);
    free(infos);
    if (r == 0) /* a topic of this name that came again is another one */
        r = lshm_inspector_watch(latency->inspector, latency->topic, NULL);
    return r == -LSHM_ENOTOPIC ? 0 : r;
}

/* What was counted for others before is not ours. */
static int begin(struct latency *latency)
{
    struct lshm_error error = { 0 };
    int r = lshm_inspector_find_topic(latency->inspector, latency->topic, &error, &latency->info);

    if (r == 0)
        r = look(latency);
    if (r < 0)
        return tool_fail_result(latency->tool, r, &error, "cannot watch the topic");
    for (size_t i = 0; i < latency->pair_count; i++)
        latency->pairs[i].first = latency->pairs[i].last = latency->pairs[i].info.histogram;
    latency->start_ns = now_ns();
    return EX_OK;
}

static void json_times(struct json *json, const struct lshm_histogram *h)
{
    bool any = lshm_histogram_count(h) > 0;

    json_number(json, "messages", lshm_histogram_count(h));
    json_number(json, "untimed", h->untimed);
    json_object(json, "delay_ns");
    json_figure(json, "p50", any ? lshm_histogram_quantile(h, 0.5) : LSHM_UNKNOWN);
    json_figure(json, "p90", any ? lshm_histogram_quantile(h, 0.9) : LSHM_UNKNOWN);
    json_figure(json, "p99", any ? lshm_histogram_quantile(h, 0.99) : LSHM_UNKNOWN);
    json_figure(json, "p999", any ? lshm_histogram_quantile(h, 0.999) : LSHM_UNKNOWN);
    json_figure(json, "max", any ? h->max : LSHM_UNKNOWN);
    json_end(json);
}

static void json_pair(struct json *json, const struct pair *pair, const struct lshm_histogram *h)
{
    json_object(json, NULL);
    json_number(json, "subscriber", pair->info.subscriber);
    json_number(json, "publisher", pair->info.publisher);
    json_number(json, "client", pair->info.client);
    json_figure(json, "pid", pair->pid != 0 ? pair->pid : LSHM_UNKNOWN);
    json_string(json, "name", pair->name);
    json_times(json, h);
    json_end(json);
}

static void cell_times(struct table *table, const struct lshm_histogram *h)
{
    static const double parts[] = { 0.5, 0.9, 0.99, 0.999, 1 };
    uint64_t count = lshm_histogram_count(h);
    char figure[TEXT_FIGURE_BYTES];

    table_cell(table, "%s", text_count(figure, count));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        table_cell(table, "%s", count > 0
                   ? text_duration(figure, lshm_histogram_quantile(h, parts[i])) : "-");
    table_cell(table, "%s", text_count(figure, h->untimed));
}

static void report_json(struct latency *latency, bool is_summary)
{
    struct lshm_histogram all = { 0 };
    struct json json;

    json_init(&json, stdout);
    json_object(&json, NULL);
    json_string(&json, "topic", latency->topic);
    json_boolean(&json, "summary", is_summary);
    json_real(&json, "seconds", (double)(now_ns() - latency->start_ns) / 1e9);
    json_array(&json, "pairs");
    for (size_t i = 0; i < latency->pair_count; i++) {
        const struct pair *pair = &latency->pairs[i];
        struct lshm_histogram h = pair->info.histogram;

        lshm_histogram_subtract(&h, is_summary ? &pair->first : &pair->last);
        lshm_histogram_merge(&all, &h);
        json_pair(&json, pair, &h);
    }
    json_end(&json);
    json_object(&json, "all");
    json_times(&json, &all);
    json_end(&json);
    json_end(&json);
}

static void report_text(struct latency *latency, bool is_summary)
{
    static const char *const headers[] = { "SUBSCRIBER", ">PUBLISHER", ">MESSAGES", ">P50",
                                           ">P90", ">P99", ">P99.9", ">MAX", ">UNTIMED" };
    struct lshm_histogram all = { 0 };
    struct table table;

    if (is_summary)
        puts("in all");
    if (latency->pair_count == 0) {
        puts("no subscriber has counted anything");
        return;
    }
    table_init(&table, headers, sizeof headers / sizeof headers[0]);
    for (size_t i = 0; i < latency->pair_count; i++) {
        const struct pair *pair = &latency->pairs[i];
        struct lshm_histogram h = pair->info.histogram;

        lshm_histogram_subtract(&h, is_summary ? &pair->first : &pair->last);
        lshm_histogram_merge(&all, &h);
        table_cell(&table, "%s (pid %llu)", pair->name, (unsigned long long)pair->pid);
        table_cell(&table, "%llu", (unsigned long long)pair->info.publisher);
        cell_times(&table, &h);
    }
    if (latency->pair_count > 1) {
        table_cell(&table, "all");
        table_cell(&table, "-");
        cell_times(&table, &all);
    }
    table_end(&table, latency->tool->colour);
}

/* −1 to go on, else the exit code: nobody reads it any more. */
static int report(struct latency *latency, bool is_summary)
{
    if (latency->tool->json)
        report_json(latency, is_summary);
    else
        report_text(latency, is_summary);
    for (size_t i = 0; i < latency->pair_count; i++)
        latency->pairs[i].last = latency->pairs[i].info.histogram;
    return fflush(stdout) == 0 && !ferror(stdout) ? -1 : tool_finish(latency->tool);
}

static uint64_t counted(const struct latency *latency)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < latency->pair_count; i++) {
        struct lshm_histogram h = latency->pairs[i].info.histogram;

        lshm_histogram_subtract(&h, &latency->pairs[i].first);
        sum += lshm_histogram_count(&h);
    }
    return sum;
}

/* Until it is time to end: an exit code. */
static int watch(struct latency *latency)
{
    uint64_t next_ns = latency->interval_ns, end_ns = UINT64_MAX, now;
    int r = -1;

    next_ns = next_ns == UINT64_MAX ? UINT64_MAX : latency->start_ns + next_ns;
    if (latency->duration_ns >= 0)
        end_ns = latency->start_ns + (uint64_t)latency->duration_ns;
    for (;;) {
        now = now_ns();
        stop_sleep_until(next_ns < now + LOOK_NS ? next_ns : now + LOOK_NS);
        r = look(latency);
        if (r < 0)
            return tool_fail_result(latency->tool, r, NULL, "cannot read what was counted");
        now = now_ns();
        if (stop_wanted() || counted(latency) >= latency->count || now >= end_ns)
            break;
        if (now < next_ns)
            continue;
        r = report(latency, false);
        if (r >= 0)
            return r;
        next_ns += latency->interval_ns;
    }
    r = report(latency, true);
    return r < 0 ? EX_OK : r;
}

int cmd_latency(struct tool *tool, int argc, char **argv)
{
    struct latency latency = { .tool = tool, .count = UINT64_MAX, .duration_ns = -1 };
    int r = parse(&latency, tool, argc, argv);

    if (r != EX_OK)
        return r;
    stop_install();
    r = tool_open_inspector(tool, &latency.inspector);
    if (r != EX_OK)
        return r;
    r = begin(&latency);
    if (r == EX_OK)
        r = watch(&latency);
    lshm_inspector_close(latency.inspector);
    free(latency.pairs);
    return r;
}
