/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lshm, through its public API. The same loops as the limit's, the same slots and ring.
 *
 * Spinning ports say that they never wait, as a program that spins would.
 */
#include <stdlib.h>

#include <lshm/lshm.h>

#include "inline.h"

#define SPIN_NS 1000000000u /* a publisher without room looks again and again */

struct ports {
    struct lshm_context *context;
    struct lshm_publisher *publisher;   /* what this side sends */
    struct lshm_subscriber *subscriber; /* what it receives */
};

static void must(int result, const char *what, const struct lshm_error *error)
{
    if (result < 0) {
        bench_die("%s: %s: %s", what, lshm_error_name(result),
                  error && error->text[0] ? error->text : lshm_strerror(result));
    }
}

static void open_publisher(struct bench_worker *worker, struct ports *ports, const char *topic)
{
    const struct bench_cell *cell = worker->cell;
    bool block = cell->mode == BENCH_BLOCK;
    struct lshm_publisher_options options = {
        .size = sizeof(options),
        .payload_bytes = cell->size,
        .slot_count = bench_slot_count(cell),
        .ring_entries = BENCH_RING_ENTRIES,
        .wait_ns = -1,
        .spin_ns = block ? 0 : SPIN_NS,
        .flags = block ? 0 : LSHM_PUBLISHER_NEVER_WAITS,
    };
    struct lshm_error error = {0};
    must(lshm_publisher_open(ports->context, topic, &options, &error, &ports->publisher),
         "lshm_publisher_open", &error);
}

static void open_subscriber(struct bench_worker *worker, struct ports *ports, const char *topic)
{
    struct lshm_subscriber_options options = {
        .size = sizeof(options),
        .flags = worker->cell->mode == BENCH_BLOCK ? 0 : LSHM_SUBSCRIBER_NEVER_WAITS,
    };
    struct lshm_error error = {0};
    must(lshm_subscriber_open(ports->context, topic, &options, &error, &ports->subscriber),
         "lshm_subscriber_open", &error);
}

static void open_lshm(struct bench_worker *worker)
{
    bool producer = worker->side == BENCH_PRODUCER;
    bool both = worker->cell->kind == BENCH_ROUNDTRIP;
    struct ports *ports = calloc(1, sizeof(*ports));
    struct lshm_error error = {0};
    char there[64], back[64];

    if (ports == NULL) {
        bench_die("out of memory");
    }
    worker->lshm = ports;
    snprintf(there, sizeof(there), "bench/%llu/there", (unsigned long long)worker->shared->run);
    snprintf(back, sizeof(back), "bench/%llu/back", (unsigned long long)worker->shared->run);
    must(lshm_context_open(NULL, &error, &ports->context), "lshm_context_open", &error);
    if (producer || both) {
        open_publisher(worker, ports, producer ? there : back);
    }
    bench_meet(worker);
    if (!producer || both) {
        open_subscriber(worker, ports, producer ? back : there);
    }
    bench_meet(worker);
}

static inline void loan(struct ports *ports, uint32_t bytes, struct lshm_message *message)
{
    int result;
    while ((result = lshm_publisher_loan(ports->publisher, bytes, message)) < 0) {
        if (result != -LSHM_EAGAIN && result != -LSHM_ENOSLOT) {
            must(result, "lshm_publisher_loan", NULL);
        }
    }
}

static inline void take(struct ports *ports, bool block, struct lshm_message *message)
{
    int result;
    while ((result = lshm_subscriber_take(ports->subscriber, message)) <= 0) {
        must(result, "lshm_subscriber_take", NULL);
        if (block) {
            must(lshm_subscriber_wait(ports->subscriber, -1), "lshm_subscriber_wait", NULL);
        }
    }
}

static inline void send_one(struct ports *ports, const struct bench_cell *cell, uint64_t value)
{
    struct lshm_message message;
    loan(ports, cell->size, &message);
    bench_fill(message.data, cell, value);
    must(lshm_publisher_publish(ports->publisher, &message), "lshm_publisher_publish", NULL);
}

static inline uint64_t receive(struct ports *ports, const struct bench_cell *cell,
                               struct lshm_message *message)
{
    take(ports, cell->mode == BENCH_BLOCK, message);
    return bench_sum(message->data, cell);
}

static inline void release(struct ports *ports, struct lshm_message *message)
{
    must(lshm_subscriber_release(ports->subscriber, message), "lshm_subscriber_release", NULL);
}

/* Who answers keeps the request until the answer is on its way. */
static void lshm_roundtrip(struct bench_worker *worker, uint64_t messages)
{
    struct ports *ports = worker->lshm;
    const struct bench_cell copy = *worker->cell, *cell = &copy;
    struct lshm_message message;
    uint64_t sum = 0;

    if (worker->side == BENCH_CONSUMER) {
        for (uint64_t i = 0; i < messages; i++) {
            sum += receive(ports, cell, &message);
            send_one(ports, cell, i);
            release(ports, &message);
        }
    } else {
        for (uint64_t i = 0; i < messages; i++) {
            uint64_t start = bench_ticks();
            send_one(ports, cell, i);
            sum += receive(ports, cell, &message);
            release(ports, &message);
            bench_note_trip(worker->shared, i, bench_ticks() - start);
        }
        worker->shared->time_count = messages;
        worker->shared->times_per_tick = 1;
    }
    bench_check_sum(cell, sum, messages);
}

static void produce_batches(struct ports *ports, const struct bench_cell *cell, uint64_t messages)
{
    struct lshm_message batch[BENCH_BATCH_MAX];
    for (uint64_t sent = 0; sent < messages;) {
        uint64_t want = messages - sent < cell->batch ? messages - sent : cell->batch;
        int count = lshm_publisher_loan_batch(ports->publisher, cell->size, batch, want);
        if (count < 0) {
            if (count != -LSHM_EAGAIN && count != -LSHM_ENOSLOT) {
                must(count, "lshm_publisher_loan_batch", NULL);
            }
                continue;
        }
        for (int i = 0; i < count; i++) {
            bench_fill(batch[i].data, cell, sent + (uint64_t)i);
        }
        must(lshm_publisher_publish_batch(ports->publisher, batch, (size_t)count),
             "lshm_publisher_publish_batch", NULL);
        sent += (uint64_t)count;
    }
}

static uint64_t consume_batches(struct ports *ports, const struct bench_cell *cell,
                                uint64_t messages, struct bench_chunks *chunks)
{
    struct lshm_message batch[BENCH_BATCH_MAX];
    uint64_t sum = 0;
    for (uint64_t taken = 0; taken < messages;) {
        int count = lshm_subscriber_take_batch(ports->subscriber, batch, cell->batch);
        must(count, "lshm_subscriber_take_batch", NULL);
        if (count == 0) {
            if (cell->mode == BENCH_BLOCK) {
                must(lshm_subscriber_wait(ports->subscriber, -1), "lshm_subscriber_wait", NULL);
            }
            continue;
        }
        for (int i = 0; i < count; i++) {
            sum += bench_sum(batch[i].data, cell);
        }
        must(lshm_subscriber_release_batch(ports->subscriber, batch, (size_t)count),
             "lshm_subscriber_release_batch", NULL);
        taken += (uint64_t)count;
        bench_chunks_note(chunks, taken);
    }
    return sum;
}

static void lshm_oneway(struct bench_worker *worker, uint64_t messages)
{
    struct ports *ports = worker->lshm;
    const struct bench_cell copy = *worker->cell, *cell = &copy;
    struct bench_chunks chunks;
    uint64_t sum = 0;

    if (worker->side == BENCH_PRODUCER) {
        if (cell->batch > 1) {
            produce_batches(ports, cell, messages);
        } else {
            for (uint64_t i = 0; i < messages; i++) {
                send_one(ports, cell, i);
            }
        }
        return;
    }
    bench_chunks_begin(&chunks, worker->shared, messages, cell->batch);
    if (cell->batch > 1) {
        sum = consume_batches(ports, cell, messages, &chunks);
    } else {
        for (uint64_t i = 0; i < messages; i++) {
            struct lshm_message message;
            sum += receive(ports, cell, &message);
            release(ports, &message);
            bench_chunks_note(&chunks, i + 1);
        }
    }
    bench_check_sum(cell, sum, messages);
    worker->shared->time_count = chunks.count;
}

static void close_lshm(struct bench_worker *worker)
{
    struct ports *ports = worker->lshm;
    lshm_context_close(ports->context);
    free(ports);
}

const struct bench_system bench_lshm = {"lshm", open_lshm, close_lshm, lshm_roundtrip,
                                        lshm_oneway};
