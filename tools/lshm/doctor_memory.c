/* SPDX-License-Identifier: Apache-2.0 */
/* Memory: this process's limits, its control group, the machine, huge pages. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "doctor.h"
#include "text.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define PATH_BYTES 4096

static void check_limits(struct doctor *doctor)
{
    char figure[TEXT_FIGURE_BYTES];
    struct rlimit limit;

    if (getrlimit(RLIMIT_AS, &limit) == 0) {
        if (limit.rlim_cur == RLIM_INFINITY)
            doctor_find(doctor, LEVEL_OK, "address space", NULL, "unlimited");
        else
            doctor_find(doctor, limit.rlim_cur < GIB ? LEVEL_FAIL : LEVEL_WARN, "address space",
                        "ulimit -v unlimited (LimitAS= in a unit): every region that is mapped "
                        "counts, also those of others", "limited to %s",
                        text_bytes(figure, limit.rlim_cur));
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        bool few = limit.rlim_cur < 256;

        doctor_find(doctor, few ? LEVEL_WARN : LEVEL_OK, "open files",
                    few ? "ulimit -n 1024: regions arrive as descriptors, channels stay open"
                        : NULL,
                    "%llu allowed", (unsigned long long)limit.rlim_cur);
    }
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0)
        doctor_find(doctor, LEVEL_OK, "locked memory", NULL, "%s allowed; lshm locks none",
                    limit.rlim_cur == RLIM_INFINITY ? "any amount"
                                                    : text_bytes(figure, limit.rlim_cur));
}

/* A line "key: 123 kB" of /proc/meminfo in bytes, LSHM_UNKNOWN when there is none. */
static uint64_t meminfo(const char *key)
{
    FILE *file = fopen("/proc/meminfo", "re");
    uint64_t bytes = LSHM_UNKNOWN;
    char line[256];

    if (file == NULL)
        return bytes;
    while (fgets(line, sizeof line, file) != NULL) {
        size_t length = strlen(key);

        if (strncmp(line, key, length) != 0 || line[length] != ':')
            continue;
        bytes = strtoull(line + length + 1, NULL, 10);
        if (strstr(line, "kB") != NULL)
            bytes *= 1024;
    }
    fclose(file);
    return bytes;
}

static void check_available(struct doctor *doctor)
{
    uint64_t available = meminfo("MemAvailable");
    char figure[TEXT_FIGURE_BYTES], text[64] = "";

    if (available == LSHM_UNKNOWN)
        doctor_find(doctor, LEVEL_WARN, "available memory", "mount /proc",
                    "unknown: no MemAvailable in /proc/meminfo");
    else
        doctor_find(doctor, available < 64 * MIB ? LEVEL_FAIL
                            : available < 512 * MIB ? LEVEL_WARN : LEVEL_OK, "available memory",
                    available < 512 * MIB ? "free memory: every slot is allocated when its "
                                            "publisher opens" : NULL,
                    "%s", text_bytes(figure, available));
    if (doctor_read("/proc/sys/vm/overcommit_memory", text, sizeof text) == 0 && text[0] == '2')
        doctor_find(doctor, LEVEL_WARN, "overcommit",
                    "sysctl vm.overcommit_memory=0, or raise vm.overcommit_ratio",
                    "strict (2): shared memory counts in full against CommitLimit");
    doctor_find(doctor, LEVEL_OK, "/dev/shm", NULL,
                "not used: lshm's memory has no name and no mount; its size does not matter");
}

/* The smallest memory.max from the group at `path` up to the root. */
static uint64_t smallest_max(char *path)
{
    uint64_t smallest = LSHM_UNKNOWN;
    char file[PATH_BYTES + 64], text[64];

    for (;;) {
        char *slash = strrchr(path, '/');

        snprintf(file, sizeof file, "/sys/fs/cgroup%s/memory.max", path);
        if (doctor_read(file, text, sizeof text) == 0 && strcmp(text, "max") != 0) {
            uint64_t max = strtoull(text, NULL, 10);

            smallest = max < smallest ? max : smallest;
        }
        if (slash == NULL || path[0] == '\0')
            return smallest;
        *slash = '\0';
    }
}

static void check_group(struct doctor *doctor)
{
    char line[PATH_BYTES], path[PATH_BYTES] = "", figure[TEXT_FIGURE_BYTES];
    FILE *file = fopen("/proc/self/cgroup", "re");
    uint64_t max;
    bool found = false;

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "0::", 3) != 0)
            continue;
        snprintf(path, sizeof path, "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
        found = true;
    }
    if (file != NULL)
        fclose(file);
    if (!found) {
        doctor_find(doctor, LEVEL_WARN, "control group", "look at its memory limit yourself: who "
                    "opens a publisher is charged for its slots",
                    "unknown: no unified hierarchy (cgroup v2) here");
        return;
    }
    max = smallest_max(path);
    if (max == LSHM_UNKNOWN)
        doctor_find(doctor, LEVEL_OK, "control group", NULL, "no memory limit (memory.max)");
    else
        doctor_find(doctor, max < 256 * MIB ? LEVEL_WARN : LEVEL_OK, "control group",
                    max < 256 * MIB ? "raise memory.max (MemoryMax= in a unit)" : NULL,
                    "at most %s; who opens a publisher is charged for its slots",
                    text_bytes(figure, max));
}

static void check_huge(struct doctor *doctor)
{
    uint64_t total = meminfo("HugePages_Total"), unused = meminfo("HugePages_Free");
    char text[256] = "", *chosen, *end;

    if (total == LSHM_UNKNOWN)
        doctor_find(doctor, LEVEL_OK, "hugetlb pages", NULL, "not offered; not needed");
    else
        doctor_find(doctor, LEVEL_OK, "hugetlb pages", NULL, "%llu reserved, %llu free%s",
                    (unsigned long long)total, (unsigned long long)unused,
                    total == 0 ? "; not needed" : "");
    if (doctor_read("/sys/kernel/mm/transparent_hugepage/shmem_enabled", text, sizeof text) < 0 ||
        (chosen = strchr(text, '[')) == NULL || (end = strchr(chosen, ']')) == NULL) {
        doctor_find(doctor, LEVEL_OK, "shmem huge pages", NULL, "not offered; not needed");
        return;
    }
    *end = '\0';
    doctor_find(doctor, LEVEL_OK, "shmem huge pages", NULL, "%s%s", chosen + 1,
                strcmp(chosen + 1, "never") == 0
                    ? "; 'advise' in /sys/kernel/mm/transparent_hugepage/shmem_enabled would save "
                      "page tables when many processes map large pools" : "");
}

void doctor_memory(struct doctor *doctor)
{
    check_limits(doctor);
    check_available(doctor);
    check_group(doctor);
    check_huge(doctor);
}
