/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit: what the machine can do with nothing around it. No checks, no death, one reader, a
 * layout that both sides know.
 *
 *   roundtrip  two cache lines, one for each direction, as in the calibration. A payload lies in a
 *              pool of slots beside it; it is moved only with touch=all and more than 64 bytes.
 *   oneway     the bare hand-off: a ring of slot numbers, a ring of free slot numbers, a pool of
 *              slots that is reused in FIFO order. Each ring's head is stored once per batch.
 *   block      the same, and a futex: who finds nothing sleeps, who stores looks for a sleeper.
 */
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "inline.h"

#define MASK (BENCH_RING_ENTRIES - 1)
#define PLAIN_ROUNDTRIP_BYTES 64u
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* A word that one side stores and the other waits for. */
struct word {
    _Alignas(BENCH_LINE_BYTES) uint64_t value;
    _Alignas(BENCH_LINE_BYTES) uint32_t asleep; /* the waiter: 1, the waker: 0 */
};

struct bare {
    struct word there, back;
    _Alignas(BENCH_LINE_BYTES) uint64_t full[BENCH_RING_ENTRIES];
    _Alignas(BENCH_LINE_BYTES) uint64_t free[BENCH_RING_ENTRIES];
    _Alignas(4096) unsigned char slots[];
};

size_t bench_limit_bytes(const struct bench_cell *cell)
{
    size_t pools = cell->kind == BENCH_ROUNDTRIP ? 2 : 1;
    return sizeof(struct bare) + pools * bench_slot_count(cell) * cell->size;
}

ALWAYS_INLINE void raise_to(struct word *word, uint64_t value, bool block)
{
    bench_store(&word->value, value);
    if (block) {
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (__atomic_load_n(&word->asleep, __ATOMIC_RELAXED) &&
            __atomic_exchange_n(&word->asleep, 0, __ATOMIC_SEQ_CST)) {
            syscall(SYS_futex, &word->asleep, FUTEX_WAKE, 1, NULL, NULL, 0);
        }
    }
}

/* Waits until the word is not `old`. */
ALWAYS_INLINE uint64_t await_change(struct word *word, uint64_t old, bool block)
{
    uint64_t value;
    while ((value = bench_load(&word->value)) == old) {
        if (!block) {
            continue;
        }
        __atomic_store_n(&word->asleep, 1, __ATOMIC_SEQ_CST);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (bench_load(&word->value) == old) {
            syscall(SYS_futex, &word->asleep, FUTEX_WAIT, 1, NULL, NULL, 0);
        }
        __atomic_store_n(&word->asleep, 0, __ATOMIC_SEQ_CST);
    }
    return value;
}

static void reset(struct bench_worker *worker)
{
    struct bare *bare = worker->limit;
    bench_meet(worker);
    if (worker->side == BENCH_PRODUCER) {
        bare->there.value = bare->back.value = 0;
        bare->there.asleep = bare->back.asleep = 0;
        for (uint64_t i = 0; i < bench_slot_count(worker->cell); i++) {
            bare->free[i] = i;
        }
    }
    bench_meet(worker);
}

static void open_limit(struct bench_worker *worker)
{
    /* Map all of it in both processes. */
    const unsigned char *bytes = worker->limit;
    size_t count = bench_limit_bytes(worker->cell);
    for (size_t i = 0; i < count; i += 4096) {
        (void)*(const volatile unsigned char *)&bytes[i];
    }
}

ALWAYS_INLINE void roundtrip(struct bench_worker *worker, uint64_t messages, bool block)
{
    struct bare *bare = worker->limit;
    const struct bench_cell copy = *worker->cell, *cell = &copy;
    bool payload = cell->touch == BENCH_TOUCH_ALL && cell->size > PLAIN_ROUNDTRIP_BYTES;
    uint64_t slots = bench_slot_count(cell), sum = 0;
    bool echo = worker->side == BENCH_CONSUMER;
    unsigned char *to = bare->slots + (echo ? slots * cell->size : 0);
    unsigned char *from = bare->slots + (echo ? 0 : slots * cell->size);

    for (uint64_t i = 0; i < messages; i++) {
        uint64_t start = bench_ticks(), at = i % slots * cell->size;
        if (echo) {
            await_change(&bare->there, i, block);
            sum += payload ? bench_sum(from + at, cell) : 0;
        }
        if (payload) {
            bench_fill(to + at, cell, i);
        }
        raise_to(echo ? &bare->back : &bare->there, i + 1, block);
        if (!echo) {
            await_change(&bare->back, i, block);
            sum += payload ? bench_sum(from + at, cell) : 0;
            bench_note_trip(worker->shared, i, bench_ticks() - start);
        }
    }
    if (payload) {
        bench_check_sum(cell, sum, messages);
    }
    if (!echo) {
        worker->shared->time_count = messages;
        worker->shared->times_per_tick = 1;
    }
}

ALWAYS_INLINE void produce(struct bench_worker *worker, uint64_t messages, bool block)
{
    struct bare *bare = worker->limit;
    const struct bench_cell copy = *worker->cell, *cell = &copy;
    uint64_t slots = bench_slot_count(cell), freed = 0, sent = 0;

    while (sent < messages) {
        if (freed + slots == sent) {
            freed = await_change(&bare->back, freed, block);
        }
        uint64_t count = freed + slots - sent;
        count = count > cell->batch ? cell->batch : count;
        count = count > messages - sent ? messages - sent : count;
        for (uint64_t i = sent; i < sent + count; i++) {
            uint64_t slot = bare->free[i & (slots - 1)];
            bench_fill(bare->slots + slot * cell->size, cell, i);
            bare->full[i & MASK] = slot;
        }
        sent += count;
        raise_to(&bare->there, sent, block);
    }
}

ALWAYS_INLINE void consume(struct bench_worker *worker, uint64_t messages, bool block)
{
    struct bare *bare = worker->limit;
    const struct bench_cell copy = *worker->cell, *cell = &copy;
    uint64_t slots = bench_slot_count(cell), ready = 0, taken = 0, sum = 0;
    struct bench_chunks chunks;

    bench_chunks_begin(&chunks, worker->shared, messages, cell->batch);
    while (taken < messages) {
        if (ready == taken) {
            ready = await_change(&bare->there, taken, block);
        }
        uint64_t count = ready - taken > cell->batch ? cell->batch : ready - taken;
        for (uint64_t i = taken; i < taken + count; i++) {
            uint64_t slot = bare->full[i & MASK];
            sum += bench_sum(bare->slots + slot * cell->size, cell);
            bare->free[i & (slots - 1)] = slot;
        }
        taken += count;
        raise_to(&bare->back, taken, block);
        bench_chunks_note(&chunks, taken);
    }
    bench_check_sum(cell, sum, messages);
    worker->shared->time_count = chunks.count;
}

static void close_limit(struct bench_worker *worker)
{
    (void)worker;
}

static void limit_roundtrip(struct bench_worker *worker, uint64_t messages)
{
    reset(worker);
    if (worker->cell->mode == BENCH_BLOCK) {
        roundtrip(worker, messages, true);
    } else {
        roundtrip(worker, messages, false);
    }
}

static void limit_oneway(struct bench_worker *worker, uint64_t messages)
{
    bool block = worker->cell->mode == BENCH_BLOCK;
    reset(worker);
    if (worker->side == BENCH_PRODUCER) {
        block ? produce(worker, messages, true) : produce(worker, messages, false);
    } else {
        block ? consume(worker, messages, true) : consume(worker, messages, false);
    }
}

const struct bench_system bench_limit = {
    .name = "limit",
    .open = open_limit,
    .close = close_limit,
    .roundtrip = limit_roundtrip,
    .oneway = limit_oneway,
};
