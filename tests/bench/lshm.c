/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lshm, through its public API. The same loops as the limit's, the same slots and ring.
 *
 * Spinning ports say that they never wait, as a program that spins would.
 */
#include <stdlib.h>
#include <unistd.h>

#include <lshm/lshm.h>

#include "inline.h"

#define INLINE_BYTES 64u /* larger payloads need slots */
#define LOSSY_WINDOW 4u
#define LOSSY_HOLDS 1u
#define READY_POLL_US 20
#define SPIN_NS 1000000000u /* a publisher without room looks again and again */

struct end {
    struct lshm_context *context;
    struct lshm_publisher *publisher;   /* what this side sends */
    struct lshm_subscriber *subscriber; /* what it receives */
    uint32_t count;                     /* of the last receive */
    struct lshm_message taken[BENCH_BATCH_MAX];
};

static void must(int result, const char *what, const struct lshm_error *error)
{
    if (result < 0) {
        bench_die("%s: %s: %s", what, lshm_error_name(result),
                  error && error->text[0] ? error->text : lshm_strerror(result));
    }
}

/* What a lossy subscriber may keep of a publisher's slots; 0: the default, small payloads. */
static uint32_t keeps(const struct bench_cell *cell)
{
    return cell->lossy && cell->size > INLINE_BYTES ? LOSSY_WINDOW + LOSSY_HOLDS : 0;
}

static void open_publisher(struct bench_worker *worker, struct end *end, const char *topic)
{
    const struct bench_cell *cell = worker->cell;
    bool block = cell->mode == BENCH_BLOCK;
    uint32_t kept = keeps(cell) * bench_subscribers(cell);
    struct lshm_publisher_options options = {
        .size = sizeof(options),
        .payload_bytes = cell->size,
        .slot_count = bench_slot_count(cell) + kept,
        .ring_entries = BENCH_RING_ENTRIES,
        .wait_ns = -1,
        .spin_ns = block ? 0 : SPIN_NS,
        .flags = block ? 0 : LSHM_PUBLISHER_NEVER_WAITS,
    };
    struct lshm_error error = {0};
    must(lshm_publisher_open(end->context, topic, &options, &error, &end->publisher),
         "lshm_publisher_open", &error);
}

static const char *name_topic(const struct bench_worker *worker, const char *way,
                              char topic[64])
{
    snprintf(topic, 64, "bench/%llu/%s", (unsigned long long)worker->shared->run, way);
    return topic;
}

static void open_subscriber(struct bench_worker *worker, struct end *end, const char *topic)
{
    struct lshm_subscriber_options options = {
        .size = sizeof(options),
        .flags = (worker->cell->mode == BENCH_BLOCK ? 0 : LSHM_SUBSCRIBER_NEVER_WAITS) |
                 (worker->cell->lossy ? LSHM_SUBSCRIBER_LATEST : 0),
        .window = keeps(worker->cell) ? LOSSY_WINDOW : 0,
        .holds = keeps(worker->cell) ? LOSSY_HOLDS : 0,
    };
    struct lshm_error error = {0};
    must(lshm_subscriber_open(end->context, topic, &options, &error, &end->subscriber),
         "lshm_subscriber_open", &error);
}

static void end_open(struct bench_worker *worker)
{
    bool producer = worker->side == BENCH_PRODUCER;
    bool both = worker->cell->kind == BENCH_ROUNDTRIP;
    struct end *end = calloc(1, sizeof(*end));
    struct lshm_error error = {0};
    char topic[64];

    if (end == NULL) {
        bench_die("out of memory");
    }
    worker->lshm = end;
    must(lshm_context_open(NULL, &error, &end->context), "lshm_context_open", &error);
    if (producer || both) {
        open_publisher(worker, end, name_topic(worker, producer ? "there" : "back", topic));
    }
    if (!producer) {
        open_subscriber(worker, end, name_topic(worker, "there", topic));
    }
}

/* The consumer has joined once the publisher has seen it: what comes now reaches it. */
static void await_readers(struct bench_worker *worker)
{
    struct end *end = worker->lshm;
    struct lshm_publisher_statistics now = {.size = sizeof(now)};
    while (now.joined < bench_subscribers(worker->cell)) {
        must(lshm_publisher_get_statistics(end->publisher, &now),
             "lshm_publisher_get_statistics", NULL);
        usleep(READY_POLL_US);
    }
}

static void end_ready(struct bench_worker *worker)
{
    char topic[64];
    await_readers(worker);
    if (worker->cell->kind == BENCH_ROUNDTRIP) {
        open_subscriber(worker, worker->lshm, name_topic(worker, "back", topic));
    }
}

static inline struct end *end_of(struct bench_worker *worker)
{
    return worker->lshm;
}

static inline void send_one(struct end *end, const struct bench_cell *cell, uint64_t value)
{
    struct lshm_message message;
    int result;
    while ((result = lshm_publisher_loan(end->publisher, cell->size, &message)) < 0) {
        if (result != -LSHM_EAGAIN && result != -LSHM_ENOSLOT) {
            must(result, "lshm_publisher_loan", NULL);
        }
    }
    bench_fill(message.data, cell, value);
    must(lshm_publisher_publish(end->publisher, &message), "lshm_publisher_publish", NULL);
}

static inline void send_some(struct end *end, const struct bench_cell *cell, uint64_t first,
                        uint32_t count)
{
    struct lshm_message batch[BENCH_BATCH_MAX];
    if (count == 1) {
        send_one(end, cell, first);
        return;
    }
    for (uint32_t sent = 0; sent < count;) {
        int got = lshm_publisher_loan_batch(end->publisher, cell->size, batch, count - sent);
        if (got < 0) {
            if (got != -LSHM_EAGAIN && got != -LSHM_ENOSLOT) {
                must(got, "lshm_publisher_loan_batch", NULL);
            }
            continue;
        }
        for (int i = 0; i < got; i++) {
            bench_fill(batch[i].data, cell, first + sent + (uint64_t)i);
        }
        must(lshm_publisher_publish_batch(end->publisher, batch, (size_t)got),
             "lshm_publisher_publish_batch", NULL);
        sent += (uint32_t)got;
    }
}

static inline uint32_t receive_some(struct end *end, const struct bench_cell *cell, uint32_t most,
                                    bool wait, uint64_t *sum)
{
    int result;
    for (;;) {
        if (most == 1) {
            result = lshm_subscriber_take(end->subscriber, end->taken);
        } else {
            result = lshm_subscriber_take_batch(end->subscriber, end->taken, most);
        }
        if (result > 0) {
            break;
        }
        must(result, "lshm_subscriber_take", NULL);
        if (!wait) {
            return 0;
        }
        if (cell->mode == BENCH_BLOCK) {
            must(lshm_subscriber_wait(end->subscriber, -1), "lshm_subscriber_wait", NULL);
        }
    }
    end->count = (uint32_t)result;
    for (uint32_t i = 0; i < end->count; i++) {
        *sum += bench_sum(end->taken[i].data, cell);
    }
    return end->count;
}

static inline void give_back(struct end *end)
{
    if (end->count == 1) {
        must(lshm_subscriber_release(end->subscriber, end->taken), "lshm_subscriber_release",
             NULL);
    } else {
        must(lshm_subscriber_release_batch(end->subscriber, end->taken, end->count),
             "lshm_subscriber_release_batch", NULL);
    }
}

#include "loops.h"

static void close_lshm(struct bench_worker *worker)
{
    struct end *end = worker->lshm;
    lshm_context_close(end->context);
    free(end);
}

const struct bench_system bench_lshm = {
    .name = "lshm",
    .open = end_open,
    .ready = end_ready,
    .close = close_lshm,
    .roundtrip = loop_roundtrip,
    .oneway = loop_oneway,
    .wake = loop_wake,
    .fan = loop_fan,
    .attach = loop_attach,
};
