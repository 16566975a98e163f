/* SPDX-License-Identifier: Apache-2.0 */
/* The child's side of agents: the commands of agent.h. */
#include "agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent_message.h"
#include "agent_process.h"

#define PORTS 512
#define RINGS 256
#define BATCH_MAX 64
#define KEPT_MAX 512
#define MS INT64_C(1000000)
#define SLOW_NS (500 * MS)

struct writer {
    struct lshm_publisher *port;
    uint64_t key;
    uint64_t sent;
};

/* What a subscriber has seen of one publisher. */
struct ring {
    uint64_t publisher;
    uint64_t key;
    uint64_t next;
};

struct reader {
    struct lshm_subscriber *port;
    struct ring rings[RINGS];
    size_t ring_count;
    struct lshm_message kept[KEPT_MAX];
    size_t kept_count;
};

static struct lshm_context *context;
static struct writer *writers[PORTS];
static struct reader *readers[PORTS];
static size_t writer_count, reader_count;
static uint64_t random_state = 88172645463325252u;

static char answer[LST_LINE_MAX];

static void ok(long long number)
{
    (void)snprintf(answer, sizeof answer, "ok %lld", number);
}

static void no(int error, const char *text)
{
    (void)snprintf(answer, sizeof answer, "no %s %.200s", lshm_error_name(error), text);
}

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The value of "name=" in the command. */
static long long option(const char *arguments, const char *name, long long otherwise)
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

static uint64_t number(const char *arguments, int place)
{
    return strtoull(word(arguments, place), NULL, 0);
}

static struct writer *writer_at(const char *arguments, int place)
{
    uint64_t index = number(arguments, place);

    return index < writer_count ? writers[index] : NULL;
}

static struct reader *reader_at(const char *arguments, int place)
{
    uint64_t index = number(arguments, place);

    return index < reader_count ? readers[index] : NULL;
}

/* Messages. */

/* 0, or the answer says what is wrong with it. */
static int check(struct reader *reader, const struct lshm_message *m)
{
    struct ring *ring = reader->rings;
    size_t i = 0;

    while (i < reader->ring_count && ring->publisher != m->publisher)
        i++, ring++;
    if (i == reader->ring_count) {
        if (i == RINGS) {
            no(LSHM_ELIMIT, "too many publishers");
            return -1;
        }
        reader->ring_count++;
        *ring = (struct ring){ m->publisher, m->user[1] >> 32, m->seq };
    }
    if (m->seq == ring->next && agent_message_is_whole(m, ring->key)) {
        ring->next++;
        return 0;
    }
    (void)snprintf(answer, sizeof answer, "no WRONG publisher %llu key %llu: expected %llu, got "
                   "%llu (%llu, %llx), %llu bytes", (unsigned long long)m->publisher,
                   (unsigned long long)ring->key, (unsigned long long)ring->next,
                   (unsigned long long)m->seq, (unsigned long long)m->user[0],
                   (unsigned long long)m->user[1], (unsigned long long)m->length);
    return -1;
}

static void prepare(struct writer *writer, struct lshm_message *m)
{
    agent_message_fill(m, writer->key, writer->sent++);
}

/* Commands. */

static void do_attach(const char *arguments)
{
    char path[LST_LINE_MAX];
    struct lshm_context_options options = { .size = sizeof options, .socket = path };
    struct lshm_error error = { 0 };
    int r;

    (void)snprintf(path, sizeof path, "%s", word(arguments, 0));
    options.timeout_ns = option(arguments, "timeout_ms", 0) * MS;
    r = lshm_context_open(&options, &error, &context);
    if (r < 0)
        no(r, error.text);
    else
        ok((long long)lshm_context_get_client(context));
}

static void do_detach(const char *arguments)
{
    (void)arguments;
    lshm_context_close(context);
    context = NULL;
    writer_count = reader_count = 0;
    ok(0);
}

static void do_pub(const char *arguments)
{
    struct lshm_publisher_options options = {
        .size = sizeof options,
        .payload_bytes = (uint64_t)option(arguments, "payload", 0),
        .ring_entries = (uint32_t)option(arguments, "ring", 0),
        .slot_count = (uint32_t)option(arguments, "slots", 0),
        .entry_bytes = (uint32_t)option(arguments, "entry", 0),
        .loans_max = (uint32_t)option(arguments, "loans", 0),
        .flags = (uint32_t)option(arguments, "flags", 0),
    };
    long long wait_ms = option(arguments, "wait_ms", 0);
    struct writer *writer = calloc(1, sizeof *writer);
    struct lshm_error error = { 0 };
    int r;

    options.wait_ns = wait_ms < 0 ? -1 : wait_ms * MS;
    r = lshm_publisher_open(context, word(arguments, 0), &options, &error, &writer->port);
    if (r < 0 || writer_count == PORTS) {
        no(r, error.text);
        free(writer);
        return;
    }
    writer->key = (uint64_t)option(arguments, "key", (long long)writer_count + 1);
    writers[writer_count] = writer;
    ok((long long)writer_count++);
}

static void do_sub(const char *arguments)
{
    struct lshm_subscriber_options options = {
        .size = sizeof options,
        .window = (uint32_t)option(arguments, "window", 0),
        .holds = (uint32_t)option(arguments, "holds", 0),
        .flags = (uint32_t)option(arguments, "flags", 0),
    };
    struct reader *reader = calloc(1, sizeof *reader);
    struct lshm_error error = { 0 };
    int r = lshm_subscriber_open(context, word(arguments, 0), &options, &error, &reader->port);

    if (r < 0 || reader_count == PORTS) {
        no(r, error.text);
        free(reader);
        return;
    }
    readers[reader_count] = reader;
    ok((long long)reader_count++);
}

static void do_close_pub(const char *arguments)
{
    struct writer *writer = writer_at(arguments, 0);

    lshm_publisher_close(writer->port);
    writer->port = NULL;
    ok(0);
}

static void do_close_sub(const char *arguments)
{
    struct reader *reader = reader_at(arguments, 0);

    lshm_subscriber_close(reader->port);
    reader->port = NULL;
    ok(0);
}

static void do_send(const char *arguments)
{
    struct writer *writer = writer_at(arguments, 0);
    uint64_t count = number(arguments, 1), sent = 0;
    uint64_t min = (uint64_t)option(arguments, "min", 0);
    uint64_t max = (uint64_t)option(arguments, "max", 64);
    size_t batch = (size_t)option(arguments, "batch", 1);
    struct lshm_message m[BATCH_MAX];

    while (sent < count) {
        uint64_t length = min + next_random() % (max - min + 1);
        size_t wanted = count - sent < batch ? (size_t)(count - sent) : batch;
        char text[24];
        int got;

        if (next_random() % 2) /* half of them small, so that both kinds of message meet */
            length = min + length % (max - min < 64 ? max - min + 1 : 64);
        got = lshm_publisher_loan_batch(writer->port, length, m, wanted);
        if (got < 0) {
            (void)snprintf(text, sizeof text, "%llu", (unsigned long long)sent);
            no(got, text);
            return;
        }
        for (int i = 0; i < got; i++)
            prepare(writer, &m[i]);
        got = lshm_publisher_publish_batch(writer->port, m, (size_t)got);
        if (got < 0) {
            no(got, "publish");
            return;
        }
        sent += (uint64_t)got;
    }
    ok((long long)sent);
}

static void shuffle(struct lshm_message *m, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t k = (size_t)(next_random() % i);
        struct lshm_message swap = m[i - 1];

        m[i - 1] = m[k];
        m[k] = swap;
    }
}

/* Up to `count` messages, checked: how many, 0 after the deadline, negative with the answer set. */
static int take_some(struct reader *reader, struct lshm_message *m, size_t count, uint64_t deadline)
{
    for (;;) {
        uint64_t now = now_ns(CLOCK_MONOTONIC);
        int got = lshm_subscriber_take_batch(reader->port, m, count), r;

        if (got < 0)
            no(got, "take");
        for (int i = 0; i < got; i++)
            if (check(reader, &m[i]) < 0)
                return -1;
        if (got != 0 || now >= deadline)
            return got;
        r = lshm_subscriber_wait(reader->port, (int64_t)(deadline - now));
        if (r < 0) {
            no(r, "wait");
            return r;
        }
    }
}

static void do_take(const char *arguments)
{
    struct reader *reader = reader_at(arguments, 0);
    uint64_t count = number(arguments, 1), taken = 0;
    uint64_t deadline = now_ns(CLOCK_MONOTONIC) + (uint64_t)option(arguments, "ms", 20000) * MS;
    size_t batch = (size_t)option(arguments, "batch", 1);
    uint64_t last = (uint64_t)option(arguments, "last", -1);
    struct lshm_message m[BATCH_MAX];

    while (taken < count && (taken == 0 || m[0].seq < last)) {
        size_t wanted = count - taken < batch ? (size_t)(count - taken) : batch;
        int got = take_some(reader, m, wanted, deadline), r = 0;

        if (got < 0)
            return;
        if (got == 0)
            break;
        taken += (uint64_t)got;
        if (option(arguments, "shuffle", 0)) {
            shuffle(m, (size_t)got);
            for (int i = 0; i < got && r >= 0; i++)
                r = lshm_subscriber_release(reader->port, &m[i]);
        } else {
            r = lshm_subscriber_release_batch(reader->port, m, (size_t)got);
        }
        if (r < 0) {
            no(r, "release");
            return;
        }
    }
    ok((long long)taken);
}

static void do_grab(const char *arguments)
{
    struct reader *reader = reader_at(arguments, 0);
    uint64_t deadline = now_ns(CLOCK_MONOTONIC) + (uint64_t)option(arguments, "ms", 10000) * MS;
    uint64_t count = number(arguments, 1), taken = 0;

    while (taken < count && reader->kept_count < KEPT_MAX) {
        int got = take_some(reader, &reader->kept[reader->kept_count], 1, deadline);

        if (got < 0)
            return;
        if (got == 0)
            break;
        reader->kept_count++;
        taken++;
    }
    ok((long long)taken);
}

static void do_drop(const char *arguments)
{
    struct reader *reader = reader_at(arguments, 0);
    size_t count = (size_t)number(arguments, 1);

    for (size_t i = 0; i < count && i < reader->kept_count; i++) {
        int r = lshm_subscriber_release(reader->port, &reader->kept[i]);

        if (r < 0) {
            no(r, "release");
            return;
        }
    }
    reader->kept_count -= count;
    memmove(reader->kept, reader->kept + count, reader->kept_count * sizeof reader->kept[0]);
    ok((long long)count);
}

static void do_intact(const char *arguments)
{
    const struct reader *reader = reader_at(arguments, 0);

    for (size_t i = 0; i < reader->kept_count; i++) {
        if (!agent_message_is_whole(&reader->kept[i], reader->kept[i].user[1] >> 32)) {
            no(LSHM_ECORRUPT, "a kept message has changed");
            return;
        }
    }
    ok((long long)reader->kept_count);
}

static void do_none(const char *arguments)
{
    struct reader *reader = reader_at(arguments, 0);
    struct lshm_message m;
    int r = lshm_subscriber_wait(reader->port, option(arguments, "ms", 0) * MS);

    if (r == 0)
        r = lshm_subscriber_take(reader->port, &m);
    if (r == 0)
        ok(0);
    else
        no(r, "there is something");
}

static void do_pstat(const char *arguments)
{
    struct lshm_publisher_statistics s = { .size = sizeof s };
    int r = lshm_publisher_get_statistics(writer_at(arguments, 0)->port, &s);
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        { "published", s.published }, { "refused", s.refused }, { "readers", s.readers },
        { "unmapped", s.unmapped },   { "slots", s.slots },     { "free", s.slots_free },
        { "loaned", s.slots_loaned }, { "window", s.slots_window }, { "limbo", s.slots_limbo },
    };

    if (r < 0)
        no(r, "statistics");
    for (size_t i = 0; r == 0 && i < sizeof fields / sizeof fields[0]; i++)
        if (strcmp(word(arguments, 1), fields[i].name) == 0)
            ok((long long)fields[i].value);
}

static void do_sstat(const char *arguments)
{
    struct lshm_subscriber_statistics s = { .size = sizeof s };
    int r = lshm_subscriber_get_statistics(reader_at(arguments, 0)->port, &s);
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        { "publishers", s.publishers }, { "taken", s.taken }, { "lost", s.lost },
        { "corrupt", s.corrupt },       { "ahead", s.ahead }, { "out", s.out },
        { "holds", s.holds },
    };

    if (r < 0)
        no(r, "statistics");
    for (size_t i = 0; r == 0 && i < sizeof fields / sizeof fields[0]; i++)
        if (strcmp(word(arguments, 1), fields[i].name) == 0)
            ok((long long)fields[i].value);
}

/* One message through P and one back through S; the ponger the other way round. */
static void exchange(const char *arguments, int is_first)
{
    struct writer *writer = writer_at(arguments, is_first ? 0 : 1);
    struct reader *reader = reader_at(arguments, is_first ? 1 : 0);
    uint64_t count = number(arguments, 2), slow = 0;

    for (uint64_t i = 0; i < 2 * count; i++) {
        struct lshm_message m;
        int r;

        if ((i % 2 == 0) == is_first) {
            r = lshm_publisher_loan(writer->port, 8 + i % 300, &m);
            if (r == 0) {
                prepare(writer, &m);
                r = lshm_publisher_publish(writer->port, &m);
            }
        } else {
            uint64_t before = now_ns(CLOCK_MONOTONIC);

            r = take_some(reader, &m, 1, before + 20 * 1000 * MS);
            slow += now_ns(CLOCK_MONOTONIC) - before > SLOW_NS;
            if (r == 0)
                r = -ETIMEDOUT;
            if (r > 0)
                r = lshm_subscriber_release(reader->port, &m);
        }
        if (r < 0) {
            if (r != -1)
                no(r, "exchange");
            return;
        }
    }
    ok((long long)slow);
}

static void do_ping(const char *arguments)
{
    exchange(arguments, 1);
}

static void do_pong(const char *arguments)
{
    exchange(arguments, 0);
}

static void do_sleep(const char *arguments)
{
    struct reader *reader = reader_at(arguments, 0);
    uint64_t before = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    int r = lshm_subscriber_wait(reader->port, option(arguments, "ms", 0) * MS);

    if (r != 0)
        no(r, "there was something");
    else
        ok((long long)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - before) / 1000);
}

static void do_churn(const char *arguments)
{
    struct lshm_error error = { 0 };
    const char *topic = word(arguments, 0);
    uint64_t count = number(arguments, 1);
    char name[64];

    (void)snprintf(name, sizeof name, "%.63s", topic);
    for (uint64_t i = 0; i < count; i++) {
        struct lshm_publisher *publisher = NULL;
        struct lshm_subscriber *subscriber = NULL;
        int r = lshm_publisher_open(context, name, NULL, &error, &publisher);

        if (r == 0)
            r = lshm_subscriber_open(context, name, NULL, &error, &subscriber);
        if (r == 0)
            r = lshm_publisher_send(publisher, "churn", 5);
        if (r == 0 && lshm_subscriber_wait(subscriber, 10000 * MS) != 1)
            r = -ETIMEDOUT;
        if (i % 2)
            lshm_publisher_close(publisher);
        lshm_subscriber_close(subscriber);
        if (i % 2 == 0)
            lshm_publisher_close(publisher);
        if (r < 0) {
            no(r, error.text);
            return;
        }
    }
    ok((long long)count);
}

static const struct {
    const char *name;
    void (*run)(const char *arguments);
} commands[] = {
    { "attach", do_attach },       { "detach", do_detach },       { "pub", do_pub },
    { "sub", do_sub },             { "close_pub", do_close_pub }, { "close_sub", do_close_sub },
    { "send", do_send },           { "take", do_take },           { "grab", do_grab },
    { "drop", do_drop },           { "intact", do_intact },       { "none", do_none },
    { "pstat", do_pstat },         { "sstat", do_sstat },         { "ping", do_ping },
    { "pong", do_pong },           { "sleep", do_sleep },         { "churn", do_churn },
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

static int agent(int argc, char **argv)
{
    char line[LST_LINE_MAX];

    (void)argc;
    (void)argv;
    for (;;) {
        if (lst_hear(line, LST_ROLE_DEADLINE_S * 1000) < 0)
            return 1;
        if (strcmp(line, "exit") == 0)
            break;
        run_command(line);
        if (lst_say(answer) < 0)
            return 1;
    }
    lshm_context_close(context);
    return 0;
}

const struct lst_role agent_roles[] = { { "agent", agent }, { "idle", agent_idle } };
const size_t agent_role_count = sizeof agent_roles / sizeof agent_roles[0];
