/* SPDX-License-Identifier: Apache-2.0 */
/* The two processes of a cell: start, samples in turn, end. */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inline.h"

#define PINGPONG_TRIPS 8000u
#define OVERTIME_S 60u              /* a cell that takes longer hangs */

static const struct bench_system *const systems[BENCH_SYSTEMS] = {&bench_limit, &bench_lshm};

static uint32_t near_pairs(const struct bench_shared *shared)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < shared->sample_count; i++) {
        count += shared->samples[BENCH_LIMIT][i].regime == BENCH_NEAR &&
                 shared->samples[BENCH_LSHM][i].regime == BENCH_NEAR;
    }
    return count;
}

static void run_samples(struct bench_worker *worker, const struct bench_plan *plan)
{
    struct bench_shared *shared = worker->shared;
    uint64_t end_ns = bench_now_ns() + (uint64_t)(plan->seconds * 1e9);

    for (bool warm = false;; warm = true) {
        struct bench_sample row[BENCH_SYSTEMS] = {0};
        double before_ns = bench_pingpong(worker, PINGPONG_TRIPS);
        for (int i = 0; i < BENCH_SYSTEMS; i++) {
            bench_measure(worker, systems[i], plan->sample_ns, &shared->messages[i], &row[i]);
            double after_ns = bench_pingpong(worker, PINGPONG_TRIPS);
            row[i].before_ns = before_ns;
            row[i].after_ns = after_ns;
            row[i].regime = bench_regime_of(before_ns, after_ns);
            before_ns = after_ns;
        }
        if (worker->side == BENCH_PRODUCER) {
            for (int i = 0; warm && i < BENCH_SYSTEMS; i++) {
                shared->samples[i][shared->sample_count] = row[i];
            }
            shared->sample_count += warm;
            shared->stop = (warm && bench_now_ns() > end_ns) ||
                           shared->sample_count == BENCH_SAMPLES_MAX ||
                           (plan->near_wanted && near_pairs(shared) >= plan->near_wanted);
        }
        bench_meet(worker);
        if (shared->stop) {
            return;
        }
    }
}

static void run_worker(struct bench_worker *worker, const struct bench_plan *plan)
{
    bench_pin((unsigned)worker->side);
    for (int i = 0; i < BENCH_SYSTEMS; i++) {
        bench_open(worker, systems[i]);
    }
    run_samples(worker, plan);
    bench_meet(worker);
    for (int i = 0; i < BENCH_SYSTEMS; i++) {
        systems[i]->close(worker);
    }
}

/* Waits for both; when one fails the other waits for ever, so end it. */
static bool wait_for(const pid_t pids[2])
{
    bool good = true;
    for (int left = 2; left > 0;) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        if (pid != pids[0] && pid != pids[1]) {
            continue;
        }
        left--;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            if (good && WIFSIGNALED(status)) {
                fprintf(stderr, "bench: the %s ended with signal %d\n",
                        pid == pids[0] ? "producer" : "consumer", WTERMSIG(status));
            }
            good = false;
            if (left == 1) {
                kill(pid == pids[0] ? pids[1] : pids[0], SIGKILL);
            }
        }
    }
    return good;
}

bool bench_run_cell(const struct bench_cell *cell, const struct bench_plan *plan,
                    struct bench_shared *shared)
{
    static uint64_t run;
    size_t limit_bytes = bench_limit_bytes(cell);
    void *limit = bench_shared_memory(limit_bytes);
    pid_t pids[2];

    bench_tick_ns();
    memset(shared, 0, sizeof(*shared));
    shared->run = ++run;
    for (int i = 0; i < BENCH_SYSTEMS; i++) {
        shared->messages[i] = bench_first_messages(cell);
    }
    for (int side = 0; side < 2; side++) {
        pids[side] = bench_fork();
        if (pids[side] == 0) {
            struct bench_worker worker = {
                .cell = cell, .shared = shared, .side = (enum bench_side)side, .limit = limit};
            alarm((unsigned)plan->seconds + OVERTIME_S);
            run_worker(&worker, plan);
            exit(0);
        }
    }
    bool good = wait_for(pids);
    munmap(limit, limit_bytes);
    return good;
}
