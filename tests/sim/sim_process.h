/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of a simulation (sim.h): coroutines of one thread, switched at random.
 */
#ifndef SIM_PROCESS_H
#define SIM_PROCESS_H

/* A checked longjmp() refuses to go to another stack. */
#undef _FORTIFY_SOURCE
#define _FORTIFY_SOURCE 0

#include "support.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#define SIM_PROCESSES_MAX 4u
#define SIM_BUFFER 48u
#define SIM_OLD_MAX 32u
#define SIM_WORDS 2048u /* more than twice what a run shares */
#define SIM_STACK_BYTES 65536u
#define SIM_RANGES_MAX 32u
#define SIM_NOBODY UINT32_MAX

struct sim_pending {
    void *word; /* NULL: a release fence */
    uint64_t value;
    size_t bytes;
    bool release;
};

/* What a word was before another process's store that this process may not have seen yet. */
struct sim_old {
    const void *word;
    uint64_t value;
    uint64_t since; /* when it was overwritten */
    uint64_t sync;  /* as of the word's, before */
};

/* Who acquires from a word has seen all that was stored until `sync`. */
struct sim_word {
    const void *word;
    uint64_t sync;
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
    uint32_t old_count;
    struct sim_old old[SIM_OLD_MAX];
    uint64_t released; /* when its last release fence was over */
    uint64_t seen;     /* the latest sync of what it has loaded */
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
    uint64_t clock; /* stores and fences that have reached memory */
    struct sim_word words[SIM_WORDS];
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

/* All that it stored reaches memory: sim.h. */
static inline void sim_drain(struct sim_process *process);

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
    process->old_count = 0;
    process->released = process->seen = 0;
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
    static const uint32_t switch_odds[] = { 2, 3, 6, 20 };
    static const uint32_t flush_odds[] = { 3, 4, 7, 21, 200 };
    bool all_done = true;

    sim.switch_odds = switch_odds[sim_dice(4)];
    sim.flush_odds = flush_odds[sim_dice(5)];
    while ((sim.current = sim_choose()) != SIM_NOBODY)
        sim_resume();
    for (uint32_t i = 0; i < sim.count; i++) {
        sim_drain(&sim.processes[i]);
        all_done &= sim.processes[i].done;
    }
    sim.count = 0;
    memset(sim.words, 0, sizeof sim.words);
    return all_done;
}

#endif
