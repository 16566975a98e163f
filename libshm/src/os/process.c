/* SPDX-License-Identifier: Apache-2.0 */
#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

int lsi_process_open(pid_t pid, int *ret_pidfd)
{
    int fd;

    if (pid <= 0)
        return -ESRCH;
    fd = (int)syscall(SYS_pidfd_open, pid, 0); /* CLOEXEC by itself */
    if (fd < 0)
        return -errno;
    *ret_pidfd = fd;
    return 0;
}

int lsi_process_is_alive(int pidfd)
{
    struct pollfd wait = {.fd = pidfd, .events = POLLIN};

    return poll(&wait, 1, 0) == 0;
}

/*
 * Not fork(): that copies the table. The memory is copied as by fork(), so the child's stack is its
 * own; the caller has one thread only.
 */
pid_t lsi_process_clone_files(void)
{
#if defined(__s390__)
    pid_t pid = (pid_t)syscall(SYS_clone, NULL, CLONE_FILES | SIGCHLD, NULL, NULL, NULL);
#else
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
#endif

    return pid < 0 ? -errno : pid;
}
