/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "sub_stats.h"
#include "text.h"
#include "tool.h"

#define WAIT_SLICE_NS 100000000 /* how late a signal may be noticed */
#define OUTPUT_BYTES 262144u
#define HEX_COLUMNS 16

const char usage_sub[] =
    "usage: lshm sub TOPIC [OPTION]...\n"
    "\n"
    "Print what is published on TOPIC from now on, until Ctrl-C: each message on a line, with\n"
    "what a terminal could not show, or would obey, escaped as vis(3) does.\n"
    "\n"
    "  --raw           the bytes as they are, nothing between messages\n"
    "  --hex           a hex dump of each message\n"
    "  --json          a JSON document on each line: seq, publisher, length, text or base64 …\n"
    "  --count N       stop after N messages\n"
    "  --latest        lose the oldest messages rather than make publishers wait\n"
    "  --limit N       with --latest: skip what is further behind than N messages\n"
    "  --history N     begin with up to N messages from before (pub --history, --retain)\n"
    "  --timeout TIME  stop, with exit code 75, when nothing comes for this long: 500, 2s\n"
    "  --stats         each second messages/s, bytes/s, latency (pub --timestamps) on stderr\n"
    "  --socket PATH\n"
    "\n"
    "  lshm sub hello\n"
    "  lshm sub backup --raw | tar xv\n"
    "  lshm sub sensors --json --count 10 --timeout 5s | jq .text\n"
    "  lshm sub video --raw --stats > /dev/null\n"
    "  lshm sub state --latest --history 1\n";

enum format { FORMAT_TEXT, FORMAT_RAW, FORMAT_HEX };

struct sub {
    const struct tool *tool;
    const char *topic;
    enum format format;
    unsigned formats;   /* how many were asked for */
    uint64_t count;     /* UINT64_MAX: no end */
    int64_t timeout_ns; /* −1: none */
    struct lshm_subscriber_options options;
    bool stats;
    struct lshm_context *context;
    struct lshm_subscriber *subscriber;
    struct sub_stats statistics;
    char *text;         /* for escaped text */
    size_t text_bytes;
    uint64_t taken;
};

enum { OPT_RAW = 1, OPT_HEX, OPT_COUNT, OPT_LATEST, OPT_LIMIT, OPT_HISTORY, OPT_TIMEOUT,
       OPT_STATS };

static void set_option(struct sub *sub, int option)
{
    const struct tool *tool = sub->tool;

    switch (option) {
    case OPT_RAW:
        sub->formats++;
        sub->format = FORMAT_RAW;
        break;
    case OPT_HEX:
        sub->formats++;
        sub->format = FORMAT_HEX;
        break;
    case OPT_COUNT:
        sub->count = tool_number(tool, "--count", optarg, 0, UINT64_MAX - 1);
        break;
    case OPT_LATEST:
        sub->options.flags |= LSHM_SUBSCRIBER_LATEST;
        break;
    case OPT_LIMIT:
        sub->options.queue_limit = (uint32_t)tool_number(tool, "--limit", optarg, 1,
                                                         LSHM_RING_ENTRIES_MAX);
        break;
    case OPT_HISTORY:
        sub->options.history = (uint32_t)tool_number(tool, "--history", optarg, 0,
                                                     LSHM_RING_ENTRIES_MAX);
        break;
    case OPT_TIMEOUT:
        sub->timeout_ns = tool_duration(tool, "--timeout", optarg);
        break;
    case OPT_STATS:
        sub->stats = true;
        break;
    }
}

static int parse(struct sub *sub, struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {
        { "raw", no_argument, NULL, OPT_RAW },
        { "hex", no_argument, NULL, OPT_HEX },
        { "count", required_argument, NULL, OPT_COUNT },
        { "latest", no_argument, NULL, OPT_LATEST },
        { "limit", required_argument, NULL, OPT_LIMIT },
        { "history", required_argument, NULL, OPT_HISTORY },
        { "timeout", required_argument, NULL, OPT_TIMEOUT },
        { "stats", no_argument, NULL, OPT_STATS },
        TOOL_OPTIONS,
    };
    int option;

    while ((option = tool_next_option(tool, argc, argv, options)) != -1)
        set_option(sub, option);
    if (argc - optind != 1)
        return tool_fail(tool, EX_USAGE, "exactly one topic is needed; see lshm sub --help");
    if (sub->formats + tool->json > 1)
        return tool_fail(tool, EX_USAGE, "choose one of --raw, --hex and --json");
    if (sub->options.queue_limit > 0 && !(sub->options.flags & LSHM_SUBSCRIBER_LATEST))
        return tool_fail(tool, EX_USAGE, "--limit needs --latest: without it nothing is skipped");
    sub->topic = argv[optind];
    return EX_OK;
}

static void print_json(const struct sub *sub, const struct lshm_message *m)
{
    struct json json;

    json_init(&json, stdout);
    json_object(&json, NULL);
    json_string(&json, "topic", sub->topic);
    json_number(&json, "publisher", m->publisher);
    json_number(&json, "seq", m->seq);
    json_number(&json, "length", m->length);
    json_figure(&json, "time_ns", m->flags & LSHM_MESSAGE_TIME ? m->time_ns : LSHM_UNKNOWN);
    json_number(&json, "flags", m->flags >> LSHM_MESSAGE_USER_SHIFT);
    json_number(&json, "schema", m->schema);
    json_array(&json, "user");
    json_number(&json, NULL, m->user[0]);
    json_number(&json, NULL, m->user[1]);
    json_end(&json);
    if (text_is_utf8(m->data, m->length))
        json_string_bytes(&json, "text", m->data, m->length);
    else
        json_base64(&json, "base64", m->data, m->length);
    json_end(&json);
}

static void print_hex(const struct lshm_message *m)
{
    const unsigned char *data = m->data;

    printf("# publisher %llu, message %llu, %llu bytes\n", (unsigned long long)m->publisher,
           (unsigned long long)m->seq, (unsigned long long)m->length);
    for (uint64_t line = 0; line < m->length; line += HEX_COLUMNS) {
        printf("%08llx ", (unsigned long long)line);
        for (uint64_t i = line; i < line + HEX_COLUMNS; i++) {
            if (i < m->length)
                printf(" %02x", data[i]);
            else
                fputs("   ", stdout);
        }
        fputs("  |", stdout);
        for (uint64_t i = line; i < line + HEX_COLUMNS && i < m->length; i++)
            putchar(data[i] >= 0x20 && data[i] < 0x7f ? data[i] : '.');
        fputs("|\n", stdout);
    }
}

static int print_text(struct sub *sub, const struct lshm_message *m)
{
    size_t wanted = TEXT_SAFE_BYTES((size_t)m->length);

    if (wanted > sub->text_bytes) {
        char *text = realloc(sub->text, wanted);

        if (text == NULL)
            return tool_fail(sub->tool, EX_OSERR, "no memory to print a message of %llu bytes; use "
                             "--raw or --hex", (unsigned long long)m->length);
        sub->text = text;
        sub->text_bytes = wanted;
    }
    fwrite(sub->text, 1, text_safe_bytes(sub->text, m->data, m->length), stdout);
    putchar('\n');
    return EX_OK;
}

static int print(struct sub *sub, const struct lshm_message *m)
{
    if (sub->tool->json)
        print_json(sub, m);
    else if (sub->format == FORMAT_RAW)
        fwrite(m->data, 1, m->length, stdout);
    else if (sub->format == FORMAT_HEX)
        print_hex(m);
    else
        return print_text(sub, m);
    return EX_OK;
}

/* −1 to go on, else the exit code. */
static int await_message(struct sub *sub, uint64_t idle_since_ns)
{
    uint64_t idle;
    int r;

    if (fflush(stdout) != 0)
        return tool_finish(sub->tool);
    r = lshm_subscriber_wait(sub->subscriber, WAIT_SLICE_NS);
    if (r < 0)
        return tool_fail_result(sub->tool, r, NULL, "cannot wait for a message");
    if (r > 0)
        return -1;
    idle = now_ns() - idle_since_ns;
    if (sub->timeout_ns >= 0 && idle >= (uint64_t)sub->timeout_ns)
        return tool_fail(sub->tool, EX_TEMPFAIL, "nothing was published on '%s' for %lld ms after "
                         "%llu messages; see lshm topic info %s", sub->topic,
                         (long long)(sub->timeout_ns / 1000000), (unsigned long long)sub->taken,
                         sub->topic);
    return -1;
}

static int take(struct sub *sub, struct lshm_message *m)
{
    int r;

    if (sub->stats)
        sub_stats_count(&sub->statistics, m, m->flags & LSHM_MESSAGE_TIME ? now_ns() : 0);
    sub->taken++;
    r = print(sub, m);
    lshm_subscriber_release(sub->subscriber, m);
    if (r != EX_OK)
        return r;
    return ferror(stdout) ? tool_finish(sub->tool) : -1;
}

static int receive(struct sub *sub)
{
    uint64_t idle_since = now_ns();
    struct lshm_message message;
    int end = -1;

    while (end < 0 && sub->taken < sub->count && !stop_wanted()) {
        int r = lshm_subscriber_take(sub->subscriber, &message);

        if (r > 0) {
            end = take(sub, &message);
            idle_since = 0;
        } else if (r == 0) {
            idle_since = idle_since > 0 ? idle_since : now_ns();
            end = await_message(sub, idle_since);
        } else if (r != -LSHM_ECORRUPT) { /* those are counted as lost */
            return tool_fail_result(sub->tool, r, NULL, "cannot take a message");
        }
        if (sub->stats)
            sub_stats_print(&sub->statistics, sub->subscriber, 0, sub->tool->json);
    }
    return end < 0 ? EX_OK : end;
}

static int open_all(struct sub *sub)
{
    struct lshm_context_options options = { .size = sizeof options, .socket = sub->tool->socket };
    struct lshm_error error = { 0 };
    int r = lshm_context_open(&options, &error, &sub->context);

    if (r == 0)
        r = lshm_subscriber_open(sub->context, sub->topic, &sub->options, &error,
                                 &sub->subscriber);
    return r < 0 ? tool_fail_result(sub->tool, r, &error, "cannot subscribe") : EX_OK;
}

static void print_losses(const struct sub *sub)
{
    struct lshm_subscriber_statistics s = { .size = sizeof s };
    const char *before = ":";

    if (lshm_subscriber_get_statistics(sub->subscriber, &s) < 0 || s.lost == 0)
        return;
    const struct {
        uint64_t count;
        const char *why;
    } causes[] = {
        { s.lost_start, "were given up before it had joined" },
        { s.lost_lapped, "were written over before it came" },
        { s.lost_limit, "were beyond --limit" },
        { s.lost_evicted, "came while it was evicted" },
        { s.corrupt, "had descriptors that were not valid" },
    };

    fprintf(stderr, "lshm sub: %llu messages were lost", (unsigned long long)s.lost);
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        if (causes[i].count == 0)
            continue;
        fprintf(stderr, "%s %llu %s", before, (unsigned long long)causes[i].count, causes[i].why);
        before = ",";
    }
    fputc('\n', stderr);
}

int cmd_sub(struct tool *tool, int argc, char **argv)
{
    struct sub sub = { .tool = tool, .count = UINT64_MAX, .timeout_ns = -1,
                       .options = { .size = sizeof sub.options } };
    int r = parse(&sub, tool, argc, argv);

    if (r != EX_OK)
        return r;
    stop_install();
    setvbuf(stdout, NULL, _IOFBF, OUTPUT_BYTES);
    r = open_all(&sub);
    if (r == EX_OK) {
        sub_stats_init(&sub.statistics);
        r = receive(&sub);
        if (sub.stats && sub.statistics.messages > 0)
            sub_stats_print(&sub.statistics, sub.subscriber, 1, tool->json);
        print_losses(&sub);
    }
    lshm_context_close(sub.context);
    free(sub.text);
    if (r == EX_OK)
        return tool_finish(tool);
    fflush(stdout);
    return r;
}
