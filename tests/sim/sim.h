/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes on a simulated memory, for the core's own code.
 *
 * A test includes this header, then the core's .c files, and links no other core. Each atomic
 * operation on a shared word is a point at which another process may run. A store goes into its
 * process's buffer and reaches memory later: in order (as on x86) or, when `weak`, in any order
 * that release stores, release fences and same-word order allow. When `weak`, a load may also find
 * what the word was before a store that its process has not seen yet: it has seen what an acquire
 * shows it, by the rules of C11, and all with a full fence, and never goes back behind what it has
 * loaded of that word. No load is done after a later store.
 *
 * Schedules are random; LSHM_TEST_SEED sets the seed. Processes are coroutines of one thread.
 */
#ifndef SIM_H
#define SIM_H

#include "sim_process.h"

#define LSI_WORDS_ONLY
#include "base/atomic.h"

#undef lsi_load_relaxed
#undef lsi_load_acquire
#undef lsi_store_relaxed
#undef lsi_store_release
#define lsi_load_relaxed(p) ((__typeof__(+*(p)))sim_load((p), sizeof *(p), false))
#define lsi_load_acquire(p) ((__typeof__(+*(p)))sim_load((p), sizeof *(p), true))
#define lsi_store_relaxed(p, v) sim_store((p), sizeof *(p), (v), false)
#define lsi_store_release(p, v) sim_store((p), sizeof *(p), (v), true)
#define lsi_fence_full() sim_fence_full()
#define lsi_fence_acquire() sim_fence_acquire()
#define lsi_fence_release() sim_fence_release()

/* Only words in these ranges are buffered and are points of choice. */
static inline void sim_share(const void *first, size_t bytes)
{
    assert_true(sim.shared_count < SIM_RANGES_MAX);
    sim.shared[sim.shared_count].first = (uintptr_t)first;
    sim.shared[sim.shared_count++].bytes = bytes;
}

static inline bool sim_is_shared(const void *word)
{
    for (uint32_t i = 0; i < sim.shared_count; i++) {
        if ((uintptr_t)word - sim.shared[i].first < sim.shared[i].bytes)
            return true;
    }
    return false;
}

static inline bool sim_may_flush(const struct sim_process *process, uint32_t at)
{
    const struct sim_pending *store = &process->pending[at];

    if (at == 0)
        return true;
    if (!sim.weak || store->release || store->word == NULL)
        return false;
    for (uint32_t i = 0; i < at; i++) {
        if (process->pending[i].word == NULL || process->pending[i].word == store->word)
            return false;
    }
    return true;
}

static inline struct sim_word *sim_word_of(const void *word)
{
    uint32_t at = (uint32_t)((uintptr_t)word * 0x9e3779b97f4a7c15u >> 48) % SIM_WORDS;

    while (sim.words[at].word != NULL && sim.words[at].word != word)
        at = (at + 1) % SIM_WORDS;
    sim.words[at].word = word;
    return &sim.words[at];
}

static inline struct sim_old *sim_old_of(struct sim_process *process, const void *word)
{
    for (uint32_t i = 0; i < process->old_count; i++) {
        if (process->old[i].word == word)
            return &process->old[i];
    }
    return NULL;
}

/* A store reaches memory, and nobody else has seen it yet. */
static inline void sim_write(struct sim_process *writer, const struct sim_pending *store)
{
    struct sim_word *word = sim_word_of(store->word);
    struct sim_old old = { .word = store->word, .since = ++sim.clock, .sync = word->sync };

    memcpy(&old.value, store->word, store->bytes);
    memcpy(store->word, &store->value, store->bytes);
    if (store->release)
        word->sync = sim.clock;
    else if (word->sync < writer->released)
        word->sync = writer->released;
    for (uint32_t i = 0; sim.weak && i < sim.count; i++) {
        struct sim_process *process = &sim.processes[i];

        if (process == writer || sim_old_of(process, store->word) != NULL)
            continue;
        if (process->old_count == SIM_OLD_MAX)
            process->old[sim_dice(SIM_OLD_MAX)] = process->old[--process->old_count];
        process->old[process->old_count++] = old;
    }
}

/* The process has seen all that was stored until then. */
static inline void sim_catch_up(struct sim_process *process, uint64_t until)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < process->old_count; i++) {
        if (process->old[i].since > until)
            process->old[kept++] = process->old[i];
    }
    process->old_count = kept;
}

static inline void sim_flush_one(struct sim_process *process)
{
    uint32_t at = 0;

    if (process->pending_count == 0)
        return;
    do {
        at = sim_dice(process->pending_count);
    } while (!sim_may_flush(process, at));
    if (process->pending[at].word != NULL)
        sim_write(process, &process->pending[at]);
    else
        process->released = ++sim.clock;
    process->pending_count--;
    memmove(&process->pending[at], &process->pending[at + 1],
            (process->pending_count - at) * sizeof process->pending[0]);
}

static inline void sim_drain(struct sim_process *process)
{
    while (process->pending_count > 0)
        sim_flush_one(process);
}

static inline void sim_point(void)
{
    while (sim_dice(sim.flush_odds) == 0)
        sim_flush_one(&sim.processes[sim_dice(sim.count)]);
    if (sim_dice(sim.switch_odds) == 0)
        sim_pause();
}

/* As one process sees the word now. */
static inline uint64_t sim_see(struct sim_process *process, const void *word, size_t bytes,
                               bool acquire)
{
    struct sim_old *old = sim_old_of(process, word), was = { 0 };
    uint64_t sync = sim_word_of(word)->sync;

    for (uint32_t i = process->pending_count; i-- > 0;) {
        if (process->pending[i].word == word)
            return process->pending[i].value;
    }
    memcpy(&was.value, word, bytes);
    if (old != NULL && sim_dice(2)) {
        was = *old;
        sync = was.sync;
    } else if (old != NULL) {
        *old = process->old[--process->old_count];
    }
    if (process->seen < sync)
        process->seen = sync;
    if (acquire)
        sim_catch_up(process, sync);
    return was.value;
}

static inline uint64_t sim_load(const void *word, size_t bytes, bool acquire)
{
    uint64_t value = 0;

    if (sim.current != SIM_NOBODY && sim_is_shared(word)) {
        sim_point();
        return sim_see(&sim.processes[sim.current], word, bytes, acquire);
    }
    memcpy(&value, word, bytes);
    return value;
}

static inline void sim_push(struct sim_pending pending)
{
    struct sim_process *process = &sim.processes[sim.current];

    if (process->pending_count == SIM_BUFFER)
        sim_flush_one(process);
    process->pending[process->pending_count++] = pending;
}

static inline void sim_store(void *word, size_t bytes, uint64_t value, bool release)
{
    if (sim.current == SIM_NOBODY || !sim_is_shared(word)) {
        memcpy(word, &value, bytes); /* little-endian */
        return;
    }
    sim_point();
    sim_push((struct sim_pending){ word, value, bytes, release });
}

static inline void sim_see_all(struct sim_process *process)
{
    sim_drain(process);
    process->released = ++sim.clock;
    process->old_count = 0;
}

static inline void sim_fence_full(void)
{
    if (sim.current == SIM_NOBODY)
        return;
    sim_point();
    sim_see_all(&sim.processes[sim.current]);
}

static inline void sim_fence_acquire(void)
{
    if (sim.current != SIM_NOBODY)
        sim_catch_up(&sim.processes[sim.current], sim.processes[sim.current].seen);
}

/* What a system call does for all processes, those that are not running included. */
static inline void sim_membarrier(void)
{
    for (uint32_t i = 0; i < sim.count; i++)
        sim_see_all(&sim.processes[i]);
}

static inline void sim_fence_release(void)
{
    if (sim.current != SIM_NOBODY)
        sim_push((struct sim_pending){ 0 });
}

#endif
