/* SPDX-License-Identifier: Apache-2.0 */
/* One adaptor as a process: start, turns, memory, end. */
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inline.h"
#include "peers.h"

#define TURN_LIMIT_NS 60000000000u
#define STOP_LIMIT_NS 10000000000u
#define LOOK_NS 50000000 /* how often to look whether the adaptor lives */
#define POLL_US 1000
#define CONTROL_NAME "lshm-bench-control"

static void fail(struct peer *peer, const char *what)
{
    snprintf(peer->why, sizeof(peer->why), "%s", what);
    peer->failed = true;
}

/* Waits until the adaptor has done `turn`. */
static bool await_done(struct peer *peer, uint32_t turn)
{
    uint32_t *done = &peer->control->done, now;
    const struct timespec look = {.tv_nsec = LOOK_NS};
    uint64_t start_ns = bench_now_ns();
    while ((now = __atomic_load_n(done, __ATOMIC_ACQUIRE)) != turn) {
        syscall(SYS_futex, done, FUTEX_WAIT, now, &look, NULL, 0);
        if (waitpid(peer->pid, NULL, WNOHANG) == peer->pid) {
            peer->pid = 0;
            if (__atomic_load_n(done, __ATOMIC_ACQUIRE) != turn) {
                fail(peer, "its adaptor failed");
                return false;
            }
        }
        if (bench_now_ns() - start_ns > TURN_LIMIT_NS) {
            fail(peer, "its adaptor hangs");
            return false;
        }
    }
    return true;
}

/* PSS of the mappings of a process, without the control memory. */
static uint64_t memory_of(pid_t pid)
{
    char path[64], line[512];
    uint64_t sum_kib = 0, kib;
    bool counts = true;
    snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
    FILE *maps = fopen(path, "re");
    while (maps && fgets(line, sizeof(line), maps)) {
        uint64_t from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
            counts = !strstr(line, CONTROL_NAME);
        } else if (counts && sscanf(line, "Pss: %lu kB", &kib) == 1) {
            sum_kib += kib;
        }
    }
    if (maps) {
        fclose(maps);
    }
    return sum_kib * 1024;
}

static uint64_t memory_of_all(const struct peer_control *control)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < PEER_ENDS_MAX; i++) {
        sum += control->ends[i] > 0 ? memory_of(control->ends[i]) : 0;
    }
    for (uint32_t i = 0; i < control->shared.helper_count; i++) {
        sum += memory_of(control->shared.helpers[i]);
    }
    return sum;
}

static void find_program(const struct peer *peer, char *path, size_t bytes)
{
    char self[256];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash) {
        *slash = '\0';
    }
    snprintf(path, bytes, "%s/peers/lshm-peer-%s", self, peer->known->program);
}

/* The control memory, and a descriptor of it for the adaptor to inherit. */
static int make_control(struct peer *peer)
{
    int fd = memfd_create(CONTROL_NAME, 0);
    if (fd < 0 || ftruncate(fd, sizeof(*peer->control)) != 0) {
        bench_die("cannot make the control memory: %m");
    }
    peer->control = mmap(NULL, sizeof(*peer->control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (peer->control == MAP_FAILED) {
        bench_die("cannot map the control memory: %m");
    }
    return fd;
}

static void spawn(struct peer *peer, const char *program, int fd)
{
    peer->pid = bench_fork();
    if (peer->pid == 0) {
        char number[16];
        setpgid(0, 0);
        snprintf(number, sizeof(number), "%d", fd);
        dup2(STDERR_FILENO, STDOUT_FILENO);
        execl(program, program, number, (char *)NULL);
        _exit(127);
    }
}

bool peer_start(struct peer *peer, const struct bench_cell *cell, double sample_ns)
{
    static uint64_t run;
    char program[512];
    find_program(peer, program, sizeof(program));
    if (access(program, X_OK) != 0) {
        snprintf(peer->why, sizeof(peer->why), "was not built; it needs %s", peer->known->needs);
        return false;
    }
    int fd = make_control(peer);
    struct peer_control *control = peer->control;
    control->turn = 1;
    control->cell = *cell;
    control->sample_ns = sample_ns;
    control->shared.run = (uint64_t)getpid() << 24 | ++run;
    snprintf(control->peer, sizeof(control->peer), "%s", peer->known->name);
    if (strcmp(peer->known->name, "lshm") == 0) {
        control->shared.helper_count = bench_broker_processes(control->shared.helpers,
                                                              BENCH_HELPERS_MAX);
    }
    spawn(peer, program, fd);
    close(fd);
    if (await_done(peer, 1) && control->skipped) {
        snprintf(peer->why, sizeof(peer->why), "%s", control->why);
    }
    return peer->why[0] == '\0';
}

bool peer_turn(struct peer *peer, struct bench_sample *ret_sample)
{
    struct peer_control *control = peer->control;
    uint32_t turn = control->turn + 1;
    __atomic_store_n(&control->turn, turn, __ATOMIC_RELEASE);
    syscall(SYS_futex, &control->turn, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
    if (!await_done(peer, turn)) {
        return false;
    }
    *ret_sample = control->sample;
    return true;
}

/* The whole process group, so that no helper stays. */
static void end_group(struct peer *peer, pid_t group)
{
    uint64_t start_ns = bench_now_ns();
    while (peer->pid > 0 && waitpid(peer->pid, NULL, WNOHANG) == 0) {
        if (peer->failed || bench_now_ns() - start_ns > STOP_LIMIT_NS) {
            kill(-group, SIGKILL);
        }
        usleep(POLL_US);
    }
    kill(-group, SIGKILL);
    peer->pid = 0;
}

static void remove_files(const char *directory)
{
    char command[PEER_NAME_BYTES + 16];
    snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    if (system(command) != 0) {
        fprintf(stderr, "bench: %s is left\n", directory);
    }
}

void peer_stop(struct peer *peer)
{
    struct peer_control *control = peer->control;
    if (!control) {
        return;
    }
    pid_t group = peer->pid;
    if (group > 0) {
        peer->memory_bytes = memory_of_all(control);
        control->quit = 1;
        __atomic_store_n(&control->turn, control->turn + 1, __ATOMIC_RELEASE);
        syscall(SYS_futex, &control->turn, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
        end_group(peer, group);
    }
    if (control->directory[0] != '\0') {
        remove_files(control->directory);
    }
    munmap(control, sizeof(*control));
    peer->control = NULL;
}
