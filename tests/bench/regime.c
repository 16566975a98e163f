/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far apart the two CPUs are at this moment.
 *
 * Virtual machines move their CPUs between cores. The median round trip of a two-line ping-pong
 * then changes between clusters: two threads of one core, two cores of one cache domain, two cache
 * domains or sockets. The clusters of the machines seen so far, spinning without pause, in ns,
 * two reads of the clock included:
 *
 *                          smt      near       far
 *     AMD, family 25       50–65    100–120    360–650
 *     Intel, family 6      36–75    230–460    750–1700
 */
#include <cpuid.h>
#include <stdlib.h>

#include "inline.h"

#define SMT_MAX_NS 80.0
#define NEAR_MAX_AMD_NS 230.0
#define NEAR_MAX_INTEL_NS 600.0
#define DRIFT_MAX 1.4 /* two ping-pongs further apart than this are "mixed" */
#define AMD_EBX 0x68747541u /* "Auth" */

static double near_max_ns(void)
{
    unsigned eax, ebx = 0, ecx, edx;
    if (!__get_cpuid(0, &eax, &ebx, &ecx, &edx)) {
        return NEAR_MAX_INTEL_NS;
    }
    return ebx == AMD_EBX ? NEAR_MAX_AMD_NS : NEAR_MAX_INTEL_NS;
}

static enum bench_regime regime_of_one(double ns)
{
    static double near_max;
    if (near_max <= 0) {
        near_max = near_max_ns();
    }
    if (ns <= SMT_MAX_NS) {
        return BENCH_SMT;
    }
    return ns <= near_max ? BENCH_NEAR : BENCH_FAR;
}

enum bench_regime bench_regime_of(double before_ns, double after_ns)
{
    enum bench_regime regime = regime_of_one(before_ns);
    if (regime != regime_of_one(after_ns) || before_ns > after_ns * DRIFT_MAX ||
        after_ns > before_ns * DRIFT_MAX) {
        return BENCH_MIXED;
    }
    return regime;
}

const char *bench_regime_name(enum bench_regime regime)
{
    static const char *const names[] = {"smt", "near", "far", "mixed"};
    return names[regime];
}

const char *bench_regime_rule(void)
{
    static char rule[64];
    snprintf(rule, sizeof(rule), "smt ≤ %.0f ns < near ≤ %.0f ns < far", SMT_MAX_NS,
             near_max_ns());
    return rule;
}

double bench_pingpong(struct bench_worker *worker, uint64_t trips)
{
    struct bench_shared *shared = worker->shared;
    uint64_t base = bench_load(&shared->pong);

    bench_meet(worker);
    if (worker->side == BENCH_CONSUMER) {
        for (uint64_t i = base + 1; i <= base + trips; i++) {
            while (bench_load(&shared->ping) != i) {
            }
            bench_store(&shared->pong, i);
        }
        bench_meet(worker);
        return 0;
    }
    for (uint64_t i = 0; i < trips; i++) {
        uint64_t start = bench_ticks();
        bench_store(&shared->ping, base + i + 1);
        while (bench_load(&shared->pong) != base + i + 1) {
        }
        bench_note_trip(shared, i, bench_ticks() - start);
    }
    qsort(shared->times, trips, sizeof(*shared->times), bench_compare_u32);
    double median_ns = shared->times[trips / 2] * bench_tick_ns();
    bench_meet(worker);
    return median_ns;
}
