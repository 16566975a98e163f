/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "reader.h"
#include "text.h"
#include "tool.h"

#define WAIT_SLICE_NS 100000000     /* how late a signal may be noticed */
#define JOIN_LOOK_NS 5000000
#define LINE_BYTES_DEFAULT 65536u
#define PAYLOAD_BYTES_MAX 0xfffff000u
#define NUMA_NODE_MAX 1023u         /* Linux has no more */

const char usage_pub[] =
    "usage: lshm pub TOPIC [OPTION]...\n"
    "\n"
    "Publish standard input: each line is a message (without its newline), or with --chunk each\n"
    "piece of that many bytes, read straight into shared memory.\n"
    "\n"
    "  --file FILE           read FILE instead\n"
    "  --chunk BYTES         messages of this size (64K, 4M); the last one may be shorter\n"
    "  --line-max BYTES      longest line, 64K by default\n"
    "  --rate N              at most N messages a second\n"
    "  --count N             stop after N messages\n"
    "  --loop                at the end of FILE begin again\n"
    "  --slots N             slots of the pool, for messages that do not fit a ring entry\n"
    "  --memory-max BYTES    slots come as they are needed, up to this; --slots reserves some\n"
    "  --prefault            have all memory there before it is used\n"
    "  --lock                keep it there: no page is swapped out (ulimit -l)\n"
    "  --huge                slots in huge pages, where there are any\n"
    "  --numa-node N         memory of this NUMA node, from 0\n"
    "  --ring N              messages in flight, a power of two, 1024 by default\n"
    "  --wait TIME           how long to wait for room: 500, 2s, forever (default)\n"
    "  --stall TIME          a lossless subscriber that stands still for longer loses its place\n"
    "  --drop-newest         without room drop the message, wait for nobody\n"
    "  --history N           keep the last N messages for subscribers to come (sub --history)\n"
    "  --retain N            the same, and they stay when this command has ended\n"
    "  --wait-subscribers N  publish nothing before N subscribers are there\n"
    "  --timestamps          stamp each message (lshm sub --stats shows the latency)\n"
    "  --json                a summary on standard output at the end\n"
    "  --socket PATH\n"
    "\n"
    "  date | lshm pub hello\n"
    "  lshm pub video --file frames.rgb --chunk 6220800 --rate 60 --loop --timestamps\n"
    "  echo on | lshm pub lamp/state --retain 1 --slots 2\n"
    "  tar c . | lshm pub backup --chunk 1M --wait-subscribers 1\n";

struct pub {
    const struct tool *tool;
    const char *topic;
    const char *file;
    uint64_t chunk;
    uint64_t line_max;
    uint64_t rate;
    uint64_t count; /* UINT64_MAX: no end */
    uint64_t wait_subscribers;
    int64_t wait_ns;
    bool loop;
    struct lshm_publisher_options options;
    struct lshm_context *context;
    struct lshm_publisher *publisher;
    struct reader reader;
    uint64_t sent;    /* dropped ones too */
    uint64_t dropped;
    uint64_t bytes;
    uint64_t start_ns;
};

enum { OPT_FILE = 1, OPT_CHUNK, OPT_LINE_MAX, OPT_RATE, OPT_COUNT, OPT_LOOP, OPT_SLOTS, OPT_RING,
       OPT_WAIT, OPT_WAIT_SUBSCRIBERS, OPT_TIMESTAMPS, OPT_DROP_NEWEST, OPT_HISTORY,
       OPT_RETAIN, OPT_MEMORY_MAX, OPT_PREFAULT, OPT_LOCK, OPT_HUGE, OPT_NUMA_NODE, OPT_STALL };

static uint32_t ring_entries(const struct tool *tool)
{
    uint64_t count = tool_number(tool, "--ring", optarg, LSHM_RING_ENTRIES_MIN,
                                 LSHM_RING_ENTRIES_MAX);

    if ((count & (count - 1)) != 0) {
        tool_fail(tool, EX_USAGE, "--ring %s is not a power of two: %u to %u", optarg,
                  LSHM_RING_ENTRIES_MIN, LSHM_RING_ENTRIES_MAX);
        exit(EX_USAGE);
    }
    return (uint32_t)count;
}

static int64_t stall_ns(const struct tool *tool)
{
    int64_t ns = tool_duration(tool, "--stall", optarg);

    if (ns == 0) {
        tool_fail(tool, EX_USAGE, "--stall 0 would evict every subscriber: give 1 (ms) or more, "
                  "or forever");
        exit(EX_USAGE);
    }
    return ns < 0 ? 0 : ns;
}

static void set_memory_option(struct pub *pub, int option)
{
    struct lshm_publisher_options *options = &pub->options;

    switch (option) {
    case OPT_SLOTS:
        options->slot_count = (uint32_t)tool_number(pub->tool, "--slots", optarg, 1, 1u << 24);
        break;
    case OPT_MEMORY_MAX:
        options->memory_max = tool_size(pub->tool, "--memory-max", optarg, 1, UINT64_C(1) << 50);
        break;
    case OPT_PREFAULT:
        options->flags |= LSHM_PUBLISHER_PREFAULT;
        break;
    case OPT_LOCK:
        options->flags |= LSHM_PUBLISHER_LOCK;
        break;
    case OPT_HUGE:
        options->flags |= LSHM_PUBLISHER_HUGE;
        break;
    case OPT_NUMA_NODE:
        options->numa_node = 1 + (uint32_t)tool_number(pub->tool, "--numa-node", optarg, 0,
                                                       NUMA_NODE_MAX);
        break;
    }
}

static void set_option(struct pub *pub, int option)
{
    const struct tool *tool = pub->tool;

    switch (option) {
    case OPT_FILE:
        pub->file = optarg;
        break;
    case OPT_CHUNK:
        pub->chunk = tool_size(tool, "--chunk", optarg, 1, PAYLOAD_BYTES_MAX);
        break;
    case OPT_LINE_MAX:
        pub->line_max = tool_size(tool, "--line-max", optarg, 1, 1u << 30);
        break;
    case OPT_RATE:
        pub->rate = tool_number(tool, "--rate", optarg, 1, 1000000000);
        break;
    case OPT_COUNT:
        pub->count = tool_number(tool, "--count", optarg, 0, UINT64_MAX - 1);
        break;
    case OPT_LOOP:
        pub->loop = true;
        break;
    case OPT_RING:
        pub->options.ring_entries = ring_entries(tool);
        break;
    case OPT_WAIT:
        pub->wait_ns = tool_duration(tool, "--wait", optarg);
        break;
    case OPT_WAIT_SUBSCRIBERS:
        pub->wait_subscribers = tool_number(tool, "--wait-subscribers", optarg, 0, 65536);
        break;
    case OPT_DROP_NEWEST:
        pub->options.flags |= LSHM_PUBLISHER_DROP_NEWEST;
        break;
    case OPT_HISTORY:
        pub->options.history = (uint32_t)tool_number(tool, "--history", optarg, 0,
                                                     LSHM_RING_ENTRIES_MAX);
        break;
    case OPT_RETAIN:
        pub->options.retain = (uint32_t)tool_number(tool, "--retain", optarg, 0,
                                                    LSHM_RING_ENTRIES_MAX);
        break;
    case OPT_TIMESTAMPS:
        pub->options.flags |= LSHM_PUBLISHER_TIMESTAMPS;
        break;
    case OPT_STALL:
        pub->options.stall_ns = stall_ns(tool);
        break;
    default:
        set_memory_option(pub, option);
        break;
    }
}

static int parse(struct pub *pub, struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {
        { "file", required_argument, NULL, OPT_FILE },
        { "chunk", required_argument, NULL, OPT_CHUNK },
        { "line-max", required_argument, NULL, OPT_LINE_MAX },
        { "rate", required_argument, NULL, OPT_RATE },
        { "count", required_argument, NULL, OPT_COUNT },
        { "loop", no_argument, NULL, OPT_LOOP },
        { "slots", required_argument, NULL, OPT_SLOTS },
        { "ring", required_argument, NULL, OPT_RING },
        { "wait", required_argument, NULL, OPT_WAIT },
        { "wait-subscribers", required_argument, NULL, OPT_WAIT_SUBSCRIBERS },
        { "drop-newest", no_argument, NULL, OPT_DROP_NEWEST },
        { "history", required_argument, NULL, OPT_HISTORY },
        { "retain", required_argument, NULL, OPT_RETAIN },
        { "timestamps", no_argument, NULL, OPT_TIMESTAMPS },
        { "memory-max", required_argument, NULL, OPT_MEMORY_MAX },
        { "prefault", no_argument, NULL, OPT_PREFAULT },
        { "lock", no_argument, NULL, OPT_LOCK },
        { "huge", no_argument, NULL, OPT_HUGE },
        { "numa-node", required_argument, NULL, OPT_NUMA_NODE },
        { "stall", required_argument, NULL, OPT_STALL },
        TOOL_OPTIONS,
    };
    int option;

    while ((option = tool_next_option(tool, argc, argv, options)) != -1)
        set_option(pub, option);
    if (argc - optind != 1)
        return tool_fail(tool, EX_USAGE, "exactly one topic is needed; see lshm pub --help");
    if (pub->loop && pub->file == NULL)
        return tool_fail(tool, EX_USAGE, "--loop needs --file: a stream has no beginning to go "
                         "back to");
    pub->topic = argv[optind];
    pub->options.size = sizeof pub->options;
    pub->options.payload_bytes = pub->chunk > 0 ? pub->chunk : pub->line_max;
    return EX_OK;
}

/* A loan, waiting for room as told: 0, −EINTR, or the library's refusal. */
static int get_loan(struct pub *pub, size_t bytes, struct lshm_message *ret_message)
{
    uint64_t begin = 0;

    for (;;) {
        int r = lshm_publisher_loan(pub->publisher, bytes, ret_message);

        if (r != -LSHM_EAGAIN || pub->wait_ns == 0)
            return r;
        if (stop_wanted())
            return -EINTR;
        begin = begin == 0 ? now_ns() : begin;
        if (pub->wait_ns > 0 && now_ns() - begin >= (uint64_t)pub->wait_ns)
            return r;
        r = lshm_publisher_wait(pub->publisher, WAIT_SLICE_NS);
        if (r < 0)
            return r;
    }
}

static int explain_loan(const struct pub *pub, int r)
{
    if (r == -EINTR)
        return EX_OK;
    if (r == -LSHM_EAGAIN)
        return tool_fail(pub->tool, EX_TEMPFAIL, "no room after %lld ms: a subscriber of '%s' does "
                         "not keep up; see lshm holders %s, or wait longer with --wait",
                         (long long)(pub->wait_ns / 1000000), pub->topic, pub->topic);
    return tool_fail_result(pub->tool, r, NULL, "cannot get memory for a message");
}

/* Publishes: −1 to go on, else the exit code. */
static int publish(struct pub *pub, struct lshm_message *message)
{
    int r;

    if (pub->rate > 0)
        stop_sleep_until(pub->start_ns + (uint64_t)((double)pub->sent * 1e9 / (double)pub->rate));
    r = lshm_publisher_publish(pub->publisher, message);
    if (r < 0)
        return tool_fail_result(pub->tool, r, NULL, "cannot publish");
    pub->sent++;
    if (message->seq == LSHM_SEQ_NONE)
        pub->dropped++;
    else
        pub->bytes += message->length;
    return -1;
}

/* One message each: −1 to go on, −2 at the end of the input, else the exit code. */
static int send_chunk(struct pub *pub)
{
    struct lshm_message message;
    ssize_t n;
    int r = get_loan(pub, pub->chunk, &message);

    if (r < 0)
        return explain_loan(pub, r);
    n = reader_chunk(&pub->reader, message.data, pub->chunk);
    if (n > 0 && !stop_wanted()) {
        message.length = (uint64_t)n;
        return publish(pub, &message);
    }
    lshm_publisher_abort(pub->publisher, &message);
    if (n < 0)
        return tool_fail(pub->tool, EX_IOERR, "cannot read %s: %s",
                         pub->file != NULL ? pub->file : "standard input", lshm_strerror((int)n));
    return -2;
}

static int send_line(struct pub *pub)
{
    struct lshm_message message;
    const char *line;
    size_t bytes;
    int r = reader_line(&pub->reader, &line, &bytes);

    if (r == -E2BIG)
        return tool_fail(pub->tool, EX_DATAERR, "a line is longer than %llu bytes: allow more with "
                         "--line-max, or publish pieces with --chunk",
                         (unsigned long long)pub->line_max);
    if (r < 0)
        return tool_fail(pub->tool, EX_IOERR, "cannot read %s: %s",
                         pub->file != NULL ? pub->file : "standard input", lshm_strerror(r));
    if (r == 0)
        return -2;
    r = get_loan(pub, bytes, &message);
    if (r < 0)
        return explain_loan(pub, r);
    if (bytes > 0)
        memcpy(message.data, line, bytes);
    return publish(pub, &message);
}

static int send_all(struct pub *pub)
{
    uint64_t sent_before = 0;
    int r = -1;

    while (r == -1 && pub->sent < pub->count && !stop_wanted()) {
        r = pub->chunk > 0 ? send_chunk(pub) : send_line(pub);
        if (r != -2)
            continue;
        if (!pub->loop || stop_wanted())
            return EX_OK;
        if (pub->sent == sent_before)
            return tool_fail(pub->tool, EX_DATAERR, "%s is empty: nothing to --loop", pub->file);
        sent_before = pub->sent;
        if (reader_rewind(&pub->reader) < 0)
            return tool_fail(pub->tool, EX_IOERR, "cannot go back to the beginning of %s: --loop "
                             "needs a regular file", pub->file);
        r = -1;
    }
    return r < 0 ? EX_OK : r;
}

static int await_subscribers(struct pub *pub)
{
    struct lshm_publisher_statistics statistics = { .size = sizeof statistics };

    while (pub->wait_subscribers > 0 && !stop_wanted()) {
        int r = lshm_publisher_get_statistics(pub->publisher, &statistics);

        if (r < 0)
            return tool_fail_result(pub->tool, r, NULL, "cannot count the subscribers");
        if (statistics.joined >= pub->wait_subscribers)
            break;
        stop_sleep_until(now_ns() + JOIN_LOOK_NS);
    }
    return EX_OK;
}

static int open_all(struct pub *pub)
{
    struct lshm_context_options options = { .size = sizeof options, .socket = pub->tool->socket };
    struct lshm_error error = { 0 };
    int fd = STDIN_FILENO, r;

    if (pub->file != NULL)
        fd = open(pub->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return tool_fail(pub->tool, EX_IOERR, "cannot open %s: %s", pub->file,
                         lshm_strerror(errno));
    r = reader_init(&pub->reader, fd, pub->chunk > 0 ? 0 : pub->line_max);
    if (r == 0)
        r = lshm_context_open(&options, &error, &pub->context);
    if (r == 0)
        r = lshm_publisher_open(pub->context, pub->topic, &pub->options, &error, &pub->publisher);
    return r < 0 ? tool_fail_result(pub->tool, r, &error, "cannot publish") : EX_OK;
}

static void print_summary(const struct pub *pub)
{
    double seconds = (double)(now_ns() - pub->start_ns) / 1e9;
    struct json json;

    json_init(&json, stdout);
    json_object(&json, NULL);
    json_string(&json, "topic", pub->topic);
    json_number(&json, "messages", pub->sent - pub->dropped);
    json_number(&json, "dropped", pub->dropped);
    json_number(&json, "bytes", pub->bytes);
    json_real(&json, "seconds", seconds);
    json_end(&json);
}

int cmd_pub(struct tool *tool, int argc, char **argv)
{
    struct pub pub = {
        .tool = tool,
        .line_max = LINE_BYTES_DEFAULT,
        .count = UINT64_MAX,
        .wait_ns = -1,
        .reader = { .fd = -1 },
    };
    int r = parse(&pub, tool, argc, argv);

    if (r != EX_OK)
        return r;
    stop_install();
    r = open_all(&pub);
    if (r == EX_OK)
        r = await_subscribers(&pub);
    pub.start_ns = now_ns();
    if (r == EX_OK)
        r = send_all(&pub);
    if (r == EX_OK && tool->json)
        print_summary(&pub);
    else if (pub.dropped > 0)
        fprintf(stderr, "lshm pub: %llu of %llu messages were dropped: there was no room\n",
                (unsigned long long)pub.dropped, (unsigned long long)pub.sent);
    lshm_context_close(pub.context);
    reader_free(&pub.reader);
    return r == EX_OK ? tool_finish(tool) : r;
}
