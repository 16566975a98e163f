/* SPDX-License-Identifier: Apache-2.0 */
/* One measurement of one system, on both sides. */
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "inline.h"

#define MESSAGES_FIRST 2048u
#define MESSAGES_FIRST_TRIPS 512u
#define MESSAGES_FIRST_BULK 64u
#define MESSAGES_MIN 128u
#define MESSAGES_MAX_ONEWAY (4u << 20)
#define BULK_BYTES 65536u

void bench_meet(struct bench_worker *worker)
{
    uint64_t *mine = worker->shared->arrived[worker->side];
    const uint64_t *theirs = worker->shared->arrived[!worker->side];
    bench_store(mine, *mine + 1);
    while (bench_load(theirs) < *mine) {
        bench_pause();
    }
}

uint32_t bench_publishers(const struct bench_cell *cell)
{
    return cell->kind == BENCH_FANIN ? cell->fan : 1;
}

uint32_t bench_subscribers(const struct bench_cell *cell)
{
    return cell->kind == BENCH_FANOUT ? cell->fan : 1;
}

void bench_gather(struct bench_worker *worker)
{
    uint32_t ends = bench_publishers(worker->cell) + bench_subscribers(worker->cell);
    uint32_t *gathered = &worker->shared->gathered, all = ++worker->gathers * ends;
    uint32_t now = __atomic_add_fetch(gathered, 1, __ATOMIC_ACQ_REL);
    if (now == all) {
        syscall(SYS_futex, gathered, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    }
    for (; (int32_t)(now - all) < 0; now = __atomic_load_n(gathered, __ATOMIC_ACQUIRE)) {
        syscall(SYS_futex, gathered, FUTEX_WAIT, now, NULL, NULL, 0);
    }
}

void bench_open(struct bench_worker *worker, const struct bench_system *system)
{
    if (worker->side == BENCH_PRODUCER) {
        system->open(worker);
    }
    bench_gather(worker);
    if (worker->side == BENCH_CONSUMER) {
        system->open(worker);
    }
    bench_gather(worker);
    if (worker->side == BENCH_PRODUCER && system->ready) {
        system->ready(worker);
    }
    bench_gather(worker);
}

uint64_t bench_first_messages(const struct bench_cell *cell)
{
    bool few = cell->size >= BULK_BYTES || cell->kind == BENCH_WAKE;
    return few ? MESSAGES_FIRST_BULK
           : cell->kind == BENCH_ROUNDTRIP ? MESSAGES_FIRST_TRIPS : MESSAGES_FIRST;
}

static uint64_t next_messages(const struct bench_cell *cell, double ns_per_message,
                              double sample_ns)
{
    double most = cell->kind == BENCH_ROUNDTRIP ? BENCH_TIMES_MAX
                  : cell->kind == BENCH_WAKE    ? BENCH_WAKES_MAX
                                                : MESSAGES_MAX_ONEWAY;
    double messages = sample_ns / ns_per_message;
    messages = messages > most ? most : messages < MESSAGES_MIN ? MESSAGES_MIN : messages;
    return (uint64_t)messages / BENCH_BATCH_MAX * BENCH_BATCH_MAX;
}

static uint64_t helpers_cpu_ns(const struct bench_shared *shared)
{
    uint64_t sum_ns = 0;
    for (uint32_t i = 0; i < shared->helper_count; i++) {
        sum_ns += bench_cpu_of_ns(shared->helpers[i]);
    }
    return sum_ns;
}

static void exchange(struct bench_worker *worker, const struct bench_system *system,
                     uint64_t messages)
{
    switch (worker->cell->kind) {
    case BENCH_ROUNDTRIP: system->roundtrip(worker, messages); break;
    case BENCH_ONEWAY: system->oneway(worker, messages); break;
    case BENCH_WAKE: system->wake(worker, messages); break;
    case BENCH_FANOUT:
    case BENCH_FANIN: system->fan(worker, messages); break;
    case BENCH_ATTACH: break;
    }
}

/* What all ends did together, as one sample of a fan. */
static void add_fan(const struct bench_worker *worker, uint64_t messages,
                    struct bench_sample *sample)
{
    const struct bench_shared *shared = worker->shared;
    double sent = (double)messages * bench_publishers(worker->cell);
    double expected = sent * bench_subscribers(worker->cell);
    sample->producer_ns = (double)shared->own_ns[BENCH_PRODUCER] / sent;
    sample->consumer_ns = shared->received ? (double)shared->own_ns[BENCH_CONSUMER] /
                                             (double)shared->received : 0;
    sample->lost = 1 - (double)shared->received / expected;
}

static bool is_fan(const struct bench_cell *cell)
{
    return cell->kind == BENCH_FANOUT || cell->kind == BENCH_FANIN;
}

/* Everyone of a fan sleeps until all are there; a pair spins. */
static void come_together(struct bench_worker *worker)
{
    if (is_fan(worker->cell)) {
        bench_gather(worker);
    } else {
        bench_meet(worker);
    }
}

static void add_times(const struct bench_worker *worker, uint64_t messages,
                      struct bench_sample *sample)
{
    struct bench_shared *shared = worker->shared;
    double unit_ns = bench_tick_ns() / (double)shared->times_per_tick;
    uint64_t count = shared->time_count;
    uint32_t *times = shared->times;
    qsort(times, count, sizeof(*times), bench_compare_u32);
    sample->p50_ns = times[count / 2] * unit_ns;
    sample->p99_ns = times[count * 99 / 100] * unit_ns;
    sample->p999_ns = times[count * 999 / 1000] * unit_ns;
    sample->max_ns = times[count - 1] * unit_ns;
    if (worker->cell->kind == BENCH_WAKE) {
        qsort(shared->wake_send_ticks, messages, sizeof(*times), bench_compare_u32);
        sample->send_ns = shared->wake_send_ticks[messages / 2] * bench_tick_ns();
    }
}

void bench_measure(struct bench_worker *worker, const struct bench_system *system,
                   double sample_ns, uint64_t *next, struct bench_sample *ret_sample)
{
    struct bench_shared *shared = worker->shared;
    uint64_t messages = *next, helpers_ns = 0;
    bool first = worker->side == BENCH_PRODUCER && worker->index == 0;

    if (first) {
        helpers_ns = helpers_cpu_ns(shared);
        memset(shared->cpu_ns, 0, sizeof(shared->cpu_ns));
        memset(shared->own_ns, 0, sizeof(shared->own_ns));
        shared->received = shared->finished = 0;
    }
    come_together(worker);
    uint64_t start_ns = bench_now_ns(), cpu_ns = bench_cpu_now_ns();
    exchange(worker, system, messages);
    __atomic_fetch_add(&shared->cpu_ns[worker->side], bench_cpu_now_ns() - cpu_ns,
                       __ATOMIC_RELAXED);
    come_together(worker);
    if (!first) {
        return;
    }
    double ns = (double)(bench_now_ns() - start_ns), count = (double)messages;
    if (worker->cell->lossy) { /* without the time that readers wait for the end */
        ns = (double)shared->send_ns;
    }
    helpers_ns = helpers_cpu_ns(shared) - helpers_ns;
    *ret_sample = (struct bench_sample){
        .messages_per_s = count * 1e9 / ns,
        .mean_ns = ns / count,
        .cpu_ns_per_message = (double)(shared->cpu_ns[0] + shared->cpu_ns[1] + helpers_ns) /
                              count,
    };
    if (is_fan(worker->cell)) {
        ret_sample->messages_per_s *= bench_publishers(worker->cell);
        ret_sample->cpu_ns_per_message /= bench_publishers(worker->cell);
        ret_sample->p50_ns = ns / count / bench_publishers(worker->cell);
        add_fan(worker, messages, ret_sample);
    } else {
        add_times(worker, messages, ret_sample);
    }
    *next = next_messages(worker->cell, ns / count, sample_ns);
}
