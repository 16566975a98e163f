/* SPDX-License-Identifier: Apache-2.0 */
/* Every adaptor's main program: starts the ends, takes turns, cleans up. */
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inline.h"
#include "peer.h"

#define EX_USAGE 64
#define PINGPONG_TRIPS 8000u
#define HELPER_LIMIT_NS 3000000000u
#define POLL_US 2000

static void set_and_wake(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void peer_skip(struct peer_control *control, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(control->why, sizeof(control->why), format, arguments);
    va_end(arguments);
    control->skipped = 1;
    set_and_wake(&control->done, control->turn);
    exit(0);
}

void peer_pairs_only(struct peer_control *control)
{
    if (control->cell.kind == BENCH_FANOUT || control->cell.kind == BENCH_FANIN) {
        peer_skip(control, "connects two processes");
    }
}

void peer_no_batches(struct peer_control *control)
{
    if (control->cell.batch > 1 && control->cell.kind == BENCH_ONEWAY) {
        peer_skip(control, "has no batches");
    }
}

void peer_helper(struct peer_control *control, pid_t pid)
{
    struct bench_shared *shared = &control->shared;
    if (shared->helper_count == BENCH_HELPERS_MAX) {
        bench_die("too many helpers");
    }
    shared->helpers[shared->helper_count++] = pid;
}

const char *peer_name(const struct bench_worker *worker, const char *prefix, const char *way,
                      char name[PEER_NAME_BYTES])
{
    snprintf(name, PEER_NAME_BYTES, "%slshm-bench-%llx-%s", prefix,
             (unsigned long long)worker->shared->run, way);
    return name;
}

static void take_turns(struct bench_worker *worker, struct peer_control *control)
{
    bool first = worker->side == BENCH_PRODUCER && worker->index == 0;
    bool pair = worker->index == 0;

    for (uint32_t turn = 1;; turn = control->turn) {
        bench_gather(worker);
        if (first) {
            set_and_wake(&control->done, turn);
        }
        while (__atomic_load_n(&control->turn, __ATOMIC_ACQUIRE) == turn) {
            syscall(SYS_futex, &control->turn, FUTEX_WAIT, turn, NULL, NULL, 0);
        }
        if (control->quit) {
            return;
        }
        struct bench_sample sample = {0};
        double before_ns = pair ? bench_pingpong(worker, PINGPONG_TRIPS) : 0;
        bench_gather(worker);
        bench_measure(worker, peer_system, control->sample_ns, &control->messages, &sample);
        double after_ns = pair ? bench_pingpong(worker, PINGPONG_TRIPS) : 0;
        if (first) {
            sample.before_ns = before_ns;
            sample.after_ns = after_ns;
            sample.regime = bench_regime_of(before_ns, after_ns);
            control->sample = sample;
        }
    }
}

static void attach(struct bench_worker *worker, struct peer_control *control)
{
    struct bench_sample sample = {0};
    if (worker->side == BENCH_PRODUCER) {
        peer_system->open(worker);
    }
    bench_gather(worker);
    peer_system->attach(worker);
    bench_gather(worker);
    if (worker->side == BENCH_PRODUCER) {
        sample.p50_ns = (double)worker->shared->attach_ns;
        sample.regime = BENCH_MIXED;
        control->sample = sample;
        set_and_wake(&control->done, control->turn);
    }
    while (!control->quit) {
        syscall(SYS_futex, &control->turn, FUTEX_WAIT, 1, NULL, NULL, 0);
    }
}

static _Noreturn void be_end(struct peer_control *control, uint32_t number)
{
    uint32_t publishers = bench_publishers(&control->cell);
    struct bench_worker worker = {
        .cell = &control->cell,
        .shared = &control->shared,
        .side = number < publishers ? BENCH_PRODUCER : BENCH_CONSUMER,
        .index = number < publishers ? number : number - publishers,
    };
    if (control->cell.kind == BENCH_ATTACH) {
        attach(&worker, control);
    } else {
        bench_open(&worker, peer_system);
        bench_pin((unsigned)worker.side);
        take_turns(&worker, control);
    }
    peer_system->close(&worker);
    exit(0);
}

/* Waits for all ends; when one fails the others would wait for ever, so end them. */
static bool wait_for_ends(struct peer_control *control, uint32_t count)
{
    bool good = true;
    for (uint32_t left = count; left > 0;) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        for (uint32_t i = 0; i < count; i++) {
            if (pid != control->ends[i]) {
                continue;
            }
            left--;
            control->ends[i] = 0;
            if (good && WIFSIGNALED(status)) {
                fprintf(stderr, "bench: %s: end %u ended with signal %d\n", control->peer, i,
                        WTERMSIG(status));
            }
            good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
        }
        for (uint32_t i = 0; !good && i < count; i++) {
            if (control->ends[i] > 0) {
                kill(control->ends[i], SIGKILL);
            }
        }
    }
    return good;
}

static void end_helpers(struct bench_shared *shared)
{
    for (uint32_t i = 0; i < shared->helper_count; i++) {
        uint64_t start_ns = bench_now_ns();
        if (waitpid(shared->helpers[i], NULL, WNOHANG) != 0) {
            continue; /* has gone, or is not a child of this process */
        }
        kill(shared->helpers[i], SIGTERM);
        while (waitpid(shared->helpers[i], NULL, WNOHANG) == 0) {
            if (bench_now_ns() - start_ns > HELPER_LIMIT_NS) {
                kill(shared->helpers[i], SIGKILL);
            }
            usleep(POLL_US);
        }
    }
}

int main(int argc, char **argv)
{
    char *end = NULL;
    long fd = argc == 2 ? strtol(argv[1], &end, 10) : -1;
    if (fd < 0 || *end != '\0') {
        fprintf(stderr, "usage: %s FD\nstarted by lshm-bench --peers\n", argv[0]);
        return EX_USAGE;
    }
    struct peer_control *control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE,
                                        MAP_SHARED | MAP_POPULATE, (int)fd, 0);
    if (control == MAP_FAILED) {
        bench_die("cannot map the control memory: %m");
    }
    close((int)fd);
    bench_tick_ns();
    peer_prepare(control);
    if (control->cell.kind == BENCH_ATTACH && !peer_system->attach) {
        peer_skip(control, "has nothing to attach to");
    }
    control->messages = bench_first_messages(&control->cell);
    uint32_t count = bench_publishers(&control->cell) + bench_subscribers(&control->cell);
    for (uint32_t i = 0; i < count; i++) {
        pid_t pid = bench_fork();
        if (pid == 0) {
            be_end(control, i);
        }
        control->ends[i] = pid;
    }
    bool good = wait_for_ends(control, count);
    end_helpers(&control->shared);
    return good ? 0 : 1;
}
