/* SPDX-License-Identifier: Apache-2.0 */
/* The broker: where its socket is, whose it is, whether it answers, whether versions match. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "doctor.h"
#include "text.h"

#define SOCKET_PATH_BYTES 108

/* "Max open files" of a process: its soft limit, LSHM_UNKNOWN when that cannot be seen. */
static uint64_t files_of(uint64_t pid)
{
    uint64_t files = LSHM_UNKNOWN;
    char path[64], line[256];
    FILE *file;

    snprintf(path, sizeof path, "/proc/%llu/limits", (unsigned long long)pid);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "Max open files", strlen("Max open files")) == 0)
            files = strtoull(line + strlen("Max open files"), NULL, 10);
    if (file != NULL)
        fclose(file);
    return files;
}

static void check_files(struct doctor *doctor, const struct lshm_broker_status *s)
{
    uint64_t files = files_of(s->keeper_pid), clients = s->clients_max * DOCTOR_CLIENT_FILES;
    uint64_t all = clients + DOCTOR_PUBLISHERS_MAX * DOCTOR_PUBLISHER_FILES + DOCTOR_BROKER_FILES;
    char fix[160];

    snprintf(fix, sizeof fix, "start brokerd with ulimit -n %llu (LimitNOFILE= in its unit), or "
             "fewer --clients-max", (unsigned long long)all);
    if (files == LSHM_UNKNOWN)
        doctor_find(doctor, LEVEL_OK, "broker's files", NULL, "their limit cannot be seen from "
                    "here");
    else if (files < clients)
        doctor_find(doctor, LEVEL_WARN, "broker's files", fix, "%llu allowed: only %llu of %llu "
                    "clients can attach", (unsigned long long)files,
                    (unsigned long long)(files / DOCTOR_CLIENT_FILES),
                    (unsigned long long)s->clients_max);
    else if (files < all)
        doctor_find(doctor, LEVEL_WARN, "broker's files", fix, "%llu allowed: enough for %llu "
                    "clients with %llu publishers", (unsigned long long)files,
                    (unsigned long long)s->clients_max,
                    (unsigned long long)((files - clients) / DOCTOR_PUBLISHER_FILES));
    else
        doctor_find(doctor, LEVEL_OK, "broker's files", NULL, "%llu allowed: enough for all its "
                    "clients and publishers", (unsigned long long)files);
}

/* Whether one of the broker's tables is nearly full. */
static void check_room(struct doctor *doctor, const char *name, const char *fix, uint64_t count,
                       uint64_t max)
{
    if (count * 10 > max * 9)
        doctor_find(doctor, LEVEL_WARN, name, fix, "%llu of %llu are there",
                    (unsigned long long)count, (unsigned long long)max);
}

static void check_status(struct doctor *doctor, struct lshm_inspector *inspector)
{
    struct lshm_broker_status s = { .size = sizeof s };
    char figure[TEXT_FIGURE_BYTES];
    int r = lshm_inspector_get_status(inspector, &s);
    bool same;

    if (r < 0) {
        doctor->broker_failed = true;
        doctor_find(doctor, LEVEL_FAIL, "broker", "look at brokerd's log, and start it again",
                    "does not answer: %s", lshm_strerror(r));
        return;
    }
    if (s.abi_major != LSHM_ABI_MAJOR)
        doctor_find(doctor, LEVEL_FAIL, "ABI", "install brokerd and liblshm of one version",
                    "the broker's is %u.%u, the library's %d.%d", s.abi_major, s.abi_minor,
                    LSHM_ABI_MAJOR, LSHM_ABI_MINOR);
    same = strncmp(s.version, lshm_version(), sizeof s.version) == 0;
    doctor_find(doctor, same ? LEVEL_OK : LEVEL_WARN, "broker",
                same ? NULL : "restart brokerd with the version that is installed",
                "brokerd %.32s answers, ABI %u.%u, keeper %llu, worker %llu", s.version,
                s.abi_major, s.abi_minor, (unsigned long long)s.keeper_pid,
                (unsigned long long)s.worker_pid);
    if (s.worker_generation > 1)
        doctor_find(doctor, LEVEL_WARN, "broker's worker", "look at brokerd's log for the reason",
                    "was replaced %llu times since the start",
                    (unsigned long long)(s.worker_generation - 1));
    doctor_find(doctor, LEVEL_OK, "quota", NULL, "%s for one client, %llu of %llu clients there",
                text_bytes(figure, s.client_bytes_max), (unsigned long long)s.clients,
                (unsigned long long)s.clients_max);
    check_room(doctor, "clients", "start brokerd with a larger --clients-max, or end some",
               s.clients, s.clients_max);
    check_room(doctor, "topics", "use fewer, or a second broker with another --socket", s.topics,
               s.topics_max);
    check_files(doctor, &s);
}

void doctor_broker(struct doctor *doctor)
{
    struct lshm_context_options options = { .size = sizeof options,
                                            .socket = doctor->tool->socket };
    struct lshm_error error = { 0 };
    struct lshm_inspector *inspector;
    char path[SOCKET_PATH_BYTES];
    struct stat status;
    int r = lshm_socket_path(doctor->tool->socket, path, sizeof path);

    if (r < 0) {
        doctor->broker_failed = true;
        doctor_find(doctor, LEVEL_FAIL, "socket", "choose a shorter path with LSHM_SOCKET",
                    "its path is too long");
        return;
    }
    if (stat(path, &status) == 0)
        doctor_find(doctor, S_ISSOCK(status.st_mode) ? LEVEL_OK : LEVEL_WARN, "socket",
                    S_ISSOCK(status.st_mode) ? NULL : "name another path with LSHM_SOCKET",
                    "%s, %s of uid %u", path, S_ISSOCK(status.st_mode) ? "a socket" : "no socket",
                    (unsigned)status.st_uid);
    else
        doctor_find(doctor, LEVEL_WARN, "socket", "start brokerd, or name its socket with "
                    "LSHM_SOCKET or --socket", "%s: %s", path, lshm_strerror(errno));
    r = lshm_inspector_open(&options, &error, &inspector);
    if (r < 0) {
        doctor->broker_failed = true;
        doctor_find(doctor, LEVEL_FAIL, "broker", "start brokerd", "%s",
                    error.text[0] != '\0' ? error.text : lshm_strerror(r));
        return;
    }
    check_status(doctor, inspector);
    lshm_inspector_close(inspector);
}
