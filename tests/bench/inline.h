/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every system's loops use, so that it costs the same in each: clock, waiting, payload.
 */
#ifndef BENCH_INLINE_H
#define BENCH_INLINE_H

#include <stdint.h>
#include <string.h>
#include <time.h>

#include "bench.h"

#if defined(__x86_64__)
#include <x86intrin.h>
static inline uint64_t bench_ticks(void)
{
    return __rdtsc();
}
static inline void bench_pause(void)
{
    _mm_pause();
}
#else
static inline uint64_t bench_ticks(void)
{
    return bench_now_ns();
}
static inline void bench_pause(void)
{
}
#endif

static inline uint64_t bench_load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void bench_store(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* The vectors that every x86-64 has; wider ones are taken apart badly by some compilers. */
typedef uint64_t bench_vector __attribute__((vector_size(16), aligned(8), may_alias));
#define BENCH_VECTORS 4 /* 64 bytes in one turn of a loop */

static inline void bench_fill(void *data, const struct bench_cell *cell, uint64_t value)
{
    if (cell->touch == BENCH_TOUCH_HEAD) {
        memcpy(data, &value, sizeof(value));
        memcpy((char *)data + sizeof(value), &value, sizeof(value));
        return;
    }
    const bench_vector vector = {value, value};
    bench_vector *to = data;
    for (size_t i = 0; i < cell->size / sizeof(vector); i += BENCH_VECTORS) {
        to[i] = vector;
        to[i + 1] = vector;
        to[i + 2] = vector;
        to[i + 3] = vector;
    }
}

static inline uint64_t bench_sum(const void *data, const struct bench_cell *cell)
{
    if (cell->touch == BENCH_TOUCH_HEAD) {
        uint64_t words[2];
        memcpy(words, data, sizeof(words));
        return words[0] + words[1];
    }
    const bench_vector *from = data;
    bench_vector sums[BENCH_VECTORS] = {{0}};
    for (size_t i = 0; i < cell->size / sizeof(*from); i += BENCH_VECTORS) {
        sums[0] += from[i];
        sums[1] += from[i + 1];
        sums[2] += from[i + 2];
        sums[3] += from[i + 3];
    }
    bench_vector sum = sums[0] + sums[1] + sums[2] + sums[3];
    return sum[0] + sum[1];
}

static inline uint64_t bench_words(const struct bench_cell *cell)
{
    return (cell->touch == BENCH_TOUCH_HEAD ? BENCH_HEAD_BYTES : cell->size) / 8;
}

/* What bench_sum() of messages filled with 0, 1, ... messages - 1 adds up to, `times` times. */
static inline void bench_check_sums(const struct bench_cell *cell, uint64_t sum, uint64_t messages,
                                    uint64_t times)
{
    if (sum != times * bench_words(cell) * (messages * (messages - 1) / 2)) {
        bench_die("a message was lost or its bytes were not those written");
    }
}

static inline void bench_check_sum(const struct bench_cell *cell, uint64_t sum, uint64_t messages)
{
    bench_check_sums(cell, sum, messages, 1);
}

/* The consumer's times of a one-way measurement: one for each chunk. */
struct bench_chunks {
    uint32_t *times;
    uint64_t count, chunk, next, start, received;
};

#define BENCH_CHUNK_SCALE 100u /* one-way times are hundredths of a tick */

static inline void bench_chunks_begin(struct bench_chunks *chunks, struct bench_shared *shared,
                                      uint64_t messages, uint32_t batch)
{
    uint64_t chunk = messages / 64;
    chunk = chunk > BENCH_CHUNK_MESSAGES ? BENCH_CHUNK_MESSAGES : chunk;
    chunk = chunk < batch ? batch : chunk;
    shared->times_per_tick = BENCH_CHUNK_SCALE;
    *chunks = (struct bench_chunks){.times = shared->times, .chunk = chunk, .next = chunk,
                                    .start = bench_ticks()};
}

/* `received` messages have come so far. */
static inline void bench_chunks_note(struct bench_chunks *chunks, uint64_t received)
{
    if (received < chunks->next) {
        return;
    }
    uint64_t now = bench_ticks();
    uint64_t time = (now - chunks->start) * BENCH_CHUNK_SCALE / (received - chunks->received);
    if (chunks->count < BENCH_TIMES_MAX) {
        chunks->times[chunks->count++] = time > UINT32_MAX ? UINT32_MAX : (uint32_t)time;
    }
    chunks->start = now;
    chunks->received = received;
    chunks->next = received + chunks->chunk;
}

static inline void bench_note_trip(struct bench_shared *shared, uint64_t trip, uint64_t ticks)
{
    shared->times[trip] = ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks;
}

#endif
