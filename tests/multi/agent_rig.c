/* SPDX-License-Identifier: Apache-2.0 */
/* The parent's side of agents, and the broker that they attach to. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "agent_ledger.h"

struct agent_rig agent_rig;

/* Beside the broker's socket, where agents look for it. */
static void ledger_path(char *path, size_t path_bytes)
{
    const char *socket = agent_rig.broker.socket_path;

    (void)snprintf(path, path_bytes, "%.*s/" AGENT_LEDGER, (int)(strrchr(socket, '/') - socket),
                   socket);
}

static int set_up(int (*directory)(void **state), void **state)
{
    char path[256];

    if (directory(state) < 0)
        return -1;
    agent_rig.fixture = *state;
    lst_must(lst_broker_start(&agent_rig.broker, agent_rig.fixture->dir));
    ledger_path(path, sizeof path);
    return mknod(path, S_IFREG | 0600, 0);
}

int agent_setup(void **state)
{
    return set_up(lst_setup, state);
}

int agent_setup_in_tmp(void **state)
{
    return set_up(lst_setup_in_tmp, state);
}

int agent_teardown(void **state)
{
    char path[256];
    int r = 0;

    ledger_path(path, sizeof path);
    (void)unlink(path);
    if (agent_rig.broker.process.pid != 0) {
        r = lst_broker_stop(&agent_rig.broker);
        if (r < 0)
            (void)fprintf(stderr, "# %s\n", lst_complaint());
    }
    return lst_teardown(state) < 0 ? -1 : r;
}

/* The keeper's only child. */
pid_t agent_rig_worker(void)
{
    const int keeper = (int)agent_rig.broker.process.pid;
    char path[64];
    int pid = 0;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", keeper, keeper);
    file = fopen(path, "re");
    if (!file || fscanf(file, "%d", &pid) != 1)
        pid = 0;
    if (file)
        (void)fclose(file);
    return pid;
}

static bool has_worker(void *arg)
{
    (void)arg;
    return agent_rig_worker() != 0;
}

static bool is_not_worker(void *arg)
{
    const pid_t *pid = arg;

    return agent_rig_worker() != *pid;
}

void agent_rig_kill_worker(void)
{
    pid_t pid;

    lst_must(lst_wait_until(has_worker, NULL, LST_DEADLINE_MS));
    pid = agent_rig_worker();
    assert_int_equal(kill(pid, SIGKILL), 0);
    lst_must(lst_wait_until(is_not_worker, &pid, LST_DEADLINE_MS));
}

unsigned agent_deadline_s = LST_ROLE_DEADLINE_S;

void agent_start_only(struct agent *agent)
{
    lst_must(lst_child_start_within(&agent->process, agent_deadline_s, "agent", NULL));
}

void agent_start(struct agent *agent)
{
    agent_start_only(agent);
    (void)agent_do(agent, "attach %s", agent_rig.broker.socket_path);
}

static void tell(struct agent *agent, const char *format, va_list arguments)
{
    char line[LST_LINE_MAX];

    (void)vsnprintf(line, sizeof line, format, arguments);
    lst_must(lst_child_say(&agent->process, line));
}

void agent_tell(struct agent *agent, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    tell(agent, format, arguments);
    va_end(arguments);
}

long long agent_hear(struct agent *agent)
{
    lst_must(lst_child_hear(&agent->process, agent->line, AGENT_ANSWER_MS));
    if (strncmp(agent->line, "ok ", 3) != 0)
        fail_msg("agent: %s", agent->line);
    return strtoll(agent->line + 3, NULL, 10);
}

long long agent_do(struct agent *agent, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    tell(agent, format, arguments);
    va_end(arguments);
    return agent_hear(agent);
}

void agent_hear_no(struct agent *agent, const char *error)
{
    size_t length = strlen(error);

    lst_must(lst_child_hear(&agent->process, agent->line, AGENT_ANSWER_MS));
    if (strncmp(agent->line, "no ", 3) != 0 || strncmp(agent->line + 3, error, length) != 0 ||
        agent->line[3 + length] != ' ')
        fail_msg("agent: %s; expected: no %s", agent->line, error);
}

void agent_is_busy(struct agent *agent, int ms)
{
    int r = lst_child_hear(&agent->process, agent->line, ms);

    if (r != -ETIME)
        fail_msg("agent: %s; expected it to be busy", r < 0 ? lst_complaint() : agent->line);
}

void agent_end(struct agent *agent)
{
    agent_tell(agent, "exit");
    assert_int_equal(lst_child_wait(&agent->process, LST_DEADLINE_MS), 0);
}

void agent_kill(struct agent *agent)
{
    assert_int_equal(lst_child_kill(&agent->process), 128 + 9);
}
