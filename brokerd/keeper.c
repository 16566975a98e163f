/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <bsd/unistd.h>

#include "ctl/error.h"
#include "log.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/socket.h"
#include "start.h"
#include "worker.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define DEATHS_FREE 5u           /* deaths within DEATHS_WINDOW_NS that cost no pause */
#define DEATHS_WINDOW_NS NS_PER_S
#define PAUSE_MS_MIN 100u
#define PAUSE_MS_MAX 1000u
#define DRAIN_GRACE_NS NS_PER_S  /* what a worker gets beyond its deadline */

enum request_kind { REQUEST_MAP = 1, REQUEST_UNMAP, REQUEST_READY, REQUEST_DRAIN };
struct request {
    uint32_t kind;
    int32_t fd;
    int32_t status;
    uint32_t reserved;
    uint64_t serial; /* answers to a dead worker's questions are not taken for one's own */
    uint64_t offset;
    uint64_t bytes;
};

struct life {
    pid_t worker;
    uint32_t deaths;
    uint64_t first_death_ns;
    uint32_t pause_ms;
    int exit_code; /* the broker's */
};

static int is_in_arena(const struct keeper *keeper, const struct request *request)
{
    uint64_t end;

    return !__builtin_add_overflow(request->offset, request->bytes, &end) &&
           end <= keeper->registry->arena_bytes;
}

static int stand(struct keeper *keeper)
{
    if (!keeper->is_standing)
        start_done(keeper);
    keeper->is_standing = 1;
    return keeper->tell_fd >= 0;
}

static int obey(struct keeper *keeper, const struct request *request)
{
    unsigned char *base = (unsigned char *)keeper->arena + request->offset;

    if (request->kind == REQUEST_READY)
        return stand(keeper);
    if (is_in_arena(keeper, request) && request->kind == REQUEST_MAP)
        return lsi_memory_map_at(request->fd, request->bytes, LSI_MAP_WRITE, base);
    if (is_in_arena(keeper, request) && request->kind == REQUEST_UNMAP)
        return lsi_memory_unreserve_at(base, request->bytes);
    return -EINVAL;
}

static void serve(struct keeper *keeper)
{
    struct request request;

    while (recv(keeper->request_fd, &request, sizeof(request), MSG_DONTWAIT) ==
           (ssize_t)sizeof(request)) {
        request.status = obey(keeper, &request);
        (void)lsi_socket_send(keeper->request_fd, &request, sizeof(request), NULL, 0);
    }
}

static int start_worker(struct keeper *keeper, struct life *life)
{
    pid_t pid;

    serve(keeper); /* what its predecessor asked for is mapped before it is made */
    pid = lsi_process_clone_files();
    if (pid == 0)
        worker_run(keeper->registry, keeper->arena);
    if (pid < 0)
        log_info("no worker: %s; trying again", lsi_error_text((int)-pid));
    life->worker = pid;
    return pid < 0 ? (int)pid : 0;
}

/* How long until the next worker may be made: a few deaths are free, then it takes its time. */
static void count_death(struct life *life)
{
    uint64_t now = worker_now_ns();

    if (now - life->first_death_ns > DEATHS_WINDOW_NS + life->pause_ms * NS_PER_MS) {
        life->first_death_ns = now;
        life->deaths = 0;
        life->pause_ms = 0;
    }
    if (++life->deaths < DEATHS_FREE)
        return;
    life->pause_ms = life->pause_ms ? life->pause_ms * 2 : PAUSE_MS_MIN;
    if (life->pause_ms > PAUSE_MS_MAX)
        life->pause_ms = PAUSE_MS_MAX;
    life->first_death_ns = now;
}

/* No worker has ever served, and another would fare no better: 1, the broker ends. */
static int is_hopeless(const struct keeper *keeper, struct life *life, int status)
{
    if (keeper->is_standing)
        return 0;
    if (!WIFEXITED(status) && life->deaths < DEATHS_FREE)
        return 0;
    life->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : EX_OSERR;
    if (!WIFEXITED(status))
        log_info("workers are killed by signal %d before they can serve; see the kernel's log",
                 WTERMSIG(status));
    return 1;
}

/* 1: the worker is gone and the broker is to end. */
static int reap(struct keeper *keeper, struct life *life)
{
    int status;
    pid_t pid = waitpid(life->worker, &status, WNOHANG);

    if (pid != life->worker)
        return 0;
    life->worker = -1;
    if (keeper->registry->drain_deadline_ns != 0)
        return 1;
    count_death(life);
    if (is_hopeless(keeper, life, status))
        return 1;
    if (WIFSIGNALED(status))
        log_info("worker %d was killed by signal %d; starting another", (int)pid,
                 WTERMSIG(status));
    else
        log_info("worker %d ended with %d; starting another", (int)pid, WEXITSTATUS(status));
    return 0;
}

static void drain(struct keeper *keeper)
{
    struct request news = {.kind = REQUEST_DRAIN};

    if (keeper->registry->drain_deadline_ns != 0)
        return;
    keeper->registry->drain_deadline_ns = worker_now_ns() + keeper->drain_ns;
    log_info("told to stop; waiting up to %llu ms for clients to leave",
             (unsigned long long)(keeper->drain_ns / NS_PER_MS));
    (void)lsi_socket_send(keeper->request_fd, &news, sizeof(news), NULL, 0);
}

/* 1: the broker is to end. */
static int take_signals(struct keeper *keeper, struct life *life)
{
    struct signalfd_siginfo info;
    int is_end = 0;

    while (read(keeper->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            is_end |= life->worker > 0 && reap(keeper, life);
        else
            drain(keeper);
    }
    return is_end;
}

/* In ms, for poll: a worker is to be made, or a drain is to end, or nothing is. */
static int time_left(const struct keeper *keeper, const struct life *life)
{
    uint64_t now, end;

    if (life->worker <= 0)
        return (int)life->pause_ms;
    if (keeper->registry->drain_deadline_ns == 0)
        return -1;
    now = worker_now_ns();
    end = keeper->registry->drain_deadline_ns + DRAIN_GRACE_NS;
    return now >= end ? 0 : (int)((end - now) / NS_PER_MS) + 1;
}

static void kill_worker(struct life *life)
{
    if (life->worker <= 0)
        return;
    kill(life->worker, SIGKILL); /* our child, not reaped: the number is its own */
    waitpid(life->worker, NULL, 0);
    life->worker = -1;
}

static int is_overdue(const struct keeper *keeper)
{
    const uint64_t deadline = keeper->registry->drain_deadline_ns;

    return deadline != 0 && worker_now_ns() >= deadline + DRAIN_GRACE_NS;
}

int keeper_run(struct keeper *keeper)
{
    struct life life = {.worker = -1, .exit_code = EX_OK};

    setproctitle("keeper");
    (void)start_worker(keeper, &life);
    for (;;) {
        struct pollfd waits[] = {{.fd = keeper->signal_fd, .events = POLLIN},
                                 {.fd = keeper->request_fd, .events = POLLIN}};
        int ready = poll(waits, LSI_COUNT_OF(waits), time_left(keeper, &life));

        if (ready > 0 && waits[1].revents)
            serve(keeper);
        if (ready > 0 && waits[0].revents && take_signals(keeper, &life))
            break;
        if (is_overdue(keeper) || (life.worker <= 0 && keeper->registry->drain_deadline_ns != 0))
            break;
        if (life.worker <= 0 && (life.pause_ms == 0 || ready == 0) &&
            start_worker(keeper, &life) < 0)
            life.pause_ms = PAUSE_MS_MIN;
    }
    kill_worker(&life);
    keeper_remove_files(keeper->registry);
    return life.exit_code;
}

void keeper_remove_files(const struct registry *registry)
{
    unlink(registry->socket_path);
    unlink(registry->lock_path);
}

/* Waits for the answer; news that come in between are left in drain_deadline_ns. */
static int ask(struct broker *broker, struct request *request)
{
    const int fd = broker->registry->request_fd;
    const uint64_t serial = lsi_counter_next(broker->request_serial);
    struct request answer;

    broker->request_serial = serial;
    request->serial = serial;
    if (lsi_socket_send(fd, request, sizeof(*request), NULL, 0) < 0)
        return -EIO;
    for (;;) {
        struct pollfd waits[] = {{.fd = fd, .events = POLLIN},
                                 {.fd = broker->registry->keeper_fd, .events = POLLIN}};

        if (poll(waits, LSI_COUNT_OF(waits), -1) < 0 && errno != EINTR)
            return -errno;
        if (waits[1].revents) {
            broker->is_keeper_dead = 1;
            return -ECHILD;
        }
        while (recv(fd, &answer, sizeof(answer), MSG_DONTWAIT) == (ssize_t)sizeof(answer)) {
            if (answer.kind == request->kind && answer.serial == serial)
                return answer.status;
        }
    }
}

int keeper_map(struct broker *broker, int fd, uint64_t offset, uint64_t bytes)
{
    struct request request = {.kind = REQUEST_MAP, .fd = fd, .offset = offset, .bytes = bytes};

    return ask(broker, &request);
}

int keeper_say_ready(struct broker *broker)
{
    struct request request = {.kind = REQUEST_READY};

    return ask(broker, &request) > 0;
}

void keeper_unmap(struct broker *broker, uint64_t offset, uint64_t bytes)
{
    struct request request = {.kind = REQUEST_UNMAP, .offset = offset, .bytes = bytes};

    (void)ask(broker, &request);
}

int keeper_take_news(struct broker *broker)
{
    struct request news;

    while (recv(broker->registry->request_fd, &news, sizeof(news), MSG_DONTWAIT) > 0)
        continue;
    return broker->registry->drain_deadline_ns != 0;
}
