/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children and their lines. A line is one packet of a SOCK_SEQPACKET pair, so that neither side
 * keeps a buffer. Children must be started from the main thread: they die with the thread that
 * forked them.
 */
#include "internal.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROLE_ARGS_MAX 32

int lst_child_count;
static char complaint[1024];

int lst_complain(int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(complaint, sizeof complaint, format, args);
    va_end(args);
    return code;
}

const char *lst_complaint(void)
{
    return complaint;
}

int64_t lst_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void lst_pause(void)
{
    const struct timespec one_ms = {.tv_nsec = 1000000};
    (void)nanosleep(&one_ms, NULL);
}

int lst_wait_until(bool (*condition)(void *arg), void *arg, int timeout_ms)
{
    int64_t deadline = lst_now_ms() + timeout_ms;
    while (!condition(arg)) {
        if (lst_now_ms() >= deadline) {
            return lst_complain(-ETIME, "condition not met within %d ms", timeout_ms);
        }
        lst_pause();
    }
    return 0;
}

int lst_prctl(int option, unsigned long value)
{
    return prctl(option, value) == 0 || errno == EINVAL ? 0 : -1;
}

/* Poll one descriptor for input: 1, or 0 after timeout_ms. */
static int poll_in(int fd, int timeout_ms)
{
    int64_t deadline = lst_now_ms() + timeout_ms;
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - lst_now_ms();
        int n = poll(&poll_fd, 1, left > 0 ? (int)left : 0);
        if (n >= 0) {
            return n;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

__attribute__((noreturn)) static void run_child(pid_t parent, const char *path, char *const argv[],
                                                int line_fd)
{
    sigset_t none;
    unsigned first_closed = 3;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (lst_prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
        _exit(126);
    }
    if (line_fd >= 0) {
        /* Through a duplicate: dup2() of a descriptor to itself keeps CLOEXEC. */
        if (dup2(dup(line_fd), LST_LINE_FD) != LST_LINE_FD) {
            _exit(126);
        }
        first_closed = LST_LINE_FD + 1;
    }
    (void)close_range(first_closed, ~0u, 0);
    (void)execv(path, argv);
    _exit(127);
}

int lst_spawn(struct lst_child *child, const char *path, char *const argv[], bool with_line)
{
    int pair[2] = {-1, -1};
    pid_t parent = getpid();

    if (with_line && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return lst_complain(-errno, "socketpair: %s", strerror(errno));
    }
    pid_t pid = fork();
    if (pid < 0) {
        int error = errno;
        if (with_line) {
            (void)close(pair[0]);
            (void)close(pair[1]);
        }
        return lst_complain(-error, "fork: %s", strerror(error));
    }
    if (pid == 0) {
        run_child(parent, path, argv, pair[1]);
    }
    if (with_line) {
        (void)close(pair[1]);
    }
    /* Not waited for yet, so the pid is still this child's. */
    *child = (struct lst_child){.pid = pid, .pidfd = pidfd_open(pid, 0), .line_fd = pair[0]};
    lst_child_count++;
    if (child->pidfd < 0) {
        return lst_complain(-errno, "pidfd_open: %s", strerror(errno));
    }
    return 0;
}

int lst_child_start(struct lst_child *child, const char *role, const char *const args[])
{
    return lst_child_start_within(child, LST_ROLE_DEADLINE_S, role, args);
}

int lst_child_start_within(struct lst_child *child, unsigned deadline_s, const char *role,
                           const char *const args[])
{
    char seconds[16], self[PATH_MAX] = "";
    const char *emulator = getenv("LSHM_TEST_EMULATOR");
    const char *argv[ROLE_ARGS_MAX + 7] = {"emulator", self, "--deadline", seconds, "--role", role};
    size_t count = 6;

    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) {
        return lst_complain(-errno, "/proc/self/exe: %s", strerror(errno));
    }
    (void)snprintf(seconds, sizeof seconds, "%u", deadline_s);
    for (size_t i = 0; args && args[i]; i++) {
        if (i == ROLE_ARGS_MAX) {
            return lst_complain(-E2BIG, "a role takes at most %d arguments", ROLE_ARGS_MAX);
        }
        argv[count++] = args[i];
    }
    /* execv() writes to none of its strings, whatever its prototype says. */
    return lst_spawn(child, emulator ? emulator : "/proc/self/exe",
                     (char *const *)(uintptr_t)(emulator ? argv : argv + 1), true);
}

bool lst_child_has_ended(const struct lst_child *child)
{
    return poll_in(child->pidfd, 0) == 1;
}

int lst_child_wait(struct lst_child *child, int timeout_ms)
{
    siginfo_t info = {0};
    if (child->pid == 0) {
        return lst_complain(-ECHILD, "the child is not running");
    }
    if (poll_in(child->pidfd, timeout_ms) != 1) {
        return lst_complain(-ETIME, "child %d still runs after %d ms", child->pid, timeout_ms);
    }
    if (waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED) != 0) {
        return lst_complain(-errno, "waitid: %s", strerror(errno));
    }
    (void)close(child->pidfd);
    if (child->line_fd >= 0) {
        (void)close(child->line_fd);
    }
    *child = (struct lst_child){.pidfd = -1, .line_fd = -1};
    lst_child_count--;
    return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

int lst_child_signal(struct lst_child *child, int signal)
{
    if (child->pid == 0) {
        return lst_complain(-ECHILD, "the child is not running");
    }
    if (pidfd_send_signal(child->pidfd, signal, NULL, 0) != 0) {
        return lst_complain(-errno, "signal %d to %d: %s", signal, child->pid, strerror(errno));
    }
    return 0;
}

int lst_child_kill(struct lst_child *child)
{
    int rc = lst_child_signal(child, SIGKILL);
    return rc < 0 ? rc : lst_child_wait(child, LST_DEADLINE_MS);
}

/* Send the signal and wait for the state change that waitid() knows as event. */
static int signal_and_see(struct lst_child *child, int signal, int event)
{
    int64_t deadline = lst_now_ms() + LST_DEADLINE_MS;
    int rc = lst_child_signal(child, signal);
    while (rc == 0) {
        siginfo_t info = {0};
        if (waitid(P_PIDFD, (id_t)child->pidfd, &info, event | WNOHANG) == 0 && info.si_pid != 0) {
            return 0;
        }
        if (lst_child_has_ended(child) || lst_now_ms() >= deadline) {
            return lst_complain(-ESRCH, "child %d did not react to signal %d", child->pid, signal);
        }
        lst_pause();
    }
    return rc;
}

int lst_child_stop(struct lst_child *child)
{
    return signal_and_see(child, SIGSTOP, WSTOPPED);
}

int lst_child_continue(struct lst_child *child)
{
    return signal_and_see(child, SIGCONT, WCONTINUED);
}

static int say(int fd, const char *line)
{
    char packet[LST_LINE_MAX];
    int length = snprintf(packet, sizeof packet, "%s\n", line);
    if (length >= LST_LINE_MAX) {
        return lst_complain(-EMSGSIZE, "a line holds at most %d bytes", LST_LINE_MAX - 2);
    }
    if (send(fd, packet, (size_t)length, MSG_NOSIGNAL) < 0) {
        return lst_complain(-errno, "say '%s': %s", line, strerror(errno));
    }
    return 0;
}

static int hear(int fd, char line[LST_LINE_MAX], int timeout_ms)
{
    int rc = poll_in(fd, timeout_ms);
    if (rc < 0) {
        return lst_complain(rc, "hear: %s", strerror(-rc));
    }
    if (rc == 0) {
        return lst_complain(-ETIME, "no line within %d ms", timeout_ms);
    }
    ssize_t length = recv(fd, line, LST_LINE_MAX, 0);
    if (length <= 0) {
        return lst_complain(-EPIPE, "the other side has hung up");
    }
    line[length - 1] = '\0';
    return 0;
}

static int expect(int fd, const char *wanted)
{
    char line[LST_LINE_MAX];
    int rc = hear(fd, line, LST_DEADLINE_MS);
    if (rc == 0 && strcmp(line, wanted) != 0) {
        return lst_complain(-EBADMSG, "heard '%s', expected '%s'", line, wanted);
    }
    return rc;
}

int lst_child_say(struct lst_child *child, const char *line)
{
    return say(child->line_fd, line);
}

int lst_child_hear(struct lst_child *child, char line[LST_LINE_MAX], int timeout_ms)
{
    return hear(child->line_fd, line, timeout_ms);
}

int lst_child_expect(struct lst_child *child, const char *line)
{
    return expect(child->line_fd, line);
}

int lst_say(const char *line)
{
    return say(LST_LINE_FD, line);
}

int lst_hear(char line[LST_LINE_MAX], int timeout_ms)
{
    return hear(LST_LINE_FD, line, timeout_ms);
}

int lst_expect(const char *line)
{
    return expect(LST_LINE_FD, line);
}
