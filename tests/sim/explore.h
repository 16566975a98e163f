/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a simulated world many times, each with another schedule.
 *
 * LSHM_TEST_SEED sets the first seed, LSHM_TEST_RUNS how many schedules.
 */
#ifndef SIM_EXPLORE_H
#define SIM_EXPLORE_H

#include "sim.h"

static inline void sim_explore(void (*run)(void), bool weak, uint64_t count)
{
    const char *seed = getenv("LSHM_TEST_SEED"), *runs = getenv("LSHM_TEST_RUNS");
    struct timespec now;
    uint64_t start;

#ifdef LSI_TSAN
    skip(); /* the thread sanitizer follows no coroutines */
#endif
    clock_gettime(CLOCK_REALTIME, &now);
    start = seed ? strtoull(seed, NULL, 0) : (uint64_t)now.tv_nsec;
    if (runs)
        count = strtoull(runs, NULL, 0);
    sim.weak = weak;
    for (uint64_t i = 0; i < count; i++) {
        sim.random = (start + i) * 0x9e3779b97f4a7c15u + 1;
        run();
        if (sim.broken != NULL)
            fail_msg("LSHM_TEST_SEED=%" PRIu64 ": %s", start + i, sim.broken);
    }
}

#endif
