/* SPDX-License-Identifier: Apache-2.0 */
/* The two processes of a cell: start, samples in turn, end. */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inline.h"

#define PINGPONG_TRIPS 8000u
#define MESSAGES_FIRST 2000u        /* of the first measurement, which is not used */
#define MESSAGES_FIRST_BULK 64u
#define MESSAGES_MIN 128u
#define MESSAGES_MAX_ONEWAY (4u << 20)
#define BULK_BYTES 65536u
#define OVERTIME_S 60u              /* a cell that takes longer hangs */

static const struct bench_system *const systems[BENCH_SYSTEMS] = {&bench_limit, &bench_lshm};

void bench_meet(struct bench_worker *worker)
{
    uint64_t *mine = worker->shared->arrived[worker->side];
    const uint64_t *theirs = worker->shared->arrived[!worker->side];
    bench_store(mine, *mine + 1);
    while (bench_load(theirs) < *mine) {
        bench_pause();
    }
}

static uint64_t next_messages(const struct bench_cell *cell, double ns_per_message,
                              double sample_ns)
{
    double most = cell->kind == BENCH_ROUNDTRIP ? BENCH_TIMES_MAX : MESSAGES_MAX_ONEWAY;
    double messages = sample_ns / ns_per_message;
    messages = messages > most ? most : messages < MESSAGES_MIN ? MESSAGES_MIN : messages;
    return (uint64_t)messages / BENCH_BATCH_MAX * BENCH_BATCH_MAX;
}

/* One measurement, on both sides; the producer's side fills *ret_sample. */
static void measure(struct bench_worker *worker, enum bench_system_number number,
                    const struct bench_plan *plan, struct bench_sample *ret_sample)
{
    struct bench_shared *shared = worker->shared;
    const struct bench_system *system = systems[number];
    uint64_t messages = shared->messages[number];

    bench_meet(worker);
    uint64_t start_ns = bench_now_ns(), cpu_ns = bench_cpu_now_ns();
    if (worker->cell->kind == BENCH_ROUNDTRIP) {
        system->roundtrip(worker, messages);
    } else {
        system->oneway(worker, messages);
    }
    shared->cpu_ns[worker->side] = bench_cpu_now_ns() - cpu_ns;
    bench_meet(worker);
    if (worker->side == BENCH_CONSUMER) {
        return;
    }
    double ns = (double)(bench_now_ns() - start_ns);
    double unit_ns = bench_tick_ns() / (double)shared->times_per_tick;
    uint64_t count = shared->time_count;
    uint32_t *times = shared->times;
    qsort(times, count, sizeof(*times), bench_compare_u32);
    *ret_sample = (struct bench_sample){
        .p50_ns = times[count / 2] * unit_ns,
        .p99_ns = times[count * 99 / 100] * unit_ns,
        .p999_ns = times[count * 999 / 1000] * unit_ns,
        .max_ns = times[count - 1] * unit_ns,
        .messages_per_s = (double)messages * 1e9 / ns,
        .cpu_ns_per_message = (double)(shared->cpu_ns[0] + shared->cpu_ns[1]) / (double)messages,
    };
    shared->messages[number] = next_messages(worker->cell, ns / (double)messages,
                                             plan->sample_ns);
}

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
            measure(worker, (enum bench_system_number)i, plan, &row[i]);
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
        systems[i]->open(worker);
        bench_meet(worker);
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
        shared->messages[i] = cell->size >= BULK_BYTES ? MESSAGES_FIRST_BULK : MESSAGES_FIRST;
    }
    for (int side = 0; side < 2; side++) {
        pids[side] = bench_fork();
        if (pids[side] == 0) {
            struct bench_worker worker = {cell, shared, (enum bench_side)side, limit, NULL};
            alarm((unsigned)plan->seconds + OVERTIME_S);
            run_worker(&worker, plan);
            exit(0);
        }
    }
    bool good = wait_for(pids);
    munmap(limit, limit_bytes);
    return good;
}
