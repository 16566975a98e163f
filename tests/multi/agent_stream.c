/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of an agent that move messages. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "agent_internal.h"
#include "agent_message.h"

#define BATCH_MAX 64
#define SLOW_NS (500 * AGENT_MS)

static uint64_t random_state = 88172645463325252u;
static uint64_t slow_calls; /* that took more than SLOW_NS */
static int poll_fd = -1;    /* waits by poll() on the context's descriptor */

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* 0, or the answer says what is wrong with it. */
static int check(struct agent_reader *reader, const struct lshm_message *m)
{
    struct agent_ring *ring = reader->rings;
    size_t i = 0;

    while (i < reader->ring_count && ring->publisher != m->publisher)
        i++, ring++;
    if (i == reader->ring_count) {
        if (i == AGENT_RINGS) {
            agent_no(LSHM_ELIMIT, "too many publishers");
            return -1;
        }
        reader->ring_count++;
        *ring = (struct agent_ring){ m->publisher, m->user[1] >> 32, m->seq };
    }
    if (m->seq > ring->next && reader->loses) {
        reader->gaps += m->seq - ring->next;
        ring->next = m->seq;
    }
    if (m->seq == ring->next && agent_message_is_whole(m, ring->key)) {
        ring->next++;
        return 0;
    }
    agent_say_wrong("publisher %llu key %llu: expected %llu, got %llu (%llu, %llx), %llu bytes",
                    (unsigned long long)m->publisher, (unsigned long long)ring->key,
                    (unsigned long long)ring->next, (unsigned long long)m->seq,
                    (unsigned long long)m->user[0], (unsigned long long)m->user[1],
                    (unsigned long long)m->length);
    return -1;
}

static void prepare(struct agent_writer *writer, struct lshm_message *m)
{
    agent_message_fill(m, writer->key, LST_SEQ_FIRST + writer->sent++);
}

/* Waits for the context's descriptor: 1, or 0 after the time. */
static int poll_context(int ms)
{
    struct pollfd wait = { .fd = poll_fd, .events = POLLIN };

    return poll(&wait, 1, ms);
}

static void count_slow(uint64_t before)
{
    slow_calls += agent_now_ns(CLOCK_MONOTONIC) - before > SLOW_NS;
}

static int loan(const struct agent_writer *writer, size_t length, struct lshm_message *m,
                size_t count)
{
    uint64_t before = agent_now_ns(CLOCK_MONOTONIC);
    int got = lshm_publisher_loan_batch(writer->port, length, m, count);

    while (got == -LSHM_EAGAIN && poll_fd >= 0 && poll_context(20000) > 0)
        got = lshm_publisher_loan_batch(writer->port, length, m, count);
    count_slow(before);
    return got;
}

/* 1 or 0. */
static int wait_for(const struct agent_reader *reader, uint64_t now, uint64_t deadline)
{
    uint64_t left = deadline - now;
    int r = poll_fd >= 0 ? poll_context((int)(left / 1000000))
                         : lshm_subscriber_wait(reader->port, (int64_t)left);

    count_slow(now);
    return r;
}

void agent_send(const char *arguments)
{
    struct agent_writer *writer = agent_writer_at(arguments, 0);
    uint64_t count = agent_number(arguments, 1), sent = 0;
    uint64_t min = (uint64_t)agent_option(arguments, "min", 0);
    uint64_t max = (uint64_t)agent_option(arguments, "max", 64);
    size_t batch = (size_t)agent_option(arguments, "batch", 1);
    struct lshm_message m[BATCH_MAX];

    while (sent < count) {
        uint64_t length = min + next_random() % (max - min + 1);
        size_t wanted = count - sent < batch ? (size_t)(count - sent) : batch;
        int got;

        if (next_random() % 2) /* half of them small, so that both kinds of message meet */
            length = min + length % (max - min < 64 ? max - min + 1 : 64);
        got = loan(writer, length, m, wanted);
        if (got < 0) {
            agent_refused(got, "%llu", (unsigned long long)sent);
            return;
        }
        for (int i = 0; i < got; i++)
            prepare(writer, &m[i]);
        agent_ledger_announce(writer->record, writer->sent);
        got = lshm_publisher_publish_batch(writer->port, m, (size_t)got);
        if (got < 0) {
            agent_no(got, "publish");
            return;
        }
        for (int i = 0; i < got; i++)
            writer->sent -= m[i].seq == LSHM_SEQ_NONE;
        agent_ledger_done(writer->record, writer->sent);
        sent += (uint64_t)got;
    }
    agent_ok((long long)sent);
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
static int take_some(struct agent_reader *reader, struct lshm_message *m, size_t count,
                     uint64_t deadline)
{
    for (;;) {
        uint64_t now = agent_now_ns(CLOCK_MONOTONIC);
        int got = lshm_subscriber_take_batch(reader->port, m, count), r;

        if (got < 0)
            agent_refused(got, "take");
        if (got == -LSHM_EEVICTED)
            reader->loses = true;
        if (got < 0 && got != -LSHM_EHELD)
            reader->excused = true;
        for (int i = 0; i < got; i++)
            if (check(reader, &m[i]) < 0)
                return -1;
        if (got != 0 || now >= deadline)
            return got;
        r = wait_for(reader, now, deadline);
        if (r < 0) {
            agent_no(r, "wait");
            return r;
        }
    }
}

static uint64_t deadline_of(const char *arguments)
{
    return agent_now_ns(CLOCK_MONOTONIC) +
           (uint64_t)(agent_option(arguments, "ms", 20000) * AGENT_MS);
}

void agent_take(const char *arguments)
{
    struct agent_reader *reader = agent_reader_at(arguments, 0);
    uint64_t count = agent_number(arguments, 1), taken = 0;
    uint64_t deadline = deadline_of(arguments);
    size_t batch = (size_t)agent_option(arguments, "batch", 1);
    uint64_t last = (uint64_t)agent_option(arguments, "last", -1);
    struct lshm_message m[BATCH_MAX];
    uint64_t newest = 0;

    while (taken < count && (taken == 0 || newest < last)) {
        size_t wanted = count - taken < batch ? (size_t)(count - taken) : batch;
        int got = take_some(reader, m, wanted, deadline), r = 0;

        if (got < 0)
            return;
        if (got == 0)
            break;
        taken += (uint64_t)got;
        newest = m[got - 1].seq - LST_SEQ_FIRST;
        if (agent_option(arguments, "shuffle", 0)) {
            shuffle(m, (size_t)got);
            for (int i = 0; i < got && r >= 0; i++)
                r = lshm_subscriber_release(reader->port, &m[i]);
        } else {
            r = lshm_subscriber_release_batch(reader->port, m, (size_t)got);
        }
        if (r < 0) {
            agent_no(r, "release");
            return;
        }
    }
    agent_ok((long long)taken);
}

void agent_pass(const char *arguments)
{
    struct agent_writer *writer = agent_writer_at(arguments, 0);
    struct agent_reader *reader = agent_reader_at(arguments, 1);
    uint64_t count = agent_number(arguments, 2), passed = 0;
    uint64_t deadline = deadline_of(arguments);
    struct lshm_message m;

    while (passed < count) {
        struct lshm_slice slice = { 0 };
        int r = take_some(reader, &m, 1, deadline);

        if (r < 0)
            return;
        if (r == 0)
            break;
        slice.length = m.length;
        memcpy(slice.user, m.user, sizeof slice.user);
        agent_ledger_announce(writer->record, writer->sent + 1);
        r = lshm_publisher_forward(writer->port, reader->port, &m, &slice, 1);
        writer->sent += r == 1;
        agent_ledger_done(writer->record, writer->sent);
        if (r == 1)
            r = lshm_subscriber_release(reader->port, &m);
        if (r < 0) {
            agent_refused(r, "%llu", (unsigned long long)passed);
            return;
        }
        passed++;
    }
    agent_ok((long long)passed);
}

void agent_grab(const char *arguments)
{
    struct agent_reader *reader = agent_reader_at(arguments, 0);
    uint64_t deadline = deadline_of(arguments);
    uint64_t count = agent_number(arguments, 1), taken = 0;

    while (taken < count && reader->kept_count < AGENT_KEPT_MAX) {
        int got = take_some(reader, &reader->kept[reader->kept_count], 1, deadline);

        if (got < 0)
            return;
        if (got == 0)
            break;
        reader->kept_count++;
        taken++;
    }
    agent_ok((long long)taken);
}

void agent_drop(const char *arguments)
{
    struct agent_reader *reader = agent_reader_at(arguments, 0);
    size_t count = (size_t)agent_number(arguments, 1);

    for (size_t i = 0; i < count && i < reader->kept_count; i++) {
        int r = lshm_subscriber_release(reader->port, &reader->kept[i]);

        if (r < 0) {
            agent_no(r, "release");
            return;
        }
    }
    reader->kept_count -= count;
    memmove(reader->kept, reader->kept + count, reader->kept_count * sizeof reader->kept[0]);
    agent_ok((long long)count);
}

void agent_intact(const char *arguments)
{
    const struct agent_reader *reader = agent_reader_at(arguments, 0);

    for (size_t i = 0; i < reader->kept_count; i++) {
        if (!agent_message_is_whole(&reader->kept[i], reader->kept[i].user[1] >> 32)) {
            agent_no(LSHM_ECORRUPT, "a kept message has changed");
            return;
        }
    }
    agent_ok((long long)reader->kept_count);
}

void agent_none(const char *arguments)
{
    struct agent_reader *reader = agent_reader_at(arguments, 0);
    struct lshm_message m;
    int r = lshm_subscriber_wait(reader->port, agent_option(arguments, "ms", 0) * AGENT_MS);

    if (r == 0)
        r = lshm_subscriber_take(reader->port, &m);
    if (r == 0)
        agent_ok(0);
    else
        agent_no(r, "there is something");
}

/* One message through P and one back through S; the ponger the other way round. */
static void exchange(const char *arguments, int is_first)
{
    struct agent_writer *writer = agent_writer_at(arguments, is_first ? 0 : 1);
    struct agent_reader *reader = agent_reader_at(arguments, is_first ? 1 : 0);
    uint64_t count = agent_number(arguments, 2);

    for (uint64_t i = 0; i < 2 * count; i++) {
        struct lshm_message m;
        int r;

        if ((i % 2 == 0) == is_first) {
            r = lshm_publisher_loan(writer->port, 8 + i % 300, &m);
            if (r == 0) {
                prepare(writer, &m);
                agent_ledger_announce(writer->record, writer->sent);
                r = lshm_publisher_publish(writer->port, &m);
                agent_ledger_done(writer->record, writer->sent);
            }
        } else {
            r = take_some(reader, &m, 1, agent_now_ns(CLOCK_MONOTONIC) + 20 * 1000 * AGENT_MS);
            if (r == 0)
                r = -ETIMEDOUT;
            if (r > 0)
                r = lshm_subscriber_release(reader->port, &m);
        }
        if (r < 0) {
            if (r != -1)
                agent_no(r, "exchange");
            return;
        }
    }
    agent_ok((long long)count);
}

void agent_ping(const char *arguments)
{
    exchange(arguments, 1);
}

void agent_pong(const char *arguments)
{
    exchange(arguments, 0);
}

void agent_gaps(const char *arguments)
{
    agent_ok((long long)agent_reader_at(arguments, 0)->gaps);
}

void agent_slow(const char *arguments)
{
    (void)arguments;
    agent_ok((long long)slow_calls);
    slow_calls = 0;
}

void agent_poll(const char *arguments)
{
    (void)arguments;
    poll_fd = lshm_context_get_fd(agent_context);
    if (poll_fd < 0)
        agent_no(poll_fd, "descriptor");
    else
        agent_ok(poll_fd);
}
