/* SPDX-License-Identifier: Apache-2.0 */
/* The child's side of agents: the commands of agent.h. */
#include "agent.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent_internal.h"
#include "agent_process.h"

#define SPOILT_BYTES 2000u
#define PORTS 512

struct lshm_context *agent_context;
static struct agent_writer *writers[PORTS];
static struct agent_reader *readers[PORTS];
static size_t writer_count, reader_count;

static char answer[LST_LINE_MAX];

void agent_ok(long long number)
{
    (void)snprintf(answer, sizeof answer, "ok %lld", number);
}

void agent_no(int error, const char *text)
{
    (void)snprintf(answer, sizeof answer, "no %s %.200s", lshm_error_name(error), text);
}

void agent_refused(int error, const char *format, ...)
{
    char text[LST_LINE_MAX];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)snprintf(answer, sizeof answer, "no %s %.60s: %.160s", lshm_error_name(error), text,
                   lshm_strerror(error));
}

void agent_say_wrong(const char *format, ...)
{
    va_list arguments;
    int length = snprintf(answer, sizeof answer, "no WRONG ");

    va_start(arguments, format);
    (void)vsnprintf(answer + length, sizeof answer - (size_t)length, format, arguments);
    va_end(arguments);
}

uint64_t agent_now_ns(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The value of "name=" in the command. */
long long agent_option(const char *arguments, const char *name, long long otherwise)
{
    char wanted[32];
    const char *at;

    (void)snprintf(wanted, sizeof wanted, " %s=", name);
    at = strstr(arguments, wanted);
    return at ? strtoll(at + strlen(wanted), NULL, 0) : otherwise;
}

/* The word at this place after the command's name. */
static const char *word(const char *arguments, int place)
{
    static char found[LST_LINE_MAX];
    const char *at = arguments;

    for (int i = 0; i <= place; i++) {
        at += strspn(at, " ");
        if (i < place)
            at += strcspn(at, " ");
    }
    (void)snprintf(found, sizeof found, "%.*s", (int)strcspn(at, " "), at);
    return found;
}

uint64_t agent_number(const char *arguments, int place)
{
    return strtoull(word(arguments, place), NULL, 0);
}

struct agent_writer *agent_writer_at(const char *arguments, int place)
{
    uint64_t index = agent_number(arguments, place);

    return index < writer_count ? writers[index] : NULL;
}

struct agent_reader *agent_reader_at(const char *arguments, int place)
{
    uint64_t index = agent_number(arguments, place);

    return index < reader_count ? readers[index] : NULL;
}

/* Commands. */

static void do_attach(const char *arguments)
{
    char path[LST_LINE_MAX];
    struct lshm_context_options options = { .size = sizeof options, .socket = path };
    struct lshm_error error = { 0 };
    int r;

    (void)snprintf(path, sizeof path, "%s", word(arguments, 0));
    options.timeout_ns = agent_option(arguments, "timeout_ms", 0) * AGENT_MS;
    r = lshm_context_open(&options, &error, &agent_context);
    if (r < 0) {
        agent_no(r, error.text);
        return;
    }
    agent_ledger_open(path);
    agent_ok((long long)lshm_context_get_client(agent_context));
}

static bool all_add_up(void)
{
    for (size_t i = 0; i < reader_count; i++)
        if (readers[i]->port && !agent_reader_adds_up(readers[i]))
            return false;
    return true;
}

static void do_detach(const char *arguments)
{
    (void)arguments;
    if (!all_add_up())
        return;
    lshm_context_close(agent_context);
    agent_context = NULL;
    writer_count = reader_count = 0;
    agent_ok(0);
}

static uint64_t spin_ns(const char *arguments)
{
    long long ms = agent_option(arguments, "spin_ms", 0);

    return ms < 0 ? UINT64_MAX : (uint64_t)(ms * AGENT_MS);
}

static void do_pub(const char *arguments)
{
    struct lshm_publisher_options options = {
        .size = sizeof options,
        .payload_bytes = (uint64_t)agent_option(arguments, "payload", 0),
        .ring_entries = (uint32_t)agent_option(arguments, "ring", 0),
        .slot_count = (uint32_t)agent_option(arguments, "slots", 0),
        .memory_max = (uint64_t)agent_option(arguments, "memory", 0),
        .entry_bytes = (uint32_t)agent_option(arguments, "entry", 0),
        .loans_max = (uint32_t)agent_option(arguments, "loans", 0),
        .flags = (uint32_t)agent_option(arguments, "flags", 0),
        .history = (uint32_t)agent_option(arguments, "history", 0),
        .retain = (uint32_t)agent_option(arguments, "retain", 0),
        .stall_ns = agent_option(arguments, "stall_ms", 0) * AGENT_MS,
    };
    long long wait_ms = agent_option(arguments, "wait_ms", 0);
    struct agent_writer *writer = calloc(1, sizeof *writer);
    struct lshm_error error = { 0 };
    int r;

    options.wait_ns = wait_ms < 0 ? -1 : wait_ms * AGENT_MS;
    options.spin_ns = spin_ns(arguments);
    writer->record = agent_ledger_add(word(arguments, 0));
    r = lshm_publisher_open(agent_context, word(arguments, 0), &options, &error, &writer->port);
    if (r < 0 || writer_count == PORTS) {
        agent_no(r, error.text);
        free(writer);
        return;
    }
    writer->key = (uint64_t)agent_option(arguments, "key", (long long)writer_count + 1);
    writers[writer_count] = writer;
    agent_ok((long long)writer_count++);
}

static void do_sub(const char *arguments)
{
    struct lshm_subscriber_options options = {
        .size = sizeof options,
        .window = (uint32_t)agent_option(arguments, "window", 0),
        .holds = (uint32_t)agent_option(arguments, "holds", 0),
        .flags = (uint32_t)agent_option(arguments, "flags", 0),
        .queue_limit = (uint32_t)agent_option(arguments, "limit", 0),
        .spin_ns = spin_ns(arguments),
        .history = (uint32_t)agent_option(arguments, "history", 0),
    };
    struct agent_reader *reader = calloc(1, sizeof *reader);
    struct lshm_error error = { 0 };
    int r;

    (void)snprintf(reader->topic, sizeof reader->topic, "%.127s", word(arguments, 0));
    agent_ledger_note(reader->topic, &reader->before);
    r = lshm_subscriber_open(agent_context, reader->topic, &options, &error, &reader->port);
    agent_ledger_note(reader->topic, &reader->after);
    if (r < 0 || reader_count == PORTS) {
        agent_no(r, error.text);
        free(reader);
        return;
    }
    reader->loses = options.flags & LSHM_SUBSCRIBER_LATEST;
    reader->hears_all = (options.flags & LSHM_SUBSCRIBER_NO_LOCAL) == 0;
    reader->history = options.history;
    readers[reader_count] = reader;
    agent_ok((long long)reader_count++);
}

static void do_close_pub(const char *arguments)
{
    struct agent_writer *writer = agent_writer_at(arguments, 0);

    lshm_publisher_close(writer->port);
    writer->port = NULL;
    agent_ok(0);
}

static void do_close_sub(const char *arguments)
{
    struct agent_reader *reader = agent_reader_at(arguments, 0);

    if (!agent_reader_adds_up(reader))
        return;
    lshm_subscriber_close(reader->port);
    reader->port = NULL;
    agent_ok(0);
}

static void do_spoil(const char *arguments)
{
    struct lshm_publisher *port = agent_writer_at(arguments, 0)->port;
    long long count = strtoll(word(arguments, 1), NULL, 10), loans = 0;
    struct lshm_message loan;

    for (; loans < count && lshm_publisher_loan(port, SPOILT_BYTES, &loan) == 0; loans++)
        memset(loan.data, 0xff, SPOILT_BYTES);
    agent_ok(loans);
}

static void do_clear(const char *arguments)
{
    struct lshm_error error = { 0 };
    int r = lshm_context_clear_topic(agent_context, word(arguments, 0), &error);

    if (r < 0)
        agent_no(r, error.text);
    else
        agent_ok(r);
}

static void do_trim(const char *arguments)
{
    int64_t r = lshm_publisher_trim(agent_writer_at(arguments, 0)->port);

    if (r < 0)
        agent_no((int)r, "trim");
    else
        agent_ok((long long)r);
}

static void do_pstat(const char *arguments)
{
    struct lshm_publisher_statistics s = { .size = sizeof s };
    int r = lshm_publisher_get_statistics(agent_writer_at(arguments, 0)->port, &s);
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        { "published", s.published }, { "refused", s.refused }, { "readers", s.readers },
        { "unmapped", s.unmapped },   { "slots", s.slots },     { "free", s.slots_free },
        { "loaned", s.slots_loaned }, { "window", s.slots_window }, { "limbo", s.slots_limbo },
        { "quarantine", s.slots_quarantine }, { "dropped", s.dropped },
        { "evicted", s.evicted },   { "forwarded", s.forwarded },
        { "copies", s.forward_copies }, { "views", s.views },
    };

    if (r < 0)
        agent_no(r, "statistics");
    for (size_t i = 0; r == 0 && i < sizeof fields / sizeof fields[0]; i++)
        if (strcmp(word(arguments, 1), fields[i].name) == 0)
            agent_ok((long long)fields[i].value);
}

static void do_sstat(const char *arguments)
{
    struct lshm_subscriber_statistics s = { .size = sizeof s };
    int r = lshm_subscriber_get_statistics(agent_reader_at(arguments, 0)->port, &s);
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        { "publishers", s.publishers }, { "taken", s.taken }, { "lost", s.lost },
        { "corrupt", s.corrupt },       { "ahead", s.ahead }, { "out", s.out },
        { "holds", s.holds },           { "lost_start", s.lost_start },
        { "lapped", s.lost_lapped },    { "limit", s.lost_limit },
        { "evicted", s.lost_evicted },
    };

    if (r < 0)
        agent_no(r, "statistics");
    for (size_t i = 0; r == 0 && i < sizeof fields / sizeof fields[0]; i++)
        if (strcmp(word(arguments, 1), fields[i].name) == 0)
            agent_ok((long long)fields[i].value);
}

static void do_sleep(const char *arguments)
{
    struct agent_reader *reader = agent_reader_at(arguments, 0);
    uint64_t before = agent_now_ns(CLOCK_PROCESS_CPUTIME_ID);
    int r = lshm_subscriber_wait(reader->port, agent_option(arguments, "ms", 0) * AGENT_MS);

    if (r != 0)
        agent_no(r, "there was something");
    else
        agent_ok((long long)(agent_now_ns(CLOCK_PROCESS_CPUTIME_ID) - before) / 1000);
}

/* Waits for the first N readers; answers which has something, counted from 1. */
static void do_any(const char *arguments)
{
    struct lshm_subscriber *set[PORTS];
    uint64_t count = agent_number(arguments, 0);
    int r;

    for (uint64_t i = 0; i < count && i < reader_count; i++)
        set[i] = readers[i]->port;
    r = lshm_subscriber_wait_any(set, count, agent_option(arguments, "ms", 0) * AGENT_MS);
    if (r < 0)
        agent_no(r, "any");
    else
        agent_ok(r);
}

static void do_churn(const char *arguments)
{
    struct lshm_error error = { 0 };
    const char *topic = word(arguments, 0);
    uint64_t count = agent_number(arguments, 1);
    char name[64];

    (void)snprintf(name, sizeof name, "%.63s", topic);
    agent_ledger_spoil(name);
    for (uint64_t i = 0; i < count; i++) {
        struct lshm_publisher *publisher = NULL;
        struct lshm_subscriber *subscriber = NULL;
        int r = lshm_publisher_open(agent_context, name, NULL, &error, &publisher);

        if (r == 0)
            r = lshm_subscriber_open(agent_context, name, NULL, &error, &subscriber);
        if (r == 0)
            r = lshm_publisher_send(publisher, "churn", 5);
        if (r == 0 && lshm_subscriber_wait(subscriber, 10000 * AGENT_MS) != 1)
            r = -ETIMEDOUT;
        if (i % 2)
            lshm_publisher_close(publisher);
        lshm_subscriber_close(subscriber);
        if (i % 2 == 0)
            lshm_publisher_close(publisher);
        if (r < 0) {
            agent_no(r, error.text);
            return;
        }
    }
    agent_ok((long long)count);
}

static void do_reattach(const char *arguments)
{
    char path[LST_LINE_MAX];
    struct lshm_context_options options = { .size = sizeof options, .socket = path };
    uint64_t count = agent_number(arguments, 1);

    (void)snprintf(path, sizeof path, "%s", word(arguments, 0));
    for (uint64_t i = 0; i < count; i++) {
        struct lshm_error error = { 0 };
        struct lshm_context *context;
        int r = lshm_context_open(&options, &error, &context);

        if (r < 0) {
            agent_no(r, error.text);
            return;
        }
        lshm_context_close(context);
    }
    agent_ok((long long)count);
}

static const struct {
    const char *name;
    void (*run)(const char *arguments);
} commands[] = {
    { "attach", do_attach }, { "detach", do_detach }, { "pub", do_pub },
    { "sub", do_sub }, { "close_pub", do_close_pub }, { "close_sub", do_close_sub },
    { "trim", do_trim }, { "clear", do_clear }, { "spoil", do_spoil },
    { "pstat", do_pstat }, { "sstat", do_sstat }, { "churn", do_churn },
    { "any", do_any }, { "sleep", do_sleep }, { "send", agent_send },
    { "take", agent_take }, { "grab", agent_grab }, { "drop", agent_drop },
    { "pass", agent_pass },
    { "intact", agent_intact }, { "none", agent_none }, { "ping", agent_ping },
    { "pong", agent_pong }, { "gaps", agent_gaps }, { "slow", agent_slow },
    { "poll", agent_poll }, { "reattach", do_reattach },
};

static void run_command(const char *line)
{
    size_t length = strcspn(line, " ");

    (void)snprintf(answer, sizeof answer, "no WRONG command or name: %.200s", line);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strlen(commands[i].name) == length && strncmp(line, commands[i].name, length) == 0) {
            commands[i].run(line + length);
            return;
        }
    }
    agent_process_command(line, answer, sizeof answer);
}

/* Its deadline ends it first. */
#define HEAR_MS 600000

static int agent(int argc, char **argv)
{
    char line[LST_LINE_MAX];

    (void)argc;
    (void)argv;
    for (;;) {
        if (lst_hear(line, HEAR_MS) < 0)
            return 1;
        if (strcmp(line, "exit") == 0)
            break;
        run_command(line);
        if (lst_say(answer) < 0)
            return 1;
    }
    if (!all_add_up()) {
        (void)fprintf(stderr, "# %s\n", answer);
        return 1;
    }
    lshm_context_close(agent_context);
    return 0;
}

const struct lst_role agent_roles[] = { { "agent", agent }, { "idle", agent_idle } };
const size_t agent_role_count = sizeof agent_roles / sizeof agent_roles[0];
