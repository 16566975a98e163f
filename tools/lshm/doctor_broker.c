/* SPDX-License-Identifier: Apache-2.0 */
/* The broker: where its socket is, whose it is, whether it answers, whether versions match. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "doctor.h"
#include "text.h"

#define SOCKET_PATH_BYTES 108

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
    if (s.clients * 10 > s.clients_max * 9)
        doctor_find(doctor, LEVEL_WARN, "clients", "start brokerd with a larger --clients-max",
                    "%llu of %llu are attached", (unsigned long long)s.clients,
                    (unsigned long long)s.clients_max);
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
