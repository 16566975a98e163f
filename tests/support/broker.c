/* SPDX-License-Identifier: Apache-2.0 */
/* A private broker. It is ready when its socket accepts a connection; its output is not read. */
#include "internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef LST_BROKERD
#define LST_BROKERD NULL
#endif

static bool accepts(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    bool connected = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    (void)close(fd);
    return connected;
}

static bool is_ready_or_ended(void *arg)
{
    const struct lst_broker *broker = arg;
    return lst_child_has_ended(&broker->process) || accepts(broker->socket_path);
}

static int start(struct lst_broker *broker, const char *dir, char *setting, int timeout_ms)
{
    const char *program = getenv("LSHM_TEST_BROKERD");
    char name[] = "brokerd", foreground[] = "--foreground", socket_option[] = "--socket";
    char *argv[] = {name, foreground, socket_option, broker->socket_path, setting, NULL};

    if (!program) {
        program = LST_BROKERD;
    }
    if (!program) {
        return lst_complain(-ENOENT, "this build has no brokerd; set LSHM_TEST_BROKERD");
    }
    int length = snprintf(broker->socket_path, sizeof broker->socket_path, "%s/broker.sock", dir);
    if (length >= (int)sizeof broker->socket_path) {
        return lst_complain(-ENAMETOOLONG, "%s is too long for a socket", dir);
    }
    int rc = lst_spawn(&broker->process, program, argv, false);
    if (rc < 0) {
        return rc;
    }
    rc = lst_wait_until(is_ready_or_ended, broker, timeout_ms);
    if (rc < 0) {
        (void)lst_broker_kill(broker);
        return lst_complain(rc, "%s does not accept connections after %d ms", program, timeout_ms);
    }
    if (lst_child_has_ended(&broker->process)) {
        int code = lst_child_wait(&broker->process, 0);
        return lst_complain(-ECHILD, "%s ended with %d", program, code);
    }
    return 0;
}

int lst_broker_start(struct lst_broker *broker, const char *dir)
{
    return start(broker, dir, NULL, LST_DEADLINE_MS);
}

int lst_broker_start_with(struct lst_broker *broker, const char *dir, char *setting)
{
    return start(broker, dir, setting, LST_DEADLINE_MS);
}

int lst_broker_start_within(struct lst_broker *broker, const char *dir, int timeout_ms)
{
    return start(broker, dir, NULL, timeout_ms);
}

int lst_broker_stop(struct lst_broker *broker)
{
    int rc = lst_child_signal(&broker->process, SIGTERM);
    if (rc < 0) {
        return rc;
    }
    rc = lst_child_wait(&broker->process, LST_DEADLINE_MS);
    if (rc == -ETIME) {
        (void)lst_broker_kill(broker);
        return lst_complain(rc, "brokerd ignored SIGTERM for %d ms", LST_DEADLINE_MS);
    }
    if (rc > 0) {
        return lst_complain(-EPROTO, "brokerd ended with %d", rc);
    }
    return rc;
}

int lst_broker_kill(struct lst_broker *broker)
{
    int rc = lst_child_kill(&broker->process);
    (void)unlink(broker->socket_path);
    return rc;
}
