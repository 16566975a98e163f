/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loops of a system, the same for each. A system's file defines a struct end and
 *
 *     void end_open(worker), end_ready(worker)      open and ready of struct bench_system
 *     struct end *end_of(worker)                    what its open made
 *     void send_some(end, cell, first, count)       fills and sends `count` messages, first, ...
 *     uint32_t receive_some(end, cell, most, wait, &sum)
 *                                                   1 ... most messages, adds their sums; 0 if
 *                                                   there is none and not `wait` (spin only)
 *     void give_back(end)                           what the last receive returned
 *
 * and includes this file, so that the compiler sees all of it at once.
 */
#ifndef BENCH_LOOPS_H
#define BENCH_LOOPS_H

#include <sched.h>

#include "inline.h"

#define WAKE_GAP_TICKS 400000u     /* long enough for the consumer to be asleep again */
#define QUIET_NS 20000000u         /* nothing for so long after the last send: it was the last */
#define LOOP static __attribute__((unused))

/* Who answers keeps the request until the answer is on its way. */
LOOP void loop_roundtrip(struct bench_worker *worker, uint64_t messages)
{
    struct end *end = end_of(worker);
    const struct bench_cell copy = *worker->cell, *cell = &copy;
    uint64_t sum = 0;

    if (worker->side == BENCH_CONSUMER) {
        for (uint64_t i = 0; i < messages; i++) {
            receive_some(end, cell, 1, true, &sum);
            send_some(end, cell, i, 1);
            give_back(end);
        }
    } else {
        for (uint64_t i = 0; i < messages; i++) {
            uint64_t start = bench_ticks();
            send_some(end, cell, i, 1);
            receive_some(end, cell, 1, true, &sum);
            give_back(end);
            bench_note_trip(worker->shared, i, bench_ticks() - start);
        }
        worker->shared->time_count = messages;
        worker->shared->times_per_tick = 1;
    }
    bench_check_sum(cell, sum, messages);
}

static inline __attribute__((always_inline)) void loop_produce(struct bench_worker *worker,
                                                               uint64_t messages, uint32_t batch)
{
    struct end *end = end_of(worker);
    const struct bench_cell copy = *worker->cell, *cell = &copy;
    for (uint64_t sent = 0; sent < messages; sent += batch) {
        send_some(end, cell, sent, batch);
    }
}

static inline __attribute__((always_inline)) void loop_consume(struct bench_worker *worker,
                                                               uint64_t messages, uint32_t batch)
{
    struct end *end = end_of(worker);
    const struct bench_cell copy = *worker->cell, *cell = &copy;
    struct bench_chunks chunks;
    uint64_t sum = 0;

    bench_chunks_begin(&chunks, worker->shared, messages, batch);
    for (uint64_t received = 0; received < messages;) {
        received += receive_some(end, cell, batch, true, &sum);
        give_back(end);
        bench_chunks_note(&chunks, received);
    }
    bench_check_sum(cell, sum, messages);
    worker->shared->time_count = chunks.count;
}

LOOP void loop_oneway(struct bench_worker *worker, uint64_t messages)
{
    uint32_t batch = worker->cell->batch;
    if (worker->side == BENCH_PRODUCER) {
        batch == 1 ? loop_produce(worker, messages, 1) : loop_produce(worker, messages, batch);
    } else {
        batch == 1 ? loop_consume(worker, messages, 1) : loop_consume(worker, messages, batch);
    }
}

/* One message after another to a consumer that sleeps; times are from send to receive. */
LOOP void loop_wake(struct bench_worker *worker, uint64_t messages)
{
    struct end *end = end_of(worker);
    const struct bench_cell copy = *worker->cell, *cell = &copy;
    struct bench_shared *shared = worker->shared;
    uint64_t sum = 0, base = bench_load(&shared->seen);

    bench_meet(worker);
    if (worker->side == BENCH_CONSUMER) {
        for (uint64_t i = 0; i < messages; i++) {
            receive_some(end, cell, 1, true, &sum);
            uint64_t now = bench_ticks(), sent = bench_load(&shared->sent_at);
            bench_note_trip(shared, i, now > sent ? now - sent : 0);
            give_back(end);
            bench_store(&shared->seen, base + i + 1);
        }
        bench_check_sum(cell, sum, messages);
        return;
    }
    for (uint64_t i = 0; i < messages; i++) {
        uint64_t start = bench_ticks();
        while (bench_ticks() - start < WAKE_GAP_TICKS) {
        }
        start = bench_ticks();
        bench_store(&shared->sent_at, start);
        send_some(end, cell, i, 1);
        shared->wake_send_ticks[i] = (uint32_t)(bench_ticks() - start);
        while (bench_load(&shared->seen) != base + i + 1) {
            bench_pause();
        }
    }
    shared->time_count = messages;
    shared->times_per_tick = 1;
}

/* The producers' part of fan-out and fan-in. */
static inline void fan_send(struct bench_worker *worker, uint64_t messages)
{
    struct end *end = end_of(worker);
    const struct bench_cell copy = *worker->cell, *cell = &copy;
    for (uint64_t sent = 0; sent < messages; sent += cell->batch) {
        send_some(end, cell, sent, cell->batch);
    }
    __atomic_fetch_add(&worker->shared->finished, 1, __ATOMIC_RELEASE);
}

/* A reader of a lossy topic reads until the producers have finished and nothing more comes. */
static inline uint64_t fan_receive_lossy(struct bench_worker *worker)
{
    struct end *end = end_of(worker);
    const struct bench_cell copy = *worker->cell, *cell = &copy;
    uint64_t words = bench_words(cell), received = 0, last_ns = 0;
    for (;;) {
        uint64_t sum = 0;
        uint32_t count = receive_some(end, cell, cell->batch, false, &sum);
        if (count > 0) {
            give_back(end);
            received += count;
            last_ns = 0;
            if (sum % words != 0) {
                bench_die("the bytes of a message were not those written");
            }
            continue;
        }
        if (bench_load(&worker->shared->finished) == bench_publishers(cell)) {
            last_ns = last_ns ? last_ns : bench_now_ns();
            if (bench_now_ns() - last_ns > QUIET_NS) {
                return received;
            }
        }
        sched_yield();
    }
}

static inline uint64_t fan_receive(struct bench_worker *worker, uint64_t messages)
{
    struct end *end = end_of(worker);
    const struct bench_cell copy = *worker->cell, *cell = &copy;
    uint64_t sum = 0, received = 0;
    while (received < messages * bench_publishers(cell)) {
        received += receive_some(end, cell, cell->batch, true, &sum);
        give_back(end);
    }
    bench_check_sums(cell, sum, messages, bench_publishers(cell));
    return received;
}

/* Every producer sends `messages`; own_ns is the CPU time of the loops alone. */
LOOP void loop_fan(struct bench_worker *worker, uint64_t messages)
{
    struct bench_shared *shared = worker->shared;
    uint64_t start_ns = bench_thread_cpu_ns(), wall_ns = bench_now_ns();
    if (worker->side == BENCH_PRODUCER) {
        fan_send(worker, messages);
        if (worker->index == 0) {
            shared->send_ns = bench_now_ns() - wall_ns;
        }
    } else {
        uint64_t received = worker->cell->lossy ? fan_receive_lossy(worker)
                                                : fan_receive(worker, messages);
        __atomic_fetch_add(&shared->received, received, __ATOMIC_RELAXED);
    }
    __atomic_fetch_add(&shared->own_ns[worker->side], bench_thread_cpu_ns() - start_ns,
                       __ATOMIC_RELAXED);
}

/* A new process: from the first call to its first message. */
LOOP void loop_attach(struct bench_worker *worker)
{
    const struct bench_cell copy = *worker->cell, *cell = &copy;
    uint64_t sum = 0;
    if (worker->side == BENCH_PRODUCER) {
        end_ready(worker);
        send_some(end_of(worker), cell, 0, 1);
        return;
    }
    uint64_t start_ns = bench_now_ns();
    end_open(worker);
    receive_some(end_of(worker), cell, 1, true, &sum);
    worker->shared->attach_ns = bench_now_ns() - start_ns;
    give_back(end_of(worker));
    bench_check_sum(cell, sum, 1);
}

#endif
