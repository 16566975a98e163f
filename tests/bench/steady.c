/* SPDX-License-Identifier: Apache-2.0 */
/* In the steady state, publish and take make no system call and allocate nothing. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define WARM_MESSAGES 32000u
#define MESSAGES 1000000u
#define MESSAGES_QUICK 100000u
#define LIMIT_S 60u
#define FIRST_RUN 1000000u /* topics of other names than the cells' */

struct counts {
    uint64_t allocations[2], system_calls[2];
};

static const struct bench_cell cells[] = {
    {.kind = BENCH_ONEWAY, .size = 64, .batch = 1, .mode = BENCH_SPIN},
    {.kind = BENCH_ONEWAY, .size = 64, .batch = 32, .mode = BENCH_SPIN},
    {.kind = BENCH_ONEWAY, .size = 65536, .batch = 1, .touch = BENCH_TOUCH_HEAD},
    {.kind = BENCH_ROUNDTRIP, .size = 64, .batch = 1, .mode = BENCH_SPIN},
};
#define CELLS (sizeof(cells) / sizeof(cells[0]))

static void exchange(struct bench_worker *worker, uint64_t messages)
{
    if (worker->cell->kind == BENCH_ONEWAY) {
        bench_lshm.oneway(worker, messages);
        return;
    }
    /* Round trips in runs, as long as the array of their times allows. */
    while (messages > 0) {
        uint64_t run = messages > BENCH_TIMES_MAX ? BENCH_TIMES_MAX : messages;
        bench_lshm.roundtrip(worker, run);
        messages -= run;
    }
}

static _Noreturn void work(struct bench_worker *worker, struct counts *counts, uint32_t messages)
{
    bench_pin((unsigned)worker->side);
    alarm(LIMIT_S);
    bench_open(worker, &bench_lshm);
    exchange(worker, WARM_MESSAGES);
    bench_meet(worker);
    bench_count_begin(&counts->allocations[worker->side], &counts->system_calls[worker->side]);
    bench_meet(worker);
    exchange(worker, messages);
    bench_meet(worker);
    bench_count_end();
    _exit(0);
}

/* A counter that always says 0 proves nothing. */
static void try_counters(struct counts *counts)
{
    int status;
    memset(counts, 0, sizeof(*counts));
    pid_t pid = bench_fork();
    if (pid == 0) {
        bench_count_begin(&counts->allocations[0], &counts->system_calls[0]);
        (void)getppid();
        void *volatile memory = malloc(64);
        bench_count_end();
        (void)memory;
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (!WIFEXITED(status) || counts->system_calls[0] != 1 || counts->allocations[0] != 1) {
        bench_die("the counters do not count: %llu system calls, %llu allocations, not 1 and 1",
                  (unsigned long long)counts->system_calls[0],
                  (unsigned long long)counts->allocations[0]);
    }
}

static bool run_cell(const struct bench_cell *cell, uint64_t run, struct bench_shared *shared,
                     struct counts *counts, uint32_t messages)
{
    pid_t pids[2];
    bool good = true;

    memset(shared, 0, sizeof(*shared));
    memset(counts, 0, sizeof(*counts));
    shared->run = run;
    for (int side = 0; side < 2; side++) {
        pids[side] = bench_fork();
        if (pids[side] == 0) {
            struct bench_worker worker = {
                .cell = cell, .shared = shared, .side = (enum bench_side)side};
            work(&worker, counts, messages);
        }
    }
    for (int side = 0; side < 2; side++) {
        int status;
        waitpid(pids[side], &status, 0);
        good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    return good;
}

bool bench_steady(const struct bench_options *options)
{
    struct bench_shared *shared = bench_shared_memory(sizeof(*shared));
    struct counts *counts = bench_shared_memory(sizeof(*counts));
    uint32_t messages = options->quick ? MESSAGES_QUICK : MESSAGES;
    bool met = true;

    try_counters(counts);
    for (size_t i = 0; i < CELLS; i++) {
        const struct bench_cell *cell = &cells[i];
        char name[64];
        bool good = run_cell(cell, FIRST_RUN + i, shared, counts, messages);
        unsigned long long calls = counts->system_calls[0] + counts->system_calls[1];
        unsigned long long allocations = counts->allocations[0] + counts->allocations[1];
        met = met && good && calls == 0 && allocations == 0;
        bench_cell_name(cell, name, sizeof(name));
        if (options->json) {
            printf("{\"bench\": \"steady\", \"system\": \"lshm\", \"cell\": \"%s\", "
                   "\"messages\": %u, \"system_calls\": %llu, \"allocations\": %llu}\n",
                   name, messages, calls, allocations);
        } else if (good) {
            printf("steady %s: %u messages, %llu system calls, %llu allocations\n", name, messages,
                   calls, allocations);
        } else {
            printf("steady %s: a process failed\n", name);
        }
        fflush(stdout);
    }
    munmap(counts, sizeof(*counts));
    munmap(shared, sizeof(*shared));
    return met;
}
