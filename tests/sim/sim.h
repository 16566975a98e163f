/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes on a simulated memory, for the core's own code.
 *
 * A test includes this header, then the core's .c files, and links no other core. Each atomic
 * operation on a shared word is a point at which another process may run. A store goes into its
 * process's buffer and reaches memory later: in order (as on x86) or, when `weak`, in any order
 * that release stores, release fences and same-word order allow. Loads are done where they stand:
 * what a missing acquire allows is not seen.
 *
 * Schedules are random; LSHM_TEST_SEED sets the seed. Processes are coroutines of one thread.
 */
#ifndef SIM_H
#define SIM_H

/* A checked longjmp() refuses to go to another stack. */
#undef _FORTIFY_SOURCE
#define _FORTIFY_SOURCE 0

#include "support.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#define LSI_WORDS_ONLY
#include "base/atomic.h"

#undef lsi_load_relaxed
#undef lsi_load_acquire
#undef lsi_store_relaxed
#undef lsi_store_release
#define lsi_load_relaxed(p) ((__typeof__(+*(p)))sim_load((p), sizeof *(p)))
#define lsi_load_acquire(p) ((__typeof__(+*(p)))sim_load((p), sizeof *(p)))
#define lsi_store_relaxed(p, v) sim_store((p), sizeof *(p), (v), false)
#define lsi_store_release(p, v) sim_store((p), sizeof *(p), (v), true)
#define lsi_fence_full() sim_fence_full()
#define lsi_fence_acquire() ((void)0)
#define lsi_fence_release() sim_fence_release()
#define SIM_PROCESSES_MAX 4u
#define SIM_BUFFER 48u
#define SIM_STACK_BYTES 65536u
#define SIM_RANGES_MAX 32u
#define SIM_NOBODY UINT32_MAX

struct sim_pending {
    void *word; /* NULL: a release fence */
    uint64_t value;
    size_t bytes;
    bool release;
};

struct sim_process {
    ucontext_t start;
    jmp_buf resume; /* swapcontext() would make a system call at each switch */
    bool started;
    void *stack;
    void (*run)(void *arg);
    void *arg;
    const bool *waits_for; /* NULL: it does not wait */
    bool done;
    uint32_t pending_count;
    struct sim_pending pending[SIM_BUFFER];
};

static struct {
    struct sim_process processes[SIM_PROCESSES_MAX];
    uint32_t count, current;
    jmp_buf scheduler;
    uint64_t random;
    bool weak;
    uint32_t switch_odds, flush_odds;
    const char *broken; /* the first thing that went wrong */
    struct {
        uintptr_t first, bytes;
    } shared[SIM_RANGES_MAX];
    uint32_t shared_count;
} sim = { .current = SIM_NOBODY };

static inline uint32_t sim_dice(uint32_t sides)
{
    sim.random ^= sim.random << 13;
    sim.random ^= sim.random >> 7;
    sim.random ^= sim.random << 17;
    return (uint32_t)(sim.random >> 33) % sides;
}

static inline void sim_broken(const char *what)
{
    if (sim.broken == NULL)
        sim.broken = what;
}

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

static inline void sim_flush_one(struct sim_process *process)
{
    uint32_t at = 0;

    if (process->pending_count == 0)
        return;
    do {
        at = sim_dice(process->pending_count);
    } while (!sim_may_flush(process, at));
    if (process->pending[at].word != NULL)
        memcpy(process->pending[at].word, &process->pending[at].value,
               process->pending[at].bytes);
    process->pending_count--;
    memmove(&process->pending[at], &process->pending[at + 1],
            (process->pending_count - at) * sizeof process->pending[0]);
}

static inline void sim_drain(struct sim_process *process)
{
    while (process->pending_count > 0)
        sim_flush_one(process);
}

/* Lets others run. */
static inline void sim_pause(void)
{
    if (sim.current != SIM_NOBODY && _setjmp(sim.processes[sim.current].resume) == 0)
        _longjmp(sim.scheduler, 1);
}

/* Until the current process pauses. */
static inline void sim_resume(void)
{
    struct sim_process *process = &sim.processes[sim.current];

    if (_setjmp(sim.scheduler) != 0)
        return;
    if (process->started)
        _longjmp(process->resume, 1);
    process->started = true;
    setcontext(&process->start);
}

static inline void sim_point(void)
{
    while (sim_dice(sim.flush_odds) == 0)
        sim_flush_one(&sim.processes[sim_dice(sim.count)]);
    if (sim_dice(sim.switch_odds) == 0)
        sim_pause();
}

static inline uint64_t sim_load(const void *word, size_t bytes)
{
    uint64_t value = 0;

    if (sim.current != SIM_NOBODY && sim_is_shared(word)) {
        struct sim_process *process = &sim.processes[sim.current];

        sim_point();
        for (uint32_t i = process->pending_count; i-- > 0;) {
            if (process->pending[i].word == word)
                return process->pending[i].value;
        }
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

static inline void sim_fence_full(void)
{
    if (sim.current == SIM_NOBODY)
        return;
    sim_point();
    sim_drain(&sim.processes[sim.current]);
}

static inline void sim_fence_release(void)
{
    if (sim.current != SIM_NOBODY)
        sim_push((struct sim_pending){ 0 });
}

/* Until *flag, which another process sets. If nobody ever does, sim_run() says so. */
static inline void sim_wait(const bool *flag)
{
    sim.processes[sim.current].waits_for = flag;
    sim_pause();
    sim.processes[sim.current].waits_for = NULL;
}

static inline void sim_start(void)
{
    struct sim_process *process = &sim.processes[sim.current];

    process->run(process->arg);
    process->done = true;
    _longjmp(sim.scheduler, 1);
}

static inline void sim_add(void (*run)(void *arg), void *arg)
{
    struct sim_process *process = &sim.processes[sim.count++];

    assert_true(sim.count <= SIM_PROCESSES_MAX);
    if (process->stack == NULL)
        process->stack = malloc(SIM_STACK_BYTES);
    assert_non_null(process->stack);
    process->run = run;
    process->arg = arg;
    process->waits_for = NULL;
    process->done = false;
    process->pending_count = 0;
    process->started = false;
    getcontext(&process->start);
    process->start.uc_stack.ss_sp = process->stack;
    process->start.uc_stack.ss_size = SIM_STACK_BYTES;
    process->start.uc_link = NULL;
    makecontext(&process->start, sim_start, 0);
}

/* A random one that can go on, or SIM_NOBODY. */
static inline uint32_t sim_choose(void)
{
    uint32_t first = sim_dice(sim.count);

    for (uint32_t i = 0; i < sim.count; i++) {
        uint32_t at = (first + i) % sim.count;
        const struct sim_process *process = &sim.processes[at];

        if (!process->done && (process->waits_for == NULL || *process->waits_for))
            return at;
    }
    return SIM_NOBODY;
}

/* Runs all processes to their ends; false if some wait for ever. */
static inline bool sim_run(void)
{
    static const uint32_t odds[] = { 2, 3, 6, 20 };
    bool all_done = true;

    sim.switch_odds = odds[sim_dice(4)];
    sim.flush_odds = 1 + odds[sim_dice(4)];
    while ((sim.current = sim_choose()) != SIM_NOBODY)
        sim_resume();
    for (uint32_t i = 0; i < sim.count; i++) {
        sim_drain(&sim.processes[i]);
        all_done &= sim.processes[i].done;
    }
    sim.count = 0;
    return all_done;
}

#endif
