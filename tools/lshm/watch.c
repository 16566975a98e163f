/* SPDX-License-Identifier: Apache-2.0 */
#include "watch.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

#include "text.h"

#define WAIT_SLICE_NS 100000000u /* how late a signal may be noticed */
#define NAP_BELOW_NS 100000u     /* messages that come this fast need not wake us one by one: */
#define NAP_NS 500000u           /* that would cost their publishers time */
#define WINDOW_DEFAULT 10000u
#define WINDOW_MAX 1000000u
#define INTERVAL_NS_DEFAULT 1000000000u
#define INTERVAL_NS_MIN 10000000u
#define BATCH 64

/* What came from one publisher, or from all. */
struct flow {
    uint64_t publisher;
    uint64_t next_seq;
    uint64_t last_ns;
    bool has_begun;
    struct meter meter;
    struct flow *next;
};

struct watch {
    const struct watch_kind *kind;
    const struct tool *tool;
    const char *topic;
    uint64_t window;
    uint64_t count;       /* UINT64_MAX: no end */
    int64_t duration_ns;  /* −1: no end */
    uint64_t interval_ns;
    bool by_publisher;
    struct lshm_context *context;
    struct lshm_subscriber *subscriber;
    uint64_t start_ns;
    uint64_t taken;
    uint64_t reported;    /* of `taken`, at the last report */
    struct flow total;
    struct flow *flows;   /* latest first */
    void *flow_tree;      /* the same, by publisher */
    struct flow *latest;  /* that had a message */
};

static int parse(struct watch *watch, struct tool *tool, int argc, char **argv)
{
    enum { OPT_WINDOW = 1, OPT_INTERVAL, OPT_BY_PUBLISHER, OPT_COUNT, OPT_DURATION };
    static const struct option options[] = {
        { "window", required_argument, NULL, OPT_WINDOW },
        { "interval", required_argument, NULL, OPT_INTERVAL },
        { "by-publisher", no_argument, NULL, OPT_BY_PUBLISHER },
        { "count", required_argument, NULL, OPT_COUNT },
        { "duration", required_argument, NULL, OPT_DURATION },
        TOOL_OPTIONS,
    };
    int64_t interval_ns = INTERVAL_NS_DEFAULT;
    int option;

    while ((option = tool_next_option(tool, argc, argv, options)) != -1) {
        switch (option) {
        case OPT_WINDOW:
            watch->window = tool_number(tool, "--window", optarg, 1, WINDOW_MAX);
            break;
        case OPT_INTERVAL:
            interval_ns = tool_duration(tool, "--interval", optarg);
            break;
        case OPT_BY_PUBLISHER:
            watch->by_publisher = true;
            break;
        case OPT_COUNT:
            watch->count = tool_number(tool, "--count", optarg, 1, UINT64_MAX - 1);
            break;
        case OPT_DURATION:
            watch->duration_ns = tool_duration(tool, "--duration", optarg);
            break;
        }
    }
    if (argc - optind != 1)
        return tool_fail(tool, EX_USAGE, "exactly one topic is needed; see lshm %s --help",
                         tool->command->name);
    if (interval_ns >= 0 && interval_ns < INTERVAL_NS_MIN)
        return tool_fail(tool, EX_USAGE, "--interval is too short: give 10 (ms) or more, or "
                         "forever");
    watch->interval_ns = interval_ns < 0 ? UINT64_MAX : (uint64_t)interval_ns;
    watch->topic = argv[optind];
    return EX_OK;
}

static int open_all(struct watch *watch)
{
    struct lshm_context_options options = { .size = sizeof options,
                                            .socket = watch->tool->socket };
    struct lshm_subscriber_options subscriber_options = { .size = sizeof subscriber_options,
                                                          .flags = LSHM_SUBSCRIBER_LATEST };
    struct lshm_error error = { 0 };
    int r = lshm_context_open(&options, &error, &watch->context);

    if (r == 0)
        r = lshm_subscriber_open(watch->context, watch->topic, &subscriber_options, &error,
                                 &watch->subscriber);
    return r < 0 ? tool_fail_result(watch->tool, r, &error, "cannot subscribe") : EX_OK;
}

static int compare_flows(const void *left, const void *right)
{
    uint64_t a = ((const struct flow *)left)->publisher;
    uint64_t b = ((const struct flow *)right)->publisher;

    return a < b ? -1 : a > b;
}

/* The flow of a publisher, made when it is new; NULL without memory. */
static struct flow *find_flow(struct watch *watch, uint64_t publisher)
{
    struct flow key = { .publisher = publisher }, *flow, **found;

    if (watch->latest != NULL && watch->latest->publisher == publisher)
        return watch->latest;
    found = tfind(&key, &watch->flow_tree, compare_flows);
    if (found != NULL)
        return watch->latest = *found;
    flow = calloc(1, sizeof *flow);
    if (flow == NULL)
        return NULL;
    flow->publisher = publisher;
    if (tsearch(flow, &watch->flow_tree, compare_flows) == NULL) {
        free(flow);
        return NULL;
    }
    meter_init(&flow->meter, watch->window);
    flow->next = watch->flows;
    watch->flows = flow;
    return watch->latest = flow;
}

/* One more message, or the last of several. Publishers' clocks may cross by a little: never < 0. */
static int flow_add(struct watch *watch, struct flow *flow, const struct lshm_message *message,
                    uint64_t now, uint64_t weight)
{
    uint64_t time = message->flags & LSHM_MESSAGE_TIME ? message->time_ns : now;
    struct meter_sample sample = { .weight = weight, .is_first = !flow->has_begun };

    if (flow->has_begun && time > flow->last_ns)
        sample.elapsed_ns = time - flow->last_ns;
    if (!flow->has_begun || time > flow->last_ns)
        flow->last_ns = time;
    flow->has_begun = true;
    if (!watch->kind->measure(message, now, &sample))
        return 0;
    return meter_add(&flow->meter, &sample);
}

static int count_message(struct watch *watch, const struct lshm_message *message)
{
    struct flow *flow = find_flow(watch, message->publisher);
    uint64_t now = now_ns(), weight = 1;
    int r = 0;

    if (flow == NULL)
        return -ENOMEM;
    if (flow->next_seq > 0 && message->seq > flow->next_seq)
        weight += message->seq - flow->next_seq;
    flow->next_seq = message->seq + 1;
    watch->taken++;
    if (watch->by_publisher)
        r = flow_add(watch, flow, message, now, weight);
    return r < 0 ? r : flow_add(watch, &watch->total, message, now, weight);
}

/* −1 to go on, else the exit code. */
static int await_message(struct watch *watch)
{
    uint64_t began = now_ns();
    int r = lshm_subscriber_wait(watch->subscriber, WAIT_SLICE_NS < watch->interval_ns
                                 ? WAIT_SLICE_NS : (int64_t)watch->interval_ns);

    if (r < 0)
        return tool_fail_result(watch->tool, r, NULL, "cannot wait for a message");
    if (r > 0 && watch->kind->may_nap && now_ns() - began < NAP_BELOW_NS)
        stop_sleep_until(now_ns() + NAP_NS);
    return -1;
}

/* −1 to go on, else the exit code. */
static int take(struct watch *watch)
{
    struct lshm_message messages[BATCH];
    uint64_t left = watch->count - watch->taken;
    int n = lshm_subscriber_take_batch(watch->subscriber, messages, left < BATCH ? left : BATCH);
    int r = 0;

    if (n == -LSHM_ECORRUPT) /* those are counted as lost */
        return -1;
    for (int i = 0; i < n; i++)
        r = r < 0 ? r : count_message(watch, &messages[i]);
    if (n > 0)
        lshm_subscriber_release_batch(watch->subscriber, messages, (size_t)n);
    if (r < 0 || n < 0)
        return tool_fail_result(watch->tool, r < 0 ? r : n, NULL, "cannot take messages");
    return n == 0 ? await_message(watch) : -1;
}

static void sum_flow(const struct flow *flow, bool is_summary, struct meter_sum *ret_sum)
{
    if (is_summary)
        *ret_sum = flow->meter.all;
    else
        meter_sum_window(&flow->meter, ret_sum);
}

static uint64_t skipped(const struct watch *watch)
{
    struct lshm_subscriber_statistics statistics = { .size = sizeof statistics };

    lshm_subscriber_get_statistics(watch->subscriber, &statistics);
    return statistics.lost;
}

static void report_json(const struct watch *watch, bool is_summary)
{
    struct meter_sum sum;
    struct json json;

    sum_flow(&watch->total, is_summary, &sum);
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_string(&json, "topic", watch->topic);
    json_boolean(&json, "summary", is_summary);
    json_real(&json, "seconds", (double)(now_ns() - watch->start_ns) / 1e9);
    json_number(&json, "messages", watch->taken);
    json_number(&json, "skipped", skipped(watch));
    json_number(&json, "new", watch->taken - watch->reported);
    json_number(&json, "window", sum.samples);
    watch->kind->print_json(&json, &sum);
    if (watch->by_publisher)
        json_array(&json, "publishers");
    for (const struct flow *f = watch->flows; f != NULL && watch->by_publisher; f = f->next) {
        sum_flow(f, is_summary, &sum);
        json_object(&json, NULL);
        json_number(&json, "publisher", f->publisher);
        json_number(&json, "window", sum.samples);
        watch->kind->print_json(&json, &sum);
        json_end(&json);
    }
    if (watch->by_publisher)
        json_end(&json);
    json_end(&json);
}

static void report_text(const struct watch *watch, bool is_summary)
{
    char a[TEXT_FIGURE_BYTES], b[TEXT_FIGURE_BYTES], c[TEXT_FIGURE_BYTES];
    struct meter_sum sum;
    uint64_t lost = skipped(watch);

    if (is_summary)
        printf("in all %s messages in %s, %s of them skipped\n",
               text_count(a, watch->taken + lost),
               text_duration(b, now_ns() - watch->start_ns), text_count(c, lost));
    else if (watch->taken == watch->reported)
        puts("nothing new");
    if (watch->taken == (is_summary ? 0 : watch->reported))
        return;
    sum_flow(&watch->total, is_summary, &sum);
    watch->kind->print_text(&sum);
    for (const struct flow *f = watch->flows; f != NULL && watch->by_publisher; f = f->next) {
        sum_flow(f, is_summary, &sum);
        printf("  publisher %llu: ", (unsigned long long)f->publisher);
        watch->kind->print_text(&sum);
    }
}

/* −1 to go on, else the exit code: nobody reads it any more, or there is nothing to measure. */
static int report(struct watch *watch, bool is_summary)
{
    if (watch->taken > 0 && watch->total.meter.all.samples == 0 && watch->kind->unmeasured != NULL)
        return tool_fail(watch->tool, EX_DATAERR, "%s", watch->kind->unmeasured);
    if (watch->tool->json)
        report_json(watch, is_summary);
    else
        report_text(watch, is_summary);
    watch->reported = watch->taken;
    return fflush(stdout) == 0 && !ferror(stdout) ? -1 : tool_finish(watch->tool);
}

/* −1 to go on, else the exit code. */
static int watch_on(struct watch *watch, uint64_t *next_ns)
{
    uint64_t now;
    int r = take(watch);

    if (r >= 0)
        return r;
    now = now_ns();
    if (watch->taken >= watch->count || stop_wanted())
        return EX_OK;
    if (watch->duration_ns >= 0 && now - watch->start_ns >= (uint64_t)watch->duration_ns)
        return watch->taken > 0 ? EX_OK
                                : tool_fail(watch->tool, EX_TEMPFAIL, "nothing was published on "
                                            "'%s'; see lshm topic info %s, or watch longer with "
                                            "--duration", watch->topic, watch->topic);
    if (now < *next_ns)
        return -1;
    *next_ns += watch->interval_ns;
    *next_ns = *next_ns < now ? now + watch->interval_ns : *next_ns;
    return report(watch, false);
}

static void free_all(struct watch *watch)
{
    struct flow *next;

    for (struct flow *f = watch->flows; f != NULL; f = next) {
        next = f->next;
        tdelete(f, &watch->flow_tree, compare_flows);
        meter_free(&f->meter);
        free(f);
    }
    meter_free(&watch->total.meter);
    lshm_context_close(watch->context);
}

int watch_run(const struct watch_kind *kind, struct tool *tool, int argc, char **argv)
{
    struct watch watch = {
        .kind = kind,
        .tool = tool,
        .window = WINDOW_DEFAULT,
        .count = UINT64_MAX,
        .duration_ns = -1,
    };
    uint64_t next_ns;
    int r = parse(&watch, tool, argc, argv);

    if (r != EX_OK)
        return r;
    stop_install();
    meter_init(&watch.total.meter, watch.window);
    r = open_all(&watch);
    watch.start_ns = now_ns();
    next_ns = watch.interval_ns == UINT64_MAX ? UINT64_MAX : watch.start_ns + watch.interval_ns;
    if (r == EX_OK) {
        while ((r = watch_on(&watch, &next_ns)) < 0)
            continue;
        if (r == EX_OK && !ferror(stdout))
            r = report(&watch, true);
    }
    free_all(&watch);
    return r < 0 ? EX_OK : r;
}
