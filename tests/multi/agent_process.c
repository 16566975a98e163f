/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_process.h"

#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"

int agent_idle(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    for (;;)
        (void)pause();
}

/* The second column of /proc/self/statm is resident, the first all of it, in pages. */
static unsigned long long address_space(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (file) {
        if (fscanf(file, "%llu", &pages) != 1)
            pages = 0;
        (void)fclose(file);
    }
    return pages * (unsigned long long)sysconf(_SC_PAGESIZE);
}

static unsigned long long count_fds(void)
{
    unsigned long long count = 0;
    DIR *dir = opendir("/proc/self/fd");

    while (dir && readdir(dir))
        count++;
    if (dir)
        (void)closedir(dir);
    return count - 3; /* the two dots and the directory itself */
}

/* N more descriptors, or N more bytes, than are in use now; 0 takes the limit away. */
static long long limit(const char *what, unsigned long long more)
{
    int is_fds = strcmp(what, "fds") == 0;
    __rlimit_resource_t resource = is_fds ? RLIMIT_NOFILE : RLIMIT_AS;
    struct rlimit limit;

    if (getrlimit(resource, &limit) != 0)
        return -1;
    limit.rlim_cur = limit.rlim_max;
    if (more > 0)
        limit.rlim_cur = (is_fds ? count_fds() : address_space()) + more;
    return setrlimit(resource, &limit);
}

/* As in a sandbox that forgot membarrier(2). */
static long long deny_barriers(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof code[0], code };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static long long fork_child(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)alarm(LST_ROLE_DEADLINE_S);
        for (;;)
            (void)pause();
    }
    return pid;
}

static long long become_idle(void)
{
    char *const argv[] = { "idle", "--deadline", "30", "--role", "idle", NULL };

    (void)execv("/proc/self/exe", argv);
    return -1;
}

static long long cpu_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static long long blocked(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_nvcsw : -1;
}

void agent_process_command(const char *line, char *answer, size_t answer_bytes)
{
    char name[16] = "", what[16] = "";
    unsigned long long value = 0;
    long long r;

    if (sscanf(line, "uid %llu", &value) == 1)
        r = setuid((uid_t)value);
    else if (sscanf(line, "limit %15s %llu", what, &value) == 2)
        r = limit(what, value);
    else if (sscanf(line, "%15s", name) == 1 && strcmp(name, "fork") == 0)
        r = fork_child();
    else if (strcmp(name, "exec") == 0)
        r = become_idle();
    else if (strcmp(name, "cpu") == 0)
        r = cpu_us();
    else if (strcmp(name, "blocked") == 0)
        r = blocked();
    else if (strcmp(name, "deny") == 0)
        r = deny_barriers();
    else
        return; /* the answer says already that it is unknown */
    if (r < 0)
        (void)snprintf(answer, answer_bytes, "no FAILED %.200s", line);
    else
        (void)snprintf(answer, answer_bytes, "ok %lld", r);
}
