/* SPDX-License-Identifier: Apache-2.0 */
/* What this process may have: address space, descriptors, mappings, locked memory. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "doctor.h"
#include "text.h"

#define GIB (UINT64_C(1) << 30)
#define FILES_MIN 256

static void check_address_space(struct doctor *doctor)
{
    char figure[TEXT_FIGURE_BYTES];
    struct rlimit limit;

    if (getrlimit(RLIMIT_AS, &limit) < 0)
        return;
    if (limit.rlim_cur == RLIM_INFINITY)
        doctor_find(doctor, LEVEL_OK, "address space", NULL, "unlimited");
    else
        doctor_find(doctor, limit.rlim_cur < GIB ? LEVEL_FAIL : LEVEL_WARN, "address space",
                    "ulimit -v unlimited (LimitAS= in a unit): every region that is mapped counts, "
                    "also those of others", "limited to %s", text_bytes(figure, limit.rlim_cur));
}

static void check_files(struct doctor *doctor)
{
    struct rlimit limit;
    bool few;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    few = limit.rlim_cur < FILES_MIN;
    doctor_find(doctor, few ? LEVEL_WARN : LEVEL_OK, "open files",
                few ? "ulimit -n 1024 (LimitNOFILE= in a unit)" : NULL,
                "%llu allowed; a context needs 3, and some while memory arrives",
                (unsigned long long)limit.rlim_cur);
}

/* A process that reads all publishers that one broker may have maps that much. */
static void check_maps(struct doctor *doctor)
{
    const uint64_t needed = DOCTOR_PUBLISHER_MAPS * DOCTOR_PUBLISHERS_MAX + 1024;
    char text[32], fix[96];
    uint64_t maps;

    if (doctor_read("/proc/sys/vm/max_map_count", text, sizeof text) < 0)
        return;
    maps = strtoull(text, NULL, 10);
    snprintf(fix, sizeof fix, "sysctl vm.max_map_count=%llu", (unsigned long long)needed);
    doctor_find(doctor, maps < needed ? LEVEL_WARN : LEVEL_OK, "mappings",
                maps < needed ? fix : NULL,
                "%llu for a process (vm.max_map_count): %s", (unsigned long long)maps,
                maps < needed ? "one that reads all publishers of a full broker needs more"
                              : "enough to read all publishers of a full broker");
}

static void check_locked(struct doctor *doctor)
{
    char figure[TEXT_FIGURE_BYTES];
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0)
        doctor_find(doctor, LEVEL_OK, "locked memory", NULL,
                    "%s allowed; publishers lock theirs only with LSHM_PUBLISHER_LOCK",
                    limit.rlim_cur == RLIM_INFINITY ? "any amount"
                                                    : text_bytes(figure, limit.rlim_cur));
}

void doctor_limits(struct doctor *doctor)
{
    check_address_space(doctor);
    check_files(doctor);
    check_maps(doctor);
    check_locked(doctor);
}
