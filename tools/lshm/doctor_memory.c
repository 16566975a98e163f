/* SPDX-License-Identifier: Apache-2.0 */
/* Memory: the machine's, its control group's, huge pages. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "text.h"

#define HUGE_DIRECTORY "/sys/kernel/mm/hugepages"
#define MIB (UINT64_C(1) << 20)
#define PATH_BYTES 4096
#define NO_LIMIT (UINT64_C(1) << 62) /* the first hierarchies say "none" by a huge number */

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

/* The smallest limit from the group at `path` up to the root. */
static uint64_t smallest_limit(const char *hierarchy, char *path, const char *name)
{
    uint64_t smallest = LSHM_UNKNOWN;
    char file[PATH_BYTES + 128], text[64];

    for (;;) {
        char *slash = strrchr(path, '/');

        snprintf(file, sizeof file, "/sys/fs/cgroup%s%s/%s", hierarchy, path, name);
        if (doctor_read(file, text, sizeof text) == 0 && strcmp(text, "max") != 0) {
            uint64_t limit = strtoull(text, NULL, 10);

            smallest = limit < smallest ? limit : smallest;
        }
        if (slash == NULL || path[0] == '\0')
            return smallest < NO_LIMIT ? smallest : LSHM_UNKNOWN;
        *slash = '\0';
    }
}

/*
 * The limit of this process's control group: in the hierarchy that has the memory controller, the
 * unified one (a line "0::PATH") or one of its own ("4:memory:PATH"). false: there is none.
 */
static bool find_group(uint64_t *ret_limit)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[PATH_BYTES];
    bool found = false;

    *ret_limit = LSHM_UNKNOWN;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *controllers = strchr(line, ':'), *path;
        uint64_t limit;

        line[strcspn(line, "\n")] = '\0';
        if (controllers == NULL || (path = strchr(controllers + 1, ':')) == NULL)
            continue;
        *path++ = '\0';
        if (strcmp(controllers + 1, "memory") == 0)
            limit = smallest_limit("/memory", path, "memory.limit_in_bytes");
        else if (controllers[1] == '\0')
            limit = smallest_limit("", path, "memory.max");
        else
            continue;
        *ret_limit = limit < *ret_limit ? limit : *ret_limit;
        found = true;
    }
    if (file != NULL)
        fclose(file);
    return found;
}

static void check_group(struct doctor *doctor)
{
    char figure[TEXT_FIGURE_BYTES];
    uint64_t limit;

    if (!find_group(&limit))
        doctor_find(doctor, LEVEL_WARN, "control group", "look at its memory limit yourself: who "
                    "opens a publisher is charged for its slots",
                    "unknown: there is none in /proc/self/cgroup");
    else if (limit == LSHM_UNKNOWN)
        doctor_find(doctor, LEVEL_OK, "control group", NULL, "no memory limit");
    else
        doctor_find(doctor, limit < 256 * MIB ? LEVEL_WARN : LEVEL_OK, "control group",
                    limit < 256 * MIB ? "raise memory.max (MemoryMax= in a unit)" : NULL,
                    "at most %s; who opens a publisher is charged for its slots",
                    text_bytes(figure, limit));
}

/* Reserved and free pages of one size: "hugepages-2048kB". */
static void check_huge_size(struct doctor *doctor, const char *directory)
{
    char path[320], reserved[32] = "0", unused[32] = "0", name[48], figure[TEXT_FIGURE_BYTES];
    uint64_t bytes = strtoull(directory + strlen("hugepages-"), NULL, 10) * 1024;

    snprintf(path, sizeof path, HUGE_DIRECTORY "/%s/nr_hugepages", directory);
    doctor_read(path, reserved, sizeof reserved);
    snprintf(path, sizeof path, HUGE_DIRECTORY "/%s/free_hugepages", directory);
    doctor_read(path, unused, sizeof unused);
    snprintf(name, sizeof name, "pages of %s", text_bytes(figure, bytes));
    doctor_find(doctor, LEVEL_OK, name, NULL, "%s reserved, %s free%s", reserved, unused,
                reserved[0] == '0' ? "; not needed" : "");
}

static void check_huge(struct doctor *doctor)
{
    DIR *directory = opendir(HUGE_DIRECTORY);
    char text[256] = "", *chosen, *end;
    const struct dirent *entry;

    if (directory == NULL)
        doctor_find(doctor, LEVEL_OK, "huge pages", NULL, "not offered; not needed");
    while (directory != NULL && (entry = readdir(directory)) != NULL)
        if (strncmp(entry->d_name, "hugepages-", strlen("hugepages-")) == 0)
            check_huge_size(doctor, entry->d_name);
    if (directory != NULL)
        closedir(directory);
    if (doctor_read("/sys/kernel/mm/transparent_hugepage/shmem_enabled", text, sizeof text) < 0 ||
        (chosen = strchr(text, '[')) == NULL || (end = strchr(chosen, ']')) == NULL) {
        doctor_find(doctor, LEVEL_OK, "shmem huge pages", NULL, "not offered; not needed");
        return;
    }
    *end = '\0';
    if (strcmp(chosen + 1, "deny") == 0 || strcmp(chosen + 1, "never") == 0)
        doctor_find(doctor, LEVEL_OK, "shmem huge pages", NULL, "%s; 'advise' in "
                    "/sys/kernel/mm/transparent_hugepage/shmem_enabled would save page tables when "
                    "many processes map large pools", chosen + 1);
    else if (strcmp(chosen + 1, "always") == 0 || strcmp(chosen + 1, "force") == 0)
        doctor_find(doctor, LEVEL_WARN, "shmem huge pages",
                    "echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled",
                    "%s: each region, however small, takes whole huge pages", chosen + 1);
    else
        doctor_find(doctor, LEVEL_OK, "shmem huge pages", NULL, "%s", chosen + 1);
}

void doctor_memory(struct doctor *doctor)
{
    check_available(doctor);
    check_group(doctor);
    check_huge(doctor);
}
