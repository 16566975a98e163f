/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix-mq. The system's limits of queues are raised in a namespace of the adaptor's own, if that
 * is allowed; RLIMIT_MSGQUEUE (800 KiB unless raised) bounds the length of a queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "inline.h"
#include "peer.h"

#define MESSAGES_MAX 1024
#define OVERHEAD_BYTES 128u /* of the kernel, for each message of a queue */

struct end {
    mqd_t in, out;
    unsigned char *sending, *received;
};

static mqd_t there, back;
static struct end this_end;

static void must(bool good, const char *what)
{
    if (!good) {
        bench_die("%s: %m", what);
    }
}

static void raise_limit(const char *path, long value)
{
    FILE *file = fopen(path, "we");
    if (file) {
        fprintf(file, "%ld", value);
        fclose(file);
    }
}

static mqd_t make_queue(struct peer_control *control, const char *way)
{
    const struct bench_cell *cell = &control->cell;
    const struct bench_worker worker = {.shared = &control->shared};
    struct rlimit limit;
    char name[PEER_NAME_BYTES];
    must(getrlimit(RLIMIT_MSGQUEUE, &limit) == 0, "getrlimit");
    long most = (long)(limit.rlim_cur / 2 / (cell->size + OVERHEAD_BYTES));
    struct mq_attr attributes = {.mq_maxmsg = most > MESSAGES_MAX ? MESSAGES_MAX : most,
                                 .mq_msgsize = cell->size};
    int spin = cell->mode == BENCH_SPIN ? O_NONBLOCK : 0;
    peer_name(&worker, "/", way, name);
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | spin, 0600, &attributes);
    if (queue == (mqd_t)-1) {
        peer_skip(control, "no queue for messages of %u bytes: %s", cell->size, strerror(errno));
    }
    mq_unlink(name);
    return queue;
}

void peer_prepare(struct peer_control *control)
{
    peer_pairs_only(control);
    peer_no_batches(control);
    if (unshare(CLONE_NEWIPC) == 0) {
        raise_limit("/proc/sys/fs/mqueue/msg_max", MESSAGES_MAX);
        raise_limit("/proc/sys/fs/mqueue/msgsize_max", control->cell.size);
    }
    there = make_queue(control, "there");
    back = make_queue(control, "back");
}

static void end_open(struct bench_worker *worker)
{
    bool producer = worker->side == BENCH_PRODUCER;
    size_t bytes = worker->cell->size;
    this_end.out = producer ? there : back;
    this_end.in = producer ? back : there;
    this_end.sending = aligned_alloc(BENCH_LINE_BYTES, (bytes + 127) / 128 * 128);
    this_end.received = aligned_alloc(BENCH_LINE_BYTES, (bytes + 127) / 128 * 128);
    must(this_end.sending && this_end.received, "aligned_alloc");
    memset(this_end.sending, 0, bytes);
    memset(this_end.received, 0, bytes);
}

static void end_ready(struct bench_worker *worker)
{
    (void)worker;
}

static void close_mq(struct bench_worker *worker)
{
    (void)worker;
    free(this_end.sending);
    free(this_end.received);
}

static inline struct end *end_of(struct bench_worker *worker)
{
    (void)worker;
    return &this_end;
}

static inline void send_some(struct end *end, const struct bench_cell *cell, uint64_t first,
                             uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        bench_fill(end->sending, cell, first + i);
        while (mq_send(end->out, (const char *)end->sending, cell->size, 0) != 0) {
            must(errno == EAGAIN, "mq_send");
        }
    }
}

static inline uint32_t receive_some(struct end *end, const struct bench_cell *cell, uint32_t most,
                                    bool wait, uint64_t *sum)
{
    (void)most;
    (void)wait; /* no batches and no lossy fan here */
    while (mq_receive(end->in, (char *)end->received, cell->size, NULL) < 0) {
        must(errno == EAGAIN, "mq_receive");
    }
    *sum += bench_sum(end->received, cell);
    return 1;
}

static inline void give_back(struct end *end)
{
    (void)end;
}

#include "loops.h"

static const struct bench_system queue = {
    .name = "mq",
    .open = end_open,
    .ready = end_ready,
    .close = close_mq,
    .roundtrip = loop_roundtrip,
    .oneway = loop_oneway,
    .wake = loop_wake,
};
const struct bench_system *const peer_system = &queue;
